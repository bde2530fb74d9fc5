"""What a model or a page writes reaches a reader harmless, in every draft and in the answer."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from core.answering.extractive import ExtractiveAnswer
from core.answering.writing import Writing
from core.resilience.deadline import Deadline
from core.tracing import Trace
from core.types import (
    Answer,
    AskerId,
    Draft,
    NoticeKind,
    Outcome,
    Page,
    PageKind,
    Passage,
    Progress,
    Question,
    Source,
)
from tests.fakes import FakeEmbedder, FakeLanguageModel
from tests.hostile.readers import dangers
from tests.hostile.texts import FORMS

QUESTION = Question(
    id="1", text="Who kept lighthouses?", asker=AskerId("a"), platform="p", asked_at=datetime.now(UTC)
)
URL = "https://example.com/lighthouses"


def source(text: str = "Lighthouses were kept by families.", title: str = "Lighthouses") -> Source:
    page = Page(url=URL, title=title, text=text, kind=PageKind.HTML)
    return Source(number=1, page=page, passages=(Passage(url=URL, index=0, text=text, title=title),))


async def written(
    pieces: Sequence[str] | None, *sources: Source, fails_with: str = ""
) -> tuple[list[Draft], Answer]:
    """pieces: None where there is no model."""
    drafts: list[Draft] = []

    def show(event: Progress | Draft) -> None:
        if isinstance(event, Draft):
            drafts.append(event)

    model = None if pieces is None else FakeLanguageModel(pieces=pieces, fails_with=fails_with)
    answer = await Writing(model, ExtractiveAnswer(FakeEmbedder())).write(
        QUESTION,
        sources or (source(),),
        (),
        asked=QUESTION.text,
        show=show,
        deadline=Deadline.after(30),
        trace=Trace(),
    )
    return drafts, answer


async def test_no_hostile_form_of_a_models_is_shown() -> None:
    for form in FORMS:
        drafts, answer = await written(list(f"They were kept by families [1]. {form} So it is."))
        for text in {draft.text for draft in drafts} | {answer.text}:
            assert dangers(text) == [], text
        assert answer.text.startswith("They were kept by families[^1].")


async def test_no_hostile_form_of_a_page_is_shown() -> None:
    for form in FORMS:
        hostile = source(f"Lighthouses were kept by families. {form}", title=f"Lighthouses {form}")
        _, answer = await written(None, hostile)
        assert answer.outcome is Outcome.ANSWERED
        assert dangers(answer.text) == [], answer.text
        drafts, written_answer = await written(["Families did [1]."], hostile)
        for footnotes in (answer.footnotes, written_answer.footnotes, drafts[-1].footnotes):
            assert dangers(footnotes[0].title) == []


async def test_an_invisible_character_does_not_hide_a_mark() -> None:
    _, answer = await written(["Families did [\u200b1].", " So [^\u200b7]."])
    assert answer.text == "Families did[^1]. So."
    assert [notice.kind for notice in answer.notices] == [NoticeKind.UNKNOWN_MARKS_DROPPED]


async def test_a_text_that_is_nothing_but_a_call_is_no_text() -> None:
    _, answer = await written(["<!channel>"])
    assert [notice.kind for notice in answer.notices] == [NoticeKind.EXTRACTIVE_MODEL_FAILED]


@pytest.mark.parametrize("text", ["Families did [1]. [half a](https://evil.com", "Families did [1]. half"])
async def test_a_model_that_fails_leaves_a_harmless_rest(text: str) -> None:
    _, answer = await written([text], fails_with="broke off")
    assert answer.text.startswith("Families did[^1].")
    assert answer.text.endswith(("half a] (`evil.com`", "half"))
    assert dangers(answer.text) == []

"""Every stage for real, over the demo web: fetcher, children, LanceDB, an OpenAI-shaped server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from bot.app import App, open_app
from bot.demo.search import QUESTIONS
from bot.settings import load_settings
from core.providers.web.extractor import ChildExtractor
from core.types import (
    Answer,
    AskerId,
    Document,
    Draft,
    Footnote,
    NoticeKind,
    Outcome,
    PageKind,
    Progress,
    Question,
    Stage,
)
from tests.fakes import FakeReplySurface
from tests.servers.openai_server import OpenAIServer, openai_server

BLIND_PIECES = (
    "Heat", " pumps", " work", " below", " -20", " °C", " [", "1", "]", "[2", "]", ".", " They", " cost",
    " less", " than", " gas", " [3", ", ", "1", "]", ".", "\n\n", "```", "\n", "x[1]", "\n", "```", "\n",
    "Not", " cited", " [", "77", "]", ".",
)  # fmt: skip


@asynccontextmanager
async def demo_app(tmp_path: Path, **environ: str) -> AsyncIterator[App]:
    settings = load_settings({"LIBRARY_URI": str(tmp_path / "library"), **environ}, env_file=None)
    async with open_app(settings, demo=True) as app:
        await app.embedders.local.prepare()
        yield app


async def ask(app: App, text: str, surface: FakeReplySurface | None = None) -> Answer:
    question = Question(
        id="q1",
        text=text,
        asker=AskerId("test:ann"),
        platform="test",
        asked_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return await app.service.handle(question, surface or FakeReplySurface())


async def page_texts(footnotes: tuple[Footnote, ...]) -> dict[str, str]:
    """What the demo web's pages say, read once more, apart from the answer."""
    texts: dict[str, str] = {}
    async with aiohttp.ClientSession() as session, ChildExtractor(children=1) as extractor:
        for note in footnotes:
            async with session.get(note.url) as response:
                document = Document(
                    url=note.url,
                    media_type=response.content_type,
                    body=await response.read(),
                    charset="utf-8",
                )
            texts[note.url] = (await extractor.extract(document)).text
    return texts


@pytest.mark.parametrize("text", QUESTIONS)
async def test_every_footnote_of_a_demo_answer_names_a_page_that_holds_the_quoted_sentence(
    text: str, tmp_path: Path
) -> None:
    async with demo_app(tmp_path) as app:
        answer = await ask(app, text)
        read = [note for note in answer.footnotes if note.kind is not PageKind.SNIPPET]
        texts = await page_texts(tuple(read))

    assert answer.outcome is Outcome.ANSWERED
    assert [note.number for note in answer.footnotes] == list(range(1, len(answer.footnotes) + 1))
    assert read
    for note in answer.footnotes:
        assert len(note.quotes) == answer.text.count(f"[^{note.number}]") >= 1
    for note in read:
        assert [quote for quote in note.quotes if quote not in texts[note.url]] == []


async def streamed(server: OpenAIServer, tmp_path: Path) -> tuple[Answer, FakeReplySurface]:
    surface = FakeReplySurface()
    async with demo_app(tmp_path, LLM_BASE_URL=server.url, LLM_MODEL="m", LLM_API_KEY="k") as app:
        return await ask(app, QUESTIONS[0], surface), surface


async def test_at_sixty_tokens_a_second_the_text_grows_and_ends_as_the_model_wrote_it(tmp_path: Path) -> None:
    async with openai_server(pieces=BLIND_PIECES) as server:
        server.tokens_per_s = 60
        answer, surface = await streamed(server, tmp_path)

    drafts = [event.text for event in surface.drawn if isinstance(event, Draft)]
    assert len(drafts) >= 10
    assert all(answer.text.startswith(draft) for draft in drafts)
    assert not any(draft.rpartition("[")[2].strip("^0123456789") == "" for draft in drafts if "[" in draft)
    assert answer.text == (
        "Heat pumps work below -20 °C[^1][^2]. They cost less than gas[^3][^1].\n\n```\nx[1]\n```\nNot cited."
    )
    assert [notice.kind for notice in answer.notices] == [NoticeKind.UNKNOWN_MARKS_DROPPED]


async def test_the_model_sees_marked_sources_and_no_tools(tmp_path: Path) -> None:
    async with openai_server(pieces=["Yes [1]."]) as server:
        await streamed(server, tmp_path)

    (request,) = server.requests
    assert "tools" not in request.payload
    assert "functions" not in request.payload
    roles = [message["role"] for message in request.payload["messages"]]  # type: ignore[attr-defined] # JSON
    assert roles == ["system", "user"]


@pytest.mark.parametrize(
    ("bend", "notices", "extractive"),
    [
        ({"status": 401}, [NoticeKind.EXTRACTIVE_MODEL_FAILED], True),
        ({"status": 500}, [NoticeKind.EXTRACTIVE_MODEL_FAILED], True),
        ({"pieces": (), "thoughts": ("hm",)}, [NoticeKind.EXTRACTIVE_MODEL_FAILED], True),
        ({"ending": "reset"}, [NoticeKind.CUT_BY_FAILURE], False),
        ({"finish_reason": "length"}, [NoticeKind.CUT_BY_LENGTH], False),
        ({"finish_reason": "content_filter"}, [NoticeKind.CUT_BY_FILTER], False),
    ],
)
async def test_a_model_that_fails_ends_in_an_honest_answer(
    bend: dict[str, object], notices: list[NoticeKind], extractive: bool, tmp_path: Path
) -> None:
    async with openai_server(pieces=["Heat pumps ", "work [1]. "]) as server:
        for name, value in bend.items():
            setattr(server, name, value)
        answer, _ = await streamed(server, tmp_path)

    assert answer.outcome is Outcome.ANSWERED
    assert [notice.kind for notice in answer.notices] == notices
    assert answer.text.startswith("Heat pumps work[^1].") is not extractive
    assert answer.footnotes


async def test_a_broken_library_is_set_aside_and_the_answer_still_comes(tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / "pages_v1.lance").write_bytes(b"no table")

    async with demo_app(tmp_path) as app:
        answer = await ask(app, QUESTIONS[0])

    assert answer.outcome is Outcome.ANSWERED
    assert (tmp_path / "library.broken" / "pages_v1.lance").exists()


async def test_progress_tells_how_many_pages_are_read(tmp_path: Path) -> None:
    surface = FakeReplySurface()
    async with demo_app(tmp_path) as app:
        await ask(app, QUESTIONS[0], surface)

    reading = [
        event for event in surface.drawn if isinstance(event, Progress) and event.stage is Stage.READING
    ]
    assert {event.total for event in reading} == {12}
    assert [event.done for event in reading] == sorted(event.done or 0 for event in reading)

"""What people read."""

from __future__ import annotations

import pytest

from adapters import wording
from core.types import (
    Answer,
    Footnote,
    Notice,
    NoticeKind,
    Outcome,
    PageKind,
    Progress,
    Stage,
)


def test_every_kind_of_event_has_its_words() -> None:
    assert set(wording.STAGES) == set(Stage)
    assert set(wording.NOTICES) == set(NoticeKind)
    assert set(wording.OUTCOMES) == set(Outcome)
    assert set(wording.KINDS) == set(PageKind)


@pytest.mark.parametrize("kind", NoticeKind)
@pytest.mark.parametrize("detail", ["", "Serper refused the API key", "{braces} in it"])
def test_a_notice_is_a_whole_sentence_with_its_detail_or_without(kind: NoticeKind, detail: str) -> None:
    line = wording.notice_line(Notice(kind=kind, detail=detail))
    assert line[0].isupper()
    assert line.endswith(".")
    assert "{detail}" not in line
    assert " ()" not in line


def test_a_failed_search_says_which_engines_failed_and_what_to_do() -> None:
    line = wording.notice_line(
        Notice(kind=NoticeKind.SEARCH_FAILED, detail="Serper refused the API key; DuckDuckGo timed out")
    )
    assert "Serper refused the API key; DuckDuckGo timed out" in line
    assert "SERPER_API_KEY" in line
    assert "python -m bot check" in line


@pytest.mark.parametrize("stage", Stage)
def test_progress_is_said_before_anything_can_be_counted(stage: Stage) -> None:
    assert wording.progress_line(Progress(stage=stage)) == wording.STAGES[stage]


def test_pages_are_counted_while_they_are_read() -> None:
    assert wording.progress_line(Progress(stage=Stage.READING, done=3, total=12)) == "Reading pages: 3 of 12"


@pytest.mark.parametrize("outcome", Outcome)
def test_no_answer_is_left_without_a_word(outcome: Outcome) -> None:
    assert wording.notice_lines(Answer(outcome=outcome)) == [wording.OUTCOMES[outcome]]


def test_a_notice_is_said_once() -> None:
    notices = (Notice(kind=NoticeKind.NO_HITS), Notice(kind=NoticeKind.NO_HITS))
    assert len(wording.notice_lines(Answer(outcome=Outcome.NOTHING_FOUND, notices=notices))) == 1


def test_an_origin_names_what_is_known() -> None:
    page = Footnote(number=1, title="T", url="https://a.example/x", host="a.example", kind=PageKind.PDF)
    assert wording.footnote_origin(page) == "a.example, PDF"


def test_timings_are_told_in_seconds_and_in_the_order_of_the_stages() -> None:
    line = wording.timings_line({"total": 4900.0, "searching": 412.0, "first_text": 900.0, "reading": 1210.0})
    assert line == "searched 0.4 s · read 1.2 s · in all 4.9 s"
    assert wording.timings_line({}) == ""

"""The terminal: what a reader sees on a screen, and what a script gets through a pipe."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from adapters.terminal import (
    MAX_WIDTH,
    REDRAW_S,
    TerminalSurface,
    _Growing,
    choose_question,
    exit_code,
    harmless,
)
from core.types import (
    Answer,
    Deferred,
    Draft,
    Footnote,
    Notice,
    NoticeKind,
    Outcome,
    PageKind,
    Progress,
    Stage,
)
from tests.fakes import FakeClock

LINK = "https://example.org/study#:~:text=" + "a%20long%20fragment," * 10 + "end"
FOOTNOTE = Footnote(
    number=1,
    title="A study",
    url="https://example.org/study",
    host="example.org",
    kind=PageKind.HTML,
    published="2026-01-14",
    quotes=("The average COP was 2.1.", "It was cold."),
    links=(LINK, LINK),
)
ANSWER = Answer(
    outcome=Outcome.ANSWERED,
    text="They work.[^1] Use `x[^1]`.[^1]",
    footnotes=(FOOTNOTE,),
    notices=(Notice(kind=NoticeKind.CUT_BY_LENGTH),),
    timings_ms={"searching": 400.0, "total": 1500.0},
)
HOSTILE = (
    "\x1b[31mred\x1b[0m \x1b]8;;http://evil.example\x07click\x1b]8;;\x1b\\ \x9b2Jgone\x07 \u202eback "
    "[bold]b[/bold]"
)
DISARMED = "red click gone back"


class Screen(io.StringIO):
    """A terminal of 80 columns and 24 lines, as far as a program can tell."""

    def isatty(self) -> bool:
        return True

    @property
    def left_standing(self) -> str:
        """What is on it after the last live region was erased, without colours."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.getvalue().rpartition("\x1b[2K")[2])

    @property
    def cursor_is_visible(self) -> bool:
        return self.getvalue().rfind("\x1b[?25l") <= self.getvalue().rfind("\x1b[?25h")


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}.items():
        monkeypatch.setenv(name, value)


def surface(
    output: io.StringIO, errors: io.StringIO | None = None, clock: FakeClock | None = None
) -> TerminalSurface:
    return TerminalSurface(clock=clock or FakeClock(), output=output, errors=errors or io.StringIO())


async def test_a_pipe_gets_the_answer_once_with_its_footnotes_and_nothing_else() -> None:
    output, errors = io.StringIO(), io.StringIO()
    with surface(output, errors) as terminal:
        await terminal.draw(Draft(text="They"))
        await terminal.draw(Draft(text="They work."))
        assert output.getvalue() == ""
        await terminal.draw(ANSWER)
    assert output.getvalue() == (
        "They work.[1] Use `x[^1]`.[1]\n\n"
        "The answer ends here because it became too long. A narrower question helps.\n\n"
        "Sources\n[1] A study (example.org, 2026-01-14)\n"
        f"    “The average COP was 2.1.”\n    “It was cold.”\n    {LINK}\n"
    )
    assert errors.getvalue() == "searched 0.4 s · in all 1.5 s\n"


async def test_a_pipe_reports_each_stage_once_on_the_other_stream() -> None:
    output, errors = io.StringIO(), io.StringIO()
    with surface(output, errors) as terminal:
        await terminal.draw(Progress(stage=Stage.SEARCHING))
        for done in range(3):
            await terminal.draw(Progress(stage=Stage.READING, done=done, total=3))
    assert errors.getvalue().splitlines() == ["Searching the web…", "Reading pages…"]
    assert output.getvalue() == ""


@pytest.mark.parametrize(
    "answer",
    [
        Answer(outcome=Outcome.NOTHING_FOUND, notices=(Notice(kind=NoticeKind.NO_HITS),)),
        Answer(outcome=Outcome.RATE_LIMITED, text="Please ask again in 5 seconds."),
        Answer(outcome=Outcome.FAILED),
    ],
)
async def test_what_is_no_answer_never_reaches_a_script_that_reads_the_answer(answer: Answer) -> None:
    output, errors = io.StringIO(), io.StringIO()
    with surface(output, errors) as terminal:
        await terminal.draw(answer)
    assert output.getvalue() == ""
    assert errors.getvalue().strip()


async def test_a_screen_keeps_the_whole_answer_with_quotes_and_unbroken_links() -> None:
    screen = Screen()
    with surface(screen) as terminal:
        await terminal.draw(Progress(stage=Stage.SEARCHING))
        await terminal.draw(ANSWER)
    seen = screen.left_standing
    assert "They work.[1] Use x[^1].[1]" in seen
    assert "The answer ends here" in seen
    assert "[1] A study  example.org, 2026-01-14" in seen
    assert "“The average COP was 2.1.”" in seen
    assert f"    {LINK}\n" in seen
    assert "searched 0.4 s · in all 1.5 s" in seen
    assert "Searching the web" not in seen


async def test_a_screen_takes_one_draft_at_a_time_but_an_answer_always() -> None:
    screen, clock = Screen(), FakeClock()
    with surface(screen, clock=clock) as terminal:
        assert await terminal.draw(Draft(text="One")) is None
        assert await terminal.draw(Draft(text="One, two")) == Deferred(after_s=REDRAW_S)
        clock.elapsed_s += REDRAW_S
        assert await terminal.draw(Draft(text="One, two")) is None
        assert await terminal.draw(ANSWER) is None
    assert "They work.[1]" in screen.left_standing


async def test_a_screen_gets_its_cursor_back_even_without_an_answer() -> None:
    screen = Screen()
    with surface(screen) as terminal:
        await terminal.draw(Progress(stage=Stage.WRITING))
        assert not screen.cursor_is_visible
    assert screen.cursor_is_visible


@pytest.mark.parametrize("output", [io.StringIO, Screen])
async def test_text_from_pages_and_models_commands_no_terminal(output: type[io.StringIO]) -> None:
    target = output()
    hostile = Footnote(
        number=1,
        title=HOSTILE,
        url="https://example.org/\x1b[2J",
        host=HOSTILE,
        kind=PageKind.HTML,
        quotes=(HOSTILE,),
        links=("https://example.org/\x1b]0;title\x07",),
    )
    with surface(target) as terminal:
        await terminal.draw(Answer(outcome=Outcome.ANSWERED, text=HOSTILE, footnotes=(hostile,)))
    seen = target.getvalue()
    assert seen.count(DISARMED) >= 3
    assert "[bold]b[/bold]" in seen
    for command in ("\x1b]", "\x9b", "\x07", "\x1b[2J", "\u202e", "\x1b[31m"):
        assert command not in seen


async def test_what_looks_like_html_is_not_lost_on_a_screen() -> None:
    screen = Screen()
    with surface(screen) as terminal:
        await terminal.draw(Answer(outcome=Outcome.ANSWERED, text="Use List<String> & <b>bold</b> here."))
    assert "Use List<String> & <b>bold</b> here." in screen.left_standing


@given(st.text(alphabet=st.characters(), max_size=60))
def test_harmless_text_holds_no_control_character_but_line_feeds_and_tabs(text: str) -> None:
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", harmless(f"{text}\x1b[{text}\x9d{text}\r"))


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "Zs", "S"]), max_size=60))
def test_harmless_text_is_left_as_it_is(text: str) -> None:
    assert harmless(text) == text


def test_a_growing_answer_shows_its_end_within_the_height_of_the_screen() -> None:
    console = Console(file=io.StringIO(), width=200, height=10)
    console.print(_Growing("\n\n".join(f"Line {number}." for number in range(40)) + "\n\nLast.[^"))
    lines = str(console.file.getvalue()).splitlines()  # type: ignore[attr-defined]  # a StringIO
    assert len(lines) <= 10
    assert lines[-1].strip() == "Last."
    assert max(map(len, lines)) <= MAX_WIDTH


@pytest.mark.parametrize(
    ("outcome", "kind", "code"),
    [
        (Outcome.ANSWERED, NoticeKind.SEARCH_SKIPPED, 0),
        (Outcome.FAILED, NoticeKind.BUG, 1),
        (Outcome.FAILED, NoticeKind.TOOK_TOO_LONG, 1),
        (Outcome.NOTHING_FOUND, NoticeKind.NO_HITS, 3),
        (Outcome.FAILED, NoticeKind.SEARCH_FAILED, 4),
        (Outcome.REFUSED, None, 5),
        (Outcome.RATE_LIMITED, None, 6),
        (Outcome.CANCELLED, NoticeKind.STOPPED, 130),
    ],
)
def test_a_script_can_tell_the_endings_apart(outcome: Outcome, kind: NoticeKind | None, code: int) -> None:
    notices = (Notice(kind=kind),) if kind else ()
    assert exit_code(Answer(outcome=outcome, notices=notices)) == code


@pytest.mark.parametrize("outcome", Outcome)
def test_only_an_answered_question_exits_with_zero(outcome: Outcome) -> None:
    assert (exit_code(Answer(outcome=outcome)) == 0) is (outcome is Outcome.ANSWERED)


@pytest.mark.parametrize(
    ("typed", "chosen"),
    [("2\n", "Second?"), ("\n", "First?"), ("  My own? \n", "My own?"), ("3\n", "3")],
)
def test_a_question_is_chosen_by_number_or_typed(typed: str, chosen: str) -> None:
    console = Console(file=io.StringIO())
    assert choose_question(["First?", "Second?"], console=console, answers=io.StringIO(typed)) == chosen

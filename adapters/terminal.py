"""The terminal as a chat surface: the answer grows on a screen, or comes out whole into a pipe."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby, zip_longest
from typing import Self, TextIO

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.padding import Padding
from rich.prompt import Prompt
from rich.segment import Segment
from rich.spinner import Spinner
from rich.text import Text

from adapters import wording
from adapters.marks import replace_marks, without_half_mark
from core.ports import Clock
from core.types import (
    Answer,
    AnswerEvent,
    Deferred,
    Draft,
    Footnote,
    NoticeKind,
    Outcome,
    Progress,
    Stage,
)

REDRAW_S = 0.1
"""Between two draws: sooner, nobody would see the difference."""

MAX_WIDTH = 100
"""Columns: longer lines are hard to read."""

SPARE_LINES = 3
"""Of the screen's height, kept for the line of progress and what was there before."""

# What a terminal would obey: escape sequences (ECMA-48: CSI; OSC, DCS and the like up to their end; two
# characters), then any control character left over but line feed and tab, then what turns the direction
# of writing (Unicode's bidirectional controls).
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x9c|\x1b\\)?"
    r"|\x1b[ -/]*[0-~]"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")

_EXIT_CODES = {
    Outcome.ANSWERED: 0,
    Outcome.FAILED: 1,
    Outcome.INTERRUPTED: 1,
    Outcome.NOTHING_FOUND: 3,
    Outcome.REFUSED: 5,
    Outcome.RATE_LIMITED: 6,
    Outcome.BUSY: 6,
    Outcome.CANCELLED: 130,
}
_SEARCH_FAILED_CODE = 4
_REFUSALS = {Outcome.REFUSED, Outcome.RATE_LIMITED, Outcome.BUSY}
"""Their text is no answer."""


def exit_code(answer: Answer) -> int:
    """For scripts.

    0 answered; 1 failed, the fault is ours or the model's; 3 nothing found; 4 the web could not be
    searched; 5 the question was refused (empty or too long); 6 asked too often, or too many ask at once;
    130 cancelled.
    (2 is the shell's own for a wrong command line.)
    """
    if answer.outcome is Outcome.FAILED and any(
        notice.kind is NoticeKind.SEARCH_FAILED for notice in answer.notices
    ):
        return _SEARCH_FAILED_CODE
    return _EXIT_CODES[answer.outcome]


def harmless(text: str) -> str:
    """Text from a page or a model, without anything a terminal would obey."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


def choose_question(questions: Sequence[str], *, console: Console, answers: TextIO | None = None) -> str:
    """One of the offered questions by its number, or whatever else was typed; nothing typed is the first.

    answers: what is typed; None is standard input, and EOFError is raised when that ends.
    """
    for number, question in enumerate(questions, 1):
        console.print(Text.assemble((f" {number}  ", "bold cyan"), question))
    typed = Prompt.ask(
        Text("\nChoose a number, or type a question of your own"),
        console=console,
        default="1",
        stream=answers,
    )
    offered = {str(number): question for number, question in enumerate(questions, 1)}
    return offered.get(typed.strip() or "1", typed.strip())


class TerminalSurface:
    """Draws one reply. `with TerminalSurface(…):` leaves the terminal as it was, whatever happens inside.

    output: gets the answer. errors: where output is no terminal, gets progress and what is no answer.
    """

    def __init__(self, *, clock: Clock, output: TextIO, errors: TextIO) -> None:
        console = Console(file=output, highlight=False, markup=False, emoji=False)
        on_screen = output.isatty() and not console.is_dumb_terminal
        self._drawing = _Screen(console, clock) if on_screen else _Pipe(output, errors)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_fault: object) -> None:
        self._drawing.close()

    async def draw(self, event: AnswerEvent) -> Deferred | None:
        return self._drawing.draw(event)


class _Screen:
    """A live region at the foot of the terminal, which the finished answer takes the place of."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._next_draw_s = float("-inf")
        self._growing = _Growing("")
        self._spinner = Spinner("dots", style="cyan")
        # Its own thread renders and writes, so a slow terminal does not hold up the event loop.
        self._live = Live(console=console, transient=True, refresh_per_second=1 / REDRAW_S)

    def draw(self, event: AnswerEvent) -> Deferred | None:
        if isinstance(event, Answer):
            self._finish(event)
            return None
        now_s = self._clock.monotonic()
        if now_s < self._next_draw_s:
            return Deferred(after_s=self._next_draw_s - now_s)
        self._next_draw_s = now_s + REDRAW_S
        if isinstance(event, Draft):
            self._growing = _Growing(event.text)
        else:
            self._spinner.update(text=Text(wording.progress_line(event)))
        self._live.update(Group(self._growing, self._spinner))
        self._live.start()
        return None

    def close(self) -> None:
        self._live.stop()

    def _finish(self, answer: Answer) -> None:
        self.close()
        if answer.text:
            self._print(_markdown(answer.text))
        for line in wording.notice_lines(answer):
            self._print(Text(f"\n{harmless(line)}", style="yellow"))
        if answer.footnotes:
            self._print(Text(f"\n{wording.SOURCES}", style="bold"))
        for footnote in answer.footnotes:
            self._print_footnote(footnote)
        if timings := wording.timings_line(answer.timings_ms):
            self._print(Text(f"\n{timings}", style="dim"))

    def _print_footnote(self, footnote: Footnote) -> None:
        number = f"[{footnote.number}] "
        self._print(
            Text.assemble(
                (number, "bold cyan"),
                (harmless(footnote.title), "bold"),
                (f"  {harmless(wording.footnote_origin(footnote))}", "dim"),
            )
        )
        for link, quotes in _passages(footnote):
            for quote in quotes:
                self._print(Padding(Text(quote, style="italic"), (0, 0, 0, len(number))))
            # Never wrapped: half a link is none.
            self._console.print(Text(" " * len(number) + link, style="dim"), soft_wrap=True)

    def _print(self, renderable: RenderableType) -> None:
        self._console.print(renderable, width=min(self._console.width, MAX_WIDTH))


class _Growing:
    """The end of an answer that is being written: as many lines as the screen has room for."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines: list[list[Segment]] = []
        self._rendered_width = 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(options.max_width, MAX_WIDTH)
        # The region is drawn again ten times a second, for the spinner; the text only when it is another.
        if self._text and width != self._rendered_width:
            markdown = _markdown(without_half_mark(self._text))
            self._lines = console.render_lines(markdown, options.update(width=width), pad=False)
            self._rendered_width = width
        for line in self._lines[-max(1, console.height - SPARE_LINES) :]:
            yield from line
            yield Segment.line()


def _markdown(text: str) -> Markdown:
    """Canonical text for a screen. No links: only the footnotes lead anywhere."""
    escaped = replace_marks(
        harmless(text),
        lambda number, _use: rf"\[{number}\]",
        # Rich leaves out what looks like HTML.
        prose=lambda prose: prose.replace("<", "&lt;"),
    )
    return Markdown(escaped, code_theme="ansi_dark", hyperlinks=False)


class _Pipe:
    """Plain text: the answer once, whole; progress, and whatever is no answer, on the other stream."""

    def __init__(self, output: TextIO, errors: TextIO) -> None:
        self._output = output
        self._errors = errors
        self._stage: Stage | None = None

    def draw(self, event: AnswerEvent) -> None:
        if isinstance(event, Answer):
            self._finish(event)
        elif isinstance(event, Progress) and event.stage is not self._stage:
            self._stage = event.stage
            _write(self._errors, wording.STAGES[event.stage])

    def close(self) -> None:
        """Nothing was left open."""

    def _finish(self, answer: Answer) -> None:
        blocks = [replace_marks(harmless(answer.text).strip(), lambda number, _use: f"[{number}]")]
        blocks += map(harmless, wording.notice_lines(answer))
        if answer.footnotes:
            blocks.append("\n".join([wording.SOURCES, *_plain_footnotes(answer.footnotes)]))
        answered = answer.text and answer.outcome not in _REFUSALS
        _write(self._output if answered else self._errors, "\n\n".join(filter(None, blocks)))
        if timings := wording.timings_line(answer.timings_ms):
            _write(self._errors, timings)


def _write(stream: TextIO, text: str) -> None:
    stream.write(f"{text}\n")
    stream.flush()


def _plain_footnotes(footnotes: Sequence[Footnote]) -> Iterator[str]:
    for footnote in footnotes:
        yield harmless(f"[{footnote.number}] {footnote.title} ({wording.footnote_origin(footnote)})")
        for link, quotes in _passages(footnote):
            yield from (f"    {quote}" for quote in quotes)
            yield f"    {link}"


def _passages(footnote: Footnote) -> Iterator[tuple[str, list[str]]]:
    """Each link once, with the quotes it leads to, in curly quotation marks; without any, the page's URL."""
    pairs = dict.fromkeys(zip_longest(footnote.links, footnote.quotes, fillvalue=""))
    for link, same_link in groupby(pairs or [("", "")], key=lambda pair: pair[0]):
        quotes = [f"“{' '.join(harmless(quote).split())}”" for _, quote in same_link if quote]
        yield harmless(link or footnote.url), quotes

"""The filter between model and reader: only a footnote's mark may become a link.

It goes after FootnoteWriter, before any chat app. What a text may hold, and what is handed out for it:

    [text](target), ![text](target)     text
    [a-z](?:x), a[i](x)                 the same, as code
    [label]: target                     [label] as code, then the target as any word
    <target|text>, <#C1|text>, <!…>     text, or nothing
    <@U1>, <:emoji:1>, <t:1>, </cmd:1>  nothing
    <a href="target">                   nothing
    <div>, List<int>, <!doctype html>   the same, as code
    URLs, hosts, @everyone              see core.answering.hosts
    inline code                         one backtick around one line
    fenced code                         see core.answering.code_blocks
    a stray backtick, what's invisible  nothing

Text is handed out by the word, or by the whole bracket, once its end is known: so nothing that was shown
turns into a link by what follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from core.answering.brackets import SEAM, Meaning, read_bracket
from core.answering.code_blocks import CodeBlock
from core.answering.code_spans import CodeSplitter, Run
from core.answering.footnotes import MARK
from core.answering.hosts import SPAN, code, code_span, inert
from core.answering.invisible import VisibleText

MAX_UNIT_CHARS: Final = 1_200
"""The longest word or bracket that is read as one; a longer one is broken. With what the splitter holds
(twice 400) less than 2,048 are held back."""

_MAX_PENDING_CHARS: Final = 40
_SPACE = re.compile(r"\s")
_STOP = re.compile(
    rf"[\s|`\[<，、；！？（）「」『』《》【】“”]|。(?![A-Za-z0-9\[<!{SEAM}])|(?<![A-Za-z0-9{SEAM}])。"
)
"""What ends a word, or needs a closer look. Between Latin letters "。" is a dot to browsers."""
_LINE_LEAD = re.compile(r"[ \t]*(?:(?:>|[-*+]|\d{1,9}[.)])[ \t]*)*")
_CODE_SPAN = re.compile(r"(`+)(?!`).*[^`]\1", re.DOTALL)
_FORGED_FENCE = re.compile(r"([^~]*)~{3,}(.*)", re.DOTALL)
_FORGED_MARK = re.compile(r"\[(?=\^\d{1,3}\])")
_FORGED_REST = re.compile(r"\^\d{1,3}\]")


def defuse(text: str) -> str:
    """A whole text, such as a page's title or sentence, as harmless as an answer."""
    defuser = Defuser()
    return defuser.feed(text) + defuser.finish()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    """What is handed out at once: a word, a mark, a space, a sign.

    n_chars: of the held text. shown: what is handed out for them, piece by piece.
    """

    n_chars: int
    shown: tuple[str, ...]


class Defuser:
    """Feed it text in any pieces; what it hands out, joined, does not depend on the cuts."""

    def __init__(self) -> None:
        self.text = ""
        """All that was handed out."""
        self._visible = VisibleText()
        self._pending = ""
        self._splitter = CodeSplitter()
        self._block: CodeBlock | None = None
        self._held = ""  # prose from where a word begins; its backticks are those of whole code spans

    def feed(self, piece: str) -> str:
        """What can be shown now, after what was handed out before."""
        shown = len(self.text)
        self._pending += self._visible.feed(piece)
        # No word is handed out before its end, so one look at it is enough.
        if len(self._pending) > _MAX_PENDING_CHARS or _SPACE.search(piece) or not piece.isascii():
            self._read_pending()
        return self.text[shown:]

    def finish(self) -> str:
        """The rest, once the text has ended: half a bracket was none."""
        shown = len(self.text)
        self._read_pending()
        for run in self._splitter.finish():
            self._take(run)
        self._release(final=True)
        if self._block:
            self.text += self._block.finish()
        return self.text[shown:]

    def _read_pending(self) -> None:
        for run in self._splitter.feed(self._pending):
            self._take(run)
        self._pending = ""

    def _take(self, run: Run) -> None:
        if self._block:
            self.text += self._block.feed(run.text)
            if self._block.closed:
                self._block = None
        elif run.code and not _CODE_SPAN.fullmatch(run.text):
            self._release(final=True)
            self._block = CodeBlock(run.text)
        else:
            self._held += code_span(run.text) if run.code else run.text.replace("`", "")
            self._release(final=False)

    def _release(self, *, final: bool) -> None:
        """Hand out the held words that have ended."""
        while self._held and (unit := self._next_unit(final=final)):
            self._held = self._held[unit.n_chars :]
            for piece in unit.shown:
                self._write(piece)

    def _next_unit(self, *, final: bool) -> _Unit | None:
        """What the held text starts with; None while its end is not known."""
        at = 0
        as_code = False
        while True:
            window = self._held[:MAX_UNIT_CHARS]
            complete = final or len(window) == MAX_UNIT_CHARS
            stop = _STOP.search(window, at)
            at = stop.start() if stop else len(window)
            if stop is None or (stop[0] == "。" and at == len(window) - 1 and not complete):
                return _unit(window[:at], "" if final else " ", as_code=as_code) if complete else None
            if stop[0] == "`":
                at = window.find("`", at + 1) + 1
                if not at:
                    return _before_code(window[: stop.start()], as_code=as_code)
            elif stop[0] not in "[<" or (at and MARK.match(window, at)):
                return _unit(window[:at], as_code=as_code) if at else _Unit(n_chars=1, shown=(stop[0],))
            else:
                bracket = read_bracket(
                    window, at, complete=complete, opens_line=self._opens_line(window[:at])
                )
                if bracket is None:
                    return None
                if mark := MARK.match(window):
                    # With a target or a colon after it, it would be a link's text, or its label.
                    return _Unit(n_chars=max(mark.end(), bracket.end), shown=(mark[0],))
                if bracket.meaning is Meaning.PLAIN:
                    word = _unit(window[:at], stop[0], as_code=as_code)
                    return replace(word, n_chars=at + 1)
                if bracket.meaning is Meaning.LINK:
                    before, after = self._held[: bracket.start], self._held[bracket.end :]
                    self._held = f"{before}{SEAM}{bracket.text}{SEAM}{after}"
                    at = bracket.start
                else:
                    as_code = True
                    at = bracket.end

    def _opens_line(self, before: str = "") -> bool:
        """Whether what follows `before` is the first of its line, but for list and quote marks."""
        line = self.text[self.text.rfind("\n") + 1 :] + before.replace(SEAM, "")
        return _LINE_LEAD.fullmatch(line) is not None

    def _write(self, text: str) -> None:
        """Add to what is shown, apart from it where the two would make up something else."""
        if "~~~" in text and (fence := _FORGED_FENCE.fullmatch(text)) and self._opens_line(fence[1]):
            text = f"{fence[1]}~~{fence[2]}"
        elif _makes_up(self.text[-1:], text):
            text = " " + text
        self.text += text


def _makes_up(last: str, text: str) -> bool:
    """Whether a character and what follows it have another meaning together: link, image, escape, fence."""
    match last:
        case "]":
            return text.startswith("(")
        case "!":
            return MARK.match(text) is not None
        case "[":
            return _FORGED_REST.match(text) is not None
        case "\\" | "`":
            return text.startswith("`")
        case _:
            return False


def _before_code(word: str, *, as_code: bool) -> _Unit:
    """The word before code that goes on beyond the window. Without one it is half of a code span, whose
    other half went with a bracket that ended inside of it: that half's backtick goes too."""
    return _unit(word, " ", as_code=as_code) if word else _Unit(n_chars=1, shown=())


def _unit(word: str, then: str = "", *, as_code: bool) -> _Unit:
    return _Unit(n_chars=len(word), shown=(*_harmless(word, as_code=as_code), then))


def _harmless(word: str, *, as_code: bool) -> Iterator[str]:
    """Prose and code spans in turn."""
    word = word.replace(f"]{SEAM}:", "] :").replace(SEAM, "")
    for part in SPAN.split(code(word) if as_code else inert(word)):
        is_code = part.startswith("`")
        yield part if is_code else _FORGED_MARK.sub("[ ", part).replace("](", "] (")

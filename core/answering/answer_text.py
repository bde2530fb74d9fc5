"""From what a model says to what a reader may see: the filters in their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.answering.defuse import Defuser, defuse
from core.answering.footnotes import FootnoteWriter
from core.answering.invisible import VisibleText
from core.types import Footnote, Source


class AnswerText:
    """Feed it a model's text in any pieces. What can't be seen goes first, lest a mark hides from the writer
    of footnotes; links go last, once it is known what is a mark."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._visible = VisibleText()
        self._writer = FootnoteWriter(sources)
        self._defuser = Defuser()

    @property
    def text(self) -> str:
        """Canonical, and harmless in every chat app; a later one starts with an earlier one."""
        return self._defuser.text

    @property
    def n_unknown_marks(self) -> int:
        return self._writer.n_unknown_marks

    def feed(self, piece: str) -> str:
        """What can be shown now, after what was handed out before."""
        return self._defuser.feed(self._writer.feed(self._visible.feed(piece)))

    def finish(self) -> str:
        """The rest, once the model has ended."""
        return self._defuser.feed(self._writer.finish()) + self._defuser.finish()

    def footnotes(self) -> tuple[Footnote, ...]:
        """Those of the text so far, by number."""
        return harmless_titles(self._writer.footnotes())


def harmless_titles(footnotes: Sequence[Footnote]) -> tuple[Footnote, ...]:
    """A page chose its title. Its quotes stay verbatim: apps show them as such."""
    return tuple(replace(footnote, title=defuse(footnote.title)) for footnote in footnotes)

"""Takes out of a text what a reader can't see: it hides words from filters, or messages in plain sight."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_JOINER: Final = "\u200d"
_EMOJI_STYLE: Final = "\ufe0f"
_LINE_ENDS: Final = {"\u2028": "\n", "\u2029": "\n"}
_PLAIN = re.compile(r"[\n\t -~]*")
_PICTOGRAPH = re.compile("[\u2100-\u3299\U0001f000-\U0001faff]")
_HIDDEN_CATEGORIES: Final = frozenset(("Cc", "Cf", "Co", "Cs"))
# Drawn as nothing, though their categories are those of letters, marks and symbols
# (Unicode, Default_Ignorable_Code_Point, and the blank Braille pattern).
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\uffff"
    "\U000e0000-\U000e0fff]"
)


class VisibleText:
    """Feed it text in any pieces; what it hands out, joined, does not depend on the cuts.

    Goes: controls but line feed and tab, format characters (of direction, width, tags), variation
    selectors, private use, half surrogates. Stays: what holds an emoji together, which is one selector
    after a symbol and a joiner between two.
    """

    def __init__(self) -> None:
        self._last = ""
        self._joiner = ""

    def feed(self, piece: str) -> str:
        if not self._joiner and _PLAIN.fullmatch(piece):
            self._last = piece[-1:] or self._last
            return piece
        return "".join(map(self._shown, piece))

    def _shown(self, character: str) -> str:
        after_symbol = _is_symbol(self._last)
        if character == _JOINER and (after_symbol or self._last == _EMOJI_STYLE):
            self._joiner = _JOINER
            return ""
        if character == _EMOJI_STYLE and after_symbol and not self._joiner:
            self._last = character
            return character
        if _is_hidden(character):
            return ""
        joiner, self._joiner = self._joiner, ""
        self._last = _LINE_ENDS.get(character, character)
        return joiner + self._last if _is_symbol(character) else self._last


def visible(text: str) -> str:
    """A whole text, without what can't be seen."""
    return VisibleText().feed(text)


def _is_symbol(character: str) -> bool:
    """An emoji or the tone of its skin."""
    return _PICTOGRAPH.match(character) is not None and unicodedata.category(character) in ("So", "Sk")


def _is_hidden(character: str) -> bool:
    if character in "\n\t":
        return False
    return unicodedata.category(character) in _HIDDEN_CATEGORIES or _BLANK.match(character) is not None

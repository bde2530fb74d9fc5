"""A reply's first message: it repeats the question, so that asking again needs no memory."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_SHOWN_CHARS = 1_500
"""Of the question; with what stands under it, it has to fit into a message of 2,000."""
MAX_SHOWN_QUOTED_CHARS = 200
MAX_NAME_CHARS = 100
"""Of a thread's name."""

_QUOTE = "> "
_SMALL = "-# "
_ABOUT = f"{_SMALL}About: "

# What Discord reads as formatting, a mention, or (":" and "/") a link, which would get a preview.
_SPECIAL = re.compile(r"([\\*_~|`>#\[\]()<:@/-])")
_ESCAPED = re.compile(r"\\([\\*_~|`>#\[\]()<:@/-])")

_NUMBERED = re.compile(r"<(?:@[!&]?|#)[0-9]+>|<t:-?[0-9]+(?::[a-zA-Z])?>")
"""People, roles, channels and times, which Discord writes out in messages only."""
_NAMED = re.compile(r"<a?(:\w+:)[0-9]+>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person wants to know. quoted: the message it is about. note: said to the reader beside it."""

    text: str
    quoted: str = ""
    note: str = ""


def opening_text(asked: Asked, *, progress: str = "") -> str:
    """The question as a quotation, nothing in it a link; under it, small, what is being done."""
    shown = _cut(_SPECIAL.sub(r"\\\1", asked.text.strip()), MAX_SHOWN_CHARS)
    lines = [f"{_QUOTE}{line}" for line in shown.split("\n")]
    if asked.quoted:
        about = _SPECIAL.sub(r"\\\1", " ".join(asked.quoted.split()))
        lines.append(_ABOUT + _cut(about, MAX_SHOWN_QUOTED_CHARS))
    lines += [_SMALL + line for line in (asked.note, progress) if line]
    return "\n".join(lines)


def read_opening(content: str) -> Asked | None:
    """What an opening message asks; None if it is none."""
    lines = content.split("\n")
    question = [line.removeprefix(_QUOTE.strip()).strip() for line in lines if line.startswith(">")]
    about = [line.removeprefix(_ABOUT) for line in lines if line.startswith(_ABOUT)]
    text = _ESCAPED.sub(r"\1", "\n".join(question)).strip()
    return Asked(text=text, quoted=_ESCAPED.sub(r"\1", "".join(about))) if text else None


def thread_name(text: str) -> str:
    """The question on one line; never empty. Names show no mentions and no emoji of a server's own."""
    plain = _NAMED.sub(r" \1 ", _NUMBERED.sub(" ", text))
    return _cut(" ".join(plain.split()), MAX_NAME_CHARS) or "…"


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    # A backslash left alone would escape the ellipsis.
    return text[: limit - 1].rstrip("\\") + "…"

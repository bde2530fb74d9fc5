"""What a person wants who calls the bot by name or by a slash command."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class CommandKind(StrEnum):
    HELP = "help"
    LIMITS = "limits"
    ASK = "ask"


_WORDS: Final = {
    "help": CommandKind.HELP,
    "limits": CommandKind.LIMITS,
    "limit": CommandKind.LIMITS,
    "quota": CommandKind.LIMITS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """text: the question, without spaces around it; may be empty, admission will say so."""

    kind: CommandKind
    text: str = ""


def parse_command(text: str) -> Command:
    """text: without the mention of the bot. "help" alone is the command; "help me choose a bike" is asked."""
    text = text.strip()
    word = text.lower().rstrip("!?. ").lstrip("/-")
    if word in _WORDS:
        return Command(kind=_WORDS[word])
    return Command(kind=CommandKind.ASK, text=text)

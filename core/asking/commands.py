"""What a person wants who calls the bot by name or by a slash command."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_HELP: Final = frozenset({"help", "/help", "--help"})


class CommandKind(StrEnum):
    HELP = "help"
    ASK = "ask"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """text: the question, without spaces around it; may be empty, admission will say so."""

    kind: CommandKind
    text: str = ""


def parse_command(text: str) -> Command:
    """text: without the mention of the bot. "help" alone is the command; "help me choose a bike" is asked."""
    text = text.strip()
    if text.lower().rstrip("!?. ") in _HELP:
        return Command(kind=CommandKind.HELP)
    return Command(kind=CommandKind.ASK, text=text)

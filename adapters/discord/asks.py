"""What was asked, as it outlives the process: enough to answer it in any other."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import structlog
from pydantic import TypeAdapter, ValidationError

from adapters.discord.opening import Asked
from core.delivering.journal import ReplyRecord
from core.types import Turn

log = structlog.get_logger(__name__)

PLATFORM: Final = "discord"

TOKEN_LIVES_S: Final = 14 * 60.0
"""Discord's limit is 15 minutes; what is begun with it has to end in time."""


def running_key(question_id: str) -> str:
    """Of an answer, in the journal and among those in work."""
    return f"{PLATFORM}:{question_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """By which an interaction is answered. value: a secret, for as long as it lives."""

    application_id: int
    value: str = field(repr=False)
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """event_id: of the message or interaction that asks; one answer belongs to it.

    guild_id: 0 in a direct message. channel_id: where it was asked, a thread's own; parent_id: of the
        channel that lists and limits count.
    message_id: of the message that asks; 0 for commands and buttons.
    token: of a command, until its response shows the question; of a private reply, as long as it lives.
    turns: what was asked and answered in that channel before.
    """

    event_id: int
    asked: Asked
    user_id: int
    guild_id: int
    channel_id: int
    parent_id: int
    message_id: int = 0
    token: Token | None = None
    private: bool = False
    turns: tuple[Turn, ...] = ()

    @property
    def question_id(self) -> str:
        """The same in every process: by its nonces Discord knows messages that were posted before."""
        return f"{self.event_id:x}"

    def record(self, now: datetime) -> ReplyRecord:
        """As it is begun."""
        return ReplyRecord(
            key=running_key(self.question_id),
            platform=PLATFORM,
            ask=_ASKS.dump_python(self, mode="json"),
            begun_at=now,
            kept_s=TOKEN_LIVES_S if self.token else None,
        )


_ASKS: Final = TypeAdapter(Ask)


def without_token(record: ReplyRecord, ask: Ask) -> ReplyRecord:
    """Once the reply stands on messages of its own."""
    return replace(record, ask=_ASKS.dump_python(replace(ask, token=None), mode="json"), kept_s=None)


def ask_of(record: ReplyRecord) -> Ask | None:
    """None where another version of this bot wrote it."""
    try:
        return _ASKS.validate_python(record.ask, strict=False)
    except ValidationError as error:
        log.error("record.unreadable", key=record.key, faults=error.error_count())  # noqa: TRY400 # it holds the text
        return None

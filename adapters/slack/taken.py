"""What was asked, as it outlives the process: in the journal until answered, then for "Search again"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from pydantic import JsonValue, TypeAdapter, ValidationError

from adapters.slack.asks import Ask
from core.asking.conversations import KEPT_S
from core.delivering.journal import ReplyRecord
from core.errors import StoreFailed
from core.ports import Clock, Store
from core.types import Question

log = structlog.get_logger(__name__)

PLATFORM: Final = "slack"

_KEPT: Final = "ask:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """key: of the answer, for its record and its buttons.

    question: once the thread was read; until then there is the ask alone.
    """

    key: str
    ask: Ask
    question: Question | None = None

    def record(self, clock: Clock) -> ReplyRecord:
        return ReplyRecord(key=self.key, platform=PLATFORM, ask=self.as_json(), begun_at=clock.now())

    def as_json(self) -> Mapping[str, JsonValue]:
        as_json: Mapping[str, JsonValue] = _TAKEN.dump_python(self, mode="json")
        return as_json


_TAKEN: Final = TypeAdapter(Taken)


def taken_of(record: ReplyRecord) -> Taken | None:
    """None where another version of this bot wrote it."""
    try:
        return _TAKEN.validate_python(record.ask)
    except ValidationError as error:
        log.error("record.unreadable", key=record.key, faults=error.error_count())  # noqa: TRY400 # it holds the text
        return None


class Recent:
    """What can be searched again, for as long as a conversation is remembered."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def keep(self, taken: Taken) -> None:
        try:
            await self._store.put({_KEPT + taken.key: _TAKEN.dump_json(taken)}, ttl_s=KEPT_S)
        except StoreFailed as failure:
            log.warning("ask.not_kept", reason=str(failure))

    async def get(self, key: str) -> Taken | None:
        """None where it is too old, or can't be read."""
        try:
            (data,) = await self._store.get([_KEPT + key])
            return _TAKEN.validate_json(data) if data else None
        except StoreFailed as failure:
            log.warning("ask.unread", reason=str(failure))
        except ValidationError as error:
            log.error("ask.unreadable", key=key, faults=error.error_count())  # noqa: TRY400 # it holds the text
        return None

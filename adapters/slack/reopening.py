"""Replies of processes that are gone, opened again or asked again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from adapters.slack.answers import recipient
from adapters.slack.desk import Desk
from adapters.slack.orphans import delete_orphans
from adapters.slack.reply import SlackReply
from adapters.slack.taken import Taken, taken_of
from adapters.slack.telling import in_channel
from adapters.slack.workspace import Workspace
from core.asking.seen import Seen
from core.delivering.journal import ReplyRecord

_STREAMS: Final = ("stream", "left")
_POSTED: Final = ("messages", "surplus")


@dataclass(frozen=True, slots=True)
class Reopening:
    desk: Desk
    workspace: Workspace
    seen: Seen

    async def reopen(self, record: ReplyRecord) -> SlackReply | None:
        """None where there is no thread to answer in, or the record can't be read."""
        taken = await self._found(record)
        if taken is None or not taken.ask.ts:
            return None
        return SlackReply(self.workspace, recipient(taken.ask), key=taken.key, place=record.place)

    async def repeat(self, record: ReplyRecord) -> None:
        taken = await self._found(record)
        if taken is None:
            await self.desk.forget(record)
        else:
            self.desk.take(taken, record, in_channel(self.workspace.web, taken.ask))

    async def _found(self, record: ReplyRecord) -> Taken | None:
        taken = taken_of(record)
        if taken is None:
            return None
        # The process may have died before it noted that: a later delivery must not be answered once more.
        await self.seen.first(taken.ask.key)
        if taken.ask.ts:
            await delete_orphans(self.workspace, recipient(taken.ask), taken.key, known=_known(record))
        return taken


def _known(record: ReplyRecord) -> set[str]:
    lists = [value for name in _POSTED if isinstance(value := record.place.get(name), list)]
    streams = {str(record.place.get(name)) for name in _STREAMS}
    return streams | {str(ts) for each in lists for ts in each}


__all__ = ["Reopening"]

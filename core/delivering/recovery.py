"""Replies that a killed process left: drawn to their end, marked as interrupted, or asked again once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from core.delivering.delivery import Delivery
from core.delivering.journal import Journal, Journaled, PlacedSurface, ReplyRecord
from core.delivering.running import RunningAnswers
from core.errors import SurfaceFailed
from core.ports import Clock
from core.types import Answer, AskerId, Notice, NoticeKind, Outcome

log = structlog.get_logger(__name__)

REPEATED_ATTEMPT: Final = 2
"""Only the first process that finds a record asks again; what killed two is not tried a third time."""
MARKED_ATTEMPT: Final = 4
"""Found a third time, it is marked as interrupted, whatever it holds; found once more, it is dropped."""

NOBODY: Final = AskerId("")
"""No person steers a recovery."""


class Reopener(Protocol):
    """What an adapter does for the replies of processes that are gone."""

    @property
    def platform(self) -> str:
        """As in `ReplyRecord.platform`."""

    async def opened(self) -> None:
        """Returns when the platform was joined."""

    async def reopen(self, record: ReplyRecord) -> PlacedSurface | None:
        """The surface to draw the last state on; None where there is none any more. Raises SurfaceFailed."""

    async def repeat(self, record: ReplyRecord) -> None:
        """Asks again, as `record`, which the journal holds; whoever answers ends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryLimits:
    """In seconds. every_s: between two looks. repeat_s: an older question is not asked again.

    draw_s: for the last state of one reply; what fails is found again later.
    """

    every_s: float = 10.0
    repeat_s: float = 300.0
    draw_s: float = 120.0


class Recovery:
    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        reopeners: Sequence[Reopener],
        *,
        running: RunningAnswers,
        limits: RecoveryLimits | None = None,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._reopeners = reopeners
        self._running = running
        self._limits = limits or RecoveryLimits()

    async def run(self) -> None:
        """Until cancelled: what was left before, and what other processes leave from now on."""
        async with asyncio.TaskGroup() as group:
            for reopener in self._reopeners:
                group.create_task(self._watch(reopener))

    async def _watch(self, reopener: Reopener) -> None:
        await reopener.opened()
        while True:
            for record in await self._journal.abandoned(reopener.platform):
                work = self._recover(reopener, record)
                self._running.start(f"recovery:{record.key}", NOBODY, work)
            await self._clock.sleep(self._limits.every_s)

    async def _recover(self, reopener: Reopener, record: ReplyRecord) -> None:
        age_s = (self._clock.now() - record.begun_at).total_seconds()
        is_fresh = record.attempt == REPEATED_ATTEMPT and age_s < self._limits.repeat_s
        how = "repeated"
        if record.attempt > MARKED_ATTEMPT:
            how = "dropped"
            await self._journal.end(record.key)
        elif is_fresh and record.shown is None and not record.place:
            await reopener.repeat(record)
        else:
            answer = last_word(record)
            how = answer.outcome.value
            await self._draw(reopener, record, answer)
        log.info("reply.recovered", platform=record.platform, how=how, attempt=record.attempt, age_s=age_s)

    async def _draw(self, reopener: Reopener, record: ReplyRecord, answer: Answer) -> None:
        try:
            async with asyncio.timeout(self._limits.draw_s):
                surface = await reopener.reopen(record)
                if surface is not None:
                    await Delivery(Journaled(surface, self._journal, record), self._clock).finish(answer)
            await self._journal.end(record.key)
        except (TimeoutError, SurfaceFailed):
            log.warning("reply.unrecovered", platform=record.platform, attempt=record.attempt)
        finally:
            self._journal.leave(record.key)


def last_word(record: ReplyRecord) -> Answer:
    """The answer where it was ready; else what was shown of it, marked as interrupted."""
    shown = record.shown
    if isinstance(shown, Answer) and record.attempt < MARKED_ATTEMPT:
        return shown
    return Answer(
        outcome=Outcome.INTERRUPTED,
        text=shown.text if shown else "",
        footnotes=shown.footnotes if shown else (),
        notices=(Notice(kind=NoticeKind.INTERRUPTED),),
    )


__all__ = ["Recovery", "RecoveryLimits", "Reopener", "last_word"]

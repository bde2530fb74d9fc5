"""The newest draft wins, at the pace the surface allows; the last state is always the full answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import structlog

from core.errors import SurfaceFailed
from core.ports import Clock, ReplySurface
from core.types import Answer, Deferred, Draft, Progress

log = structlog.get_logger(__name__)

FIRST_RETRY_S = 0.5
"""Before a refused final draw is tried again; doubled each time, up to MAX_RETRY_S."""
MAX_RETRY_S = 8.0


class Delivery:
    """One reply on one surface.

    on_lost: called once, when nothing can be drawn there any more.
    in_flight_s: how long the answer waits for a draw under way: cut off, it could still land, after
        the answer.
    """

    def __init__(
        self,
        surface: ReplySurface,
        clock: Clock,
        *,
        on_lost: Callable[[], None] = lambda: None,
        in_flight_s: float = 5.0,
    ) -> None:
        self._surface = surface
        self._clock = clock
        self._on_lost = on_lost
        self._in_flight_s = in_flight_s
        self._newest: Progress | Draft | None = None
        self._changed = asyncio.Event()
        self._turn = asyncio.Lock()
        self.lost = False
        self.draft = Draft(text="")

    def show(self, event: Progress | Draft) -> None:
        """Take the newest event; it is drawn when the surface allows."""
        if isinstance(event, Draft):
            self.draft = event
        self._newest = event
        self._changed.set()

    @asynccontextmanager
    async def drawing(self) -> AsyncIterator[None]:
        """While it is open, events are drawn beside the caller's work."""
        task = asyncio.create_task(self._draw_newest())
        try:
            yield
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._in_flight_s), self._turn:
                    task.cancel()
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()

    async def _draw_newest(self) -> None:
        while not self.lost:
            await self._changed.wait()
            self._changed.clear()
            if self._newest is None:
                continue
            deferred = await self._draw(self._newest)
            if deferred:
                await self._clock.sleep(deferred.after_s)
                self._changed.set()

    async def _draw(self, event: Progress | Draft) -> Deferred | None:
        try:
            async with self._turn:
                return await self._surface.draw(event)
        except SurfaceFailed as failure:
            # What a refused draw would have said, the next one says too.
            log.warning("draw.refused", detail=str(failure), lost=failure.lost)
            if failure.lost:
                self.lost = True
                self._on_lost()
            return None

    async def finish(self, answer: Answer) -> bool:
        """Draw the answer, however often it takes; False if the surface is lost.

        The time limit is the caller's.
        """
        retry_s = FIRST_RETRY_S
        while not self.lost:
            try:
                deferred = await self._surface.draw(answer)
            except SurfaceFailed as failure:
                log.warning("answer.refused", detail=str(failure), lost=failure.lost)
                if failure.lost:
                    return False
                deferred = Deferred(after_s=retry_s)
                retry_s = min(2 * retry_s, MAX_RETRY_S)
            if deferred is None:
                return True
            await self._clock.sleep(deferred.after_s)
        return False

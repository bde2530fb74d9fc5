"""So many questions in work at once, so many in line behind them; who comes after that is told at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

from core.errors import Busy

Moved = Callable[[int, int], None]
"""Told how many are before one in the line, and how long the line is; returns at once."""

BUSY = "I'm answering as many questions as I can right now. Please ask again in a minute."


class Line:
    """First come, first served. Belongs to one event loop.

    places: questions in work at once. max_waiting, max_wait_s: in line, and how long each stays there.
    """

    def __init__(self, *, places: int = 32, max_waiting: int = 32, max_wait_s: float = 10.0) -> None:
        self._free = places
        self._max_waiting = max_waiting
        self._max_wait_s = max_wait_s
        self._waiting: dict[asyncio.Future[None], Moved] = {}
        self.is_shedding = False
        """While it is set nobody new is let in; whoever is in work or in line goes on."""

    @property
    def is_full(self) -> bool:
        return self._free <= 0 and len(self._waiting) >= self._max_waiting

    def check(self) -> None:
        """Raises Busy where nobody could even wait."""
        if self.is_shedding or self.is_full:
            raise Busy(BUSY)

    @asynccontextmanager
    async def place(self, moved: Moved) -> AsyncGenerator[None]:
        """A place, as long as the block lasts. Raises Busy: at once, or when the wait became too long."""
        self.check()
        if self._free > 0:
            self._free -= 1
        else:
            await self._wait(moved)
        try:
            yield
        finally:
            self._leave()

    async def _wait(self, moved: Moved) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting[turn] = moved
        self._tell()
        try:
            async with asyncio.timeout(self._max_wait_s):
                await turn
        except TimeoutError:
            self._give_up(turn)
            raise Busy(BUSY) from None
        except asyncio.CancelledError:
            self._give_up(turn)
            raise

    def _give_up(self, turn: asyncio.Future[None]) -> None:
        """Out of the line; a place that was given in the same moment goes to the next."""
        if self._waiting.pop(turn, None) is None:
            self._leave()
        self._tell()

    def _leave(self) -> None:
        if not self._waiting:
            self._free += 1
            return
        first = next(iter(self._waiting))
        del self._waiting[first]
        with suppress(asyncio.InvalidStateError):
            first.set_result(None)
        self._tell()

    def _tell(self) -> None:
        for before, moved in enumerate(list(self._waiting.values())):
            moved(before, len(self._waiting))

"""Work that several ask for at the same time, done once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Flight(Generic[T]):
    task: asyncio.Task[T]
    waiters: int = 0


class Flights(Generic[T]):
    """Results are not kept: whoever comes after the end begins anew."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, _Flight[T]] = {}

    def under_way(self, key: Hashable) -> bool:
        """Whether `share` would join work that runs."""
        flight = self._flights.get(key)
        return flight is not None and not flight.task.done()

    async def share(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `work()` gives or raises: that of whoever asked first, in the first one's context.

        It goes on while anybody waits for it. A cancelled caller leaves at once; the last of them
        first cancels the work and waits until it has ended.
        """
        flight = self._flights.get(key)
        if flight is None or flight.task.done():
            flight = self._flights[key] = _Flight(asyncio.create_task(work()))
            # A failure that meets no waiter has met a cancelled one: asyncio need not report it.
            flight.task.add_done_callback(_note)
        flight.waiters += 1
        try:
            await asyncio.wait({flight.task})
        finally:
            flight.waiters -= 1
            if not flight.waiters:
                await self._land(key, flight)
        return flight.task.result()

    async def _land(self, key: Hashable, flight: _Flight[T]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if not flight.task.done():
            flight.task.cancel()
            await asyncio.wait({flight.task})


def _note(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()

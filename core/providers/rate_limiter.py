"""How often each asker may ask, counted in this process by the `limits` package."""

from __future__ import annotations

import time
from typing import Final

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from core.types import AskerId

_SOONEST_S: Final = 0.001


class InProcessRateLimiter:
    """A window that moves: never more than `per_minute` questions within any 60 seconds.

    Forgotten at a restart. An asker takes up memory until the first question of anybody after their
    window has passed: `limits` sweeps at each one.
    """

    def __init__(self, *, per_minute: int) -> None:
        self._limit = RateLimitItemPerMinute(per_minute)
        self._storage = MemoryStorage()
        self._window = MovingWindowRateLimiter(self._storage)

    async def hit(self, asker: AskerId) -> float | None:
        if await self._window.hit(self._limit, asker):
            return None
        stats = await self._window.get_window_stats(self._limit, asker)
        # The window may have moved on between the two calls; "now" is still a wait.
        return max(_SOONEST_S, stats.reset_time - time.time())


__all__ = ["InProcessRateLimiter"]

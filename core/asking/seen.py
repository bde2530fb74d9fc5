"""What was taken in already: platforms deliver an event up to four times, and replay whole stretches."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import structlog

from core.errors import StoreFailed
from core.ports import Clock, Store

log = structlog.get_logger(__name__)

KEPT_S: Final = 900.0
"""Slack's last retry comes after six minutes."""
MAX_KEYS: Final = 10_000


class Seen:
    """Of what is delivered to all processes with one store, one delivery is first.

    Of the deliveries to this process one is first, whatever becomes of the store. While that is out of
    reach, each process may have its own first.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._until_s: OrderedDict[str, float] = OrderedDict()

    async def first(self, *keys: str) -> bool:
        """Whether none of these was seen; from now on all of them are. keys: the names of one event."""
        # Without a pause from here to the answer: two deliveries to this process never race.
        if not self._first_here(keys):
            return False
        try:
            return await self._first_anywhere(keys)
        except StoreFailed as failure:
            log.warning("seen.store_failed", reason=str(failure))
            return True

    async def _first_anywhere(self, keys: tuple[str, ...]) -> bool:
        # All processes claim in one order and stop where they lose, so that exactly one gets to the end,
        # also where each knows the event under another name besides the common one.
        for key in sorted(keys):
            if not await self._store.claim(f"seen:{key}", b"", ttl_s=KEPT_S):
                return False
        return True

    def _first_here(self, keys: tuple[str, ...]) -> bool:
        now_s = self._clock.monotonic()
        while self._until_s and next(iter(self._until_s.values())) <= now_s:
            self._until_s.popitem(last=False)
        is_first = not any(key in self._until_s for key in keys)
        for key in keys:
            self._until_s[key] = now_s + KEPT_S
            self._until_s.move_to_end(key)
        while len(self._until_s) > MAX_KEYS:
            self._until_s.popitem(last=False)
        return is_first

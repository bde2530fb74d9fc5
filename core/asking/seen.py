"""What was taken in already: platforms deliver an event up to four times, and replay whole stretches."""

from __future__ import annotations

from collections import OrderedDict

from core.ports import Clock

KEPT_S = 900.0
"""Slack's last retry comes after six minutes."""
MAX_KEYS = 10_000


class Seen:
    """Within one process, bounded by number and time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until_s: OrderedDict[str, float] = OrderedDict()

    def first(self, *keys: str) -> bool:
        """Whether none of these was seen; from now on all of them are. keys: the names of one event."""
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

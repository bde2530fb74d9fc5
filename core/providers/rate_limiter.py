"""How often may be asked, counted in windows that move, in this process's memory.

Not by the `limits` package: its memory looks at every key on each hit (0.4 s with 10,000 people who asked
within the day), and it tests and counts in separate steps, between which somebody else may count.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Sequence

from core.ports import Clock
from core.types import Quota, QuotaState


class MemoryRateLimiter:
    """Forgotten at a restart. Belongs to one event loop.

    processes: how many keep the limits together without knowing of each other; this one admits its share
    of each, and at least one question.
    """

    def __init__(self, clock: Clock, *, processes: int = 1) -> None:
        self._clock = clock
        self._processes = processes
        # By the window's length, then by whose it is, the last who asked at the end.
        self._asked_at_s: defaultdict[int, OrderedDict[str, deque[float]]] = defaultdict(OrderedDict)

    async def hit(self, quotas: Sequence[Quota]) -> QuotaState | None:
        used_up = refusing([self._state(quota) for quota in quotas])
        if used_up is None:
            for quota in quotas:
                self._count(quota)
        return used_up

    async def states(self, quotas: Sequence[Quota]) -> Sequence[QuotaState]:
        return [self._state(quota) for quota in quotas]

    def _state(self, quota: Quota) -> QuotaState:
        now_s = self._clock.monotonic()
        self._forget_until(now_s - quota.window_s, quota.window_s)
        asked_at_s = self._asked_at_s[quota.window_s].get(quota_name(quota), deque())
        while asked_at_s and asked_at_s[0] <= now_s - quota.window_s:
            asked_at_s.popleft()
        share = max(1, quota.limit // self._processes)
        if len(asked_at_s) < share:
            return QuotaState(quota=quota, left=share - len(asked_at_s), next_in_s=0)
        # Whose leaving makes a place: the oldest, unless the limit was lowered meanwhile.
        return QuotaState(quota=quota, left=0, next_in_s=asked_at_s[-share] + quota.window_s - now_s)

    def _count(self, quota: Quota) -> None:
        windows = self._asked_at_s[quota.window_s]
        windows.setdefault(quota_name(quota), deque()).append(self._clock.monotonic())
        windows.move_to_end(quota_name(quota))

    def _forget_until(self, moment_s: float, window_s: int) -> None:
        """Those whose last question was before it."""
        windows = self._asked_at_s[window_s]
        while windows and next(iter(windows.values()))[-1] <= moment_s:
            windows.popitem(last=False)


def refusing(states: Sequence[QuotaState]) -> QuotaState | None:
    """Of those that are used up the last to be free again: before it, nothing would be admitted."""
    used_up = [state for state in states if not state.left]
    return max(used_up, key=lambda state: state.next_in_s, default=None)


def quota_name(quota: Quota) -> str:
    return f"{quota.scope}:{quota.key}"


__all__ = ["MemoryRateLimiter", "quota_name", "refusing"]

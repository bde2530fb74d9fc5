"""The keys of one engine: when one is refused the next is tried, and the refused one rests for a while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog

from core.errors import Fault, SearchFailed
from core.ports import Clock
from core.providers.search.refusals import Refusal

log = structlog.get_logger(__name__)

T = TypeVar("T")

RESTS_S: Final[Mapping[Fault, float]] = {
    Fault.RATE_LIMITED: 60.0,
    Fault.OUT_OF_CREDIT: 3_600.0,
    Fault.KEY_REFUSED: 86_400.0,
}
"""How long a key rests after which fault; after RATE_LIMITED as long as the engine says, if it does."""

MAX_REST_S: Final = 86_400.0
"""Whatever an engine says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rest:
    """until_s: as the clock's `monotonic` counts."""

    fault: Fault
    until_s: float


class KeyRing:
    """Who serves without keys has one that is empty: what rests then is the engine.

    keys: of one account each, or their limits are shared; at least one.
    """

    def __init__(self, provider: str, keys: Sequence[str], clock: Clock) -> None:
        self._provider = provider
        self._keys = tuple(keys)
        self._clock = clock
        self._first = 0
        self._rests: dict[int, _Rest] = {}

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def resting(self) -> int:
        """How many rest now."""
        return sum(map(self._rests_now, range(len(self._keys))))

    async def serve(self, ask: Callable[[str], Awaitable[T]]) -> T:
        """What `ask` gives for the first key that is not refused: each is tried once, unless it rests.

        The key that served last comes first. Raises `ask`'s SearchFailed; where all keys rest, one that
        says what the first of them to be back rests for, and when that will be.
        """
        for place in self._awake():
            try:
                served = await ask(self._keys[place])
            except SearchFailed as failure:
                if not failure.fault.is_the_keys:
                    raise
                self._rest(place, failure)
            else:
                self._first = place
                return served
        raise self._all_rest()

    def _awake(self) -> Iterator[int]:
        """Judged one by one: while one key was tried, another search may have sent the next to rest."""
        first = self._first
        for offset in range(len(self._keys)):
            place = (first + offset) % len(self._keys)
            if not self._rests_now(place):
                yield place

    def _rests_now(self, place: int) -> bool:
        rest = self._rests.get(place)
        return rest is not None and self._clock.monotonic() < rest.until_s

    def _rest(self, place: int, failure: SearchFailed) -> None:
        rest_s = RESTS_S[failure.fault]
        if failure.fault is Fault.RATE_LIMITED and failure.retry_after_s is not None:
            rest_s = min(failure.retry_after_s, MAX_REST_S)
        until_s = self._clock.monotonic() + rest_s
        # Searches overlap: what is learned later may be the lesser of two reasons to rest.
        if place not in self._rests or until_s > self._rests[place].until_s:
            self._rests[place] = _Rest(fault=failure.fault, until_s=until_s)
        log.warning(
            "key.rested",
            provider=self._provider,
            key=place + 1,
            reason=failure.reason,
            rest_s=round(rest_s, 1),
        )

    def _all_rest(self) -> SearchFailed:
        soonest = min(self._rests.values(), key=lambda rest: rest.until_s)
        wait_s = max(0.0, soonest.until_s - self._clock.monotonic())
        return Refusal(fault=soonest.fault, retry_after_s=wait_s).failure(self._provider)


__all__ = ["RESTS_S", "KeyRing"]

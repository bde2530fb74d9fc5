"""Slack's rate limits, kept by never coming near them: per workspace and method, fair among answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from core.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many a second, and `burst` at once after a pause."""

    per_s: float
    burst: int

    def times(self, factor: float) -> Rate:
        """The same where time runs so much faster."""
        return Rate(per_s=self.per_s * factor, burst=self.burst)


def within(per_minute: int, *, burst: int) -> Rate:
    """A burst and a minute after it are together nine tenths of what Slack allows in a minute."""
    return Rate(per_s=(0.9 * per_minute - burst) / 60, burst=burst)


RATES: Final[Mapping[str, Rate]] = {
    # https://docs.slack.dev/apis/web-api/rate-limits: by tier; posting about one a second per channel.
    "chat.update": within(50, burst=5),
    "chat.appendStream": within(100, burst=10),
    "chat.startStream": within(20, burst=9),
    "chat.stopStream": within(20, burst=9),
    "chat.delete": within(50, burst=10),
    "agents.sessions.setStatus": within(50, burst=10),
    "chat.postMessage": within(60, burst=10),
}

_MAX_LANES: Final = 200
"""Beyond that, idle lanes are forgotten and made anew when they are wanted."""

_EPSILON_S: Final = 1e-6
"""Less is an error of rounding."""


class NotYet(Exception):
    """Somebody else's turn. after_s: when to ask again."""

    def __init__(self, after_s: float) -> None:
        super().__init__(f"not before {after_s:.2f} s")
        self.after_s = after_s


@dataclass(slots=True)
class _Ticket:
    """A place in the queue. until_s: whoever has not come back by then has given it up."""

    urgent: bool
    until_s: float


class Pacer:
    """Answers wait in the order in which they came, urgent ones before the others.

    A lane is a method, or "method:channel" where Slack counts per channel; its rate is the method's.
    """

    def __init__(self, clock: Clock, rates: Mapping[str, Rate] = RATES) -> None:
        self._clock = clock
        self._rates = rates
        self._lanes: dict[str, _Lane] = {}

    def take(self, lane: str, key: str, *, urgent: bool = False) -> None:
        """Take a turn, or raise NotYet and keep a place in the queue under `key`."""
        self._lane(lane).take(key, now_s=self._clock.monotonic(), urgent=urgent)

    def is_free(self, lane: str) -> bool:
        """Whether a turn could be taken now."""
        return self._lane(lane).wait_s(0, self._clock.monotonic()) <= _EPSILON_S

    def hold(self, lane: str, for_s: float) -> None:
        """Slack asked for a pause."""
        self._lane(lane).held_until_s = self._clock.monotonic() + for_s

    def _lane(self, name: str) -> _Lane:
        if name not in self._lanes:
            now_s = self._clock.monotonic()
            if len(self._lanes) >= _MAX_LANES:
                self._lanes = {known: lane for known, lane in self._lanes.items() if not lane.is_idle(now_s)}
            self._lanes[name] = _Lane(self._rates[name.partition(":")[0]], now_s)
        return self._lanes[name]


class _Lane:
    """A bucket of turns, and the queue before it."""

    def __init__(self, rate: Rate, now_s: float) -> None:
        self._rate = rate
        self._turns = float(rate.burst)
        self._counted_s = now_s
        self.held_until_s = 0.0
        self.waiting: dict[str, _Ticket] = {}

    def take(self, key: str, *, now_s: float, urgent: bool) -> None:
        self._refill(now_s)
        self.waiting = {
            name: ticket for name, ticket in self.waiting.items() if name == key or ticket.until_s >= now_s
        }
        ticket = self.waiting.setdefault(key, _Ticket(urgent, now_s))
        ticket.urgent = ticket.urgent or urgent
        wait_s = self.wait_s(self._ahead_of(key, ticket), now_s)
        if wait_s <= _EPSILON_S:
            del self.waiting[key]
            self._turns -= 1
            return
        # Twice the wait: whoever is late by less than that keeps the place.
        ticket.until_s = now_s + 2 * wait_s + 1 / self._rate.per_s
        raise NotYet(wait_s)

    def is_idle(self, now_s: float) -> bool:
        """Nobody waits, and a new lane would be the same."""
        self._refill(now_s)
        return not self.waiting and self.held_until_s <= now_s and self._turns >= self._rate.burst

    def wait_s(self, ahead: int, now_s: float) -> float:
        """How long until there is a turn for whoever has so many before them."""
        self._refill(now_s)
        missing = max(0.0, ahead + 1 - self._turns)
        return max(self.held_until_s - now_s, missing / self._rate.per_s)

    def _ahead_of(self, key: str, ticket: _Ticket) -> int:
        before = 0
        passed = False
        for name, other in self.waiting.items():
            passed = passed or name == key
            if name != key and other.urgent >= ticket.urgent and (not passed or other.urgent > ticket.urgent):
                before += 1
        return before

    def _refill(self, now_s: float) -> None:
        gained = (now_s - self._counted_s) * self._rate.per_s
        self._turns = min(float(self._rate.burst), self._turns + gained)
        self._counted_s = now_s

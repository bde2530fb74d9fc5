"""A circuit breaker: a service that fails too often is left alone for a while, then tried with care."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

import structlog

from core.errors import CircuitOpen, DependencyError
from core.ports import Clock

log = structlog.get_logger(__name__)

# What those are told who come while a trial runs: about as long as a call that goes well.
_TRIAL_S = 1.0


class BreakerState(StrEnum):
    CLOSED = "closed"
    """Every call passes."""
    OPEN = "open"
    """None does."""
    HALF_OPEN = "half_open"
    """One at a time, on trial."""


_EVENTS = {
    BreakerState.CLOSED: "circuit.closed",
    BreakerState.OPEN: "circuit.opened",
    BreakerState.HALF_OPEN: "circuit.half_opened",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerLimits:
    """When a breaker opens and closes; the proportions are resilience4j's defaults, for a smaller service.

    window_calls, window_s: judged are the last calls, so many at most and no older than this.
    min_calls: with fewer in the window it stays closed.
    failure_share, slow_share: of the window, 0 to 1; either opens it.
    slow_s: a call that took longer is slow, however it ended.
    open_s, open_jitter: it stays open so long, give or take this share of it.
    trials: so many good ones in a row close it.
    """

    window_calls: int = 20
    window_s: float = 60.0
    min_calls: int = 10
    failure_share: float = 0.5
    slow_share: float = 0.8
    slow_s: float = 20.0
    open_s: float = 30.0
    open_jitter: float = 0.2
    trials: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    ended_s: float
    failed: bool
    slow: bool


@dataclass(slots=True)
class CircuitBreaker:
    """One per service, shared by all who call it.

    What a call did counts only while the breaker is in the state in which that call began.
    """

    name: str
    clock: Clock
    limits: BreakerLimits = field(default_factory=BreakerLimits)
    rng: random.Random = field(default_factory=random.Random)
    _entered: BreakerState = field(default=BreakerState.CLOSED, init=False)
    _changes: int = field(default=0, init=False)
    _open_until_s: float = field(default=0.0, init=False)
    _trial_runs: bool = field(default=False, init=False)
    _calls: deque[_Call] = field(default_factory=deque, init=False)

    @property
    def state(self) -> BreakerState:
        if self._entered is BreakerState.OPEN and self.clock.monotonic() >= self._open_until_s:
            return BreakerState.HALF_OPEN
        return self._entered

    @property
    def retry_in_s(self) -> float:
        """0 when the next call would pass."""
        if self.state is BreakerState.OPEN:
            return self._open_until_s - self.clock.monotonic()
        return _TRIAL_S if self._trial_runs else 0.0

    @contextmanager
    def call(self) -> Iterator[None]:
        """Around one call. Raises CircuitOpen before it when it must not be made.

        An outage or a time-out speaks against the service; a cancellation or any other fault says nothing.
        """
        began_s, began_in = self._admit()
        failed: bool | None = None
        try:
            yield
            failed = False
        except TimeoutError:
            failed = True
            raise
        except DependencyError as error:
            failed = error.fault.is_outage or None
            raise
        finally:
            # What began before the last change says nothing about the service since.
            if began_in == self._changes:
                self._end(began_s, failed)

    def _admit(self) -> tuple[float, int]:
        """When the call begins, and after how many changes."""
        if wait_s := self.retry_in_s:
            raise CircuitOpen(self.name, retry_after_s=wait_s)
        if self._entered is not self.state:
            self._enter(BreakerState.HALF_OPEN)
        self._trial_runs = self._entered is BreakerState.HALF_OPEN
        return self.clock.monotonic(), self._changes

    def _end(self, began_s: float, failed: bool | None) -> None:
        self._trial_runs = False
        if failed is None:
            return
        now_s = self.clock.monotonic()
        self._calls.append(_Call(ended_s=now_s, failed=failed, slow=now_s - began_s > self.limits.slow_s))
        if self._entered is BreakerState.HALF_OPEN:
            self._judge_trials()
        else:
            self._judge_window(now_s)

    def _judge_trials(self) -> None:
        last = self._calls[-1]
        if last.failed or last.slow:
            self._open()
        elif len(self._calls) >= self.limits.trials:
            self._enter(BreakerState.CLOSED)

    def _judge_window(self, now_s: float) -> None:
        limits = self.limits
        while len(self._calls) > limits.window_calls or now_s - self._calls[0].ended_s > limits.window_s:
            self._calls.popleft()
        calls = len(self._calls)
        if calls >= limits.min_calls and (
            self._failures() >= limits.failure_share * calls or self._slow() >= limits.slow_share * calls
        ):
            self._open()

    def _open(self) -> None:
        jitter = self.limits.open_jitter
        open_s = self.limits.open_s * self.rng.uniform(1 - jitter, 1 + jitter)
        self._open_until_s = self.clock.monotonic() + open_s
        self._enter(BreakerState.OPEN)

    def _enter(self, state: BreakerState) -> None:
        """Counts begin anew."""
        tell = log.warning if state is BreakerState.OPEN else log.info
        tell(
            _EVENTS[state],
            name=self.name,
            calls=len(self._calls),
            failures=self._failures(),
            slow=self._slow(),
        )
        self._entered = state
        self._changes += 1
        self._calls.clear()

    def _failures(self) -> int:
        return sum(call.failed for call in self._calls)

    def _slow(self) -> int:
        return sum(call.slow for call in self._calls)

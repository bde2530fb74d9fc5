"""Calls that are made again when what failed may pass: the one place where anything is retried."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import TypeVar

import structlog
from tenacity import AsyncRetrying, RetryCallState

from core.errors import DependencyError, Fault
from core.ports import Clock
from core.resilience.breaker import CircuitBreaker
from core.resilience.deadline import Deadline

log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclass(slots=True)
class RetryBudget:
    """A bucket that every first attempt fills a little and every retry empties by one.

    However dead a service is, it gets `burst` retries and then `ratio` of them per call.
    One per service, shared by all who call it.
    """

    burst: float = 10.0
    ratio: float = 0.1
    _left: float = field(init=False)

    def __post_init__(self) -> None:
        self._left = self.burst

    def earn(self) -> None:
        self._left = min(self.burst, self._left + self.ratio)

    def spend(self) -> bool:
        """Whether there was enough for one more retry."""
        # Ten floats of a tenth are a little less than one.
        if self._left < 1 - 1e-9:
            return False
        self._left -= 1
        return True


@dataclass(frozen=True, slots=True)
class Guard:
    """Stands between this process and one service.

    attempts: in all, per call ("Handling Overload" in Google's SRE book: 3).
    base_s, cap_s: before retry n, counted from 0, comes a wait of 0 to min(cap_s, base_s * 2**n): full
    jitter, as in the AWS Architecture Blog's "Exponential Backoff And Jitter".
    """

    breaker: CircuitBreaker
    budget: RetryBudget
    clock: Clock
    _: KW_ONLY
    attempts: int = 3
    base_s: float = 0.25
    cap_s: float = 4.0
    rng: random.Random = field(default_factory=random.Random)

    async def call(self, attempt: Callable[[], Awaitable[T]], *, deadline: Deadline) -> T:
        """What the first attempt that goes well gives; else its last failure is raised, or CircuitOpen.

        A time limit for one attempt is the attempt's own. At the deadline all of it ends, with a TIMED_OUT
        that the breaker doesn't count: the time may have gone elsewhere.
        """
        if not deadline.remaining_s():
            raise self._out_of_time()
        if not self.breaker.retry_in_s:
            self.budget.earn()
        retrying = AsyncRetrying(
            sleep=self.clock.sleep,
            retry=_may_pass,
            wait=self._wait_s,
            stop=partial(self._is_last, deadline),
            before_sleep=self._log,
            reraise=True,
        )
        limit = asyncio.timeout_at(deadline.at_s)
        try:
            async with limit:
                return await retrying(self._attempt, attempt)
        except TimeoutError as error:
            if limit.expired():
                raise self._out_of_time() from error
            raise

    async def _attempt(self, attempt: Callable[[], Awaitable[T]]) -> T:
        with self.breaker.call():
            return await attempt()

    def _wait_s(self, tried: RetryCallState) -> float:
        """No shorter than the service asked for."""
        jittered_s = self.rng.uniform(0, min(self.cap_s, self.base_s * 2 ** (tried.attempt_number - 1)))
        failure = _failure(tried)
        asked_s = failure.retry_after_s if failure else None
        return max(jittered_s, asked_s or 0.0)

    def _is_last(self, deadline: Deadline, tried: RetryCallState) -> bool:
        """Whether there is no use in another attempt, or no leave; a retry that is left is paid for here."""
        wait_s = tried.upcoming_sleep
        return (
            tried.attempt_number >= self.attempts
            or wait_s >= deadline.remaining_s()
            or wait_s < self.breaker.retry_in_s
            or not self.budget.spend()
        )

    def _log(self, tried: RetryCallState) -> None:
        log.info(
            "call.retried",
            name=self.breaker.name,
            attempts=tried.attempt_number,
            failure=str(_failure(tried)),
            wait_s=round(tried.upcoming_sleep, 3),
        )

    def _out_of_time(self) -> DependencyError:
        return DependencyError(f"{self.breaker.name} was left no time", fault=Fault.TIMED_OUT)


def _may_pass(tried: RetryCallState) -> bool:
    failure = _failure(tried)
    return failure is not None and failure.fault.may_pass


def _failure(tried: RetryCallState) -> DependencyError | None:
    failure = tried.outcome.exception() if tried.outcome else None
    return failure if isinstance(failure, DependencyError) else None

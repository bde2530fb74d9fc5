"""A search engine with the guard it is asked through."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from core.errors import CircuitOpen, DependencyError, SearchFailed
from core.ports import Clock, SearchProvider
from core.resilience.breaker import CircuitBreaker
from core.resilience.deadline import Deadline
from core.resilience.retrying import Guard, RetryBudget
from core.types import SearchHit


@dataclass(frozen=True, slots=True)
class Engine:
    provider: SearchProvider
    guard: Guard

    @classmethod
    def guarded(cls, provider: SearchProvider, clock: Clock) -> Engine:
        """With a guard of its own, as every engine needs."""
        return cls(provider, Guard(CircuitBreaker(provider.name, clock), RetryBudget(), clock))

    @property
    def name(self) -> str:
        return self.provider.name

    async def search(self, query: str, *, limit: int, deadline: Deadline) -> tuple[SearchHit, ...]:
        """As the provider's. Raises SearchFailed and nothing else, by the deadline at the latest."""
        # Half a character, which a platform may let through, has no place in a request.
        sendable = query.encode("utf-8", "replace").decode()
        attempt = partial(self.provider.search, sendable, limit=limit)
        try:
            return tuple(await self.guard.call(attempt, deadline=deadline))
        except SearchFailed:
            raise
        except CircuitOpen as error:
            raise self._failed("is resting after failures", error) from error
        except DependencyError as error:  # the guard's own: the time was up
            raise self._failed("did not answer in time", error) from error

    def _failed(self, reason: str, error: DependencyError) -> SearchFailed:
        return SearchFailed(self.name, reason, fault=error.fault, retry_after_s=error.retry_after_s)

"""Engine after engine until one answers; then what was found earlier; then the library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from core.errors import Fault, SearchFailed, SearchUnavailable
from core.ports import SearchProvider
from core.resilience.deadline import Deadline
from core.resilience.flights import Flights
from core.searching.engines import Engine
from core.searching.remembering import FoundOnce, SearchMemory, search_key
from core.types import SearchHit

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResults:
    """skipped: the engines that failed or rest, and were before the one that answered.

    remembered: no engine could be asked; the hits are those of the same search, up to a day ago.
    kept: nor was that known; the hits are pages of the library.
    """

    hits: tuple[SearchHit, ...]
    provider: str
    skipped: tuple[SearchFailed, ...] = ()
    remembered: bool = False
    kept: bool = False


class Search:
    """engines: in the order they are asked. provider_s: what one of them may take, with its retries.

    library: the last resort, asked when none of them could be.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        *,
        memory: SearchMemory,
        library: SearchProvider,
        max_hits: int = 12,
        provider_s: float = 4.5,
    ) -> None:
        self._engines = tuple(engines)
        self._memory = memory
        self._library = library
        self._max_hits = max_hits
        self._provider_s = provider_s
        self._flights: Flights[SearchResults] = Flights()

    async def search(self, query: str, *, deadline: Deadline) -> SearchResults:
        """The first engine's hits that has any; none where some answered but all had none.

        Who asks for the same at the same time shares one search, and the deadline of whoever came first.
        Raises SearchUnavailable when every engine failed and neither memory nor library has anything.
        """
        if not self._engines:
            return await self._search_library(query, (), deadline)
        key = search_key(query, limit=self._max_hits)
        return await self._flights.share(key, partial(self._search, query, key, deadline))

    async def _search(self, query: str, key: str, deadline: Deadline) -> SearchResults:
        earlier = await self._memory.recall(key)
        if earlier and self._memory.is_fresh(earlier):
            log.info("search.recalled", provider=earlier.provider, fresh=True)
            return _recalled(earlier)
        found, failures = await self._ask_engines(query, deadline)
        if found:
            await self._memory.keep(key, _once(found, at_s=self._memory.now_s()))
            return found
        if earlier and earlier.hits:
            log.info("search.recalled", provider=earlier.provider, fresh=False)
            return SearchResults(
                hits=earlier.hits, provider=earlier.provider, skipped=failures, remembered=True
            )
        return await self._search_library(query, failures, deadline)

    async def _ask_engines(
        self, query: str, deadline: Deadline
    ) -> tuple[SearchResults | None, tuple[SearchFailed, ...]]:
        """The results, None if every engine failed; and the failures."""
        failures: list[SearchFailed] = []
        without_hits: list[str] = []
        for engine in self._engines:
            try:
                hits = await engine.search(query, limit=self._max_hits, deadline=self._within(deadline))
            except SearchFailed as failure:
                log.warning(
                    "search.failed", provider=failure.provider, reason=failure.reason, fault=failure.fault
                )
                failures.append(failure)
                continue
            if hits:
                return SearchResults(hits=hits, provider=engine.name, skipped=tuple(failures)), ()
            without_hits.append(engine.name)
        if without_hits:
            return SearchResults(hits=(), provider=without_hits[0], skipped=tuple(failures)), ()
        return None, tuple(failures)

    async def _search_library(
        self, query: str, failures: Sequence[SearchFailed], deadline: Deadline
    ) -> SearchResults:
        try:
            async with deadline.within(self._provider_s):
                hits = tuple(await self._library.search(query, limit=self._max_hits))
        except SearchFailed as failure:
            raise SearchUnavailable([*failures, failure]) from failure
        except TimeoutError as error:
            late = SearchFailed(self._library.name, "did not answer in time", fault=Fault.TIMED_OUT)
            raise SearchUnavailable([*failures, late]) from error
        if failures and not hits:
            raise SearchUnavailable(failures)
        return SearchResults(hits=hits, provider=self._library.name, skipped=tuple(failures), kept=True)

    def _within(self, deadline: Deadline) -> Deadline:
        return Deadline(min(deadline.at_s, Deadline.after(self._provider_s).at_s))


def _once(results: SearchResults, *, at_s: float) -> FoundOnce:
    return FoundOnce(
        at_s=at_s,
        provider=results.provider,
        hits=results.hits,
        skipped=tuple((failure.provider, failure.reason) for failure in results.skipped),
    )


def _recalled(found: FoundOnce) -> SearchResults:
    """Who was skipped then is said again: the hits are still not the first engine's."""
    skipped = tuple(SearchFailed(provider, reason) for provider, reason in found.skipped)
    return SearchResults(hits=found.hits, provider=found.provider, skipped=skipped)

"""DuckDuckGo, which asks for no key, through one engine of the `ddgs` package.

The engine is used, not the package's own `DDGS`: that one falls back to other engines when the one
named is switched off, and runs in a pool whose threads the interpreter waits for at exit.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from math import ceil
from typing import Any, Final

import primp
from ddgs.base import BaseSearchEngine
from ddgs.engines import ENGINES
from ddgs.exceptions import DDGSException, TimeoutException
from lxml.etree import LxmlError

from core.errors import Fault, SearchFailed, SettingsError
from core.ports import Clock
from core.providers.search.hits import clean_hits
from core.providers.search.keys import KeyRing
from core.providers.search.refusals import UNREADABLE, Refusal, refusal_of, retry_after_s
from core.types import SearchHit

MAX_BODY_BYTES: Final = 4_000_000
"""A page of results is about 40 kB."""

MAX_THREADS: Final = 8

_BLOCKED_STATUSES: Final = frozenset({202, 403, 429})
"""202 is DuckDuckGo's own: a challenge page instead of results."""

_CHALLENGE_MARKS: Final = ("anomaly-modal", "anomaly.js")
"""In the page on which DuckDuckGo asks to prove one is human, whatever its status."""


class DuckDuckGoSearch:
    """Blocking calls run in daemon threads: an unanswered one delays neither Ctrl-C nor the exit.

    backend: the `ddgs` text engine. Raises SettingsError if this version has it switched off.
    url: asked in place of the engine's own.
    timeout_s: for one search, with the wait for a free thread.
    keys: holds none but the engine itself, which rests when it is asked too often.
    max_threads: searches at a time; one that was given up keeps its thread until its time is over.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        backend: str = "duckduckgo",
        url: str | None = None,
        timeout_s: float = 3.0,
        max_threads: int = MAX_THREADS,
    ) -> None:
        if backend not in ENGINES["text"]:
            known = ", ".join(sorted(ENGINES["text"]))
            raise SettingsError(
                [f"DUCKDUCKGO_BACKEND must name an engine that ddgs has switched on: {known}"]
            )
        self.name = "DuckDuckGo" if backend == "duckduckgo" else backend.capitalize()
        self._clock = clock
        self.keys = KeyRing(self.name, [""], clock)
        self._engine_class = ENGINES["text"][backend]
        self._url = url
        self._timeout_s = timeout_s
        self._free_threads = asyncio.Semaphore(max_threads)

    async def search(self, query: str, *, limit: int) -> Sequence[SearchHit]:
        hits = await self.keys.serve(lambda _no_key: self._ask(query))
        return clean_hits(hits, limit=limit)

    async def _ask(self, query: str) -> list[SearchHit]:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._free_threads.acquire()
                return await self._in_daemon_thread(partial(self._search_blocking, query))
        except TimeoutError as error:
            raise self._failed(Fault.TIMED_OUT) from error

    async def _in_daemon_thread(self, call: Callable[[], list[SearchHit] | SearchFailed]) -> list[SearchHit]:
        """Takes a free thread that was acquired, and gives it back when the call is over."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[list[SearchHit] | SearchFailed] = loop.create_future()

        def hand_over(result: list[SearchHit] | SearchFailed) -> None:
            self._free_threads.release()
            if not outcome.done():
                outcome.set_result(result)

        def work() -> None:
            # Stands if the call raises what it never should: then the thread's own hook reports that.
            result: list[SearchHit] | SearchFailed = self._failed(Fault.FAILING)
            try:
                result = call()
            finally:
                with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    loop.call_soon_threadsafe(hand_over, result)

        threading.Thread(target=work, name=f"search-{self.name}", daemon=True).start()
        result = await outcome
        if isinstance(result, SearchFailed):
            raise result
        return result

    def _search_blocking(self, query: str) -> list[SearchHit] | SearchFailed:
        try:
            return list(self._hits(query))
        except SearchFailed as failure:
            return failure
        except (primp.TimeoutError, TimeoutException):
            return self._failed(Fault.TIMED_OUT)
        except (primp.RequestError, DDGSException):
            return self._failed(Fault.UNREACHABLE)
        except primp.PrimpError:
            return self._failed(Fault.FAILING, "broke off its answer")
        except (LxmlError, ValueError, LookupError, TypeError):
            return self._failed(Fault.FAILING, UNREADABLE)

    def _hits(self, query: str) -> Iterator[SearchHit]:
        # A new engine for each search: its cookies must not connect two askers, and some keep state.
        engine = self._engine_class(proxy=None, timeout=ceil(self._timeout_s))
        text = self._results_page(engine, query)
        results = engine.post_extract_results(engine.extract_results(text))
        if not results:
            self._check_that_it_is_a_results_page(text)
        for result in results:
            yield SearchHit(
                url=_unwrapped(result.href), title=result.title, snippet=result.body, provider=self.name
            )

    def _results_page(self, engine: BaseSearchEngine[Any], query: str) -> str:
        # DuckDuckGo's word for all regions; the other engines know no such thing.
        region = "wt-wt" if engine.name == "duckduckgo" else "us-en"
        payload = engine.build_payload(query, region=region, safesearch="moderate", timelimit=None, page=1)
        is_get = engine.search_method == "GET"
        response = engine.http_client.client.request(
            engine.search_method,
            self._url or engine.search_url,
            params=payload if is_get else None,
            data=None if is_get else payload,
            stream=True,
        )
        if response.status_code != 200:
            raise self._refusal(response).failure(self.name)
        return self._bounded_body(response).decode("utf-8", "replace")

    def _bounded_body(self, response: primp.Response) -> bytes:
        body = bytearray()
        for piece in response.iter_bytes():
            body += piece
            if len(body) > MAX_BODY_BYTES:
                raise self._failed(Fault.FAILING, "answered with too much data")
        return bytes(body)

    def _check_that_it_is_a_results_page(self, text: str) -> None:
        """No results are an answer only on a page that is one: with a search form, or JSON."""
        if any(mark in text for mark in _CHALLENGE_MARKS):
            raise self._failed(Fault.RATE_LIMITED)
        if "<form" not in text and not text.lstrip().startswith(("[", "{")):
            raise self._failed(Fault.FAILING, UNREADABLE)

    def _refusal(self, response: primp.Response) -> Refusal:
        status = 429 if response.status_code in _BLOCKED_STATUSES else response.status_code
        wait_s = retry_after_s(response.headers.get("retry-after", ""), now=self._clock.now())
        return refusal_of(status, retry_after_s=wait_s)

    def _failed(self, fault: Fault, reason: str = "") -> SearchFailed:
        return Refusal(fault=fault, reason=reason).failure(self.name)


def _unwrapped(href: str) -> str:
    """The address inside DuckDuckGo's redirect, which ddgs has unquoted already."""
    if not href.removeprefix("https:").startswith("//duckduckgo.com/l/?"):
        return href
    return href.partition("uddg=")[2].rpartition("&rut=")[0] or href.partition("uddg=")[2]


__all__ = ["DuckDuckGoSearch"]

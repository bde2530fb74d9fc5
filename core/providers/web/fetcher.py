"""Documents from URLs that strangers chose.

Every hop of every fetch passes the guard (core.reading.urls): its URL, its name's answers, and the
address itself when a socket is made for it. The only redirects followed are those of the status
line; nothing in a body or another header starts a request.

Time is the last defence, for some attacks meet no other: chunk extensions without end, or interim
responses, keep the parser busy (9 s of CPU in 10 measured) until `FetchLimits.total_s` is over. The
loop gets a turn between two reads of up to 64 KiB: the worst that was found takes 45 ms to parse.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
from yarl import URL

from core.errors import PageFailed, PageFailure
from core.providers.web import bodies
from core.providers.web.charset import CODEC_BY_LABEL
from core.providers.web.connector import AddressBudget, AddressRefused, GuardedConnector
from core.providers.web.resolver import GuardedResolver, LookUp, SystemLookUp
from core.providers.web.robots import (
    ALLOW_ALL,
    MAX_ROBOTS_BYTES,
    RobotsCache,
    RobotsRules,
    parse_robots,
)
from core.reading.urls import AddressPolicy, UrlRefused, check_redirect, check_url
from core.types import Document, KeptPage, Validators

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {
    "Accept": "text/html,application/xhtml+xml,application/pdf;q=0.9,text/plain;q=0.8",
    # Brotli and zstd unfold a few bytes to a gigabyte, and Brotli's library had an out-of-bounds
    # write (CVE-2026-111497): neither is asked for, neither is taken.
    "Accept-Encoding": "gzip, deflate",
}

T = TypeVar("T")
Read = Callable[[URL, aiohttp.ClientResponse], Awaitable[T]]
Conditions = Callable[[URL], Mapping[str, str]]
"""The headers by which a hop is asked whether anything has changed."""

MAX_VALIDATOR_CHARS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """total_s: for one document, with its redirects and robots.txt.

    connect_s: for each connection, TLS included.
    read_s: between two reads from the socket.
    robots_s: for robots.txt, within total_s.
    max_html_bytes, max_pdf_bytes: after decoding; the former is for all kinds of text.
    max_in_flight, max_per_host: connections.
    """

    total_s: float = 6.0
    connect_s: float = 2.0
    read_s: float = 3.0
    look_up_s: float = 5.0
    robots_s: float = 2.0
    max_html_bytes: int = 2_000_000
    max_pdf_bytes: int = 10_000_000
    max_redirects: int = 5
    max_in_flight: int = 100
    max_per_host: int = 2
    max_hourly_per_address: int = 1_000


class WebFetcher:
    """A Fetcher. Made inside a running loop, for which it is then the one client; closed by `aclose`.

    user_agent: "Name/version (+https://contact)"; robots.txt is read for the name.
    look_up: the system's, unless a test brings its own.
    """

    def __init__(
        self,
        *,
        user_agent: str,
        policy: AddressPolicy | None = None,
        limits: FetchLimits | None = None,
        respect_robots: bool = True,
        look_up: LookUp | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = policy or AddressPolicy()
        self._limits = limits or FetchLimits()
        self._respect_robots = respect_robots
        self._product = user_agent.partition("/")[0]
        self._robots = RobotsCache(monotonic)
        self._system_look_up = SystemLookUp()
        budget = AddressBudget(self._limits.max_hourly_per_address, monotonic)
        self._session = self._open_session(user_agent, look_up or self._system_look_up, budget)

    def _open_session(self, user_agent: str, look_up: LookUp, budget: AddressBudget) -> aiohttp.ClientSession:
        limits = self._limits
        return aiohttp.ClientSession(
            connector=GuardedConnector(
                self._policy,
                GuardedResolver(self._policy, look_up, timeout_s=limits.look_up_s),
                budget,
                max_connections=limits.max_in_flight,
                max_per_host=limits.max_per_host,
            ),
            headers={**_HEADERS, "User-Agent": user_agent},
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.connect_s, sock_read=limits.read_s),
            trust_env=False,  # no proxy, no netrc
            auto_decompress=False,  # bodies.BodyDecoder
        )

    async def aclose(self) -> None:
        await self._session.close()
        self._system_look_up.close()

    async def fetch(self, url: str) -> Document:
        """Raises PageFailed, with any reason but UNREADABLE."""
        return await self._fetch(url, self._read_document)

    async def refetch(self, kept: KeptPage) -> Document | None:
        """Asks with the page's validators, and only the address that gave them. Raises PageFailed."""
        found_url, conditions = kept.page.url, _conditions(kept.validators)

        async def read(url: URL, response: aiohttp.ClientResponse) -> Document | None:
            if response.status == 304 and conditions and str(url) == found_url:
                return None
            return await self._read_document(url, response)

        return await self._fetch(
            kept.requested_url, read, lambda url: conditions if str(url) == found_url else {}
        )

    async def _fetch(self, url: str, read: Read[T], conditions: Conditions = lambda _: {}) -> T:
        with _translated():
            async with asyncio.timeout(self._limits.total_s):
                check = self._check_robots if self._respect_robots else _check_nothing
                return await self._follow(check_url(url, self._policy), read, check, conditions)

    async def _follow(
        self,
        url: URL,
        read: Read[T],
        check: Callable[[URL], Awaitable[None]],
        conditions: Conditions = lambda _: {},
    ) -> T:
        """What `read` makes of the first response that is no redirect; `check` may stop each hop."""
        for _ in range(self._limits.max_redirects + 1):
            await check(url)
            async with self._session.get(url, headers=conditions(url), allow_redirects=False) as response:
                location = response.headers.get("Location")
                if response.status not in _REDIRECTS or location is None:
                    return await read(url, response)
                url = check_redirect(url, location, self._policy)
        raise PageFailed(PageFailure.STATUS, "too many redirects")

    async def _read_document(self, url: URL, response: aiohttp.ClientResponse) -> Document:
        bodies.check_status(response.status, response.headers)
        media_type = response.content_type
        body = await bodies.read_body(response, media_type, max_bytes=self._max_bytes(media_type))
        bodies.check_not_challenge(body, media_type)
        charset = (response.charset or "").lower()
        return Document(
            url=str(url),
            media_type=media_type,
            body=body,
            charset=charset if charset in CODEC_BY_LABEL else "",
            validators=Validators(
                etag=_validator(response, "ETag"), last_modified=_validator(response, "Last-Modified")
            ),
        )

    def _max_bytes(self, media_type: str) -> int:
        if media_type == bodies.PDF:
            return self._limits.max_pdf_bytes
        if media_type in bodies.TEXT_TYPES:
            return self._limits.max_html_bytes
        raise PageFailed(PageFailure.MEDIA_TYPE, media_type[:80])

    async def _check_robots(self, url: URL) -> None:
        origin = url.origin()
        rules = self._robots.get(str(origin)) or await self._fetch_robots(origin)
        if not rules.allows(url):
            raise PageFailed(PageFailure.ROBOTS)

    async def _fetch_robots(self, origin: URL) -> RobotsRules:
        """As RFC 9309, section 2.3.1, has it, but for a host that does not answer.

        There it wants crawlers kept off a server in trouble. One page that a person asked for is no
        crawl, and whether the host answers, the page itself will tell.
        """
        try:
            with _translated():
                async with asyncio.timeout(self._limits.robots_s):
                    rules = await self._follow(origin / "robots.txt", self._read_robots, _check_nothing)
        except PageFailed as failure:
            if failure.reason is PageFailure.ROBOTS:
                raise
            return ALLOW_ALL
        self._robots.put(str(origin), rules)
        return rules

    async def _read_robots(self, _: URL, response: aiohttp.ClientResponse) -> RobotsRules:
        if response.status >= 500:
            raise PageFailed(PageFailure.ROBOTS, str(response.status))
        if response.status != 200:
            return ALLOW_ALL
        body = await bodies.read_start(response, max_bytes=MAX_ROBOTS_BYTES)
        # In a thread: half a megabyte of rules takes longer than the loop may stand still.
        return await asyncio.to_thread(parse_robots, body.decode("utf-8-sig", "replace"), self._product)


def _validator(response: aiohttp.ClientResponse, name: str) -> str:
    """To be kept and sent back; empty where that could be abused."""
    value = response.headers.get(name, "")
    return value if len(value) <= MAX_VALIDATOR_CHARS and value.isascii() and value.isprintable() else ""


def _conditions(validators: Validators) -> Mapping[str, str]:
    """RFC 9110, section 13.1.3: the date only speaks where there is no entity tag."""
    if validators.etag:
        return {"If-None-Match": validators.etag}
    return {"If-Modified-Since": validators.last_modified} if validators.last_modified else {}


async def _check_nothing(_: URL) -> None:
    pass


@contextmanager
def _translated() -> Iterator[None]:
    """aiohttp's exceptions as ours. Their texts hold URLs and are left behind."""
    try:
        yield
    except TimeoutError as error:
        raise PageFailed(PageFailure.TIMEOUT) from error
    except (aiohttp.ClientError, OSError) as error:
        if isinstance(getattr(error, "os_error", None), AddressRefused):
            raise UrlRefused("address") from error
        raise PageFailed(PageFailure.UNREACHABLE, type(error).__name__) from error

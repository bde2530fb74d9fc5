"""Search engines that answer in JSON: one way of asking and reading for all of them.

What is one engine's own stands in its file, as a SearchApi that touches nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal, Protocol

import aiohttp
import orjson

from core.errors import Fault, SearchFailed
from core.ports import Clock
from core.providers.search.hits import clean_hits, iso_date, text_of_html
from core.providers.search.keys import KeyRing
from core.providers.search.refusals import UNREADABLE, Refusal, refusal_of, retry_after_s
from core.types import SearchHit

MAX_BODY_BYTES: Final = 2_000_000
"""Ten hits are about 20 kB, with Brave's and SerpApi's trimmings 200."""

MAX_RESULTS: Final = 100
"""What is looked at; no engine sends more on one page."""

JsonObject = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """url: without a query, which is in `params`. payload: sent as JSON."""

    url: str
    method: Literal["GET", "POST"] = "GET"
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    payload: JsonObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiReply:
    """said: empty where the body is no JSON object. headers: by their names in lower case."""

    status: int
    said: JsonObject
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HitFields:
    """Under which names an engine writes a result.

    snippet: all that are there are joined; each may hold a text or a list of them.
    published: the first that means one day is taken.
    html: title and snippet are HTML, with tags and character references.
    """

    url: str
    title: str
    snippet: tuple[str, ...]
    published: tuple[str, ...]
    html: bool = False


class SearchApi(Protocol):
    """The ways of one engine."""

    @property
    def name(self) -> str:
        """As shown to people."""

    @property
    def fields(self) -> HitFields: ...

    def request(self, query: str, *, limit: int, key: str) -> ApiRequest: ...

    def results(self, said: JsonObject) -> object:
        """Of an answer with status 200: a list, or else the answer can't be read."""

    def refusal(self, reply: ApiReply) -> Refusal | None:
        """What HTTP alone would not tell, of any answer, even one with status 200."""


class JsonSearch:
    """Asks once, with each key that doesn't rest until one serves; what comes then is the caller's business.

    session: stays the caller's to close.
    keys: none where the engine asks for none.
    timeout_s: for one request, from connecting to the last byte.
    """

    def __init__(
        self,
        api: SearchApi,
        session: aiohttp.ClientSession,
        *,
        keys: Sequence[str] = (),
        clock: Clock,
        timeout_s: float = 3.0,
    ) -> None:
        self.name = api.name
        self.keys = KeyRing(api.name, keys or [""], clock)
        self._api = api
        self._session = session
        self._clock = clock
        self._timeout_s = timeout_s

    async def search(self, query: str, *, limit: int) -> Sequence[SearchHit]:
        results = await self.keys.serve(partial(self._results, query, limit))
        return clean_hits(self._hits(results), limit=limit)

    async def _results(self, query: str, limit: int, key: str) -> list[object]:
        reply = await self._exchange(self._api.request(query, limit=limit, key=key))
        refusal = self._api.refusal(reply)
        if refusal is None and reply.status != 200:
            refusal = refusal_of(reply.status, retry_after_s=self._asked_wait_s(reply))
        if refusal is not None:
            raise refusal.failure(self.name)
        results = self._api.results(reply.said)
        if not isinstance(results, list):
            raise self._unreadable()
        return results[:MAX_RESULTS]

    def _asked_wait_s(self, reply: ApiReply) -> float | None:
        return retry_after_s(reply.headers.get("retry-after", ""), now=self._clock.now())

    async def _exchange(self, request: ApiRequest) -> ApiReply:
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.request(
                    request.method,
                    request.url,
                    params=request.params,
                    json=request.payload,
                    headers={"Accept": "application/json", **request.headers},
                    allow_redirects=False,  # the key goes to nobody else
                ) as response,
            ):
                headers = {name.lower(): value for name, value in response.headers.items()}
                said = _object(await self._bounded_body(response))
                return ApiReply(status=response.status, said=said, headers=headers)
        except TimeoutError:
            failure = Refusal(fault=Fault.TIMED_OUT).failure(self.name)
        except aiohttp.ClientConnectionError:
            failure = Refusal(fault=Fault.UNREACHABLE).failure(self.name)
        except aiohttp.ClientError:
            failure = self._unreadable()
        # Out here it carries no exception of aiohttp's, which may name the URL and with it the key.
        raise failure

    async def _bounded_body(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for piece in response.content.iter_chunked(65_536):
            body += piece
            if len(body) > MAX_BODY_BYTES:
                raise SearchFailed(self.name, "answered with too much data")
        return bytes(body)

    def _hits(self, results: Sequence[object]) -> Iterator[SearchHit]:
        """Skips what is no hit; raises SearchFailed if nothing in a list that isn't empty is one."""
        fields = self._api.fields
        readable = [item for item in results if isinstance(item, dict) and _text(item.get(fields.url))]
        if results and not readable:
            raise self._unreadable()
        for item in readable:
            yield self._hit(item, fields)

    def _hit(self, item: JsonObject, fields: HitFields) -> SearchHit:
        plain = text_of_html if fields.html else str
        days = (iso_date(_text(item.get(name)), now=self._clock.now()) for name in fields.published)
        return SearchHit(
            url=_text(item.get(fields.url)).strip(),
            title=plain(_text(item.get(fields.title))),
            snippet=plain(" ".join(text for name in fields.snippet for text in _texts(item.get(name)))),
            provider=self.name,
            published=next(filter(None, days), ""),
        )

    def _unreadable(self) -> SearchFailed:
        return Refusal(fault=Fault.FAILING, reason=UNREADABLE).failure(self.name)


def object_in(said: JsonObject, name: str) -> JsonObject:
    """Empty where there is none."""
    value = said.get(name)
    return value if isinstance(value, dict) else {}


def _object(body: bytes) -> JsonObject:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> list[str]:
    items = value[:MAX_RESULTS] if isinstance(value, list) else [value]
    return [text for text in map(_text, items) if text]


__all__ = ["ApiReply", "ApiRequest", "HitFields", "JsonObject", "JsonSearch", "SearchApi", "object_in"]

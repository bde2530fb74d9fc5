"""Serper (https://serper.dev): Google's results as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

import aiohttp
import orjson

from core.errors import SearchFailed
from core.ports import Clock
from core.providers.search.hits import clean_hits, iso_date
from core.types import SearchHit

MAX_BODY_BYTES: Final = 2_000_000
"""Ten hits are about 20 kB."""

_UNREADABLE: Final = "answered in a form that could not be read"


class SerperSearch:
    """Asks once; who is asked next after a failure is the caller's business.

    session: stays the caller's to close.
    timeout_s: for one search, from connecting to the last byte.
    """

    name = "Serper"

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        api_key: str,
        clock: Clock,
        url: str = "https://google.serper.dev",
        timeout_s: float = 5.0,
    ) -> None:
        self._session = session
        self._api_key = api_key
        self._clock = clock
        self._endpoint = f"{url.rstrip('/')}/search"
        self._timeout_s = timeout_s

    async def search(self, query: str, *, limit: int) -> Sequence[SearchHit]:
        status, body = await self._ask(query, limit)
        if status != 200:
            raise self._failed(_refusal(status, body))
        return clean_hits(self._hits(_organic(body)), limit=limit)

    async def _ask(self, query: str, limit: int) -> tuple[int, bytes]:
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.post(
                    self._endpoint,
                    json={"q": query, "num": limit},
                    headers={"X-API-KEY": self._api_key},
                    allow_redirects=False,  # the key goes to nobody else
                ) as response,
            ):
                return response.status, await self._bounded_body(response)
        except TimeoutError as error:
            raise self._failed("did not answer in time") from error
        except aiohttp.ClientConnectionError as error:
            raise self._failed("could not be reached") from error
        except aiohttp.ClientError as error:
            raise self._failed(_UNREADABLE) from error

    async def _bounded_body(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for piece in response.content.iter_chunked(65_536):
            body += piece
            if len(body) > MAX_BODY_BYTES:
                raise self._failed("answered with too much data")
        return bytes(body)

    def _hits(self, organic: list[object]) -> Iterator[SearchHit]:
        """Skips what is no hit; raises SearchFailed if nothing in a list that isn't empty is one."""
        readable = [item for item in organic if isinstance(item, dict) and isinstance(item.get("link"), str)]
        if organic and not readable:
            raise self._failed(_UNREADABLE)
        for item in readable:
            yield SearchHit(
                url=item["link"].strip(),
                title=_text(item.get("title")),
                snippet=_text(item.get("snippet")),
                provider=self.name,
                published=iso_date(_text(item.get("date")), now=self._clock.now()),
            )

    def _failed(self, reason: str) -> SearchFailed:
        return SearchFailed(self.name, reason)


def _organic(body: bytes) -> list[object]:
    payload = _json(body)
    organic = payload.get("organic") if isinstance(payload, dict) else None
    if not isinstance(organic, list):
        raise SearchFailed(SerperSearch.name, _UNREADABLE)
    return organic


def _json(body: bytes) -> object:
    """None for what is no JSON, like `null`."""
    try:
        payload: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return payload


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _refusal(status: int, body: bytes) -> str:
    # Serper says 400 "Not enough credits" where HTTP has 402.
    payload = _json(body)
    message = _text(payload.get("message")).lower() if isinstance(payload, dict) else ""
    if status == 402 or "credit" in message or "quota" in message:
        return "is over its quota"
    if status in {401, 403}:
        return "refused the API key"
    if status == 429:
        return "is over its rate limit"
    return "is failing" if status >= 500 else f"answered with status {status}"


__all__ = ["SerperSearch"]

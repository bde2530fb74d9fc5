"""Pages that any process has read a moment ago, where the processes have a store in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Final

import structlog
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from core.errors import StoreFailed
from core.ports import Store
from core.types import KeptPage

log = structlog.get_logger(__name__)

MAX_CHARS: Final = 100_000
"""Of a page's text; longer ones are read anew. Most have some thousands."""

_KEPT: Final = TypeAdapter(KeptPage)


class SharedPages:
    """fresh_s: how long a page is there. A store that fails has nothing, and takes nothing."""

    def __init__(self, store: Store, *, fresh_s: float) -> None:
        self._store = store
        self._fresh_s = fresh_s

    async def get(self, urls: Sequence[str]) -> Mapping[str, KeptPage]:
        """Those it has, by the URL asked for."""
        try:
            values = await self._store.get([_key(url) for url in urls])
        except StoreFailed as failure:
            log.debug("pages.not_shared", reason=str(failure))
            return {}
        pages = (_read(value) for value in values)
        return {
            url: page for url, page in zip(urls, pages, strict=True) if page and page.requested_url == url
        }

    async def put(self, pages: Sequence[KeptPage]) -> None:
        try:
            # One by one: some megabytes at once would be too much for a Redis that has 0.2 s for each call.
            for page in pages:
                if value := _written(page):
                    await self._store.put({_key(page.requested_url): value}, ttl_s=self._fresh_s)
        except StoreFailed as failure:
            log.debug("pages.not_shared", reason=str(failure))


def _key(url: str) -> str:
    return f"page:{blake2b(url.encode('utf-8', 'replace'), digest_size=16).hexdigest()}"


def _written(page: KeptPage) -> bytes:
    """Empty for what is too long, or can't be written in UTF-8."""
    if len(page.page.text) > MAX_CHARS:
        return b""
    try:
        return _KEPT.dump_json(page)
    except PydanticSerializationError:
        return b""


def _read(value: bytes | None) -> KeptPage | None:
    """None for what another version wrote, too."""
    if value is None:
        return None
    try:
        return _KEPT.validate_json(value)
    except ValidationError:
        log.warning("page.unreadable", reason="not as this version writes it")
        return None

"""A store behind a store: where the first is out of reach, the second stands in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import structlog

from core.errors import StoreFailed
from core.ports import Store

log = structlog.get_logger(__name__)

T = TypeVar("T")


class FallbackStore:
    """What is written while the first is gone is known to the second alone, and forgotten with it."""

    def __init__(self, first: Store, second: Store) -> None:
        self._first = first
        self._second = second
        self._fallen_back = False

    async def get(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        return await self._either(lambda store: store.get(keys))

    async def put(self, values: Mapping[str, bytes], *, ttl_s: float) -> None:
        await self._either(lambda store: store.put(values, ttl_s=ttl_s))

    async def claim(self, key: str, value: bytes, *, ttl_s: float) -> bool:
        return await self._either(lambda store: store.claim(key, value, ttl_s=ttl_s))

    async def add(self, key: str, amount: int, *, ttl_s: float) -> int:
        return await self._either(lambda store: store.add(key, amount, ttl_s=ttl_s))

    async def remove(self, keys: Sequence[str]) -> None:
        """From both, or it would be there again when the first is next gone."""
        await self._second.remove(keys)
        await self._either(lambda store: store.remove(keys))

    async def keys(self, prefix: str) -> Sequence[str]:
        return await self._either(lambda store: store.keys(prefix))

    async def _either(self, ask: Callable[[Store], Awaitable[T]]) -> T:
        try:
            answer = await ask(self._first)
        except StoreFailed as failure:
            if not self._fallen_back:
                log.warning("store.fell_back", reason=str(failure))
            self._fallen_back = True
            return await ask(self._second)
        if self._fallen_back:
            log.info("store.recovered")
        self._fallen_back = False
        return answer

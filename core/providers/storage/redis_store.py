"""Small values in a Redis, which several processes share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from redis.asyncio import Redis

from core.providers.storage.redis_link import PREFIX, RedisLink

_PATTERN_SIGNS: Final = re.compile(r"([*?\[\]\\^-])")
_SCAN_COUNT: Final = 1_000
"""Keys that Redis looks at in one step of a scan: some tenths of a millisecond."""


class RedisStore:
    """Every key ends by itself. What timed out may have been done all the same."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def get(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        async def fetch(redis: Redis) -> list[bytes | None]:
            values: list[bytes | None] = await redis.mget([PREFIX + key for key in keys])
            return values

        return await self._link.run(fetch) if keys else []

    async def put(self, values: Mapping[str, bytes], *, ttl_s: float) -> None:
        async def write(redis: Redis) -> None:
            async with redis.pipeline(transaction=True) as pipe:
                for key, value in values.items():
                    pipe.set(PREFIX + key, value, px=_milliseconds(ttl_s))
                await pipe.execute()

        if values:
            await self._link.run(write)

    async def claim(self, key: str, value: bytes, *, ttl_s: float) -> bool:
        async def write(redis: Redis) -> bool:
            return await redis.set(PREFIX + key, value, px=_milliseconds(ttl_s), nx=True) is not None

        return await self._link.run(write)

    async def add(self, key: str, amount: int, *, ttl_s: float) -> int:
        async def count(redis: Redis) -> int:
            async with redis.pipeline(transaction=True) as pipe:
                # Begun by SET NX, so that its end stays where it was: EXPIRE NX is younger, of Redis 7.
                pipe.set(PREFIX + key, 0, px=_milliseconds(ttl_s), nx=True)
                pipe.incrby(PREFIX + key, amount)
                _, total = await pipe.execute()
            return int(total)

        return await self._link.run(count)

    async def remove(self, keys: Sequence[str]) -> None:
        async def delete(redis: Redis) -> None:
            await redis.delete(*(PREFIX + key for key in keys))

        if keys:
            await self._link.run(delete)

    async def keys(self, prefix: str) -> Sequence[str]:
        """Takes a step for each thousand keys of all that Redis holds."""
        pattern = _PATTERN_SIGNS.sub(r"\\\1", PREFIX + prefix) + "*"
        found: set[str] = set()
        cursor = 0
        while True:
            cursor, names = await self._step(cursor, pattern)
            found.update(name.decode("utf-8", "replace").removeprefix(PREFIX) for name in names)
            if not cursor:
                return list(found)

    async def _step(self, cursor: int, pattern: str) -> tuple[int, list[bytes]]:
        async def scan(redis: Redis) -> tuple[int, list[bytes]]:
            following, names = await redis.scan(cursor, match=pattern, count=_SCAN_COUNT)
            return int(following), names

        return await self._link.run(scan)


def _milliseconds(ttl_s: float) -> int:
    return max(1, round(ttl_s * 1000))


__all__ = ["RedisStore"]

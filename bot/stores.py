"""Where small values lie and questions are counted: a Redis for all processes, or files and memory here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from bot.settings import Settings
from core.errors import SettingsError
from core.ports import Clock, RateLimiter, Store
from core.providers.rate_limiter import MemoryRateLimiter
from core.providers.storage.file_store import FileStore
from core.providers.storage.memory_store import MemoryStore
from core.resilience.fallback_store import FallbackStore

NO_REDIS: Final = (
    "REDIS_URL needs the redis package: pip install 'relevancesearch[redis]', or leave REDIS_URL empty"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """lasting: outlives the process; raises StoreFailed while it is out of reach.

    forgiving: the same, with this process's memory in its place then; for what may be forgotten.
    shared: with other processes, and raises StoreFailed; None where they have no store in common.
    cache: the forgiving one where processes share it, else memory: files would be slower than what it saves.
    """

    lasting: Store
    forgiving: Store
    shared: Store | None
    cache: Store
    rate_limiter: RateLimiter


@asynccontextmanager
async def open_stores(settings: Settings, clock: Clock) -> AsyncIterator[Stores]:
    """In Redis where REDIS_URL is set, else in files in CACHE_DIR. Raises SettingsError."""
    memory = MemoryStore(clock)
    async with AsyncExitStack() as stack:
        if url := settings.redis_url.get_secret_value():
            redis, limiter = await _in_redis(url, settings, clock, stack)
            forgiving = FallbackStore(redis, memory)
            yield Stores(
                lasting=redis, forgiving=forgiving, shared=redis, cache=forgiving, rate_limiter=limiter
            )
        else:
            files = FileStore(settings.cache_dir / "store", clock)
            yield Stores(
                lasting=files,
                forgiving=FallbackStore(files, memory),
                shared=None,
                cache=memory,
                rate_limiter=MemoryRateLimiter(clock),
            )


async def _in_redis(
    url: str, settings: Settings, clock: Clock, stack: AsyncExitStack
) -> tuple[Store, RateLimiter]:
    try:
        from core.providers.redis_rate_limiter import RedisRateLimiter
        from core.providers.storage.redis_link import RedisLink
        from core.providers.storage.redis_store import RedisStore
    except ModuleNotFoundError:
        raise SettingsError([NO_REDIS]) from None
    link = RedisLink(url, clock=clock, verify_tls=settings.redis_tls_verify)
    await stack.enter_async_context(link.watched())
    alone = MemoryRateLimiter(clock, processes=settings.processes)
    return RedisStore(link), RedisRateLimiter(link, alone)

"""The way to a Redis, which may be gone: nobody waits for that longer than once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, Self, TypeVar

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from core.errors import CircuitOpen, DependencyError, Fault, StoreFailed
from core.ports import Clock
from core.resilience.breaker import BreakerLimits, BreakerState, CircuitBreaker

log = structlog.get_logger(__name__)

PREFIX: Final = "relevancesearch:"
"""Before every key, so that a Redis can be shared with other programs."""

LEFT_ALONE: Final = BreakerLimits(window_calls=1, min_calls=1, open_s=5.0, trials=1)
"""The first failure opens it; each look whether Redis is back comes four to six seconds after the last."""

_PROBE_KEY: Final = f"{PREFIX}probe"
_PROBE_MS: Final = 60_000
_MAX_CONNECTIONS: Final = 16

_CALLERS_FAULT: Final = ("WRONGTYPE", "value is not an integer")
"""What Redis says where the key holds something else; it is well."""

# What redis-py raises on bytes that are no Redis's, beside its own errors.
_FAULTS: Final = (RedisError, OSError, ValueError, TypeError, IndexError)

T = TypeVar("T")


class RedisLink:
    """One Redis, for all who use it. Belongs to one event loop.

    A call takes no longer than `timeout_s`, and after the first that fails none is made: while the link is
    `watched`, it is found out beside them whether Redis is back.
    connect_s: for a connection that nobody waits for, with its look-up, TLS and password.
    verify_tls: whether a rediss:// server must show a certificate that a known authority has signed.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        timeout_s: float = 0.2,
        connect_s: float = 2.0,
        verify_tls: bool = True,
        limits: BreakerLimits = LEFT_ALONE,
    ) -> None:
        self._clock = clock
        self._timeout_s = timeout_s
        self._connect_s = connect_s
        self._limits = limits
        self.breaker = CircuitBreaker("Redis", clock, limits)
        self._lost = asyncio.Event()
        self._in_flight: set[asyncio.Task[Any]] = set()
        self._is_closed = False
        unverified = {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_MAX_CONNECTIONS,
            timeout=timeout_s,
            socket_timeout=connect_s,
            socket_connect_timeout=connect_s,
            retry=Retry(NoBackoff(), 0),
            **(unverified if url.startswith("rediss:") and not verify_tls else {}),
        )
        self._client = Redis.from_pool(pool)

    async def run(self, work: Callable[[Redis], Awaitable[T]]) -> T:
        """Raises StoreFailed: at once while Redis is gone or was left, within `timeout_s` when it goes."""
        if self._is_closed:
            raise StoreFailed("Redis was left", fault=Fault.REFUSED)
        if self.breaker.state is not BreakerState.CLOSED:
            raise StoreFailed("Redis has failed and is left alone", fault=Fault.UNREACHABLE)
        try:
            with self.breaker.call():
                return await self._within(self._timeout_s, work)
        except StoreFailed as failure:
            if self.breaker.state is not BreakerState.CLOSED:
                self._lose(failure)
            raise
        except CircuitOpen as opened:
            raise StoreFailed(str(opened), fault=Fault.UNREACHABLE) from opened

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Self]:
        """Connected while the block runs, and connected again after each failure; then closed."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.aclose)
            group = await stack.enter_async_context(asyncio.TaskGroup())
            watching = group.create_task(self._watch())
            stack.callback(watching.cancel)
            yield self

    async def aclose(self) -> None:
        """Waits for the calls under way: a connection that is being made would be closed by nobody."""
        self._is_closed = True
        if self._in_flight:
            await asyncio.wait(self._in_flight)
        await self._client.aclose(close_connection_pool=True)

    async def _watch(self) -> None:
        await self._try()
        while True:
            await self._lost.wait()
            while self.breaker.state is not BreakerState.CLOSED:
                # Sooner the breaker would let nothing pass.
                await self._clock.sleep(self.breaker.retry_in_s or self._limits.open_s)
                await self._try()
            self._lost.clear()
            log.info("redis.recovered")

    async def _try(self) -> None:
        try:
            with self.breaker.call():
                await self._within(self._connect_s, _write)
                await self._within(self._timeout_s, _write)
        except DependencyError as failure:
            self._lose(failure)

    def _lose(self, failure: DependencyError) -> None:
        """Told once; the breaker tells of each look after it."""
        if not self._lost.is_set():
            log.warning("redis.unreachable", reason=str(failure))
            self._lost.set()

    async def _within(self, limit_s: float, work: Callable[[Redis], Awaitable[T]]) -> T:
        # In a task of its own: redis-py loses a cancellation that comes while it connects, and then the
        # caller's would be lost, or that of its time limit.
        call = asyncio.ensure_future(work(self._client))
        self._in_flight.add(call)
        call.add_done_callback(self._landed)
        try:
            done, _ = await asyncio.wait({call}, timeout=limit_s)
        finally:
            call.cancel()
        if not done:
            raise StoreFailed("Redis took too long", fault=Fault.TIMED_OUT)
        try:
            return call.result()
        except TimeoutError:
            raise StoreFailed("Redis took too long", fault=Fault.TIMED_OUT) from None
        except _FAULTS as error:
            # Of the error only its name: redis-py's messages hold addresses.
            raise StoreFailed(f"Redis: {type(error).__name__}", fault=_fault(error)) from None

    def _landed(self, call: asyncio.Task[Any]) -> None:
        self._in_flight.discard(call)
        if not call.cancelled():
            call.exception()  # whoever waited has it, or left


async def _write(redis: Redis) -> Any:
    """A replica answers questions, and refuses this."""
    return await redis.set(_PROBE_KEY, b"", px=_PROBE_MS)


def _fault(error: Exception) -> Fault:
    if isinstance(error, AuthenticationError | AuthorizationError | NoPermissionError):
        return Fault.FAILING
    if isinstance(error, ResponseError) and any(sign in str(error) for sign in _CALLERS_FAULT):
        return Fault.REFUSED
    if isinstance(error, ResponseError | ValueError | TypeError | IndexError):
        return Fault.FAILING
    return Fault.UNREACHABLE


__all__ = ["LEFT_ALONE", "PREFIX", "RedisLink"]

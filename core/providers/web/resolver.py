"""Names to addresses, all of them judged before any is used."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from aiohttp.abc import AbstractResolver, ResolveResult

from core.reading.urls import AddressPolicy, check_answers

LookUp = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a host, as text. Raises OSError where there are none or nobody answers."""


class SystemLookUp:
    """getaddrinfo, in threads of its own: a slow name server then holds up nothing but fetches.

    A look-up cannot be stopped: after its time limit it keeps its thread until the system gives up.
    """

    def __init__(self, *, max_threads: int = 32) -> None:
        self._threads = ThreadPoolExecutor(max_threads, thread_name_prefix="look-up")

    async def __call__(self, host: str) -> Sequence[str]:
        ask = partial(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        infos = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in infos))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class GuardedResolver(AbstractResolver):
    """aiohttp asks it once for each connection to a name; for an address in a URL, never."""

    def __init__(self, policy: AddressPolicy, look_up: LookUp, *, timeout_s: float) -> None:
        self._policy = policy
        self._look_up = look_up
        self._timeout_s = timeout_s

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises UrlRefused if any answer may not be connected to, OSError if there is none in time."""
        async with asyncio.timeout(self._timeout_s):
            addresses = await self._look_up(host)
        check_answers(addresses, port, self._policy)
        return [_as_result(host, address, port) for address in addresses]

    async def close(self) -> None:
        """Nothing is held: the look-up belongs to whoever made it."""


def _as_result(host: str, address: str, port: int) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=socket.AF_INET6 if ":" in address else socket.AF_INET,
        proto=0,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )

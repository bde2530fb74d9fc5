"""The only way from a stranger's URL to a socket.

aiohttp calls the resolver for names only, so that "http://127.0.0.1" or a redirect to it would never
meet one. Every socket is made by the socket factory, though, for whatever address and at whatever
attempt: there each address is judged again, a moment before it is used.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohappyeyeballs import AddrInfoType
from aiohttp.abc import AbstractResolver
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from core.reading.urls import AddressPolicy, UrlRefused, check_address

if TYPE_CHECKING:
    from typing_extensions import Buffer

MAX_READ_BYTES: Final = 65_536
"""What one turn of the event loop takes from a stranger. asyncio would take 256 KiB: enough for 10,000
interim responses, which cost aiohttp's parser 100 ms in one go."""

_KEEPALIVE_S = 15.0  # long enough for a page to follow its robots.txt on the same connection


class AddressRefused(OSError):
    """The guard's no, as aiohttp can carry it: other exceptions are lost between two address attempts."""


class SippingSocket(socket.socket):
    """Hands over at most MAX_READ_BYTES at once, however much is asked for."""

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        return super().recv(min(bufsize, MAX_READ_BYTES), flags)

    def recv_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> int:
        """nbytes: 0 means as many as the buffer holds."""
        room = nbytes or memoryview(buffer).nbytes
        return super().recv_into(buffer, min(room, MAX_READ_BYTES), flags)


class AddressBudget:
    """At most so many requests to one address in any hour: a bucket of half, refilled at half an hour.

    Bounded: the addresses asked longest ago are forgotten first.
    """

    def __init__(
        self, max_per_hour: int, monotonic: Callable[[], float], *, max_addresses: int = 4_096
    ) -> None:
        self._size = max_per_hour / 2
        self._monotonic = monotonic
        self._max_addresses = max_addresses
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens left, at which moment

    def spend(self, address: str) -> None:
        """Raises UrlRefused where nothing is left."""
        now_s = self._monotonic()
        tokens, at_s = self._buckets.pop(address, (self._size, now_s))
        tokens = min(self._size, tokens + (now_s - at_s) * self._size / 3_600)
        has_one = tokens >= 1
        self._buckets[address] = (tokens - has_one, now_s)
        if len(self._buckets) > self._max_addresses:
            self._buckets.popitem(last=False)
        if not has_one:
            raise UrlRefused("address asked too often")


def open_socket(policy: AddressPolicy, addr_info: AddrInfoType) -> socket.socket:
    """Raises AddressRefused before there is a socket."""
    family, kind, protocol, _, (address, port, *_) = addr_info
    try:
        check_address(str(address), int(port), policy)
    except UrlRefused as refusal:
        raise AddressRefused(str(refusal)) from refusal
    return SippingSocket(family, kind, protocol)


class GuardedConnector(aiohttp.TCPConnector):
    """Opens sockets to allowed addresses only, and counts the requests to each."""

    def __init__(
        self,
        policy: AddressPolicy,
        resolver: AbstractResolver,
        budget: AddressBudget,
        *,
        max_connections: int,
        max_per_host: int,
    ) -> None:
        self._budget = budget
        super().__init__(
            resolver=resolver,
            use_dns_cache=False,  # an answer is used at once or not at all
            socket_factory=partial(open_socket, policy),
            limit=max_connections,
            limit_per_host=max_per_host,
            keepalive_timeout=_KEEPALIVE_S,
        )

    async def connect(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        """Before each request, on a new connection or a kept one."""
        connection = await super().connect(req, traces, timeout)
        try:
            self._count(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _count(self, connection: Connection) -> None:
        peer = connection.transport and connection.transport.get_extra_info("peername")
        if not peer:
            raise aiohttp.ServerDisconnectedError
        self._budget.spend(str(peer[0]))

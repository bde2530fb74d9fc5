"""A proxy on loopback that makes the service behind it fail: Toxiproxy's toxics, and two refusals.

What fails is what comes back. The service itself is left as it is, and a sick connection stays sick until
whoever opened it lets it go.
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal
from urllib.parse import urlsplit

_READ_BYTES: Final = 65_536
_RESET_AT_CLOSE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER, on, for no time: closing sends RST in place of FIN."""


class Toxic(StrEnum):
    """429 and 5xx are said in the protocol of the service: HTTP's statuses, or Redis' -BUSY and -LOADING."""

    LATENCY = "latency"
    """Whatever comes, comes late."""
    STALL = "stall"
    """Nothing comes any more, and the connection stays."""
    RESET = "reset"
    """The connection is broken off."""
    SLICE = "slice"
    """A few bytes at a time."""
    GARBAGE = "garbage"
    """As many bytes, but random ones."""
    TOO_MANY = "429"
    FAILING = "5xx"
    SLOW_CLOSE = "slow_close"
    """Everything comes; only the end of the connection is late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dose:
    """How bad it is. after_bytes: so much of each connection's answers comes unharmed.

    slice_bytes, slice_pause_s: how much comes at a time, and how long after the last.
    """

    after_bytes: int = 0
    latency_s: float = 0.05
    slice_bytes: int = 64
    slice_pause_s: float = 0.0005
    close_s: float = 0.2
    retry_after_s: int = 1


@dataclass(kw_only=True)
class ToxicProxy:
    """toxic: for what comes next, on connections that are open already too; None lets everything pass.

    port: where it listens. struck: how often the toxic did something.
    """

    upstream_port: int
    protocol: Literal["http", "redis"] = "http"
    toxic: Toxic | None = None
    dose: Dose = field(default_factory=Dose)
    port: int = 0
    struck: int = 0
    _noise: random.Random = field(default_factory=lambda: random.Random(0))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        except ConnectionError:
            writer.transport.abort()
            return
        try:
            await _until_first(self._requests(reader, up_writer, writer), self._answers(up_reader, writer))
        finally:
            up_writer.close()
            writer.close()

    async def _requests(
        self, client: asyncio.StreamReader, upstream: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        while data := await client.read(_READ_BYTES):
            if self.toxic not in {Toxic.TOO_MANY, Toxic.FAILING}:
                upstream.write(data)
                await upstream.drain()
            elif self.protocol == "redis":
                self._refuse(back, self._redis_refusal() * _commands(data))
            else:
                await _rest_of_request(data, client)
                self._refuse(back, self._http_refusal())
                return

    async def _answers(self, upstream: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        passed = 0
        while data := await upstream.read(_READ_BYTES):
            unharmed = max(0, self.dose.after_bytes - passed)
            passed += len(data)
            client.write(data[:unharmed])
            if rest := data[unharmed:]:
                await self._harm(rest, client)
            await client.drain()
        if self.toxic is Toxic.SLOW_CLOSE:
            self.struck += 1
            await asyncio.sleep(self.dose.close_s)

    async def _harm(self, data: bytes, client: asyncio.StreamWriter) -> None:
        dose = self.dose
        self.struck += self.toxic not in {None, Toxic.SLOW_CLOSE}
        match self.toxic:
            case Toxic.LATENCY:
                await asyncio.sleep(dose.latency_s)
                client.write(data)
            case Toxic.STALL:
                await asyncio.Event().wait()
            case Toxic.RESET:
                _reset(client)
                raise ConnectionResetError
            case Toxic.SLICE:
                for start in range(0, len(data), dose.slice_bytes):
                    client.write(data[start : start + dose.slice_bytes])
                    await client.drain()
                    await asyncio.sleep(dose.slice_pause_s)
            case Toxic.GARBAGE:
                client.write(self._noise.randbytes(len(data)))
            case _:
                client.write(data)

    def _refuse(self, client: asyncio.StreamWriter, refusal: bytes) -> None:
        self.struck += 1
        client.write(refusal)

    def _redis_refusal(self) -> bytes:
        if self.toxic is Toxic.TOO_MANY:
            return b"-BUSY Redis is busy running a script.\r\n"
        return b"-LOADING Redis is loading the dataset in memory\r\n"

    def _http_refusal(self) -> bytes:
        status = "429 Too Many Requests" if self.toxic is Toxic.TOO_MANY else "503 Service Unavailable"
        wait = f"Retry-After: {self.dose.retry_after_s}\r\n" if self.toxic is Toxic.TOO_MANY else ""
        return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n{wait}Connection: close\r\n\r\n".encode()


@asynccontextmanager
async def toxic_proxy(
    upstream: str | int,
    toxic: Toxic | None = None,
    *,
    protocol: Literal["http", "redis"] = "http",
    dose: Dose | None = None,
) -> AsyncIterator[ToxicProxy]:
    """Before a port of this machine, or the one in a URL. Leaving breaks off every connection."""
    port = upstream if isinstance(upstream, int) else urlsplit(upstream).port or 0
    proxy = ToxicProxy(upstream_port=port, protocol=protocol, toxic=toxic, dose=dose or Dose())
    connections: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(proxy.serve(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _until_first(*works: Awaitable[None]) -> None:
    """Both directions of a connection; it is over with either."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_until_gone(work)) for work in works]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()


async def _until_gone(work: Awaitable[None]) -> None:
    # Either side may go at any moment: that is what this is for.
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        await work


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
    writer.transport.abort()


async def _rest_of_request(start: bytes, client: asyncio.StreamReader) -> None:
    """Reads it to its end: closing before would be a reset in place of an answer."""
    head, found, body = start.partition(b"\r\n\r\n")
    if not found:
        head = start + await client.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?im)^content-length: *(\d+)", head)
    if length and (left := int(length[1]) - len(body)) > 0:
        await client.readexactly(left)


def _commands(data: bytes) -> int:
    """How many Redis commands begin in it: each is an array, and so is nothing inside one."""
    return max(1, len(re.findall(rb"(?m)^\*\d+\r\n", data)))

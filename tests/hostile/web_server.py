"""A web server that misbehaves on purpose, on loopback: one behaviour for each path.

Behaviours write raw HTTP, for the point of most is what no server library would send.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\n"
HTML = b"Content-Type: text/html\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
MEBIBYTE = 1024 * 1024

Behaviour = Callable[["Exchange"], Awaitable[None]]


@dataclass
class Exchange:
    """One request being answered. sent_bytes: handed to the kernel, which holds some megabytes."""

    target: str
    headers: Mapping[str, str]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    sent_bytes: int = 0

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        self.sent_bytes += len(data)


@dataclass
class HostileServer:
    """exchanges: every request that arrived, in order."""

    port: int
    behaviours: dict[str, Behaviour]
    exchanges: list[Exchange] = field(default_factory=list)
    connections: int = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def targets(self) -> list[str]:
        return [exchange.target for exchange in self.exchanges]


@asynccontextmanager
async def hostile_server(
    behaviours: Mapping[str, Behaviour], *, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[HostileServer]:
    """An unknown path is a 404. Leaving ends every exchange that still runs."""
    running: set[asyncio.Task[None]] = set()
    server = HostileServer(port=0, behaviours=dict(behaviours))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        try:
            # A client that leaves in the middle is what these tests are about.
            with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                while await _answer_next(server, reader, writer):
                    pass
        finally:
            writer.close()

    def start(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        running.add(task)
        task.add_done_callback(running.discard)

    listener = await asyncio.start_server(start, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _answer_next(
    server: HostileServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    """Whether the connection may be used again: after a behaviour of HTTP's ordinary kind."""
    request_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines if ": " in line)
    target = request_line.split(" ")[1]
    exchange = Exchange(target=target, headers=headers, reader=reader, writer=writer)
    server.exchanges.append(exchange)
    behaviour = server.behaviours.get(exchange.target.partition("?")[0], respond(status="404 Not Found"))
    await behaviour(exchange)
    return getattr(behaviour, "keeps_alive", False)


def respond(
    body: bytes = b"",
    *,
    status: str = "200 OK",
    content_type: str = "text/html; charset=utf-8",
    headers: Iterable[str] = (),
) -> Behaviour:
    """An honest response, after which the connection is kept."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    if content_type:
        lines.append(f"Content-Type: {content_type}")

    async def behave(exchange: Exchange) -> None:
        await exchange.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    behave.keeps_alive = True  # type: ignore[attr-defined]  # a mark for _answer_next
    return behave


def redirect(location: str, *, status: str = "302 Found", headers: Iterable[str] = ()) -> Behaviour:
    return respond(status=status, headers=[f"Location: {location}", *headers])


def once(data: bytes) -> Behaviour:
    """These bytes, then the connection is closed."""

    async def behave(exchange: Exchange) -> None:
        await exchange.send(data)

    return behave


def endless(start: bytes, piece: bytes, *, pause_s: float = 0.0) -> Behaviour:
    """`start`, then `piece` again and again."""

    async def behave(exchange: Exchange) -> None:
        await exchange.send(start)
        while True:
            await exchange.send(piece)
            await asyncio.sleep(pause_s)

    return behave


def stalls_after(start: bytes) -> Behaviour:
    async def behave(exchange: Exchange) -> None:
        await exchange.send(start)
        await asyncio.Event().wait()

    return behave


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """The first for the first request, and so on; the last for all that follow."""
    turns = itertools.chain(behaviours, itertools.repeat(behaviours[-1]))

    async def behave(exchange: Exchange) -> None:
        await next(turns)(exchange)

    return behave


def compressed_bomb(mebibytes: int, *, filler: bytes, window_bits: int) -> bytes:
    """So many MiB of one byte, compressed to a thousandth. window_bits: as zlib has it, 31 for gzip."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, window_bits)
    # After a full flush no block refers to another: the second MiB's bytes can stand for all others.
    plain = filler * MEBIBYTE
    first = compressor.compress(plain) + compressor.flush(zlib.Z_FULL_FLUSH)
    other = compressor.compress(plain) + compressor.flush(zlib.Z_FULL_FLUSH)
    return first + other * (mebibytes - 1)

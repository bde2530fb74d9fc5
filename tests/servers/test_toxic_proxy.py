"""What a client sees of a service behind each toxic."""

import asyncio
import time

import aiohttp
import pytest
from aiohttp import web

from tests.servers.loopback import serving
from tests.servers.toxic_proxy import Dose, Toxic, ToxicProxy, toxic_proxy

BODY = b"all is well " * 100
REDIS_PING = b"*1\r\n$4\r\nPING\r\n"


async def _well(request: web.Request) -> web.Response:
    return web.Response(body=BODY + await request.read())


def _application() -> web.Application:
    app = web.Application()
    app.router.add_post("/", _well)
    return app


async def _asked(proxy: ToxicProxy, body: bytes = b"", total_s: float = 2.0) -> tuple[int, bytes]:
    timeout = aiohttp.ClientTimeout(total=total_s)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(f"http://127.0.0.1:{proxy.port}/", data=body) as response,
    ):
        return response.status, await response.read()


async def _behind(
    toxic: Toxic | None, dose: Dose | None = None, *, total_s: float = 2.0
) -> tuple[int, bytes]:
    async with serving(_application()) as url, toxic_proxy(url, toxic, dose=dose) as proxy:
        answer = await _asked(proxy, total_s=total_s)
        assert toxic is None or proxy.struck
        return answer


@pytest.mark.parametrize("toxic", [None, Toxic.LATENCY, Toxic.SLICE])
async def test_what_is_only_slow_arrives_whole(toxic: Toxic | None) -> None:
    assert await _behind(toxic) == (200, BODY)


async def test_latency_is_waited_for() -> None:
    started_s = time.monotonic()

    await _behind(Toxic.LATENCY, Dose(latency_s=0.05))

    assert time.monotonic() - started_s >= 0.05


async def test_a_stall_lasts_until_the_client_has_had_enough() -> None:
    with pytest.raises(TimeoutError):
        await _behind(Toxic.STALL, total_s=0.05)


async def test_a_reset_is_a_reset() -> None:
    with pytest.raises(aiohttp.ClientOSError, match="reset by peer"):
        await _behind(Toxic.RESET)


async def test_garbage_is_not_http() -> None:
    with pytest.raises(aiohttp.ClientError):
        await _behind(Toxic.GARBAGE)


@pytest.mark.parametrize("size", [0, 10, 200_000])
@pytest.mark.parametrize(("toxic", "status"), [(Toxic.TOO_MANY, 429), (Toxic.FAILING, 503)])
async def test_a_refusal_takes_the_request_and_never_reaches_the_service(
    toxic: Toxic, status: int, size: int
) -> None:
    asked: list[str] = []

    async def count(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response()

    app = web.Application()
    app.router.add_post("/", count)
    async with serving(app) as url, toxic_proxy(url, toxic) as proxy:
        assert await _asked(proxy, b"x" * size) == (status, b"")
        assert await _asked(proxy, b"x" * size) == (status, b"")

    assert asked == []


async def test_so_many_bytes_come_unharmed_before_it_begins() -> None:
    dose = Dose(after_bytes=400)
    async with serving(_application()) as url, toxic_proxy(url, Toxic.RESET, dose=dose) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        unharmed = await reader.readexactly(400)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()

    assert unharmed.startswith(b"HTTP/1.1 200 OK")


async def test_the_end_of_a_connection_is_late() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, toxic_proxy(port, Toxic.SLOW_CLOSE, dose=Dose(close_s=0.05)) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await reader.readexactly(3) == b"bye"
        said_s = time.monotonic()
        assert await reader.read() == b""
        writer.close()

    assert time.monotonic() - said_s >= 0.04
    assert proxy.struck == 1


@pytest.mark.parametrize(
    ("toxic", "said"), [(None, b"+PONG"), (Toxic.TOO_MANY, b"-BUSY"), (Toxic.FAILING, b"-LOADING")]
)
async def test_redis_is_refused_in_its_own_words_one_for_each_command(
    toxic: Toxic | None, said: bytes
) -> None:
    async def pong(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(b"+PONG\r\n" * data.count(b"PING"))
        writer.close()

    server = await asyncio.start_server(pong, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, toxic_proxy(port, toxic, protocol="redis") as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(REDIS_PING * 2)
        lines = [await reader.readline(), await reader.readline()]
        writer.close()

    assert [line.split()[0] for line in lines] == [said, said]


async def test_it_sickens_and_heals_on_open_connections() -> None:
    async with serving(_application()) as url, toxic_proxy(url) as proxy:
        connector = aiohttp.TCPConnector(limit=1)
        async with aiohttp.ClientSession(connector=connector) as session:
            statuses = []
            for proxy.toxic in (None, Toxic.FAILING, None):
                async with session.post(f"http://127.0.0.1:{proxy.port}/") as response:
                    statuses.append(response.status)

    assert statuses == [200, 503, 200]


async def test_a_service_that_is_gone_is_gone_behind_it_too() -> None:
    async with toxic_proxy(1) as proxy:
        with pytest.raises(aiohttp.ClientConnectionError):
            await _asked(proxy)

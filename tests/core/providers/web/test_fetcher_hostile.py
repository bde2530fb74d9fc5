"""The fetcher against servers that want to hold it, fill its memory or feed it lies."""

from __future__ import annotations

import asyncio
import gzip
import resource
import time
from dataclasses import replace

import pytest

from core.errors import PageFailed, PageFailure
from core.providers.web.fetcher import FetchLimits
from tests.hostile.fetching import QUICK, loopback_fetcher
from tests.hostile.stalls import longest_stall_cpu_s
from tests.hostile.web_server import (
    CHUNKED,
    HTML,
    MEBIBYTE,
    OK,
    Behaviour,
    Exchange,
    compressed_bomb,
    endless,
    hostile_server,
    once,
    respond,
    stalls_after,
)

KERNEL_BYTES = 8 * MEBIBYTE  # what the two ends of a loopback connection may hold unread


async def failure(behaviour: Behaviour, *, limits: FetchLimits = QUICK) -> tuple[PageFailure, Exchange]:
    async with (
        hostile_server({"/page": behaviour}) as server,
        loopback_fetcher(server, limits=limits) as fetcher,
    ):
        with pytest.raises(PageFailed) as raised:
            await fetcher.fetch(server.url("/page"))
    return raised.value.reason, server.exchanges[0]


def peak_rss_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize(("encoding", "window_bits"), [("gzip", 31), ("deflate", 15), ("deflate", -15)])
async def test_a_gigabyte_in_a_megabyte_is_refused_while_it_unfolds(encoding: str, window_bits: int) -> None:
    bomb = compressed_bomb(1_024, filler=b" ", window_bits=window_bits)
    behaviour = respond(bomb, headers=[f"Content-Encoding: {encoding}"])
    before_bytes = peak_rss_bytes()
    async with (
        hostile_server({"/page": behaviour}) as server,
        loopback_fetcher(server, limits=replace(QUICK, total_s=5.0, max_html_bytes=5_000_000)) as fetcher,
    ):
        with pytest.raises(PageFailed) as raised:
            await fetcher.fetch(server.url("/page"))
    assert raised.value.reason is PageFailure.TOO_LARGE
    assert peak_rss_bytes() - before_bytes < 24 * MEBIBYTE


@pytest.mark.parametrize("encoding", ["br", "zstd"])
async def test_encodings_with_wilder_bombs_are_refused_unread(encoding: str) -> None:
    start = OK + HTML + f"Content-Encoding: {encoding}\r\n".encode() + b"\r\n"
    reason, exchange = await failure(endless(start, bytes(MEBIBYTE)))
    assert reason is PageFailure.ENCODING
    assert exchange.sent_bytes < KERNEL_BYTES


async def test_two_hundred_thousand_empty_gzip_members_are_refused_at_once() -> None:
    body = gzip.compress(b"", mtime=0) * 200_000
    began_s = time.process_time()
    async with (
        hostile_server({"/page": respond(body, headers=["Content-Encoding: gzip"])}) as server,
        loopback_fetcher(server, limits=replace(QUICK, max_html_bytes=10_000_000)) as fetcher,
    ):
        with pytest.raises(PageFailed) as raised:
            await fetcher.fetch(server.url("/page"))
    assert raised.value.reason is PageFailure.ENCODING
    assert time.process_time() - began_s < 0.3


async def test_compressed_nothing_without_end_is_bounded_by_what_was_sent() -> None:
    empty_blocks = b"\x00\x00\x00\xff\xff" * 10_000  # stored deflate blocks of length 0
    start = OK + HTML + b"Content-Encoding: deflate\r\n\r\n\x78\x9c"
    reason, exchange = await failure(endless(start, empty_blocks))
    assert reason is PageFailure.TOO_LARGE
    assert exchange.sent_bytes < KERNEL_BYTES


@pytest.mark.parametrize(
    "body", [gzip.compress(b"<p>Plovers", mtime=0)[:-9], b"\x1f\x8b\x08\x00nonsense!", b"no gzip"]
)
async def test_a_body_that_cannot_be_decoded_is_refused(body: bytes) -> None:
    reason, _ = await failure(respond(body, headers=["Content-Encoding: gzip"]))
    assert reason is PageFailure.ENCODING


async def test_an_endless_body_is_left_at_the_cap() -> None:
    chunk = b"%x\r\n" % 65_536 + b" " * 65_536 + b"\r\n"
    before_bytes = peak_rss_bytes()
    reason, exchange = await failure(endless(OK + HTML + CHUNKED + b"\r\n", chunk))
    assert reason is PageFailure.TOO_LARGE
    assert exchange.sent_bytes < QUICK.max_html_bytes + KERNEL_BYTES
    assert peak_rss_bytes() - before_bytes < 24 * MEBIBYTE


async def test_a_pdf_has_a_cap_of_its_own() -> None:
    start = b"%PDF-1.7\n"
    headers = OK + b"Content-Type: application/pdf\r\n\r\n"
    fits = start.ljust(QUICK.max_pdf_bytes)
    reason, _ = await failure(once(headers + fits + b"!"))
    assert reason is PageFailure.TOO_LARGE
    async with hostile_server({"/page": once(headers + fits)}) as server, loopback_fetcher(server) as fetcher:
        assert (await fetcher.fetch(server.url("/page"))).body == fits


async def test_a_body_too_large_by_its_own_account_is_not_read() -> None:
    head = OK + HTML + b"Content-Length: %d\r\n\r\n" % (QUICK.max_html_bytes + 1)
    reason, _ = await failure(stalls_after(head))
    assert reason is PageFailure.TOO_LARGE


async def test_a_body_of_exactly_the_cap_is_read() -> None:
    body = b"x" * QUICK.max_html_bytes
    async with hostile_server({"/page": respond(body)}) as server, loopback_fetcher(server) as fetcher:
        assert (await fetcher.fetch(server.url("/page"))).body == body


async def test_a_type_that_is_not_read_is_refused_before_its_body() -> None:
    reason, exchange = await failure(endless(OK + b"Content-Type: video/mp4\r\n\r\n", bytes(MEBIBYTE)))
    assert reason is PageFailure.MEDIA_TYPE
    assert exchange.sent_bytes < KERNEL_BYTES


async def test_a_lying_type_is_seen_in_the_first_kilobyte() -> None:
    reason, exchange = await failure(endless(OK + HTML + b"\r\n", b"%PDF-1.7\n".ljust(1_024)))
    assert reason is PageFailure.MEDIA_TYPE
    assert exchange.sent_bytes < KERNEL_BYTES


async def test_a_header_flood_is_cut_off() -> None:
    reason, _ = await failure(endless(OK, b"".join(b"X-%d: y\r\n" % n for n in range(1_000))))
    assert reason is PageFailure.UNREACHABLE


async def test_an_endless_header_line_is_cut_off() -> None:
    reason, exchange = await failure(endless(OK + b"X: ", b"y" * 65_536))
    assert reason is PageFailure.UNREACHABLE
    assert exchange.sent_bytes < KERNEL_BYTES


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (OK + HTML + b"Content-Length: 10000\r\n\r\n", b"x"),
        (OK + b"X-Slow: ", b"y"),
    ],
    ids=["body", "header"],
)
async def test_a_drip_is_ended_by_the_total_limit(start: bytes, piece: bytes) -> None:
    began_s = time.monotonic()
    reason, _ = await failure(endless(start, piece, pause_s=0.02))
    assert reason is PageFailure.TIMEOUT
    assert time.monotonic() - began_s < QUICK.total_s + 2  # of the minutes it would have taken


@pytest.mark.parametrize(
    "start",
    [b"", OK, OK + HTML + b"Content-Length: 1000\r\n\r\nTen bytes."],
    ids=["silence", "half a head", "a Content-Length that is too long"],
)
async def test_silence_is_ended_by_the_read_limit(start: bytes) -> None:
    began_s = time.monotonic()
    reason, _ = await failure(stalls_after(start), limits=replace(QUICK, total_s=30))
    assert reason is PageFailure.TIMEOUT
    assert time.monotonic() - began_s < QUICK.read_s + 2


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        OK + HTML + b"Content-Length: 1000\r\n\r\nTen bytes.",
        OK + HTML + b"Content-Length: -1\r\n\r\n",
        OK + HTML + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        OK + HTML + CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n",
        OK + HTML + CHUNKED + b"\r\nnothex\r\nx\r\n",
        OK + HTML + CHUNKED + b"\r\n5\r\nhell",
        OK + b"No colon\r\n\r\n",
        b"HTTP/1.1 99999 Odd\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
    ],
)
async def test_broken_http_is_a_page_that_cannot_be_reached(answer: bytes) -> None:
    reason, _ = await failure(once(answer))
    assert reason is PageFailure.UNREACHABLE


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (OK + HTML + CHUNKED + b"\r\n", b"1;" + b"a" * 1_000 + b"\r\nx\r\n"),
        (OK + HTML + CHUNKED + b"\r\n1;", b"a" * 65_536),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 40_000),  # as many at once as a read from a socket takes
    ],
    ids=["chunk extensions", "one extension", "interim responses", "interim responses by the megabyte"],
)
async def test_work_without_progress_ends_in_time_takes_no_memory_and_leaves_the_loop_to_others(
    start: bytes, piece: bytes
) -> None:
    began_s, began_cpu_s, before_bytes = time.monotonic(), time.process_time(), peak_rss_bytes()
    done = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        stall = tasks.create_task(longest_stall_cpu_s(done))
        reason, _ = await failure(endless(start, piece))
        done.set()
    assert reason in (PageFailure.TIMEOUT, PageFailure.UNREACHABLE)
    assert time.monotonic() - began_s < QUICK.total_s + 2  # a busy machine is late
    assert time.process_time() - began_cpu_s < QUICK.total_s + 0.3
    assert peak_rss_bytes() - before_bytes < 24 * MEBIBYTE
    assert stall.result() < 0.4  # 0.04 measured: what one read of MAX_READ_BYTES takes to parse


async def test_a_trailer_flood_is_cut_off() -> None:
    start = OK + HTML + CHUNKED + b"\r\n1\r\nx\r\n0\r\n"
    reason, _ = await failure(endless(start, b"".join(b"X-%d: y\r\n" % n for n in range(1_000))))
    assert reason is PageFailure.UNREACHABLE


async def test_robots_txt_without_end_costs_its_own_limit_only() -> None:
    behaviours = {
        "/robots.txt": endless(OK + b"\r\n", b"#", pause_s=0.02),
        "/page": respond(b"<p>Plovers"),
    }
    async with hostile_server(behaviours) as server, loopback_fetcher(server, respect_robots=True) as fetcher:
        assert (await fetcher.fetch(server.url("/page"))).body == b"<p>Plovers"


async def test_a_cancelled_fetch_leaves_the_server_at_once() -> None:
    async with hostile_server({"/page": stalls_after(OK)}) as server, loopback_fetcher(server) as fetcher:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await fetcher.fetch(server.url("/page"))
        async with asyncio.timeout(1):
            assert await server.exchanges[0].reader.read() == b""


async def test_one_server_gets_two_connections_at_most() -> None:
    started = asyncio.Semaphore(0)
    finish = asyncio.Event()

    async def wait_for_the_others(exchange: Exchange) -> None:
        started.release()
        await finish.wait()
        await respond(b"<p>Plovers")(exchange)

    async with (
        hostile_server({"/page": wait_for_the_others}) as server,
        loopback_fetcher(server) as fetcher,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(5):
            group.create_task(fetcher.fetch(server.url("/page")))
        await started.acquire()
        await started.acquire()
        await asyncio.sleep(0.05)
        assert server.connections == 2
        finish.set()


async def test_all_servers_together_get_no_more_connections_than_the_limit() -> None:
    started = asyncio.Semaphore(0)
    finish = asyncio.Event()

    async def wait_for_the_others(exchange: Exchange) -> None:
        started.release()
        await finish.wait()
        await respond(b"<p>Plovers", headers=["Connection: close"])(exchange)

    async with (
        hostile_server({"/page": wait_for_the_others}) as one,
        hostile_server({"/page": wait_for_the_others}) as other,
        loopback_fetcher(one, other, limits=replace(QUICK, max_in_flight=1)) as fetcher,
        asyncio.TaskGroup() as group,
    ):
        for server in (one, other):
            group.create_task(fetcher.fetch(server.url("/page")))
        await started.acquire()
        await asyncio.sleep(0.05)
        assert one.connections + other.connections == 1
        finish.set()

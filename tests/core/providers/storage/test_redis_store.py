"""What a Redis that is gone, hangs, or is none costs those who ask: 0.2 s once, then nothing."""

import asyncio
import re
import socket
import ssl
import sysconfig
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from core.errors import StoreFailed
from core.ports import Store
from core.providers.storage.memory_store import MemoryStore
from core.providers.storage.redis_link import LEFT_ALONE, PREFIX, RedisLink
from core.providers.storage.redis_store import RedisStore
from core.providers.system_clock import SystemClock
from core.resilience.fallback_store import FallbackStore
from tests.fakes import FakeClock
from tests.servers.redis_server import running_redis

SOON = replace(LEFT_ALONE, open_s=0.1)
"""Looks again after a fiftieth of the time."""


@asynccontextmanager
async def linked(url: str, *, watched: bool = True, timeout_s: float = 0.2) -> AsyncIterator[RedisLink]:
    link = RedisLink(url, clock=SystemClock(), timeout_s=timeout_s, connect_s=0.25, limits=SOON)
    try:
        if watched:
            async with link.watched():
                yield link
        else:
            yield link
    finally:
        await link.aclose()


async def took_s(store: Store, *, calls: int = 1) -> float:
    """For so many calls in a row, however they end."""
    began_s = time.monotonic()
    for _ in range(calls):
        with suppress(StoreFailed):
            await store.get(["a:1"])
    return time.monotonic() - began_s


async def fails(store: Store) -> bool:
    try:
        await store.put({"a:1": b"1"}, ttl_s=60)
    except StoreFailed:
        return True
    return False


async def until(condition: Callable[[], object]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came")


async def recovery_s(store: Store) -> float:
    """Until a write succeeds."""
    began_s = time.monotonic()
    for _ in range(500):
        if not await fails(store):
            return time.monotonic() - began_s
        await asyncio.sleep(0.01)
    raise AssertionError("it never came back")


@asynccontextmanager
async def talking(reply: bytes | None) -> AsyncIterator[str]:
    """The URL of a server that says this to whatever comes, or takes connections and says nothing."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(65_536):
                if reply is not None:
                    writer.write(reply)
                    await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"redis://:hunter2-secret@127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    finally:
        server.close()


@pytest.fixture
def unused_url() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"redis://127.0.0.1:{taken.getsockname()[1]}/0"


async def test_a_black_hole_costs_a_fifth_of_a_second_once_and_then_nothing() -> None:
    async with talking(None) as url, linked(url, watched=False) as link:
        store = RedisStore(link)
        assert 0.19 < await took_s(store) < 0.4
        assert await took_s(store, calls=100) < 0.1


async def test_looking_whether_a_black_hole_is_back_costs_no_caller_anything() -> None:
    async with talking(None) as url, linked(url) as link:
        store = RedisStore(link)
        await took_s(store)
        with capture_logs() as logs:
            for _ in range(80):
                assert await took_s(store) < 0.1
                await asyncio.sleep(0.01)
    assert [entry["event"] for entry in logs].count("circuit.half_opened") >= 2


async def test_a_redis_that_stays_away_is_told_once_and_each_look_is_one_that_counts() -> None:
    with capture_logs() as logs:
        async with talking(None) as url, linked(url) as link:
            with suppress(StoreFailed):
                await RedisStore(link).get(["a:1"])
            await until(lambda: len(logs) > 6)
    events = [entry["event"] for entry in logs]
    assert events[:2] == ["circuit.opened", "redis.unreachable"]
    assert set(events[2:]) == {"circuit.half_opened", "circuit.opened"}
    levels = {entry["event"]: entry["log_level"] for entry in logs}
    assert (levels["circuit.half_opened"], levels["circuit.opened"]) == ("info", "warning")


async def test_many_who_ask_a_black_hole_at_once_all_wait_no_longer_than_one() -> None:
    async with talking(None) as url, linked(url, watched=False) as link:
        began_s = time.monotonic()
        await asyncio.gather(*(took_s(RedisStore(link)) for _ in range(100)))
        assert time.monotonic() - began_s < 1  # one after another on so few connections, it would be 1.4


async def test_a_refused_connection_costs_next_to_nothing(unused_url: str) -> None:
    async with linked(unused_url, watched=False) as link:
        assert await took_s(RedisStore(link), calls=50) < 0.1


async def test_a_killed_redis_costs_no_time_and_is_used_again_once_it_is_back(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        async with linked(server.url) as link:
            store = RedisStore(link)
            await recovery_s(store)
            server.kill()
            assert await fails(store)
            assert await took_s(store, calls=50) < 0.1
            await asyncio.to_thread(server.start)
            assert await recovery_s(store) < 1  # a fiftieth of what it is in earnest


async def test_a_redis_that_hangs_and_goes_on_is_used_again(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        async with linked(server.url) as link:
            store = RedisStore(link)
            await recovery_s(store)
            server.hang()
            assert 0.19 < await took_s(store) < 0.4
            assert await took_s(store, calls=50) < 0.1
            server.go_on()
            assert await recovery_s(store) < 5


async def test_a_replica_that_takes_no_writes_counts_as_gone_until_it_is_promoted(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        async with linked(server.url) as link:
            store = RedisStore(link)
            await recovery_s(store)
            server.say("REPLICAOF 127.0.0.1 1")
            assert await fails(store)
            with pytest.raises(StoreFailed, match="left alone"):
                await store.get(["a:1"])
            server.say("REPLICAOF NO ONE")
            assert await recovery_s(store) < 1


async def test_a_flushed_redis_is_an_empty_one(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        async with linked(server.url) as link:
            store = RedisStore(link)
            assert await store.claim("a:1", b"", ttl_s=60)
            server.say("FLUSHALL")
            assert list(await store.get(["a:1"])) == [None]
            assert await store.claim("a:1", b"", ttl_s=60)
            assert await store.add("n", 1, ttl_s=60) == 1


async def test_a_wrong_password_is_named_and_not_told(tmp_path: Path) -> None:
    with running_redis(tmp_path, password="right-password") as server:
        async with linked(server.url.replace("right", "wrong"), watched=False) as link:
            with pytest.raises(StoreFailed, match="AuthenticationError") as failure:
                await RedisStore(link).get(["a:1"])
        assert "password" not in str(failure.value)
        async with linked(server.url, watched=False) as link:
            assert not await fails(RedisStore(link))


@given(
    reply=st.binary(max_size=60) | st.from_regex(re.compile(rb"[+\-:$*_#,%~>][^\n]{0,9}\r\n[^\n]{0,9}\r\n"))
)
@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
def test_whatever_a_server_says_that_is_no_redis_it_is_a_failure_or_an_answer_in_time(reply: bytes) -> None:
    async def ask() -> None:
        async with talking(reply) as url, linked(url, watched=False, timeout_s=0.05) as link:
            store = RedisStore(link)
            try:
                await store.add("n", 1, ttl_s=60)
            except StoreFailed as failure:
                assert "hunter2" not in str(failure)  # noqa: PT017 # any outcome but another exception is right

    asyncio.run(ask())


async def test_a_call_broken_off_leaves_no_answer_to_the_next_one(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        async with linked(server.url, timeout_s=5, watched=False) as link:
            store = RedisStore(link)
            await store.put({f"a:{number}": str(number).encode() for number in range(50)}, ttl_s=60)
            for number in range(50):
                cut = asyncio.create_task(store.get(["a:0"]))
                for _ in range(number % 7):
                    await asyncio.sleep(0)
                cut.cancel()
                assert list(await store.get([f"a:{number}"])) == [str(number).encode()]


async def test_every_key_has_an_end_and_the_projects_name(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        async with linked(server.url) as link:
            store = RedisStore(link)
            await until(lambda: b"probe" in server.say("KEYS *"))
            await store.put({"a:1": b"1", "a:2": b"2"}, ttl_s=60)
            await store.claim("a:3", b"3", ttl_s=0.9)
            await store.add("a:4", 4, ttl_s=60)
            await store.add("a:4", 4, ttl_s=60)
        keys = [key for key in server.say("KEYS *").decode().split() if key.startswith(PREFIX)]
        assert len(keys) == 5
        assert server.say("DBSIZE").strip() == b":5"
        assert all(int(server.say(f"PTTL {key}").strip()[1:]) > 0 for key in keys)


async def test_scanning_finds_a_namespace_among_many_thousand_keys(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        async with linked(server.url, timeout_s=5, watched=False) as link:
            store = RedisStore(link)
            await store.put({f"many:{number}": b"" for number in range(5_000)}, ttl_s=60)
            await store.put({"few:1": b"", "few:2": b""}, ttl_s=60)
            assert sorted(await store.keys("few:")) == ["few:1", "few:2"]


async def test_a_bot_with_redis_gone_goes_on_with_its_own_memory_and_says_so_once(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        async with linked(server.url) as link:
            store = FallbackStore(RedisStore(link), MemoryStore(FakeClock()))
            assert await store.claim("a:1", b"", ttl_s=60)
            with capture_logs() as logs:
                server.kill()
                assert await store.claim("a:2", b"", ttl_s=60)
                assert not await store.claim("a:2", b"", ttl_s=60)
                await asyncio.to_thread(server.start)
                await until(lambda: server.say("KEYS *probe*").count(b"probe"))
                await asyncio.sleep(0.02)
                assert await store.claim("a:3", b"", ttl_s=60)
                assert not await store.claim("a:3", b"", ttl_s=60)
    changes = [entry["event"] for entry in logs if entry["event"].startswith("store.")]
    assert changes == ["store.fell_back", "store.recovered"]


def self_signed() -> Path:
    """A certificate with its key, for localhost, that Python brings for its own tests."""
    tests = Path(sysconfig.get_path("stdlib")) / "test"
    for path in (tests / "certdata/keycert.pem", tests / "keycert.pem"):
        if path.exists():
            return path
    pytest.skip("NOT TESTED with TLS: this Python was installed without its tests, which hold a certificate")


@asynccontextmanager
async def behind_tls(port: int) -> AsyncIterator[str]:
    """The rediss:// URL of a server with a certificate of its own making, as Heroku's have."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed())

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pass_on(reader, back), pass_on(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield f"rediss://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    finally:
        server.close()


async def test_a_self_signed_certificate_is_refused_unless_it_is_allowed(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        async with behind_tls(server.port) as url:
            strict = RedisLink(url, clock=SystemClock(), timeout_s=5)
            lenient = RedisLink(url, clock=SystemClock(), timeout_s=5, verify_tls=False)
            with pytest.raises(StoreFailed, match="ConnectionError"):
                await RedisStore(strict).get(["a:1"])
            assert await RedisStore(lenient).claim("a:1", b"", ttl_s=60)
            await strict.aclose()
            await lenient.aclose()


async def test_a_link_that_was_closed_opens_no_connection_and_waits_for_the_one_under_way(
    tmp_path: Path,
) -> None:
    with running_redis(tmp_path) as server:
        link = RedisLink(server.url, clock=SystemClock(), timeout_s=5)
        store = RedisStore(link)
        async with asyncio.TaskGroup() as tasks:
            last = tasks.create_task(store.claim("a:1", b"", ttl_s=60))
            await asyncio.sleep(0)
            await link.aclose()
            assert last.done()
        assert last.result()
        with pytest.raises(StoreFailed, match="was left"):
            await store.get(["a:1"])
        assert b"connected_clients:1" in server.say("INFO clients")


async def test_a_link_that_is_left_while_it_connects_is_left_at_once(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        for turns in range(30):
            async with asyncio.timeout(5):
                async with RedisLink(server.url, clock=SystemClock()).watched():
                    for _ in range(turns):
                        await asyncio.sleep(0)


async def test_whoever_is_cancelled_while_it_connects_is_cancelled(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        for turns in range(30):
            link = RedisLink(server.url, clock=SystemClock(), timeout_s=5)
            calling = asyncio.create_task(RedisStore(link).get(["a:1"]))
            for _ in range(turns):
                await asyncio.sleep(0)
            was_under_way = calling.cancel()
            await asyncio.wait({calling})
            assert calling.cancelled() == was_under_way
            await link.aclose()
        assert b"connected_clients:1" in server.say("INFO clients")

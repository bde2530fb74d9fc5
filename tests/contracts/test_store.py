"""What every Store keeps: the fake, memory, Redis, files, and one of them behind another."""

import asyncio
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import StoreFailed
from core.ports import Clock, Store
from core.providers.storage.file_store import FileStore
from core.providers.storage.memory_store import MemoryStore
from core.providers.storage.redis_link import RedisLink
from core.providers.storage.redis_store import RedisStore
from core.providers.system_clock import SystemClock
from core.resilience.fallback_store import FallbackStore
from tests.fakes import FakeClock, FakeStore
from tests.servers.redis_server import running_redis

Opened = tuple[Callable[[], Store], Clock]
"""Makes one more store over the same values; and the clock by which they end."""

SHORT_S = 0.05
KINDS = ["fake", "memory", "file", "redis", "memory behind a lost store"]
SHARED = ["file", "redis"]


@asynccontextmanager
async def opened(kind: str, directory: Path) -> AsyncIterator[Opened]:
    fake_clock = FakeClock()
    async with AsyncExitStack() as stack:
        if kind == "redis":
            server = stack.enter_context(running_redis(directory))
            links: list[RedisLink] = []

            def link() -> Store:
                links.append(RedisLink(server.url, clock=SystemClock(), timeout_s=5))
                stack.push_async_callback(links[-1].aclose)
                return RedisStore(links[-1])

            yield link, SystemClock()
        elif kind == "file":
            yield lambda: FileStore(directory / "store", fake_clock), fake_clock
        elif kind == "memory":
            yield lambda: MemoryStore(fake_clock), fake_clock
        elif kind == "fake":
            yield lambda: FakeStore(fake_clock), fake_clock
        else:
            yield lambda: FallbackStore(FakeStore(fails=True), MemoryStore(fake_clock)), fake_clock


@pytest.fixture(params=KINDS)
async def setup(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opened]:
    async with opened(request.param, tmp_path) as setup:
        yield setup


@pytest.fixture
def store(setup: Opened) -> Store:
    return setup[0]()


@pytest.fixture
def clock(setup: Opened) -> Clock:
    return setup[1]


async def test_values_come_back_in_the_order_of_their_keys(store: Store) -> None:
    await store.put({"a:1": b"one", "a:2": b"\x00\n\xff"}, ttl_s=60)
    assert list(await store.get(["a:2", "a:3", "a:1"])) == [b"\x00\n\xff", None, b"one"]


async def test_nothing_asked_for_is_nothing_found(store: Store) -> None:
    await store.put({}, ttl_s=60)
    await store.remove([])
    assert list(await store.get([])) == []


async def test_a_value_is_replaced_with_a_new_end(store: Store, clock: Clock) -> None:
    await store.put({"a:1": b"old"}, ttl_s=SHORT_S)
    await store.put({"a:1": b"new"}, ttl_s=60)
    await clock.sleep(2 * SHORT_S)
    assert list(await store.get(["a:1"])) == [b"new"]


async def test_a_value_ends_when_its_time_is_over(store: Store, clock: Clock) -> None:
    await store.put({"a:1": b"one"}, ttl_s=SHORT_S)
    await clock.sleep(2 * SHORT_S)
    assert list(await store.get(["a:1"])) == [None]
    assert list(await store.keys("a:")) == []
    assert await store.claim("a:1", b"two", ttl_s=60)


async def test_a_claim_holds_until_its_time_is_over(store: Store, clock: Clock) -> None:
    assert await store.claim("a:1", b"mine", ttl_s=SHORT_S)
    assert not await store.claim("a:1", b"yours", ttl_s=60)
    assert list(await store.get(["a:1"])) == [b"mine"]
    await clock.sleep(2 * SHORT_S)
    assert await store.claim("a:1", b"yours", ttl_s=60)


async def test_a_counter_lasts_from_its_first_addition_on(store: Store, clock: Clock) -> None:
    assert await store.add("n", 2, ttl_s=SHORT_S) == 2
    assert await store.add("n", -5, ttl_s=60) == -3
    assert list(await store.get(["n"])) == [b"-3"]
    await clock.sleep(2 * SHORT_S)
    assert await store.add("n", 1, ttl_s=60) == 1


async def test_what_is_no_counter_can_t_be_added_to_and_stays(store: Store) -> None:
    await store.put({"n": b"words"}, ttl_s=60)
    with pytest.raises(StoreFailed):
        await store.add("n", 1, ttl_s=60)
    assert list(await store.get(["n"])) == [b"words"]


async def test_what_is_removed_is_gone(store: Store) -> None:
    await store.put({"a:1": b"", "a:2": b""}, ttl_s=60)
    await store.remove(["a:1", "a:3"])
    assert list(await store.get(["a:1", "a:2"])) == [None, b""]


async def test_keys_are_listed_by_their_beginning_taken_as_it_is_written(store: Store) -> None:
    await store.put(dict.fromkeys(["a:1", "a:2*", "a:2x", "ab:[1]", "b:a:1"], b""), ttl_s=60)
    assert set(await store.keys("a:")) == {"a:1", "a:2*", "a:2x"}
    assert set(await store.keys("a:2*")) == {"a:2*"}
    assert set(await store.keys("ab:[")) == {"ab:[1]"}
    assert set(await store.keys("a")) == {"a:1", "a:2*", "a:2x", "ab:[1]"}
    assert set(await store.keys("A:")) == set()


async def test_of_many_claims_at_once_one_wins(store: Store) -> None:
    async with asyncio.TaskGroup() as tasks:
        claims = [tasks.create_task(store.claim("a:1", b"", ttl_s=60)) for _ in range(30)]
    assert [claim.result() for claim in claims].count(True) == 1


async def test_no_addition_is_lost_among_many_at_once(store: Store) -> None:
    async with asyncio.TaskGroup() as tasks:
        sums = [tasks.create_task(store.add("n", 1, ttl_s=60)) for _ in range(30)]
    assert sorted(total.result() for total in sums) == list(range(1, 31))


@pytest.mark.parametrize("kind", SHARED)
async def test_of_many_claims_in_two_stores_at_once_one_wins(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as (one_more, _):
        stores = [one_more(), one_more()]
        async with asyncio.TaskGroup() as tasks:
            claims = [
                tasks.create_task(stores[turn % 2].claim("a:1", b"", ttl_s=60)) for turn in range(30)
            ]  # fmt: skip
        assert [claim.result() for claim in claims].count(True) == 1


@pytest.mark.parametrize("kind", SHARED)
async def test_what_one_store_writes_another_reads(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as (one_more, _):
        one, other = one_more(), one_more()
        await one.put({"a:1": b"one"}, ttl_s=60)
        assert list(await other.get(["a:1"])) == [b"one"]
        assert await one.add("n", 1, ttl_s=60) == 1
        assert await other.add("n", 1, ttl_s=60) == 2


_keys = st.sampled_from(["a:1", "a:2", "a", "b:Ä\n*?", "B:" + "x" * 300, "../c:1", ":", "c:"])
_key_lists = st.lists(_keys, max_size=3)
_values = st.dictionaries(_keys, st.binary(max_size=40), max_size=3)
_ends = st.fixed_dictionaries({"ttl_s": st.sampled_from([10, 60])})
_numbers_and_words = st.sampled_from([b"7", b"-7", b"", b"07", b"+7", b" 7", b"-0", b"words"])
_prefixes = st.sampled_from(["", "a", "a:", "b:", "../", ":"])
_none: st.SearchStrategy[dict[str, Any]] = st.just({})
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("get"), st.tuples(_key_lists), _none),
        st.tuples(st.just("put"), st.tuples(_values), _ends),
        st.tuples(st.just("claim"), st.tuples(_keys, _numbers_and_words), _ends),
        st.tuples(st.just("add"), st.tuples(_keys, st.integers(-3, 3)), _ends),
        st.tuples(st.just("remove"), st.tuples(_key_lists), _none),
        st.tuples(st.just("keys"), st.tuples(_prefixes), _none),
        st.tuples(st.just("sleep"), st.tuples(st.sampled_from([1, 15, 61])), _none),
    ),
    max_size=30,
)
Step = tuple[str, tuple[Any, ...], dict[str, Any]]
"""A method of the store, or of the clock, with what it is called with."""


async def outcome(store: Store, clock: Clock, step: Step) -> object:
    """What a step gives, in a form that two stores can be compared by."""
    name, arguments, ttl_s = step
    try:
        given = await getattr(clock if name == "sleep" else store, name)(*arguments, **ttl_s)
    except StoreFailed:
        return "no counter"
    return sorted(given) if name == "keys" else given


@pytest.mark.parametrize("kind", ["memory", "file"])
@given(steps=_steps)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_any_order_of_calls_gives_what_a_dictionary_would(
    kind: str, steps: list[Step], tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def play() -> None:
        model_clock = FakeClock()
        model = FakeStore(model_clock)
        async with opened(kind, tmp_path_factory.mktemp("model")) as (one_more, clock):
            store = one_more()
            for step in steps:
                expected = await outcome(model, model_clock, step)
                assert await outcome(store, clock, step) == expected, step

    asyncio.run(play())


@given(steps=_steps)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_calls_to_redis_gives_what_a_dictionary_would(redis_url: str, steps: list[Step]) -> None:
    """Within the lifetime of every value: a real Redis keeps its own time."""

    async def play() -> None:
        model = FakeStore()
        link = RedisLink(redis_url, clock=SystemClock(), timeout_s=5)
        store = RedisStore(link)
        try:
            await store.remove(await store.keys(""))
            for step in steps:
                if step[0] != "sleep":
                    expected = await outcome(model, model.clock, step)
                    assert await outcome(store, model.clock, step) == expected, step
        finally:
            await link.aclose()

    asyncio.run(play())


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    with running_redis(tmp_path) as server:
        yield server.url


_CLAIMER = textwrap.dedent("""
    import asyncio, sys, time
    from pathlib import Path
    from core.providers.storage.file_store import FileStore
    from core.providers.system_clock import SystemClock

    async def main():
        store = FileStore(Path(sys.argv[1]), SystemClock())
        while time.time() < float(sys.argv[2]):
            pass
        won = [key for key in range(40) if await store.claim(f"seen:{key}", b"", ttl_s=60)]
        for _ in range(40):
            await store.add("n", 1, ttl_s=60)
        print(*won)

    asyncio.run(main())
""")


def test_of_the_claims_of_two_processes_one_wins_each_and_every_addition_counts(tmp_path: Path) -> None:
    start_at = str(time.time() + 0.6)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _CLAIMER, str(tmp_path), start_at], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    outputs = [process.communicate()[0] for process in processes]
    won = [int(key) for output in outputs for key in output.split()]
    assert sorted(won) == list(range(40))
    assert list(asyncio.run(FileStore(tmp_path, SystemClock()).get(["n"]))) == [b"80"]

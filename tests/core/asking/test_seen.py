import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from core.asking.seen import KEPT_S, MAX_KEYS, Seen
from core.providers.storage.redis_link import RedisLink
from core.providers.storage.redis_store import RedisStore
from core.providers.system_clock import SystemClock
from tests.fakes import FakeClock, FakeStore
from tests.servers.redis_server import running_redis


async def test_an_event_is_first_once_under_any_of_its_names() -> None:
    seen = Seen(FakeStore(), FakeClock())

    assert await seen.first("event:1", "message:7")
    assert not await seen.first("event:1")
    assert not await seen.first("event:2", "message:7")
    assert not await seen.first("event:2")
    assert await seen.first("event:3")


async def test_a_repetition_is_known_for_fifteen_minutes_and_then_forgotten() -> None:
    clock = FakeClock()
    seen = Seen(FakeStore(clock), clock)
    await seen.first("a")

    await clock.sleep(KEPT_S - 1)
    assert not await seen.first("a")
    await clock.sleep(KEPT_S + 1)
    assert await seen.first("a")


async def test_what_this_process_remembers_is_bounded_and_the_newest_stays() -> None:
    seen = Seen(FakeStore(fails=True), FakeClock())
    for number in range(MAX_KEYS + 1):
        await seen.first(str(number))

    assert not await seen.first(str(MAX_KEYS))
    assert await seen.first("0")


async def test_while_the_store_is_gone_this_process_still_takes_each_event_once() -> None:
    store = FakeStore(fails=True)
    seen = Seen(store, FakeClock())

    assert await seen.first("a", "b")
    assert not await seen.first("b")
    store.fails = False
    assert not await seen.first("a")
    assert await seen.first("c")


class HesitantStore(FakeStore):
    """Lets others go first, in the order of `turns`."""

    turns: Iterator[int] = itertools.cycle([0])

    async def claim(self, key: str, value: bytes, *, ttl_s: float) -> bool:
        for _ in range(next(self.turns)):
            await asyncio.sleep(0)
        return await super().claim(key, value, ttl_s=ttl_s)


@given(
    names=st.lists(st.permutations(["message:1", "a:own", "z:own"]), min_size=2, max_size=5),
    turns=st.lists(st.integers(0, 3), min_size=1, max_size=12),
)
async def test_of_several_processes_one_takes_an_event_that_each_knows_by_names_of_its_own_too(
    names: list[list[str]], turns: list[int]
) -> None:
    store = HesitantStore()
    store.turns = itertools.cycle(turns)
    known_as = [[name.replace("own", str(process)) for name in order] for process, order in enumerate(names)]
    firsts = await asyncio.gather(*(Seen(store, FakeClock()).first(*keys) for keys in known_as))
    assert firsts.count(True) == 1


async def test_two_processes_on_one_redis_take_each_of_many_events_once(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        links = [RedisLink(server.url, clock=SystemClock(), timeout_s=5) for _ in range(2)]
        processes = [Seen(RedisStore(link), SystemClock()) for link in links]
        async with asyncio.TaskGroup() as tasks:
            firsts = [
                tasks.create_task(process.first(f"slack:Ev{number}-{retry}", f"slack:C1:{number}"))
                for number in range(30)
                for retry in range(2)
                for process in processes
            ]
        assert [first.result() for first in firsts].count(True) == 30
        for link in links:
            await link.aclose()

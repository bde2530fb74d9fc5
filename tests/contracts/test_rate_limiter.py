"""What every RateLimiter keeps: the fake, memory, a Redis, and memory behind a Redis that is gone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from core.ports import Clock, RateLimiter
from core.providers.rate_limiter import MemoryRateLimiter
from core.providers.redis_rate_limiter import RedisRateLimiter
from core.providers.storage.redis_link import RedisLink
from core.providers.system_clock import SystemClock
from core.types import Quota, QuotaScope
from tests.fakes import FakeClock, FakeRateLimiter
from tests.servers.redis_server import running_redis

Opened = tuple[Callable[[], RateLimiter], Clock]
"""Makes one more limiter over the same counts, where they can be shared; and the clock of its windows."""

KINDS = ["fake", "memory", "redis", "redis gone"]


@asynccontextmanager
async def opened(kind: str, directory: Path) -> AsyncIterator[Opened]:
    async with AsyncExitStack() as stack:
        clock = FakeClock()
        if kind == "fake":
            yield lambda: FakeRateLimiter(clock=clock), clock
        elif kind == "memory":
            yield lambda: MemoryRateLimiter(clock), clock
        else:
            server = stack.enter_context(running_redis(directory))

            def linked() -> RateLimiter:
                link = RedisLink(server.url, clock=SystemClock(), timeout_s=5)
                stack.push_async_callback(link.aclose)
                return RedisRateLimiter(link, MemoryRateLimiter(clock))

            if kind == "redis gone":
                server.kill()
            yield linked, clock if kind == "redis gone" else SystemClock()


@pytest.fixture(params=KINDS)
async def setup(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opened]:
    async with opened(request.param, tmp_path) as setup:
        yield setup


@pytest.fixture
def limiter(setup: Opened) -> RateLimiter:
    return setup[0]()


@pytest.fixture
def clock(setup: Opened) -> Clock:
    return setup[1]


def of_asker(name: str = "ann", *, limit: int = 1, window_s: int = 60) -> Quota:
    return Quota(scope=QuotaScope.ASKER, key=name, limit=limit, window_s=window_s)


def of_channel(limit: int = 1, *, window_s: int = 3600) -> Quota:
    return Quota(scope=QuotaScope.CHANNEL, key="ann", limit=limit, window_s=window_s)


async def lefts(limiter: RateLimiter, *quotas: Quota) -> list[int]:
    return [state.left for state in await limiter.states(quotas)]


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_so_many_questions_are_admitted_and_no_more(limiter: RateLimiter, limit: int) -> None:
    verdicts = [await limiter.hit([of_asker(limit=limit)]) for _ in range(limit + 3)]
    assert verdicts[:limit] == [None] * limit
    assert None not in verdicts[limit:]


async def test_a_refusal_says_which_quota_it_was_and_how_many_seconds_to_wait(limiter: RateLimiter) -> None:
    await limiter.hit([of_asker(limit=5), of_channel()])
    refusal = await limiter.hit([of_asker(limit=5), of_channel()])
    assert refusal is not None
    assert (refusal.quota, refusal.left) == (of_channel(), 0)
    assert 3590 < refusal.next_in_s <= 3600


async def test_of_several_that_are_used_up_the_longest_wait_is_told(limiter: RateLimiter) -> None:
    quotas = [of_asker(window_s=600), of_channel(), of_asker(window_s=60)]
    await limiter.hit(quotas)
    refusal = await limiter.hit(quotas)
    assert refusal is not None
    assert refusal.quota == of_channel()


async def test_where_one_refuses_none_has_counted(limiter: RateLimiter) -> None:
    await limiter.hit([of_channel()])
    for _ in range(3):
        assert await limiter.hit([of_asker(limit=2), of_channel()]) is not None
    assert await lefts(limiter, of_asker(limit=2)) == [2]


async def test_asking_too_early_does_not_lengthen_the_wait(limiter: RateLimiter) -> None:
    await limiter.hit([of_asker()])
    refusals = [await limiter.hit([of_asker()]) for _ in range(5)]
    waits_s = [refusal.next_in_s for refusal in refusals if refusal]
    assert len(waits_s) == 5
    assert waits_s == sorted(waits_s, reverse=True)


async def test_one_askers_haste_costs_another_nothing(limiter: RateLimiter) -> None:
    await limiter.hit([of_asker()])
    assert await limiter.hit([of_asker()]) is not None
    assert await limiter.hit([of_asker("bob")]) is None


async def test_windows_of_different_lengths_are_counted_apart(limiter: RateLimiter) -> None:
    await limiter.hit([of_asker(limit=1, window_s=60)])
    assert await lefts(limiter, of_asker(limit=3, window_s=86_400)) == [3]


async def test_looking_counts_nothing(limiter: RateLimiter) -> None:
    quotas = [of_asker(limit=2), of_channel(3)]
    for _ in range(4):
        assert await lefts(limiter, *quotas) == [2, 3]
    await limiter.hit(quotas)
    assert [(state.quota, state.left, state.next_in_s) for state in await limiter.states(quotas)] == [
        (quotas[0], 1, 0),
        (quotas[1], 2, 0),
    ]


async def test_without_quotas_everybody_is_admitted(limiter: RateLimiter) -> None:
    assert await limiter.hit([]) is None
    assert list(await limiter.states([])) == []


async def test_a_limit_that_was_lowered_holds_at_once_until_enough_have_left(
    limiter: RateLimiter, clock: Clock
) -> None:
    for _ in range(3):
        await limiter.hit([of_asker(limit=3, window_s=1)])
        await clock.sleep(0.1)
    refusal = await limiter.hit([of_asker(limit=1, window_s=1)])
    assert refusal is not None
    assert 0.8 < refusal.next_in_s <= 0.9


async def test_questions_at_the_same_moment_are_counted_one_by_one(limiter: RateLimiter) -> None:
    async with asyncio.TaskGroup() as tasks:
        hits = [tasks.create_task(limiter.hit([of_asker(limit=5)])) for _ in range(20)]
    assert [hit.result() for hit in hits].count(None) == 5


async def test_a_place_is_free_when_its_question_has_left_the_window(
    limiter: RateLimiter, clock: Clock
) -> None:
    quota = of_asker(limit=2, window_s=1)
    await limiter.hit([quota])
    await clock.sleep(0.5)
    await limiter.hit([quota])
    refusal = await limiter.hit([quota])
    assert refusal is not None
    assert 0 < refusal.next_in_s <= 0.5
    await clock.sleep(refusal.next_in_s + 0.01)
    assert await limiter.hit([quota]) is None
    assert await limiter.hit([quota]) is not None


async def test_two_processes_on_one_redis_admit_together_what_one_may_and_count_no_refusal(
    tmp_path: Path,
) -> None:
    async with opened("redis", tmp_path) as (one_more, _):
        limiters = [one_more(), one_more()]
        wide, narrow = of_asker(limit=30), of_channel(10)
        async with asyncio.TaskGroup() as tasks:
            hits = [tasks.create_task(limiters[turn % 2].hit([wide, narrow])) for turn in range(60)]
        assert [hit.result() for hit in hits].count(None) == 10
        assert await lefts(limiters[0], wide, narrow) == [20, 0]

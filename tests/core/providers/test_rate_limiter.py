"""Windows over days, ten thousand askers, and a Redis that goes and comes back."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core.providers.rate_limiter import MemoryRateLimiter
from core.providers.redis_rate_limiter import RedisRateLimiter
from core.providers.storage.redis_link import LEFT_ALONE, PREFIX, RedisLink
from core.providers.system_clock import SystemClock
from core.types import Quota, QuotaScope
from tests.fakes import FakeClock
from tests.servers.redis_server import running_redis

PER_MINUTE = Quota(scope=QuotaScope.ASKER, key="slack:T1:U1", limit=3, window_s=60)


@given(st.lists(st.integers(0, 40), max_size=80), st.integers(1, 4))
async def test_never_more_than_so_many_within_any_minute_and_never_fewer_than_could_be(
    pauses_s: list[int], limit: int
) -> None:
    clock = FakeClock()
    limiter = MemoryRateLimiter(clock)
    admitted_s: list[float] = []
    for pause_s in pauses_s:
        await clock.sleep(pause_s)
        now_s = clock.monotonic()
        is_room = len([moment_s for moment_s in admitted_s if moment_s > now_s - 60]) < limit
        refusal = await limiter.hit([replace(PER_MINUTE, limit=limit)])
        assert (refusal is None) == is_room
        if refusal is None:
            admitted_s.append(now_s)
        else:
            assert admitted_s[-limit] + 60 - now_s == refusal.next_in_s


class LimiterMachine(RuleBasedStateMachine):
    """People in two channels of one workspace, against a list of who was admitted when."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.clock = FakeClock()
        self.limiter = MemoryRateLimiter(self.clock)
        self.admitted: list[tuple[float, tuple[Quota, ...]]] = []

    def teardown(self) -> None:
        self.loop.close()

    def left(self, quota: Quota) -> int:
        since_s = self.clock.monotonic() - quota.window_s
        return quota.limit - sum(at_s > since_s and quota in quotas for at_s, quotas in self.admitted)

    @rule(person=st.sampled_from("ab"), channel=st.sampled_from("cd"))
    def ask(self, person: str, channel: str) -> None:
        quotas = _quotas(person, channel)
        is_room = all(self.left(quota) > 0 for quota in quotas)
        refusal = self.loop.run(self.limiter.hit(quotas))
        assert (refusal is None) == is_room
        if refusal is None:
            self.admitted.append((self.clock.monotonic(), quotas))
        else:
            assert self.left(refusal.quota) == 0

    @rule(pause_s=st.integers(0, 4000))
    def wait(self, pause_s: int) -> None:
        self.clock.elapsed_s += pause_s

    @invariant()
    def what_is_left_is_what_was_not_admitted(self) -> None:
        for person, channel in (("a", "c"), ("b", "d")):
            quotas = _quotas(person, channel)
            states = self.loop.run(self.limiter.states(quotas))
            assert [state.left for state in states] == [self.left(quota) for quota in quotas]


def _quotas(person: str, channel: str) -> tuple[Quota, ...]:
    return (
        Quota(scope=QuotaScope.ASKER, key=person, limit=2, window_s=60),
        Quota(scope=QuotaScope.CHANNEL, key=channel, limit=3, window_s=3600),
        Quota(scope=QuotaScope.WORKSPACE, key="w", limit=5, window_s=86_400),
    )


TestLimiter = LimiterMachine.TestCase


@pytest.mark.parametrize(
    ("limit", "processes", "share"), [(5, 2, 2), (4, 2, 2), (1, 2, 1), (3, 10, 1), (5, 1, 5)]
)
async def test_one_of_several_processes_admits_its_share_and_at_least_one(
    limit: int, processes: int, share: int
) -> None:
    limiter = MemoryRateLimiter(FakeClock(), processes=processes)
    verdicts = [await limiter.hit([replace(PER_MINUTE, limit=limit)]) for _ in range(10)]
    assert verdicts.count(None) == share


async def test_ten_thousand_askers_are_forgotten_when_their_window_is_over_and_cost_little_before() -> None:
    clock = FakeClock()
    limiter = MemoryRateLimiter(clock)
    per_day = replace(PER_MINUTE, window_s=86_400)
    began_s = time.monotonic()
    for number in range(10_000):
        await limiter.hit([replace(PER_MINUTE, key=str(number)), replace(per_day, key=str(number))])
    assert time.monotonic() - began_s < 2  # 0.15 s measured
    await clock.sleep(61)
    await limiter.hit([PER_MINUTE, per_day])
    assert len(limiter._asked_at_s[60]) == 1
    assert len(limiter._asked_at_s[86_400]) == 10_001
    await clock.sleep(86_400)
    await limiter.hit([per_day])
    assert len(limiter._asked_at_s[86_400]) == 1


async def test_a_redis_that_goes_leaves_the_local_share_and_counts_again_when_it_is_back(
    tmp_path: Path,
) -> None:
    with running_redis(tmp_path) as server:
        link = RedisLink(server.url, clock=SystemClock(), limits=replace(LEFT_ALONE, open_s=0.05))
        local = MemoryRateLimiter(SystemClock(), processes=2)
        limiter = RedisRateLimiter(link, local)
        quota = replace(PER_MINUTE, limit=6)
        async with link.watched():
            assert [await limiter.hit([quota]) for _ in range(7)].count(None) == 6
            server.kill()
            began_s = time.monotonic()
            assert [await limiter.hit([quota]) for _ in range(20)].count(None) == 3
            assert time.monotonic() - began_s < 0.3
            await asyncio.to_thread(server.start)
            for _ in range(300):
                if server.say(f"EXISTS {PREFIX}probe").strip() == b":1":
                    break
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.02)
            assert [await limiter.hit([quota]) for _ in range(7)].count(None) == 6


async def test_a_redis_that_was_flushed_is_told_its_script_again(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        link = RedisLink(server.url, clock=SystemClock())
        limiter = RedisRateLimiter(link, MemoryRateLimiter(FakeClock()))
        assert await limiter.hit([replace(PER_MINUTE, limit=1)]) is None
        server.say("FLUSHALL", "SCRIPT FLUSH")
        assert await limiter.hit([replace(PER_MINUTE, limit=1)]) is None
        assert await limiter.hit([replace(PER_MINUTE, limit=1)]) is not None
        assert int(server.say(f"ZCARD {PREFIX}quota:60:asker:slack:T1:U1").strip()[1:]) == 1
        assert 0 < int(server.say(f"TTL {PREFIX}quota:60:asker:slack:T1:U1").strip()[1:]) <= 60
        await link.aclose()

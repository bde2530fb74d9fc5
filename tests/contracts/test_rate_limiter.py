"""What every RateLimiter keeps."""

import asyncio
from collections.abc import Callable

import pytest

from core.ports import RateLimiter
from core.providers.rate_limiter import InProcessRateLimiter
from core.types import AskerId
from tests.fakes import FakeRateLimiter

Setup = Callable[[int], RateLimiter]
"""A limiter that admits so many questions within its window."""

ANN, BOB = AskerId("slack:T1:U1"), AskerId("slack:T1:U2")


def fake(admits: int) -> RateLimiter:
    return FakeRateLimiter(admits=admits)


def in_process(admits: int) -> RateLimiter:
    return InProcessRateLimiter(per_minute=admits)


@pytest.fixture(params=[fake, in_process])
def setup(request: pytest.FixtureRequest) -> Setup:
    chosen: Setup = request.param
    return chosen


@pytest.mark.parametrize("admits", [1, 2, 5])
async def test_so_many_questions_are_admitted_and_no_more(setup: Setup, admits: int) -> None:
    limiter = setup(admits)
    verdicts = [await limiter.hit(ANN) for _ in range(admits + 3)]
    assert verdicts[:admits] == [None] * admits
    assert None not in verdicts[admits:]


async def test_a_refusal_says_how_many_seconds_to_wait(setup: Setup) -> None:
    limiter = setup(1)
    await limiter.hit(ANN)
    wait_s = await limiter.hit(ANN)
    assert wait_s is not None
    assert 0 < wait_s <= 60


async def test_asking_too_early_does_not_lengthen_the_wait(setup: Setup) -> None:
    limiter = setup(1)
    await limiter.hit(ANN)
    waits_s = [wait_s for _ in range(5) if (wait_s := await limiter.hit(ANN)) is not None]
    assert len(waits_s) == 5
    assert waits_s == sorted(waits_s, reverse=True)


async def test_one_askers_haste_costs_another_nothing(setup: Setup) -> None:
    limiter = setup(1)
    await limiter.hit(ANN)
    assert await limiter.hit(ANN) is not None
    assert await limiter.hit(BOB) is None


async def test_questions_at_the_same_moment_are_counted_one_by_one(setup: Setup) -> None:
    limiter = setup(5)
    async with asyncio.TaskGroup() as tasks:
        hits = [tasks.create_task(limiter.hit(ANN)) for _ in range(20)]
    assert [hit.result() for hit in hits].count(None) == 5

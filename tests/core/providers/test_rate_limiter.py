from core.providers.rate_limiter import InProcessRateLimiter
from core.types import AskerId

ANN = AskerId("slack:T1:U1")


def let_pass(limiter: InProcessRateLimiter, seconds: float) -> None:
    """Make all that was counted older: `limits` reads the machine's clock, which no test should turn."""
    for entries in limiter._storage.events.values():
        for entry in entries:
            entry.atime -= seconds
            entry.expiry -= seconds


async def swept(limiter: InProcessRateLimiter) -> None:
    if limiter._storage.timer:
        await limiter._storage.timer


async def test_the_next_question_is_admitted_when_the_oldest_is_a_minute_old() -> None:
    limiter = InProcessRateLimiter(per_minute=2)
    assert await limiter.hit(ANN) is None
    let_pass(limiter, 40)
    assert await limiter.hit(ANN) is None
    wait_s = await limiter.hit(ANN)
    assert wait_s is not None
    assert 19 < wait_s <= 20
    let_pass(limiter, 20.1)
    assert await limiter.hit(ANN) is None


async def test_never_more_than_so_many_within_any_minute() -> None:
    limiter = InProcessRateLimiter(per_minute=3)
    admitted_s: list[float] = []
    for second in range(0, 300, 5):
        if await limiter.hit(ANN) is None:
            admitted_s.append(second)
        let_pass(limiter, 5)
    assert len(admitted_s) == 15
    assert all(later - earlier >= 60 for earlier, later in zip(admitted_s, admitted_s[3:], strict=False))


async def test_ten_thousand_askers_are_forgotten_when_their_minute_is_over() -> None:
    limiter = InProcessRateLimiter(per_minute=5)
    for number in range(10_000):
        await limiter.hit(AskerId(f"slack:T1:U{number}"))
    await swept(limiter)
    assert len(limiter._storage.events) == 10_000
    let_pass(limiter, 61)
    await limiter.hit(ANN)
    await swept(limiter)
    assert set(limiter._storage.events) == {limiter._limit.key_for(ANN)}
    assert len(limiter._storage.locks) <= 1

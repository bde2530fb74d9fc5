import asyncio
import random
from collections.abc import Awaitable, Callable
from copy import copy
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from structlog.testing import capture_logs

from core.errors import CircuitOpen, DependencyError, Fault, ModelFailed
from core.resilience.breaker import BreakerLimits, BreakerState, CircuitBreaker
from core.resilience.deadline import Deadline
from core.resilience.retrying import Guard, RetryBudget
from tests.core.resilience.virtual_time import LoopClock, run

NEVER_OPENS = BreakerLimits(min_calls=1_000_000)
PASSING = [fault for fault in Fault if fault.may_pass]
LASTING = [fault for fault in Fault if not fault.may_pass]


def _guard(
    limits: BreakerLimits = NEVER_OPENS, *, burst: float = 10, attempts: int = 3, seed: int = 0
) -> Guard:
    clock = LoopClock()
    breaker = CircuitBreaker("service", clock, limits, random.Random(seed))
    return Guard(breaker, RetryBudget(burst=burst), clock, attempts=attempts, rng=random.Random(seed))


@dataclass
class Service:
    """Each attempt takes the next step: it fails with it, or gives it; the last step repeats.

    took_s: before each. begun_s: when each began.
    """

    steps: list[DependencyError | str]
    took_s: float = 0.0
    begun_s: list[float] = field(default_factory=list)

    async def __call__(self) -> str:
        self.begun_s.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.took_s)
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, str):
            return step
        raise step

    @property
    def waits_s(self) -> list[float]:
        return [later - sooner - self.took_s for sooner, later in pairwise(self.begun_s)]


def _dead(fault: Fault = Fault.UNREACHABLE, *, retry_after_s: float | None = None) -> DependencyError:
    return DependencyError("no answer", fault=fault, retry_after_s=retry_after_s)


async def _fails(
    guard: Guard, attempt: Callable[[], Awaitable[str]], *, within_s: float = 60
) -> DependencyError:
    with pytest.raises(DependencyError) as caught:
        await guard.call(attempt, deadline=Deadline.after(within_s))
    return caught.value


def test_what_goes_well_is_called_once() -> None:
    service = Service(["answer"])

    assert run(_call(_guard(), service)) == "answer"
    assert service.begun_s == [0]


async def _call(guard: Guard, service: Service) -> str:
    return await guard.call(service, deadline=Deadline.after(60))


@pytest.mark.parametrize("fault", PASSING)
def test_what_may_pass_is_tried_up_to_three_times(fault: Fault) -> None:
    recovering = Service([_dead(fault), _dead(fault), "answer"])
    assert run(_call(_guard(), recovering)) == "answer"

    dead = Service([_dead(fault), _dead(fault), ModelFailed("is away", fault=fault)])
    failure = run(_fails(_guard(), dead))

    assert isinstance(failure, ModelFailed)
    assert failure.reason == "is away"
    assert len(dead.begun_s) == 3


@pytest.mark.parametrize("fault", LASTING)
def test_what_would_fail_again_is_raised_at_once(fault: Fault) -> None:
    service = Service([_dead(fault, retry_after_s=0)])

    assert run(_fails(_guard(), service)).fault is fault
    assert len(service.begun_s) == 1


def test_a_fault_of_ours_is_raised_at_once() -> None:
    runs = []

    async def broken() -> str:
        runs.append(1)
        raise ZeroDivisionError

    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await _guard().call(broken, deadline=Deadline.after(60))

    run(main())
    assert len(runs) == 1


@pytest.mark.parametrize("at_once", [False, True], ids=["one after another", "all at once"])
def test_a_thousand_calls_to_a_dead_service_make_at_most_1110_attempts(at_once: bool) -> None:
    guard = _guard()
    services = [Service([_dead()]) for _ in range(1_000)]

    async def main() -> None:
        if not at_once:
            for service in services:
                await _fails(guard, service)
            return
        async with asyncio.TaskGroup() as group:
            for service in services:
                group.create_task(_fails(guard, service))

    run(main())
    attempts = [len(service.begun_s) for service in services]

    assert sum(attempts) <= 1_110
    assert max(attempts) <= 3
    # The budget is also used: 10 at the start, then one for every ten calls, where calls come one by one.
    assert sum(attempts) >= (1_010 if at_once else 1_105)


def test_calls_that_an_open_circuit_refuses_earn_no_retries() -> None:
    guard = _guard(BreakerLimits(min_calls=1))

    async def main() -> None:
        service = Service([_dead()])
        await _fails(guard, service)
        assert guard.budget.spend()
        before = copy(guard.budget)
        for _ in range(100):
            assert isinstance(await _fails(guard, service), CircuitOpen)
        assert guard.budget == before

    run(main())


class BudgetMachine(RuleBasedStateMachine):
    """Against exact fractions: 10 to begin with, a tenth for each call, never more than 10."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = RetryBudget()
        self.left = Fraction(10)
        self.earned = self.spent = 0

    @rule(times=st.integers(1, 30))
    def earn(self, times: int) -> None:
        for _ in range(times):
            self.budget.earn()
            self.left = min(Fraction(10), self.left + Fraction(1, 10))
        self.earned += times

    @rule(times=st.integers(1, 12))
    def spend(self, times: int) -> None:
        for _ in range(times):
            if self.budget.spend():
                self.left -= 1
                self.spent += 1
                assert self.left >= 0
            else:
                assert self.left < 1

    @invariant()
    def retries_stay_within_a_tenth_of_the_calls_and_ten(self) -> None:
        assert self.spent <= 10 + self.earned / 10


BudgetMachine.TestCase.settings = settings(max_examples=100, deadline=None)
TestTheBudgetNeverDiffersFromExactFractions = BudgetMachine.TestCase


def test_waits_are_spread_evenly_from_nothing_to_a_bound_that_doubles_up_to_four_seconds() -> None:
    guard = _guard(burst=1e9, attempts=8)
    services = [Service([_dead()]) for _ in range(2_000)]

    async def main() -> None:
        for service in services:
            await _fails(guard, service)

    run(main())
    for number, bound_s in enumerate([0.25, 0.5, 1, 2, 4, 4, 4]):
        waits = sorted(service.waits_s[number] / bound_s for service in services)
        assert waits[0] >= -1e-6
        assert waits[-1] <= 1 + 1e-6
        # Kolmogorov-Smirnov: 2,000 even draws differ from evenness by more than this once in a thousand.
        assert max(abs(wait - (rank + 0.5) / 2_000) for rank, wait in enumerate(waits)) < 1.95 / 2_000**0.5


@pytest.mark.parametrize("asked_s", [3.0, 29.0])
def test_a_service_that_says_how_long_to_wait_is_left_alone_so_long(asked_s: float) -> None:
    service = Service([_dead(Fault.RATE_LIMITED, retry_after_s=asked_s), "answer"])

    assert run(_call(_guard(), service)) == "answer"
    assert service.waits_s == [pytest.approx(asked_s)]


def test_a_service_that_asks_for_less_than_the_jitter_gets_the_jitter() -> None:
    waits_s = []
    for seed in range(50):
        service = Service([_dead(retry_after_s=0.1), "answer"])
        run(_call(_guard(seed=seed), service))
        waits_s += service.waits_s

    assert min(waits_s) == pytest.approx(0.1)
    assert 0.2 < max(waits_s) <= 0.25


@pytest.mark.parametrize("asked_s", [60.0, 3_600.0, float("inf")])
def test_a_service_that_asks_for_more_time_than_is_left_is_not_waited_for(asked_s: float) -> None:
    guard = _guard()
    service = Service([_dead(Fault.RATE_LIMITED, retry_after_s=asked_s)])

    async def main() -> None:
        failure = await _fails(guard, service, within_s=60)
        assert failure.retry_after_s == asked_s
        assert asyncio.get_running_loop().time() == 0

    run(main())
    assert len(service.begun_s) == 1
    assert guard.budget._left == 10


@given(
    within_s=st.floats(0, 12),
    took_s=st.floats(0, 8),
    asked_s=st.none() | st.floats(0, 12),
    fails=st.integers(0, 4),
)
@settings(deadline=None)
def test_nothing_outlasts_the_deadline(
    within_s: float, took_s: float, asked_s: float | None, fails: int
) -> None:
    steps = [_dead(retry_after_s=asked_s) for _ in range(fails)]
    service = Service([*steps, "answer"], took_s=took_s)

    async def main() -> None:
        call = asyncio.ensure_future(_guard().call(service, deadline=Deadline.after(within_s)))
        await asyncio.wait([call])
        # To the microsecond: the loop's own resolution, and floats.
        assert asyncio.get_running_loop().time() <= within_s + 1e-6
        failure = call.exception()
        if failure is None:
            assert call.result() == "answer"
        else:
            assert isinstance(failure, DependencyError)
            assert failure.fault in {Fault.UNREACHABLE, Fault.TIMED_OUT}

    run(main())
    assert len(service.begun_s) <= 3
    assert all(begun_s < within_s for begun_s in service.begun_s)


def test_an_attempt_that_the_deadline_cuts_short_is_a_time_out_and_not_the_services_fault() -> None:
    guard = _guard(BreakerLimits(min_calls=1))

    failure = run(_fails(guard, Service(["answer"], took_s=100), within_s=5))

    assert failure.fault is Fault.TIMED_OUT
    assert guard.breaker._entered is BreakerState.CLOSED


def test_an_attempts_own_time_limit_is_not_taken_for_the_deadline() -> None:
    async def main() -> None:
        async def impatient() -> str:
            async with asyncio.timeout(1):
                await asyncio.Event().wait()
            return ""

        with pytest.raises(TimeoutError):
            await _guard().call(impatient, deadline=Deadline.after(60))
        assert asyncio.get_running_loop().time() == pytest.approx(1)

    run(main())


@pytest.mark.parametrize(("cancel_at_s", "attempts"), [(0.5, 1), (2.0, 1), (4.5, 2)])
def test_a_cancellation_passes_at_once_in_an_attempt_and_in_a_wait(cancel_at_s: float, attempts: int) -> None:
    guard = _guard()
    service = Service([_dead(retry_after_s=3)], took_s=1)

    async def main() -> None:
        call = asyncio.ensure_future(guard.call(service, deadline=Deadline.after(60)))
        await asyncio.sleep(cancel_at_s)
        call.cancel()
        await asyncio.wait([call])
        assert call.cancelled()
        assert asyncio.get_running_loop().time() == pytest.approx(cancel_at_s)

    run(main())
    assert len(service.begun_s) == attempts
    assert len(guard.breaker._calls) == int(cancel_at_s >= 1), "only what ended counts"


def test_every_attempt_counts_with_the_breaker_and_none_is_made_once_it_opens() -> None:
    guard = _guard(BreakerLimits(min_calls=2))
    service = Service([_dead()])

    async def main() -> None:
        failure = await _fails(guard, service)
        assert not isinstance(failure, CircuitOpen), "the reason is worth more"
        assert len(service.begun_s) == 2
        assert guard.breaker.state is BreakerState.OPEN

        refusal = await _fails(guard, service)
        assert isinstance(refusal, CircuitOpen)
        assert refusal.retry_after_s == guard.breaker.retry_in_s
        assert len(service.begun_s) == 2

    run(main())


def test_a_circuit_that_opens_while_a_retry_waits_refuses_it() -> None:
    guard = _guard(BreakerLimits(min_calls=2))
    service = Service([_dead(retry_after_s=2)])

    async def main() -> None:
        waiting = asyncio.ensure_future(_fails(guard, service))
        await asyncio.sleep(1)
        await _fails(guard, Service([_dead(Fault.FAILING)]))
        assert isinstance(await waiting, CircuitOpen)

    run(main())
    assert len(service.begun_s) == 1


def test_a_retry_that_is_told_to_wait_longer_than_the_circuit_stays_open_is_its_first_trial() -> None:
    guard = _guard(BreakerLimits(min_calls=1))
    service = Service([_dead(retry_after_s=40), "answer"])

    assert run(_call(guard, service)) == "answer"


def test_retries_are_logged_with_their_reason() -> None:
    with capture_logs() as logged:
        run(_call(_guard(), Service([_dead(retry_after_s=2), "answer"])))

    assert logged == [
        {
            "event": "call.retried",
            "log_level": "info",
            "name": "service",
            "attempts": 1,
            "failure": "no answer",
            "wait_s": 2.0,
        }
    ]

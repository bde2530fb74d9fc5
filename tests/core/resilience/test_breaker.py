import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle as RunningCalls
from hypothesis.stateful import (
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)
from structlog.testing import capture_logs

from core.errors import CircuitOpen, DependencyError, Fault, ModelFailed
from core.resilience.breaker import BreakerLimits, BreakerState, CircuitBreaker
from tests.fakes import FakeClock

ENDINGS: dict[str, BaseException | None] = {
    "good": None,
    "unreachable": DependencyError(fault=Fault.UNREACHABLE),
    "failing": ModelFailed("broke", fault=Fault.FAILING),
    "timeout": TimeoutError(),
    "rate_limited": DependencyError(fault=Fault.RATE_LIMITED),
    "refused": DependencyError(fault=Fault.REFUSED),
    "bug": ValueError(),
    "cancelled": asyncio.CancelledError(),
}
FAILURES = {"unreachable", "failing", "timeout"}
UNCOUNTED = {"rate_limited", "refused", "bug", "cancelled"}

SMALL = BreakerLimits(window_calls=5, window_s=10, min_calls=3, slow_s=2, open_s=5, trials=2)
ONE_TRIAL = BreakerLimits(window_calls=4, window_s=30, min_calls=2, slow_share=0.5, slow_s=1, trials=1)
DEFAULT = BreakerLimits()


class Ended(NamedTuple):
    phase: int
    at_s: float
    failed: bool
    slow: bool


@dataclass
class Model:
    """What the breaker promises, said again from the whole list of past calls.

    phases: each closed, open or half-open time, in order; a call belongs to the one it began in.
    """

    limits: BreakerLimits
    now_s: float = 0.0
    phases: list[str] = field(default_factory=lambda: ["closed"])
    past: list[Ended] = field(default_factory=list)
    open_until_s: float = 0.0
    on_trial: bool = False

    @property
    def state(self) -> str:
        over = self.phases[-1] == "open" and self.now_s >= self.open_until_s
        return "half_open" if over else self.phases[-1]

    @property
    def admits(self) -> bool:
        return self.state == "closed" or (self.state == "half_open" and not self.on_trial)

    def begin(self) -> int:
        if self.state != self.phases[-1]:
            self.phases.append("half_open")
        self.on_trial = self.state == "half_open"
        return len(self.phases) - 1

    def end(self, phase: int, began_s: float, how: str) -> bool:
        """Whether the breaker opens now."""
        if phase != len(self.phases) - 1:
            return False
        self.on_trial = False
        if how in UNCOUNTED:
            return False
        self.past.append(Ended(phase, self.now_s, how in FAILURES, self.now_s - began_s > self.limits.slow_s))
        mine = [call for call in self.past if call.phase == phase]
        if self.state == "closed":
            return self._too_bad(mine)
        if mine[-1].failed or mine[-1].slow:
            return True
        if len(mine) == self.limits.trials:
            self.phases.append("closed")
        return False

    def _too_bad(self, mine: list[Ended]) -> bool:
        limits = self.limits
        recent = [call for call in mine if call.at_s >= self.now_s - limits.window_s][-limits.window_calls :]
        failed = sum(call.failed for call in recent) / len(recent)
        slow = sum(call.slow for call in recent) / len(recent)
        return len(recent) >= limits.min_calls and (
            failed >= limits.failure_share or slow >= limits.slow_share
        )

    def open(self, until_s: float) -> None:
        self.phases.append("open")
        self.open_until_s = until_s


class Running(NamedTuple):
    block: AbstractContextManager[None]
    phase: int
    began_s: float


class Pair:
    """A breaker and its model, taken through the same history; they must never differ."""

    def __init__(self, limits: BreakerLimits, seed: int = 0) -> None:
        self.clock = FakeClock()
        self.breaker = CircuitBreaker("service", self.clock, limits, random.Random(seed))
        self.model = Model(limits)
        self.seen: Counter[str] = Counter()

    def pass_time(self, delay_s: float) -> None:
        self.clock.elapsed_s += delay_s
        self.model.now_s = self.clock.elapsed_s

    def begin(self) -> Running | None:
        wait_s = self.breaker.retry_in_s
        assert (wait_s == 0) == self.model.admits
        block = self.breaker.call()
        if not self.model.admits:
            with pytest.raises(CircuitOpen) as caught:
                block.__enter__()
            assert caught.value.retry_after_s == wait_s
            assert wait_s > 0
            self.seen[f"refused while {self.model.state}"] += 1
            return None
        block.__enter__()
        return Running(block, self.model.begin(), self.clock.elapsed_s)

    def end(self, call: Running, how: str) -> None:
        before, counts = self.breaker.state, tuple(self.breaker._calls)
        self.seen["ended late"] += call.phase != len(self.model.phases) - 1
        opens = self.model.end(call.phase, call.began_s, how)
        ending = ENDINGS[how]
        call.block.__exit__(type(ending) if ending else None, ending, None)
        if how in UNCOUNTED:
            assert (self.breaker.state, tuple(self.breaker._calls)) == (before, counts)
        if opens:
            self.model.open(self.breaker._open_until_s)
            limits = self.breaker.limits
            assert abs(self.breaker.retry_in_s / limits.open_s - 1) <= limits.open_jitter + 1e-9
        if self.breaker.state != before:
            self.seen[f"{before} -> {self.breaker.state}"] += 1

    def check(self) -> None:
        assert self.breaker.state == self.model.state


class BreakerMachine(RuleBasedStateMachine):
    """begun: calls that run now; any of them may end next, in any way."""

    begun = RunningCalls("begun")

    @initialize(limits=st.sampled_from([DEFAULT, SMALL, ONE_TRIAL]), seed=st.integers(0, 99))
    def build(self, limits: BreakerLimits, seed: int) -> None:
        self.pair = Pair(limits, seed)
        self.running: list[Running] = []

    @rule(target=begun)
    def begin(self) -> object:
        call = self.pair.begin()
        if call is None:
            return multiple()
        self.running.append(call)
        return call

    @rule(call=consumes(begun), how=st.sampled_from(sorted(ENDINGS)))
    def end(self, call: Running, how: str) -> None:
        self.running.remove(call)
        self.pair.end(call, how)

    @rule(how=st.sampled_from(["unreachable", "timeout", "good"]), times=st.integers(1, 12))
    def call_again_and_again(self, how: str, times: int) -> None:
        for _ in range(times):
            if call := self.pair.begin():
                self.pair.end(call, how)

    @rule(delay_s=st.sampled_from([0.25, 1.0, 2.25, 5.0, 10.0, 20.0, 20.25, 60.0]))
    def pass_time(self, delay_s: float) -> None:
        self.pair.pass_time(delay_s)

    @rule()
    def wait_as_told(self) -> None:
        self.pair.pass_time(self.pair.breaker.retry_in_s)

    @invariant()
    def breaker_and_model_agree(self) -> None:
        self.pair.check()

    @invariant()
    def at_most_one_call_is_on_trial(self) -> None:
        if self.pair.breaker.state is BreakerState.HALF_OPEN:
            phase = len(self.pair.model.phases) - 1
            assert sum(call.phase == phase for call in self.running) <= 1


BreakerMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestTheBreakerNeverDiffersFromItsModel = BreakerMachine.TestCase


def _live_through(pair: Pair, rng: random.Random) -> None:
    """A random history: services that are well, dead or in between, callers that come and go."""
    running: list[Running] = []
    health = rng.choice([0.0, 0.1, 0.4, 0.5, 0.6, 0.95])
    for _ in range(rng.randint(10, 60)):
        chance = rng.random()
        if chance < 0.5:
            if (call := pair.begin()) is not None:
                running.append(call)
        elif chance < 0.85 and running:
            how = rng.choice(sorted(UNCOUNTED)) if rng.random() < 0.15 else None
            how = how or ("good" if rng.random() < health else rng.choice(sorted(FAILURES)))
            pair.end(running.pop(rng.randrange(len(running))), how)
        else:
            pair.pass_time(rng.choice([0.25, 1.0, 2.25, 6.0, 20.25, 40.0]))
        pair.check()


def test_the_breaker_keeps_its_promises_over_ten_thousand_random_histories() -> None:
    rng = random.Random(20261101)
    seen: Counter[str] = Counter()

    with capture_logs():
        for seed in range(10_000):
            pair = Pair(rng.choice([DEFAULT, SMALL, ONE_TRIAL]), seed)
            _live_through(pair, rng)
            seen += pair.seen

    # Every path was walked, and often.
    assert set(seen) >= {
        "closed -> open", "half_open -> open", "half_open -> closed", "refused while open",
        "refused while half_open", "ended late",
    }  # fmt: skip
    assert min(seen.values()) > 500, seen


def _state(breaker: CircuitBreaker) -> BreakerState:
    """Read anew: a type checker takes a property for unchanged since it was last compared."""
    return breaker.state


def _breaker(limits: BreakerLimits = DEFAULT) -> tuple[CircuitBreaker, FakeClock]:
    clock = FakeClock()
    return CircuitBreaker("service", clock, limits, random.Random(1)), clock


def _call(breaker: CircuitBreaker, *outcomes: str, took_s: float = 0) -> None:
    for how in outcomes:
        with suppress(*(type(ending) for ending in ENDINGS.values() if ending)), breaker.call():
            breaker.clock.elapsed_s += took_s  # type: ignore[attr-defined]  # it is a FakeClock
            if ending := ENDINGS[how]:
                raise ending


def test_nine_failures_of_nine_keep_it_closed_and_the_tenth_opens_it() -> None:
    breaker, _ = _breaker()

    _call(breaker, *["failing"] * 9)
    assert _state(breaker) is BreakerState.CLOSED

    _call(breaker, "timeout")
    assert _state(breaker) is BreakerState.OPEN


def test_half_of_the_calls_failing_opens_it_and_a_little_less_does_not() -> None:
    breaker, _ = _breaker()
    _call(breaker, *["good"] * 11, *["unreachable"] * 9)
    assert _state(breaker) is BreakerState.CLOSED

    _call(breaker, "unreachable")

    assert _state(breaker) is BreakerState.OPEN


def test_it_judges_by_the_last_twenty_calls() -> None:
    breaker, _ = _breaker()
    _call(breaker, *["good"] * 1_000, *["failing"] * 9)
    assert _state(breaker) is BreakerState.CLOSED

    _call(breaker, "failing")

    assert _state(breaker) is BreakerState.OPEN


def test_it_forgets_what_is_older_than_a_minute() -> None:
    breaker, clock = _breaker()
    _call(breaker, *["failing"] * 9)
    clock.elapsed_s += 60.1

    _call(breaker, *["failing"] * 9)

    assert _state(breaker) is BreakerState.CLOSED


@pytest.mark.parametrize(("slow", "state"), [(7, BreakerState.CLOSED), (8, BreakerState.OPEN)])
def test_eight_slow_calls_of_ten_open_it_though_none_failed(slow: int, state: BreakerState) -> None:
    limits = BreakerLimits(window_s=1_000)
    breaker, _ = _breaker(limits)

    _call(breaker, *["good"] * (10 - slow))
    _call(breaker, *["good"] * slow, took_s=20.1)

    assert _state(breaker) is state


def test_a_call_of_just_twenty_seconds_is_not_slow() -> None:
    breaker, _ = _breaker(BreakerLimits(window_s=1_000))

    _call(breaker, *["good"] * 10, took_s=20)

    assert _state(breaker) is BreakerState.CLOSED


@pytest.mark.parametrize("how", sorted(UNCOUNTED))
def test_what_the_service_is_not_to_blame_for_never_opens_it(how: str) -> None:
    breaker, _ = _breaker()

    _call(breaker, *[how] * 100, took_s=21)

    assert _state(breaker) is BreakerState.CLOSED


def test_faults_pass_through_as_they_are() -> None:
    breaker, _ = _breaker()
    fault = ModelFailed("broke", fault=Fault.FAILING)

    with pytest.raises(ModelFailed) as caught, breaker.call():
        raise fault

    assert caught.value is fault


def _opened(limits: BreakerLimits = DEFAULT) -> tuple[CircuitBreaker, FakeClock]:
    breaker, clock = _breaker(limits)
    _call(breaker, *["failing"] * limits.min_calls)
    return breaker, clock


def test_while_open_it_says_how_long_and_half_opens_by_time_alone() -> None:
    breaker, clock = _opened()

    with pytest.raises(CircuitOpen, match="service") as caught, breaker.call():
        pytest.fail("a call was let through")
    assert caught.value.retry_after_s == breaker.retry_in_s
    assert 24 <= breaker.retry_in_s <= 36

    clock.elapsed_s += 36
    assert _state(breaker) is BreakerState.HALF_OPEN
    assert breaker.retry_in_s == 0


def test_open_times_differ_by_a_fifth_so_that_processes_dont_come_back_together() -> None:
    waits_s = []
    for seed in range(1_000):
        breaker = CircuitBreaker("service", FakeClock(), DEFAULT, random.Random(seed))
        _call(breaker, *["failing"] * 10)
        waits_s.append(breaker.retry_in_s)

    assert 24 <= min(waits_s) < 24.2
    assert 35.8 < max(waits_s) <= 36
    assert abs(sum(waits_s) / 1_000 - 30) < 0.4


@contextmanager
def _on_trial(breaker: CircuitBreaker) -> Iterator[None]:
    breaker.clock.elapsed_s += 36  # type: ignore[attr-defined]  # it is a FakeClock
    with suppress(asyncio.CancelledError), breaker.call():
        yield


def test_one_trial_runs_at_a_time_and_others_are_told_to_come_back_soon() -> None:
    breaker, _ = _opened()

    with _on_trial(breaker):
        with pytest.raises(CircuitOpen) as caught, breaker.call():
            pytest.fail("a second trial was let through")
        assert caught.value.retry_after_s == breaker.retry_in_s
        assert 0 < breaker.retry_in_s < 5
        assert _state(breaker) is BreakerState.HALF_OPEN

    assert breaker.retry_in_s == 0


def test_three_good_trials_close_it_with_an_empty_window() -> None:
    breaker, clock = _opened()
    clock.elapsed_s += 36

    _call(breaker, "good", "good")
    assert _state(breaker) is BreakerState.HALF_OPEN
    _call(breaker, "good")
    assert _state(breaker) is BreakerState.CLOSED

    _call(breaker, *["failing"] * 9)
    assert _state(breaker) is BreakerState.CLOSED


@pytest.mark.parametrize(("how", "took_s"), [("failing", 0.0), ("timeout", 0.0), ("good", 20.1)])
def test_one_bad_trial_opens_it_anew_for_as_long_again(how: str, took_s: float) -> None:
    breaker, clock = _opened()
    clock.elapsed_s += 36
    _call(breaker, "good", "good")

    _call(breaker, how, took_s=took_s)

    assert _state(breaker) is BreakerState.OPEN
    assert 24 <= breaker.retry_in_s <= 36


def test_a_trial_that_is_cancelled_gives_up_its_place_and_counts_for_nothing() -> None:
    breaker, _ = _opened()
    with _on_trial(breaker):
        raise asyncio.CancelledError

    assert _state(breaker) is BreakerState.HALF_OPEN
    _call(breaker, "good", "good", "rate_limited", "bug")
    assert _state(breaker) is BreakerState.HALF_OPEN
    _call(breaker, "good")
    assert _state(breaker) is BreakerState.CLOSED


def test_calls_from_before_it_opened_dont_count_when_they_end_at_last() -> None:
    breaker, clock = _breaker()
    late_and_bad, late_and_good = breaker.call(), breaker.call()
    late_and_bad.__enter__()
    late_and_good.__enter__()
    _call(breaker, *["failing"] * 10)
    clock.elapsed_s += 36

    with _on_trial(breaker):
        late_and_good.__exit__(None, None, None)
        assert breaker.retry_in_s > 0, "the trial's place is still taken"
    _call(breaker, "good")
    late_and_bad.__exit__(TimeoutError, TimeoutError(), None)

    assert _state(breaker) is BreakerState.HALF_OPEN
    _call(breaker, "good")
    assert _state(breaker) is BreakerState.CLOSED


def test_what_the_circuit_did_is_logged_with_its_counts() -> None:
    with capture_logs() as logged:
        breaker, clock = _opened()
        clock.elapsed_s += 36
        _call(breaker, "good", "good", "good")

    assert [(entry["event"], entry["calls"], entry["failures"]) for entry in logged] == [
        ("circuit.opened", 10, 10),
        ("circuit.half_opened", 0, 0),
        ("circuit.closed", 3, 0),
    ]
    assert {entry["name"] for entry in logged} == {"service"}

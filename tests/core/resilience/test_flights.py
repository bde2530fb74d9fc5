import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.resilience.flights import Flights


async def _turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@dataclass
class Work:
    """Runs until it is told what to give; every run is remembered."""

    gates: list[asyncio.Future[str]] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    tidying: asyncio.Event | None = None

    async def __call__(self) -> str:
        number = len(self.gates)
        self.gates.append(asyncio.get_running_loop().create_future())
        try:
            return await self.gates[number]
        except asyncio.CancelledError:
            if self.tidying:
                await self.tidying.wait()
            self.cancelled.append(number)
            raise


@pytest.fixture
def reported() -> Iterator[list[dict[str, Any]]]:
    """What asyncio complains of to a loop that `_listen` was told of, by the end: nothing."""
    complaints: list[dict[str, Any]] = []
    yield complaints
    gc.collect()
    assert complaints == []


def _listen(reported: list[dict[str, Any]]) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))


async def test_a_hundred_who_ask_at_once_share_one_run() -> None:
    flights, work = Flights[str](), Work()
    async with asyncio.TaskGroup() as group:
        callers = [group.create_task(flights.share("key", work)) for _ in range(100)]
        await _turns()
        work.gates[0].set_result("found")

    assert [caller.result() for caller in callers] == ["found"] * 100
    assert len(work.gates) == 1


async def test_different_keys_are_different_work() -> None:
    flights, work = Flights[str](), Work()
    async with asyncio.TaskGroup() as group:
        one = group.create_task(flights.share("one", work))
        two = group.create_task(flights.share("two", work))
        await _turns()
        work.gates[1].set_result("2")
        work.gates[0].set_result("1")

    assert (one.result(), two.result()) == ("1", "2")


async def test_whoever_comes_after_the_end_begins_anew() -> None:
    flights = Flights[int]()
    runs = iter(range(10))

    async def work() -> int:
        return next(runs)

    assert [await flights.share("key", work) for _ in range(3)] == [0, 1, 2]


async def test_a_failure_reaches_everybody_and_is_not_kept() -> None:
    flights, work = Flights[str](), Work()
    callers = [asyncio.ensure_future(flights.share("key", work)) for _ in range(10)]
    await _turns()
    work.gates[0].set_exception(LookupError("nothing"))

    given = await asyncio.gather(*callers, return_exceptions=True)

    assert [str(failure) for failure in given] == ["nothing"] * 10
    again = asyncio.ensure_future(flights.share("key", work))
    await _turns()
    work.gates[1].set_result("found")
    assert await again == "found"


async def test_one_who_leaves_never_stops_the_work_of_the_others_not_even_the_first() -> None:
    flights, work = Flights[str](), Work()
    first, *others = [asyncio.ensure_future(flights.share("key", work)) for _ in range(3)]
    await _turns()

    first.cancel()
    await _turns()
    assert first.cancelled()
    work.gates[0].set_result("found")

    assert await asyncio.gather(*others) == ["found", "found"]


async def test_a_callers_time_limit_is_its_own() -> None:
    flights, work = Flights[str](), Work()
    patient = asyncio.ensure_future(flights.share("key", work))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await flights.share("key", work)

    work.gates[0].set_result("found")

    assert await patient == "found"


async def test_the_last_to_leave_cancels_the_work_and_waits_until_it_has_tidied_up() -> None:
    flights, work = Flights[str](), Work(tidying=asyncio.Event())
    callers = [asyncio.ensure_future(flights.share("key", work)) for _ in range(3)]
    await _turns()

    for caller in callers:
        caller.cancel()
    await _turns()
    assert [caller.done() for caller in callers] == [True, True, False]
    assert work.tidying
    work.tidying.set()
    await _turns()

    assert callers[2].cancelled()
    assert work.cancelled == [0]


async def test_whoever_comes_while_cancelled_work_tidies_up_gets_work_of_their_own() -> None:
    flights, work = Flights[str](), Work(tidying=asyncio.Event())
    leaver = asyncio.ensure_future(flights.share("key", work))
    await _turns()
    leaver.cancel()
    await _turns()

    comer = asyncio.ensure_future(flights.share("key", work))
    await _turns()
    work.gates[1].set_result("found")

    assert await comer == "found"
    assert work.tidying
    work.tidying.set()
    await asyncio.wait([leaver])


async def test_a_failure_that_nobody_waits_for_any_more_is_not_reported(
    reported: list[dict[str, Any]],
) -> None:
    _listen(reported)
    flights, work = Flights[str](), Work()
    caller = asyncio.ensure_future(flights.share("key", work))
    await _turns()

    work.gates[0].set_exception(LookupError("nothing"))
    await asyncio.sleep(0)
    caller.cancel()

    assert isinstance((await asyncio.gather(caller, return_exceptions=True))[0], asyncio.CancelledError)


# One step of a history: who joins which key, who leaves, what a run comes to, a turn of the loop.
STEPS = st.one_of(
    st.tuples(st.just("join"), st.sampled_from("ab")),
    st.tuples(st.just("leave"), st.integers(0, 9)),
    st.tuples(st.just("end"), st.integers(0, 5)),
    st.tuples(st.just("fail"), st.integers(0, 5)),
    st.tuples(st.just("turn"), st.integers(1, 4)),
)


@dataclass
class Run:
    key: str
    number: int
    gate: asyncio.Future[str]
    task: asyncio.Task[Any]

    @property
    def lives(self) -> bool:
        return not self.task.done() and not self.task.cancelling()


@dataclass
class History:
    """Lives through steps; asserts on the way that a key never has two runs that anybody wants."""

    flights: Flights[str] = field(default_factory=Flights)
    runs: list[Run] = field(default_factory=list)
    callers: list[tuple[str, asyncio.Task[str]]] = field(default_factory=list)
    left: set[int] = field(default_factory=set)

    def work(self, key: str) -> Callable[[], Coroutine[Any, Any, str]]:
        async def work() -> str:
            assert not any(run.lives for run in self.runs if run.key == key)
            task = asyncio.current_task()
            assert task
            run = Run(key, len(self.runs), asyncio.get_running_loop().create_future(), task)
            self.runs.append(run)
            return await run.gate

        return work

    async def step(self, what: str, argument: Any) -> None:
        if what == "join":
            share = self.flights.share(argument, self.work(argument))
            self.callers.append((argument, asyncio.ensure_future(share)))
        elif what == "turn":
            await _turns(argument)
        elif what == "leave" and argument < len(self.callers) and self.callers[argument][1].cancel():
            self.left.add(argument)
        elif what in {"end", "fail"} and argument < len(self.runs):
            gate = self.runs[argument].gate
            if not gate.done() and what == "end":
                gate.set_result(str(argument))
            elif not gate.done():
                gate.set_exception(LookupError(str(argument)))

    async def finish(self) -> list[str | BaseException]:
        while not all(caller.done() for _, caller in self.callers):
            for run in self.runs:
                await self.step("end", run.number)
            await _turns()
        return await asyncio.gather(*(caller for _, caller in self.callers), return_exceptions=True)


async def test_whoever_comes_when_the_work_has_just_ended_begins_work_that_later_comers_join() -> None:
    history = History()
    first = asyncio.ensure_future(history.flights.share("a", history.work("a")))
    await _turns()
    ended = history.runs[0]

    async def come_as_it_ends() -> str:
        while not ended.task.done():  # noqa: ASYNC110 - an Event would tell it a turn too late
            await asyncio.sleep(0)
        assert not first.done(), "the first caller has yet to hear of it"
        return await history.flights.share("a", history.work("a"))

    second = asyncio.ensure_future(come_as_it_ends())
    await history.step("end", 0)
    assert await first == "0"
    third = asyncio.ensure_future(history.flights.share("a", history.work("a")))
    await _turns()
    await history.step("end", 1)

    assert (await second, await third) == ("1", "1")
    assert len(history.runs) == 2


async def _live_through(steps: list[tuple[str, Any]]) -> None:
    history = History()
    for what, argument in steps:
        await history.step(what, argument)
    ends = await history.finish()

    served = set()
    for number, ((key, _), end) in enumerate(zip(history.callers, ends, strict=True)):
        if number in history.left:
            assert isinstance(end, asyncio.CancelledError)
        else:
            assert isinstance(end, str | LookupError)
            run = history.runs[int(str(end))]
            assert run.key == key
            served.add(run.number)
    assert all(run.task.done() for run in history.runs)
    # Work is cancelled only when all who wanted it have left.
    assert not served & {run.number for run in history.runs if run.task.cancelled()}
    assert history.flights._flights == {}


def test_in_whatever_order_callers_join_and_leave_each_gets_one_runs_end_or_its_own_cancellation(
    reported: list[dict[str, Any]],
) -> None:
    @given(steps=st.lists(STEPS, max_size=40))
    def each_gets_its_own(steps: list[tuple[str, Any]]) -> None:
        async def live() -> None:
            _listen(reported)
            await _live_through(steps)

        asyncio.run(live())

    each_gets_its_own()

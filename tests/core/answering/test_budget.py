"""A day's budget: at most one call above it, whatever happens to the store, and answers all the same."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from core.answering.budget import (
    BudgetedModel,
    BudgetLeft,
    BudgetLimits,
    BudgetSpent,
    ModelBudget,
    ModelPrices,
    Reservation,
    Spend,
)
from core.answering.extractive import ExtractiveAnswer
from core.answering.writing import Writing
from core.asking.planning import Planning
from core.asking.query import plan_search
from core.errors import Fault, ModelFailed, StoreFailed
from core.ports import Store
from core.providers.storage.memory_store import MemoryStore
from core.resilience.deadline import Deadline
from core.tracing import Trace
from core.types import Completion, FinishReason, MessageRole, NoticeKind, Outcome, Prompt, PromptMessage
from tests.core.answering.test_models import ScriptedModel
from tests.core.answering.test_writing import QUESTION, source
from tests.core.asking.questions import asked
from tests.fakes import FakeClock, FakeEmbedder, FakeLanguageModel

PROMPT = Prompt(
    version="1",
    messages=(PromptMessage(role=MessageRole.USER, content="Why? " * 80),),  # 100 tokens
    max_output_tokens=200,
)
PRICES = ModelPrices(input_usd=1.0, output_usd=10.0)


@dataclass
class FlakyStore:
    """A MemoryStore that is out of reach at times.

    deaf: counts, but its answer is lost. late_s: what it takes to answer.
    """

    inner: MemoryStore
    down: bool = False
    deaf: bool = False
    late_s: float = 0.0
    ttls_s: set[float] = field(default_factory=set)

    async def add(self, key: str, amount: int, *, ttl_s: float) -> int:
        await asyncio.sleep(self.late_s)
        if self.down:
            raise StoreFailed("out of reach")
        self.ttls_s.add(ttl_s)
        total = await self.inner.add(key, amount, ttl_s=ttl_s)
        if self.deaf:
            raise StoreFailed("its answer was lost")
        return total

    async def get(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        return await self.inner.get(keys)

    async def put(self, values: Mapping[str, bytes], *, ttl_s: float) -> None:
        await self.inner.put(values, ttl_s=ttl_s)

    async def claim(self, key: str, value: bytes, *, ttl_s: float) -> bool:
        return await self.inner.claim(key, value, ttl_s=ttl_s)

    async def remove(self, keys: Sequence[str]) -> None:
        await self.inner.remove(keys)

    async def keys(self, prefix: str) -> Sequence[str]:
        return await self.inner.keys(prefix)


def flaky(clock: FakeClock | None = None) -> FlakyStore:
    return FlakyStore(MemoryStore(clock or FakeClock()))


def budget_of(
    tokens: int = 0, usd: float = 0.0, *, store: Store | None = None, clock: FakeClock | None = None
) -> ModelBudget:
    clock = clock or FakeClock()
    limits = BudgetLimits(tokens_per_day=tokens, usd_per_day=usd, prices=PRICES)
    return ModelBudget(store or MemoryStore(clock), clock, limits=limits)


def tokens(count: int) -> Spend:
    return Spend(tokens=count, microusd=count)


async def left(budget: ModelBudget) -> int | None:
    state = await budget.left()
    assert state is not None
    return state.tokens


RESERVE = st.tuples(st.just("reserve"), st.integers(1, 60))
SETTLE = st.tuples(st.just("settle"), st.integers(0, 100))
STEPS = st.lists(
    st.one_of(RESERVE, SETTLE, st.tuples(st.sampled_from(["down", "deaf", "up"]), st.just(0))), max_size=80
)
LIMIT = 200


# What is given back while answers are lost must not be given back a second time.
@example([*[("reserve", 60)] * 3, ("deaf", 0), *[("settle", 0)] * 3, ("up", 0), *[("reserve", 60)] * 8])
@given(STEPS)
def test_a_day_ends_at_most_one_call_above_its_limit_whatever_fails_meanwhile(
    steps: list[tuple[str, int]],
) -> None:
    async def run() -> None:
        store = flaky()
        budget = budget_of(LIMIT, store=store)
        open_: list[tuple[Reservation, int]] = []
        used = largest = 0
        for step, number in steps:
            if step in {"down", "deaf", "up"}:
                store.down, store.deaf = step == "down", step == "deaf"
            if step == "reserve":
                try:
                    open_.append((await budget.reserve(tokens(number)), number))
                    largest = max(largest, number)
                except BudgetSpent:
                    reserved = sum(amount for _, amount in open_)
                    # Refused only when it is spent, but for what a store that failed was not told back.
                    assert used + reserved >= LIMIT or any(name in {"down", "deaf"} for name, _ in steps)
            elif step == "settle" and open_:
                reservation, reserved = open_.pop(number % len(open_))
                spent = number * reserved // 100
                await reservation.settle(tokens(spent))
                used += spent
            assert used + sum(amount for _, amount in open_) < LIMIT + max(1, largest)

    asyncio.run(run())


@given(STEPS)
def test_with_a_store_that_answers_what_is_left_is_exact(steps: list[tuple[str, int]]) -> None:
    async def run() -> None:
        budget = budget_of(LIMIT)
        open_: list[tuple[Reservation, int]] = []
        used = 0
        for step, number in steps:
            if step == "reserve":
                reserved = used + sum(amount for _, amount in open_)
                if reserved < LIMIT:
                    open_.append((await budget.reserve(tokens(number)), number))
                else:
                    with pytest.raises(BudgetSpent):
                        await budget.reserve(tokens(number))
            elif step == "settle" and open_:
                reservation, reserved = open_.pop(number % len(open_))
                await reservation.settle(tokens(number))
                used += number
            assert await left(budget) == max(0, LIMIT - used - sum(amount for _, amount in open_))

    asyncio.run(run())


@pytest.mark.parametrize("down", [False, True])
async def test_many_at_once_can_not_overshoot(down: bool) -> None:
    store = flaky()
    store.late_s, store.down = 0.001, down
    budget = budget_of(1_000, store=store)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(reserved(budget, 300)) for _ in range(24)]
    assert sum(task.result() for task in tasks) == 4  # 0, 300, 600 and 900 were below the limit


async def reserved(budget: ModelBudget, count: int) -> bool:
    try:
        await budget.reserve(tokens(count))
    except BudgetSpent:
        return False
    return True


async def test_a_store_that_fails_is_counted_for_here_from_its_last_total_and_told_later() -> None:
    store = flaky()
    budget = budget_of(1_000, store=store)
    other_process = budget_of(1_000, store=store)
    await (await other_process.reserve(tokens(500))).settle(tokens(600))
    assert await left(budget) == 400

    store.down = True
    with capture_logs() as logs:
        await (await budget.reserve(tokens(300))).settle(tokens(100))
        assert await left(budget) == 300
        await budget.reserve(tokens(300))
        with pytest.raises(BudgetSpent):
            await budget.reserve(tokens(1))
    assert "budget.counted_here" in {entry["event"] for entry in logs}

    store.down = False
    assert await left(budget) == 0
    assert await left(other_process) == 0


async def test_two_processes_share_one_budget_and_the_next_day_has_its_own() -> None:
    clock = FakeClock()
    store = flaky(clock)
    one, other = (budget_of(100, store=store, clock=clock) for _ in range(2))
    reservation = await one.reserve(tokens(100))
    with pytest.raises(BudgetSpent):
        await other.reserve(tokens(1))

    clock.elapsed_s += timedelta(days=1).total_seconds()
    assert await left(other) == 100
    await other.reserve(tokens(10))
    await reservation.settle(tokens(30))  # counts for the day in which it was made
    assert await left(other) == await left(one) == 90
    assert await store.keys("budget:") == ["budget:2026-01-01:tokens", "budget:2026-01-02:tokens"]
    assert store.ttls_s == {48 * 3600}


async def test_what_is_left_tells_both_limits_and_when_they_are_renewed() -> None:
    budget = budget_of(1_000, 2.0)
    await budget.reserve(Spend(tokens=400, microusd=500_000))
    assert await budget.left() == BudgetLeft(tokens=600, usd=1.5, renewed_at=datetime(2026, 1, 2, tzinfo=UTC))
    assert await budget_of().left() is None
    only_money = await budget_of(usd=2.0).left()
    assert only_money is not None
    assert (only_money.tokens, only_money.usd) == (None, 2.0)


@pytest.mark.parametrize("spent", [Spend(tokens=1_000, microusd=0), Spend(tokens=0, microusd=2_000_000)])
async def test_either_limit_ends_the_day_and_a_refusal_costs_nothing(spent: Spend) -> None:
    budget = budget_of(1_000, 2.0)
    await (await budget.reserve(tokens(1))).settle(spent)
    before = await budget.left()
    with pytest.raises(BudgetSpent):
        await budget.reserve(Spend(tokens=10, microusd=10))
    assert await budget.left() == before


async def test_without_a_limit_nothing_is_counted() -> None:
    store = flaky()
    store.down = True
    with capture_logs() as logs:
        await (await budget_of(store=store).reserve(tokens(10**9))).settle(tokens(10**9))
    assert logs == []


class CountedModel(FakeLanguageModel):
    """Tells what it used."""

    told: Completion

    async def stream(self, prompt: Prompt):  # type: ignore[no-untyped-def] # as its parent's
        async with aclosing(super().stream(prompt)) as pieces:
            async for piece in pieces:
                yield self.told if isinstance(piece, Completion) else piece


def told(*, of_input: int | None, of_output: int | None, cost_usd: float | None = None) -> CountedModel:
    model = CountedModel(["Because it is."])
    model.told = Completion(
        finish_reason=FinishReason.STOP,
        model="m",
        input_tokens=of_input,
        output_tokens=of_output,
        cost_usd=cost_usd,
    )
    return model


async def spent_by(model: FakeLanguageModel | ScriptedModel, *, stop_after: int | None = None) -> Spend:
    """What a day's budget has lost to one stream, read to its end or closed after so many pieces."""
    budget = budget_of(100_000, 1.0)
    async with aclosing(BudgetedModel(model, budget).stream(PROMPT)) as stream:
        try:
            heard = 0
            async for _ in stream:
                heard += 1
                if heard == stop_after:
                    break
        except ModelFailed:
            pass
    state = await budget.left()
    assert state is not None
    assert state.tokens is not None
    assert state.usd is not None
    return Spend(tokens=100_000 - state.tokens, microusd=round((1 - state.usd) * 1_000_000))


@pytest.mark.parametrize(
    ("model", "spend"),
    [
        (told(of_input=90, of_output=50), Spend(tokens=140, microusd=90 + 500)),
        (told(of_input=90, of_output=50, cost_usd=0.0123), Spend(tokens=140, microusd=12_300)),
        (told(of_input=90, of_output=50, cost_usd=0.0), Spend(tokens=140, microusd=0)),
        (told(of_input=None, of_output=None), Spend(tokens=100 + 4, microusd=100 + 40)),
        (
            FakeLanguageModel(["word " * 8, "word " * 8], fails_with="broke off"),
            Spend(tokens=120, microusd=300),
        ),
        (ScriptedModel([[ModelFailed("", fault=Fault.TIMED_OUT)]]), Spend(tokens=100, microusd=100)),
        (ScriptedModel([[ModelFailed("", fault=Fault.FAILING)]]), Spend(tokens=100, microusd=100)),
        (ScriptedModel([[ModelFailed("", fault=Fault.RATE_LIMITED)]]), Spend(tokens=0, microusd=0)),
        (ScriptedModel([[ModelFailed("", fault=Fault.KEY_REFUSED)]]), Spend(tokens=0, microusd=0)),
    ],
)
async def test_what_a_stream_used_is_counted_as_the_api_tells_else_by_its_characters(
    model: FakeLanguageModel | ScriptedModel, spend: Spend
) -> None:
    assert await spent_by(model) == spend


async def test_a_stopped_stream_is_counted_as_far_as_it_came() -> None:
    assert await spent_by(FakeLanguageModel(["word " * 8] * 100), stop_after=2) == Spend(
        tokens=120, microusd=300
    )


async def test_a_cancelled_stream_is_settled_and_stays_cancelled() -> None:
    budget = budget_of(100_000)

    async def listen() -> None:
        async with aclosing(BudgetedModel(ScriptedModel([["word", 10.0]]), budget).stream(PROMPT)) as stream:
            async for _ in stream:
                pass

    task = asyncio.create_task(listen())
    await asyncio.sleep(0.01)
    assert await left(budget) == 100_000 - 300
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await left(budget) == 100_000 - 101


async def test_with_the_budget_spent_the_answer_is_quoted_and_says_why_and_queries_go_by_rule() -> None:
    budget = budget_of(1)
    await budget.reserve(tokens(1))
    asked_model = FakeLanguageModel(["Families did [1]."])
    model = BudgetedModel(asked_model, budget)

    answer = await Writing(model, ExtractiveAnswer(FakeEmbedder())).write(
        QUESTION,
        (source(),),
        (),
        asked=QUESTION.text,
        show=lambda _: None,
        deadline=Deadline.after(30),
        trace=Trace(),
    )
    follow_up = asked("and in Germany?", "What is the population of France?")
    plan = await Planning(model).plan(follow_up, deadline=Deadline.after(30), trace=Trace())

    assert answer.outcome is Outcome.ANSWERED
    assert "families" in answer.text
    assert [(notice.kind, notice.detail) for notice in answer.notices] == [
        (NoticeKind.EXTRACTIVE_BUDGET_SPENT, "")
    ]
    assert plan == plan_search(follow_up)
    assert asked_model.prompts == []

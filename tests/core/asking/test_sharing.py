"""Identical questions at once in one channel share the work."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from core.answering.writing import Show
from core.asking.sharing import SharedQuestions
from core.types import Answer, AskerId, Draft, Outcome, Progress, Question, Stage, Turn

ANSWER = Answer(outcome=Outcome.ANSWERED, text="The moon.")
ASKED = Question(
    id="q1",
    text="What raises the tides?",
    asker=AskerId("test:ann"),
    platform="test",
    asked_at=datetime(2026, 1, 1, tzinfo=UTC),
    channel="test:c1",
)


@dataclass
class Work:
    """Shows one draft, then answers when it may."""

    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    runs: int = 0
    cancelled: int = 0

    async def __call__(self, show: Show) -> Answer:
        self.runs += 1
        show(Progress(stage=Stage.SEARCHING))
        show(Draft(text="The"))
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        show(Draft(text="The moon."))
        return ANSWER


async def asked_by_all(*questions: Question) -> tuple[Work, list[list[Progress | Draft]]]:
    """All of them at once, one after the other in one turn of the loop each."""
    shared, work = SharedQuestions(), Work()
    shown: list[list[Progress | Draft]] = [[] for _ in questions]
    async with asyncio.TaskGroup() as group:
        tasks = []
        for question, events in zip(questions, shown, strict=True):
            tasks.append(group.create_task(shared.answer(question, show=events.append, work=work)))
            await asyncio.sleep(0.001)
        work.may_end.set()
    assert all(task.result() == ANSWER for task in tasks)
    return work, shown


async def test_two_who_ask_the_same_at_once_in_one_channel_share_the_work_and_see_all_of_it() -> None:
    again = replace(ASKED, id="q2", asker=AskerId("test:bob"), text="  what raises THE tides? ")
    work, (first, second) = await asked_by_all(ASKED, again)
    assert work.runs == 1
    assert first == [Progress(stage=Stage.SEARCHING), Draft(text="The"), Draft(text="The moon.")]
    assert second == [Draft(text="The"), Draft(text="The moon.")]


@pytest.mark.parametrize(
    "other",
    [
        replace(ASKED, id="q2", text="What raises the bread?"),
        replace(ASKED, id="q2", channel="test:c2"),
        replace(ASKED, id="q2", quoted="a message"),
        replace(ASKED, id="q2", thread=(Turn(question="What is bread?", answer="Food."),)),
    ],
    ids=["other words", "other channel", "about a message", "in a conversation"],
)
async def test_what_may_have_another_answer_is_worked_on_by_itself(other: Question) -> None:
    work, _ = await asked_by_all(ASKED, other)
    assert work.runs == 2


async def test_outside_a_channel_nothing_is_shared() -> None:
    work, _ = await asked_by_all(replace(ASKED, channel=""), replace(ASKED, id="q2", channel=""))
    assert work.runs == 2


async def test_who_stops_leaves_the_others_their_answer_and_the_last_one_ends_the_work() -> None:
    shared, work = SharedQuestions(), Work()

    def silent(_: Progress | Draft) -> None:
        """Shows nothing."""

    asks = [
        asyncio.create_task(shared.answer(replace(ASKED, id=name), show=silent, work=work)) for name in "abc"
    ]
    await asyncio.sleep(0.001)
    asks[0].cancel()
    asks[1].cancel()
    await asyncio.wait(asks[:2])
    assert (work.cancelled, asks[2].done()) == (0, False)
    asks[2].cancel()
    await asyncio.wait(asks)
    assert (work.runs, work.cancelled) == (1, 1)
    work.may_end.set()
    assert await shared.answer(ASKED, show=silent, work=work) == ANSWER
    assert work.runs == 2


async def test_who_asks_while_stopped_work_still_ends_sees_nothing_of_it() -> None:
    shared, tidy = SharedQuestions(), asyncio.Event()
    new: list[Progress | Draft] = []

    async def slow_to_end(show: Show) -> Answer:
        show(Draft(text="Stopped"))
        try:
            await asyncio.Event().wait()
        finally:
            await tidy.wait()
            show(Draft(text="Stopped late"))
        raise AssertionError

    stopped = asyncio.create_task(shared.answer(ASKED, show=lambda _: None, work=slow_to_end))
    await asyncio.sleep(0.001)
    stopped.cancel()
    await asyncio.sleep(0.001)
    work = Work()
    asking = asyncio.create_task(shared.answer(replace(ASKED, id="q2"), show=new.append, work=work))
    await asyncio.sleep(0.001)
    joining = asyncio.create_task(shared.answer(replace(ASKED, id="q3"), show=lambda _: None, work=work))
    tidy.set()
    await asyncio.wait([stopped])
    work.may_end.set()
    assert await asking == await joining == ANSWER
    assert work.runs == 1
    assert new == [Progress(stage=Stage.SEARCHING), Draft(text="The"), Draft(text="The moon.")]

"""What becomes of a reply that a killed process left, whatever had happened of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest
from pydantic import JsonValue
from structlog.testing import capture_logs

from core.delivering.journal import Journal, JournalLimits, ReplyRecord
from core.delivering.recovery import MARKED_ATTEMPT, REPEATED_ATTEMPT, Recovery, RecoveryLimits
from core.delivering.running import RunningAnswers
from core.errors import SurfaceFailed
from core.types import Answer, AnswerEvent, Deferred, Draft, Footnote, Notice, NoticeKind, Outcome, PageKind
from tests.fakes import FakeClock, FakeReplySurface, FakeStore

LEASE_S = JournalLimits().lease_s
FOOTNOTE = Footnote(number=1, title="Tides", url="https://a.example/", host="a.example", kind=PageKind.HTML)
DRAFT = Draft(text="The moon[^1]", footnotes=(FOOTNOTE,))
ANSWER = Answer(outcome=Outcome.ANSWERED, text="The moon[^1].", footnotes=(FOOTNOTE,))
INTERRUPTED = Answer(outcome=Outcome.INTERRUPTED, notices=(Notice(kind=NoticeKind.INTERRUPTED),))


class OneLook(FakeClock):
    """Stands still once the first look is over."""

    async def sleep(self, delay_s: float) -> None:
        await super().sleep(delay_s)
        if delay_s == RecoveryLimits().every_s:
            await asyncio.Event().wait()


@dataclass
class PlacedFakeSurface(FakeReplySurface):
    def place(self) -> Mapping[str, JsonValue]:
        return {}

    def on_placed(self, tell: Callable[[], Awaitable[None]]) -> None: ...


@dataclass
class FakeReopener:
    """Opens one surface for all. gone: there is nothing to open any more."""

    surface: PlacedFakeSurface = field(default_factory=PlacedFakeSurface)
    gone: bool = False
    platform: str = "test"
    is_open: asyncio.Event = field(default_factory=asyncio.Event)
    repeated: list[ReplyRecord] = field(default_factory=list)

    async def opened(self) -> None:
        await self.is_open.wait()

    async def reopen(self, record: ReplyRecord) -> PlacedFakeSurface | None:
        return None if self.gone else self.surface

    async def repeat(self, record: ReplyRecord) -> None:
        self.repeated.append(record)


@dataclass
class Left:
    """A journal with what a dead process left in it."""

    clock: FakeClock = field(default_factory=OneLook)
    reopener: FakeReopener = field(default_factory=FakeReopener)

    def __post_init__(self) -> None:
        self.store = FakeStore(clock=self.clock)
        self.journal = Journal(self.store, self.clock)
        self.running = RunningAnswers()

    async def leave(self, record: ReplyRecord) -> None:
        dead = Journal(self.store, self.clock)
        await dead.begin(record)
        await dead.note(record)
        self.clock.elapsed_s += LEASE_S + 1

    def record(self, **more: object) -> ReplyRecord:
        first = ReplyRecord(key="test:a", platform="test", ask={}, begun_at=self.clock.now())
        return replace(first, **more)  # type: ignore[arg-type] # each field's own

    async def recover(self, limits: RecoveryLimits | None = None) -> None:
        """One look."""
        self.reopener.is_open.set()
        recovery = Recovery(
            self.journal, self.clock, [self.reopener], running=self.running, limits=limits
        )  # fmt: skip
        looking = asyncio.ensure_future(recovery.run())
        async with asyncio.timeout(5):
            while RecoveryLimits().every_s not in self.clock.slept_s or len(self.running):  # noqa: ASYNC110
                await asyncio.sleep(0)
        looking.cancel()
        await asyncio.wait([looking])

    async def kept(self) -> bool:
        return bool(await self.store.keys("journal:"))


async def test_an_answer_that_was_ready_is_drawn_to_its_end() -> None:
    left = Left()
    await left.leave(left.record(shown=ANSWER, place={"messages": ["1"]}))

    await left.recover()

    assert left.reopener.surface.drawn == [ANSWER]
    assert not await left.kept()


@pytest.mark.parametrize("shown", [None, DRAFT], ids=["placeholder", "draft"])
async def test_what_was_begun_to_be_shown_stays_and_is_marked(shown: Draft | None) -> None:
    left = Left()
    await left.leave(left.record(shown=shown, place={"messages": ["1"]}))

    await left.recover()

    text, footnotes = (shown.text, shown.footnotes) if shown else ("", ())
    assert left.reopener.surface.drawn == [replace(INTERRUPTED, text=text, footnotes=footnotes)]
    assert left.reopener.repeated == []
    assert not await left.kept()


async def test_a_question_of_which_nothing_was_shown_is_asked_again_and_its_record_kept() -> None:
    left = Left()
    await left.leave(left.record())

    await left.recover()

    (again,) = left.reopener.repeated
    assert again == left.record(begun_at=again.begun_at, attempt=REPEATED_ATTEMPT)
    assert left.reopener.surface.drawn == []
    assert left.journal.holds("test:a")


async def test_a_question_is_asked_again_only_once_and_only_while_it_is_fresh() -> None:
    twice, old = Left(), Left()
    await twice.leave(twice.record(attempt=REPEATED_ATTEMPT))
    await old.leave(old.record())
    old.clock.elapsed_s += RecoveryLimits().repeat_s

    await twice.recover()
    await old.recover()

    assert twice.reopener.repeated == old.reopener.repeated == []
    assert twice.reopener.surface.drawn == old.reopener.surface.drawn == [INTERRUPTED]


async def test_what_is_found_a_third_time_is_marked_and_then_dropped() -> None:
    third, fourth = Left(), Left()
    await third.leave(third.record(shown=ANSWER, attempt=MARKED_ATTEMPT - 1))
    await fourth.leave(fourth.record(shown=ANSWER, attempt=MARKED_ATTEMPT))

    await third.recover()
    await fourth.recover()

    assert third.reopener.surface.drawn[0] == replace(
        INTERRUPTED, text=ANSWER.text, footnotes=ANSWER.footnotes
    )
    assert fourth.reopener.surface.drawn == []
    assert not await third.kept()
    assert not await fourth.kept()


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "lost"])
async def test_a_reply_that_nobody_can_draw_on_is_forgotten(gone: bool) -> None:
    lost = PlacedFakeSurface(script=[SurfaceFailed("deleted", lost=True)])
    left = Left(reopener=FakeReopener(surface=lost, gone=gone))
    await left.leave(left.record(shown=ANSWER))

    await left.recover()

    assert not await left.kept()


async def test_what_cannot_be_drawn_now_is_left_for_the_next_look() -> None:
    class Stuck(PlacedFakeSurface):
        async def draw(self, event: AnswerEvent) -> Deferred | None:
            await asyncio.Event().wait()
            return None

    left = Left(reopener=FakeReopener(surface=Stuck()))
    await left.leave(left.record(shown=ANSWER))

    await left.recover(RecoveryLimits(draw_s=0.02))

    assert await left.kept()
    assert not left.journal.holds("test:a")


async def test_nothing_is_taken_over_before_the_platform_was_joined() -> None:
    left = Left()
    await left.leave(left.record())
    recovery = Recovery(left.journal, left.clock, [left.reopener], running=left.running)
    looking = asyncio.ensure_future(recovery.run())
    for _ in range(20):
        await asyncio.sleep(0)

    assert not left.journal.holds("test:a")
    looking.cancel()
    await asyncio.wait([looking])


async def test_a_bug_in_one_recovery_is_logged_and_the_others_go_on() -> None:
    @dataclass
    class Broken(FakeReopener):
        async def reopen(self, record: ReplyRecord) -> PlacedFakeSurface | None:
            if record.key == "test:a":
                raise ZeroDivisionError
            return self.surface

    left = Left(reopener=Broken())
    await left.leave(left.record(shown=ANSWER))
    await left.leave(left.record(key="test:b", shown=ANSWER))

    with capture_logs() as logs:
        await left.recover()

    assert "answer.failed" in [entry["event"] for entry in logs]
    assert left.reopener.surface.drawn == [ANSWER]

"""A record is held by one process at a time, and never lost while its reply goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from pydantic import JsonValue
from structlog.testing import capture_logs

from core.delivering.journal import LEASE, RECORD, Journal, Journaled, JournalLimits, ReplyRecord
from core.errors import SurfaceFailed
from core.ports import Store
from core.providers.storage.file_store import FileStore
from core.types import (
    Answer,
    AnswerEvent,
    Deferred,
    Draft,
    Footnote,
    Notice,
    NoticeKind,
    Outcome,
    PageKind,
    Progress,
    Stage,
)
from tests.fakes import FakeClock, FakeStore

LIMITS = JournalLimits()
FOOTNOTE = Footnote(number=1, title="Tides", url="https://a.example/", host="a.example", kind=PageKind.PDF)
DRAFT = Draft(text="The moon[^1]", footnotes=(FOOTNOTE,))
ANSWER = Answer(
    outcome=Outcome.ANSWERED, text="The moon[^1].", footnotes=(FOOTNOTE,),
    notices=(Notice(kind=NoticeKind.CUT_BY_LENGTH, detail="x"),), timings_ms={"total": 1.5},
)  # fmt: skip


def record(clock: FakeClock, key: str = "test:a") -> ReplyRecord:
    return ReplyRecord(key=key, platform="test", ask={"text": "Why?"}, begun_at=clock.now())


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["fake", "file"])
def store(request: pytest.FixtureRequest, clock: FakeClock, tmp_path: Path) -> Store:
    return FakeStore(clock=clock) if request.param == "fake" else FileStore(tmp_path, clock)


async def beat(journal: Journal) -> None:
    """One heartbeat."""
    running = asyncio.ensure_future(journal.run())
    for _ in range(200):
        await asyncio.sleep(0.001)
        if running.done():
            break
    running.cancel()
    await asyncio.wait([running])


async def test_what_another_process_asks_to_stop_is_told_once_with_the_next_heartbeat(
    store: Store, clock: FakeClock
) -> None:
    told: list[str] = []
    owner = Journal(store, clock, on_stop=told.append)
    other = Journal(store, clock)
    for key in ("test:a", "test:b"):
        await owner.begin(record(clock, key))
    assert sorted(each.key for each in await other.elsewhere("test")) == ["test:a", "test:b"]
    assert await owner.elsewhere("test") == []

    await other.ask_to_stop("test:a")
    assert told == []
    await beat(owner)
    assert told == ["test:a"]


async def test_what_a_process_leaves_behind_is_found_as_it_was_by_one_other(
    store: Store, clock: FakeClock
) -> None:
    dead, *others = (Journal(store, clock) for _ in range(3))
    begun = record(clock)
    assert await dead.begin(begun)
    noted = replace(begun, place={"messages": ["1.0"]}, shown=ANSWER)
    await dead.note(noted)

    assert await others[0].abandoned("test") == []
    clock.elapsed_s += LIMITS.lease_s + 1
    found = await asyncio.gather(*(other.abandoned("test") for other in others))

    assert sorted(found, key=len) == [[], [replace(noted, attempt=2)]]


@pytest.mark.parametrize("shown", [None, DRAFT, ANSWER, Draft(text=""), Answer(outcome=Outcome.FAILED)])
async def test_a_draft_is_found_as_a_draft_and_an_answer_as_an_answer(
    clock: FakeClock, shown: Draft | Answer | None
) -> None:
    store = FakeStore(clock=clock)
    dead = Journal(store, clock)
    await dead.begin(record(clock))
    await dead.note(replace(record(clock), shown=shown))
    clock.elapsed_s += LIMITS.lease_s + 1

    (found,) = await Journal(store, clock).abandoned("test")

    assert found.shown == shown


async def test_what_was_begun_and_has_not_ended_is_not_begun_again(store: Store, clock: FakeClock) -> None:
    first, second = Journal(store, clock), Journal(store, clock)

    assert await first.begin(record(clock))
    assert not await first.begin(record(clock))
    assert not await second.begin(record(clock))
    await first.end("test:a")
    assert await second.begin(record(clock))


async def test_of_many_that_begin_the_same_at_once_one_does(store: Store, clock: FakeClock) -> None:
    journals = [Journal(store, clock) for _ in range(8)]

    begun = await asyncio.gather(*(journal.begin(record(clock)) for journal in journals))

    assert sum(begun) == 1


async def test_a_record_in_work_is_never_abandoned(clock: FakeClock) -> None:
    store = FakeStore(clock=clock)
    working, other = Journal(store, clock), Journal(store, clock)
    await working.begin(record(clock))

    async with asyncio.TaskGroup() as group:
        beating = group.create_task(working.run())
        while clock.elapsed_s < 5 * LIMITS.lease_s:
            await asyncio.sleep(0)
            assert await other.abandoned("test") == []
        beating.cancel()


async def test_a_heartbeat_in_the_middle_of_a_beginning_takes_nothing_away(clock: FakeClock) -> None:
    class Slow(FakeStore):
        async def claim(self, key: str, value: bytes, *, ttl_s: float) -> bool:
            if key == f"{RECORD}test:a":
                claimed = await super().claim(key, value, ttl_s=ttl_s)
                await journal._beat()
                return claimed
            return await super().claim(key, value, ttl_s=ttl_s)

    store = Slow(clock=clock)
    journal = Journal(store, clock)

    assert await journal.begin(record(clock))
    assert journal.holds("test:a")


async def test_an_ended_record_leaves_nothing_behind(clock: FakeClock) -> None:
    store = FakeStore(clock=clock)
    journal = Journal(store, clock)
    await journal.begin(record(clock))
    await journal.end("test:a")

    assert await store.keys("") == []


async def test_whoever_sleeps_through_the_lease_draws_no_more(clock: FakeClock) -> None:
    store = FakeStore(clock=clock)
    slept, awake = Journal(store, clock), Journal(store, clock)
    surface = NotedSurface()
    begun = record(clock)
    await slept.begin(begun)
    journaled = Journaled(surface, slept, begun)
    clock.elapsed_s += LIMITS.lease_s + 1
    await awake.abandoned("test")

    await beat(slept)

    with pytest.raises(SurfaceFailed) as failure:
        await journaled.draw(ANSWER)
    assert failure.value.lost
    assert surface.drawn == []
    await slept.end("test:a")
    assert await awake.knows("test:a")


async def test_a_record_that_cannot_be_read_is_removed_and_said(clock: FakeClock) -> None:
    store = FakeStore(clock=clock)
    await store.put({f"{RECORD}test:a": b'{"key": "secret words'}, ttl_s=60)

    with capture_logs() as logs:
        assert await Journal(store, clock).abandoned("test") == []

    assert await store.keys("") == []
    assert [entry["event"] for entry in logs] == ["record.unreadable"]
    assert "secret words" not in str(logs)


async def test_a_store_that_fails_hinders_nothing_and_is_said_once(clock: FakeClock) -> None:
    store = FakeStore(clock=clock, fails=True)
    journal = Journal(store, clock)

    with capture_logs() as logs:
        assert await journal.begin(record(clock))
        await journal.note(record(clock))
        assert await journal.abandoned("test") == []
        await journal.end("test:a")

    assert [entry["event"] for entry in logs] == ["journal.failed"]


async def test_what_ended_while_the_store_was_gone_is_removed_when_it_is_back(clock: FakeClock) -> None:
    store = FakeStore(clock=clock)
    journal = Journal(store, clock)
    await journal.begin(record(clock))
    store.fails = True
    await journal.end("test:a")
    store.fails = False

    await beat(journal)

    assert await store.keys("") == []


async def test_a_store_that_hangs_is_not_waited_for(clock: FakeClock) -> None:
    class Hanging(FakeStore):
        async def claim(self, key: str, value: bytes, *, ttl_s: float) -> bool:
            await asyncio.Event().wait()
            return True

    journal = Journal(Hanging(clock=clock), clock, JournalLimits(call_s=0.02))

    async with asyncio.timeout(0.5):
        assert await journal.begin(record(clock))


async def test_a_question_lies_in_the_journal_for_a_day_at_most(clock: FakeClock) -> None:
    store = FakeStore(clock=clock)
    journal = Journal(store, clock)
    begun = record(clock)
    await journal.begin(begun)
    clock.elapsed_s += LIMITS.kept_s / 2
    await journal.note(replace(begun, shown=DRAFT))
    clock.elapsed_s += LIMITS.kept_s / 2 + 1

    assert await store.get([f"{RECORD}test:a"]) == [None]


@dataclass
class NotedSurface:
    """Posts a message for each event, and says so before it returns; or defers all of them."""

    drawn: list[AnswerEvent] = field(default_factory=list)
    deferred: Deferred | None = None
    tell: Callable[[], Awaitable[None]] | None = None

    def place(self) -> Mapping[str, JsonValue]:
        return {"messages": [str(number) for number in range(len(self.drawn))]}

    def on_placed(self, tell: Callable[[], Awaitable[None]]) -> None:
        self.tell = tell

    async def draw(self, event: AnswerEvent) -> Deferred | None:
        if self.deferred is None:
            self.drawn.append(event)
            assert self.tell
            await self.tell()
        return self.deferred


@pytest.mark.parametrize(
    ("events", "deferred", "shown", "posted"),
    [
        ([], None, None, 0),
        ([Progress(stage=Stage.SEARCHING)], None, None, 1),
        ([Progress(stage=Stage.SEARCHING), DRAFT], None, DRAFT, 2),
        ([DRAFT], Deferred(after_s=1), None, 0),
        ([ANSWER], Deferred(after_s=1), ANSWER, 0),
        ([DRAFT, ANSWER], None, ANSWER, 2),
    ],
    ids=["nothing", "progress", "draft", "draft not drawn", "answer not drawn", "answer"],
)
async def test_an_answer_is_noted_before_it_is_drawn_and_a_draft_once_it_is(
    clock: FakeClock,
    events: list[AnswerEvent],
    deferred: Deferred | None,
    shown: Draft | Answer | None,
    posted: int,
) -> None:
    store = FakeStore(clock=clock)
    journal, begun = Journal(store, clock), record(clock)
    await journal.begin(begun)
    journaled = Journaled(NotedSurface(deferred=deferred), journal, begun)
    for event in events:
        await journaled.draw(event)
    clock.elapsed_s += LIMITS.lease_s + 1

    (found,) = await Journal(store, clock).abandoned("test")

    assert found.shown == shown
    assert found.place.get("messages", []) == [str(number) for number in range(posted)]


class Processes(RuleBasedStateMachine):
    """Two processes and one store: begin, note, end, beat, take over, die, in any order and at any time."""

    keys = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.store = FakeStore(clock=self.clock)
        self.journals = [Journal(self.store, self.clock) for _ in range(2)]
        self.open: set[str] = set()
        self.count = 0

    def run_now(self, work: Awaitable[object]) -> object:
        async def wait() -> object:
            return await work

        return asyncio.run(wait())

    @rule(target=keys, who=st.integers(0, 1))
    def begin(self, who: int) -> str:
        self.count += 1
        key = f"test:{self.count}"
        assert self.run_now(self.journals[who].begin(record(self.clock, key)))
        self.open.add(key)
        return key

    @rule(key=keys, who=st.integers(0, 1))
    def begin_again(self, key: str, who: int) -> None:
        if key in self.open:
            assert not self.run_now(self.journals[who].begin(record(self.clock, key)))

    @rule(key=keys, who=st.integers(0, 1))
    def note(self, key: str, who: int) -> None:
        self.run_now(self.journals[who].note(replace(record(self.clock, key), shown=DRAFT)))

    @rule(key=consumes(keys), who=st.integers(0, 1))
    def end(self, key: str, who: int) -> None:
        if self.journals[who].holds(key) and self._is_current(key, who):
            self.run_now(self.journals[who].end(key))
            self.open.discard(key)

    def _is_current(self, key: str, who: int) -> bool:
        """Has its lease been said anew since, as each of its heartbeats says?"""
        held = self.store.kept.get(LEASE + key)
        return held is None or held[0] == self.journals[who]._owner or self.clock.elapsed_s >= held[1]

    @rule(who=st.integers(0, 1))
    def take_over(self, who: int) -> None:
        for found in self.run_now(self.journals[who].abandoned("test")):  # type: ignore[attr-defined]
            assert found.key in self.open

    @rule(who=st.integers(0, 1))
    def beats(self, who: int) -> None:
        self.run_now(self.journals[who]._beat())

    @rule(who=st.integers(0, 1))
    def dies(self, who: int) -> None:
        self.journals[who] = Journal(self.store, self.clock)

    @rule(for_s=st.sampled_from([1.0, 10.0, 31.0]))
    def time_passes(self, for_s: float) -> None:
        self.clock.elapsed_s += for_s

    @rule()
    def after_a_heartbeat_of_each_there_is_one_owner(self) -> None:
        for journal in self.journals:
            self.run_now(journal._beat())
        first, second = (journal._held for journal in self.journals)
        assert not first & second

    @invariant()
    def nothing_is_lost(self) -> None:
        assert {f"{RECORD}{key}" for key in self.open} <= set(self.store.kept)

    def teardown(self) -> None:
        """Whoever comes last finds all of it, and leaves nothing."""
        last = Journal(self.store, self.clock)
        self.clock.elapsed_s += LIMITS.lease_s + 1
        found = self.run_now(last.abandoned("test"))
        assert {each.key for each in found} == self.open  # type: ignore[attr-defined]
        for key in self.open:
            self.run_now(last.end(key))
        assert not [key for key in self.store.kept if key.startswith(RECORD)]


Processes.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestProcesses = Processes.TestCase

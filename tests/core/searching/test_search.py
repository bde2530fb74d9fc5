import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from core.errors import Fault, SearchFailed, SearchUnavailable
from core.ports import SearchProvider
from core.resilience.deadline import Deadline
from core.searching.engines import Engine
from core.searching.remembering import SearchMemory, search_key
from core.searching.search import Search, SearchResults
from core.types import SearchHit
from tests.fakes import FakeClock, FakeSearchProvider, FakeStore

HIT = SearchHit(url="https://example.org/a", title="A", snippet="about a", provider="Fake")
OTHER = SearchHit(
    url="https://example.org/b", title="B", snippet="about b", provider="Other", published="2026-01-01"
)


@dataclass
class HangingProvider:
    name: str = "Hanging"
    left: bool = False

    async def search(self, query: str, *, limit: int) -> Sequence[SearchHit]:
        try:
            await asyncio.Event().wait()
        finally:
            self.left = True
        raise AssertionError


@dataclass
class WaitingProvider:
    """Answers when it may."""

    name: str = "Waiting"
    may: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    queries: list[str] = field(default_factory=list)

    async def search(self, query: str, *, limit: int) -> Sequence[SearchHit]:
        self.queries.append(query)
        self.asked.set()
        await self.may.wait()
        return [HIT]


@dataclass
class World:
    """What a Search works with; changed between two searches."""

    providers: Sequence[SearchProvider] = ()
    library: SearchProvider = field(default_factory=lambda: FakeSearchProvider(name="Library"))
    provider_s: float = 5
    clock: FakeClock = field(default_factory=FakeClock)
    store: FakeStore = field(init=False)
    search: Search = field(init=False)

    def __post_init__(self) -> None:
        self.store = FakeStore(clock=self.clock)
        self.search = Search(
            [Engine.guarded(provider, self.clock) for provider in self.providers],
            memory=SearchMemory(self.store, self.clock),
            library=self.library,
            provider_s=self.provider_s,
        )

    async def find(self, query: str = "a", *, deadline_s: float = 5) -> SearchResults:
        with capture_logs():
            return await self.search.search(query, deadline=Deadline.after(deadline_s))


def skipped(results: SearchResults) -> list[str]:
    return [str(failure) for failure in results.skipped]


async def test_the_first_engine_that_has_hits_answers_alone() -> None:
    second = FakeSearchProvider(hits=[OTHER], name="Second")

    results = await World([FakeSearchProvider(hits=[HIT], name="First"), second]).find()

    assert results == SearchResults(hits=(HIT,), provider="First")
    assert second.queries == []


async def test_a_failed_engine_is_skipped_and_its_reason_kept() -> None:
    first = FakeSearchProvider(fails_with="is over its quota", name="First")

    results = await World([first, FakeSearchProvider(hits=[HIT])]).find()

    assert results.provider == "Fake"
    assert skipped(results) == ["First is over its quota"]


async def test_an_engine_without_hits_lets_the_next_one_try() -> None:
    results = await World(
        [FakeSearchProvider(name="Empty"), FakeSearchProvider(hits=[HIT], name="Full")]
    ).find()

    assert (results.provider, results.skipped) == ("Full", ())


async def test_no_hits_anywhere_is_an_answer_not_a_failure() -> None:
    broken = FakeSearchProvider(fails_with="is failing", name="Broken")

    results = await World([FakeSearchProvider(name="Empty"), broken]).find()

    assert (results.hits, results.provider) == ((), "Empty")
    assert skipped(results) == ["Broken is failing"]


async def test_when_all_fail_each_is_named_with_its_reason() -> None:
    first = FakeSearchProvider(fails_with="refused the API key", name="First")

    with pytest.raises(SearchUnavailable, match="First refused the API key; Hanging did not answer in time"):
        await World([first, HangingProvider()], provider_s=0.01).find()


async def test_the_question_s_deadline_bounds_an_engine() -> None:
    with pytest.raises(SearchUnavailable, match="did not answer in time"):
        await World([HangingProvider()], provider_s=60).find(deadline_s=0.01)


async def test_when_all_fail_the_library_is_asked_and_that_is_said() -> None:
    library = FakeSearchProvider(hits=[HIT], name="Library")

    results = await World(
        [FakeSearchProvider(fails_with="is failing", name="Broken")], library=library
    ).find()

    assert (results.hits, results.provider, results.kept) == ((HIT,), "Library", True)
    assert skipped(results) == ["Broken is failing"]


async def test_the_library_is_not_asked_while_an_engine_answers_though_it_finds_nothing() -> None:
    library = FakeSearchProvider(hits=[HIT], name="Library")
    broken = FakeSearchProvider(fails_with="is failing", name="Broken")

    results = await World([broken, FakeSearchProvider(name="Empty")], library=library).find()

    assert results.hits == ()
    assert library.queries == []


async def test_without_engines_only_the_library_is_asked_and_may_have_nothing() -> None:
    results = await World().find()

    assert (results.hits, results.kept, results.skipped) == ((), True, ())


async def test_without_engines_what_they_found_once_is_not_shown() -> None:
    world = World([FakeSearchProvider(hits=[HIT])])
    await world.find()
    library_only = World()
    library_only.store.kept = world.store.kept

    assert (await library_only.find()).hits == ()


async def test_a_library_that_fails_too_is_named_among_the_failures() -> None:
    library = FakeSearchProvider(fails_with="could not be opened", name="Library")
    broken = FakeSearchProvider(fails_with="is failing", name="Broken")

    with pytest.raises(SearchUnavailable, match="Broken is failing; Library could not be opened"):
        await World([broken], library=library).find()


async def test_a_library_that_hangs_is_given_up() -> None:
    world = World([], library=HangingProvider(name="Library"), provider_s=0.01)

    with pytest.raises(SearchUnavailable, match="Library did not answer in time"):
        await world.find()


# What is remembered


async def test_the_same_question_soon_after_is_not_searched_again() -> None:
    engine = FakeSearchProvider(hits=[HIT, OTHER])
    world = World([engine])

    first = await world.find("What  raises the Tides?")
    world.clock.elapsed_s = 899
    second = await world.find(" what raises the tides? ")

    assert second == first
    assert len(engine.queries) == 1


async def test_after_a_quarter_of_an_hour_the_web_is_asked_anew() -> None:
    engine = FakeSearchProvider(hits=[HIT])
    world = World([engine])
    await world.find()
    world.clock.elapsed_s, engine.hits = 901, [OTHER]

    assert (await world.find()).hits == (OTHER,)
    world.clock.elapsed_s = 1000
    assert (await world.find()).hits == (OTHER,)


async def test_another_process_finds_what_this_one_searched() -> None:
    world = World([FakeSearchProvider(hits=[HIT])])
    await world.find()
    engine = FakeSearchProvider(hits=[OTHER])
    another = World([engine])
    another.store.kept = world.store.kept

    assert (await another.find()).hits == (HIT,)
    assert engine.queries == []


async def test_that_nothing_was_found_is_believed_for_a_minute() -> None:
    engine = FakeSearchProvider()
    world = World([engine])
    await world.find()
    world.clock.elapsed_s = 59
    assert (await world.find()).hits == ()
    world.clock.elapsed_s, engine.hits = 61, [HIT]

    assert (await world.find()).hits == (HIT,)
    assert len(engine.queries) == 2


async def test_what_another_engine_found_is_believed_for_a_minute_and_said_again() -> None:
    first = FakeSearchProvider(fails_with="is over its quota", name="First")
    world = World([first, FakeSearchProvider(hits=[OTHER], name="Second")])
    await world.find()
    world.clock.elapsed_s = 59
    again = await world.find()
    assert (again.provider, skipped(again), len(first.queries)) == ("Second", ["First is over its quota"], 1)
    world.clock.elapsed_s, first.fails_with, first.hits = 61, "", [HIT]

    assert await world.find() == SearchResults(hits=(HIT,), provider="First")


async def test_when_all_engines_fail_the_hits_of_up_to_a_day_ago_stand_in() -> None:
    engine = FakeSearchProvider(hits=[HIT])
    library = FakeSearchProvider(hits=[OTHER], name="Library")
    world = World([engine], library=library)
    await world.find()
    world.clock.elapsed_s, engine.fails_with = 86_399, "is failing"

    results = await world.find()

    assert (results.hits, results.provider, results.remembered, results.kept) == ((HIT,), "Fake", True, False)
    assert skipped(results) == ["Fake is failing"]
    assert library.queries == []


async def test_after_a_day_the_library_stands_in() -> None:
    engine = FakeSearchProvider(hits=[HIT])
    world = World([engine], library=FakeSearchProvider(hits=[OTHER], name="Library"))
    await world.find()
    world.clock.elapsed_s, engine.fails_with = 86_401, "is failing"

    assert (await world.find()).kept


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff\x00",
        b"null",
        b"[]",
        b"{}",
        b'{"at_s": "now", "provider": "Fake", "hits": []}',
        b'{"at_s": NaN, "provider": "Fake", "hits": []}',
        b'{"at_s": 1767225600, "provider": "Fake", "hits": [{"url": 7}]}',
        b'{"at_s": 1767225600, "provider": ["Fake"], "hits": []}',
        b'{"at_s": 9e99, "provider": "Fake", "hits": []}',
    ],
)
async def test_something_else_under_the_key_is_no_memory(value: bytes) -> None:
    world = World([FakeSearchProvider(hits=[HIT])])
    await world.store.put({search_key("a", limit=12): value}, ttl_s=60)

    assert (await world.find()).hits == (HIT,)


@pytest.mark.parametrize("engine_fails", [False, True])
async def test_a_store_that_is_gone_fails_no_search(engine_fails: bool) -> None:
    engine = FakeSearchProvider(hits=[HIT], fails_with="is failing" if engine_fails else "")
    world = World([engine], library=FakeSearchProvider(hits=[OTHER], name="Library"))
    world.store.fails = True

    assert (await world.find()).hits == ((OTHER,) if engine_fails else (HIT,))


async def test_the_store_and_the_log_learn_nothing_of_the_question() -> None:
    world = World([FakeSearchProvider(fails_with="is failing"), FakeSearchProvider(hits=[HIT])])
    with capture_logs() as lines:
        await world.search.search("canary question", deadline=Deadline.after(5))
    assert "canary" not in f"{world.store.kept}{lines}"


# Who asks at the same time


async def test_the_same_question_at_the_same_time_is_searched_once() -> None:
    engine = WaitingProvider()
    world = World([engine])
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(world.find(query)) for query in ("A question", "a  question", "another")]
        await engine.asked.wait()
        await asyncio.sleep(0)
        engine.may.set()
    assert [task.result().hits for task in tasks] == [(HIT,)] * 3
    assert sorted(engine.queries) == ["A question", "another"]


async def test_a_failed_search_fails_for_all_who_share_it() -> None:
    world = World([HangingProvider()], provider_s=0.02)
    outcomes = await asyncio.gather(world.find(), world.find(), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [SearchUnavailable] * 2


async def test_who_leaves_does_not_end_the_others_search_but_the_last_one_does() -> None:
    engine = HangingProvider()
    world = World([engine], provider_s=60)
    async with asyncio.timeout(1), asyncio.TaskGroup() as group:
        tasks = [group.create_task(world.find(deadline_s=60)) for _ in range(2)]
        await asyncio.sleep(0.01)
        tasks[0].cancel()
        await asyncio.sleep(0.01)
        left_with_the_first = engine.left
        tasks[1].cancel()
    assert (left_with_the_first, engine.left) == (False, True)


# Engines that fail again and again


@dataclass
class FailingProvider:
    """Fails in the same way whenever it is asked. then: what it does after so many times."""

    fault: Fault
    retry_after_s: float | None = None
    times: int = 1_000_000
    name: str = "Failing"
    asked: int = 0

    async def search(self, query: str, *, limit: int) -> Sequence[SearchHit]:
        self.asked += 1
        if self.asked <= self.times:
            raise SearchFailed(self.name, "failed", fault=self.fault, retry_after_s=self.retry_after_s)
        return [HIT]


async def test_an_engine_that_failed_too_often_is_left_alone_and_that_is_said_like_a_failure() -> None:
    failing = FailingProvider(Fault.FAILING)
    world = World([failing, FakeSearchProvider(hits=[OTHER], name="Second")])
    for number in range(10):
        await world.find(f"question {number}")
    asked = failing.asked

    results = await world.find("one more")

    assert (results.hits, results.provider) == ((OTHER,), "Second")
    assert skipped(results) == ["Failing is resting after failures"]
    assert failing.asked == asked == 10


async def test_an_engine_that_was_left_alone_is_tried_again_when_its_time_is_over() -> None:
    failing = FailingProvider(Fault.FAILING, times=10)
    world = World([failing, FakeSearchProvider(hits=[OTHER], name="Second")])
    for number in range(11):
        await world.find(f"question {number}")
    world.clock.elapsed_s += 60

    assert (await world.find("one more")).provider == "Failing"


async def test_what_may_pass_is_tried_again_within_the_engine_s_time() -> None:
    failing = FailingProvider(Fault.OVERLOADED, times=2)

    assert await World([failing]).find() == SearchResults(hits=(HIT,), provider="Failing")
    assert failing.asked == 3


@pytest.mark.parametrize(
    ("fault", "retry_after_s"),
    [
        (Fault.OUT_OF_CREDIT, None),
        (Fault.KEY_REFUSED, None),
        (Fault.RATE_LIMITED, 60.0),
        (Fault.REFUSED, None),
    ],
)
async def test_what_will_not_pass_in_time_gives_way_to_the_next_engine_at_once(
    fault: Fault, retry_after_s: float | None
) -> None:
    failing = FailingProvider(fault, retry_after_s)
    world = World([failing, FakeSearchProvider(hits=[OTHER], name="Second")])

    assert (await world.find()).provider == "Second"
    assert (failing.asked, world.clock.slept_s) == (1, [])


async def test_half_a_character_in_a_query_is_not_sent() -> None:
    engine = FakeSearchProvider(hits=[HIT])

    await World([engine]).find("half \ud800 a character")

    assert engine.queries == ["half ? a character"]

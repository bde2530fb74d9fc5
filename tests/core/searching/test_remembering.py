import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from core.searching.remembering import FoundOnce, SearchMemory, search_key
from core.types import SearchHit
from tests.fakes import FakeClock, FakeStore

HIT = SearchHit(url="https://example.org/", title="A", snippet="", provider="Fake")

texts = st.text(max_size=20)
hits = st.builds(SearchHit, url=texts, title=texts, snippet=texts, provider=texts, published=texts)
founds = st.builds(
    FoundOnce,
    at_s=st.just(FakeClock().now().timestamp()),
    provider=texts,
    hits=st.lists(hits, max_size=3).map(tuple),
    skipped=st.lists(st.tuples(texts, texts), max_size=2).map(tuple),
)


@given(founds)
async def test_what_is_kept_comes_back_as_it_was(found: FoundOnce) -> None:
    memory = SearchMemory(FakeStore(), FakeClock())
    await memory.keep("search:a", found)
    assert await memory.recall("search:a") == found


async def test_what_no_store_can_hold_is_not_kept_and_fails_nothing() -> None:
    store = FakeStore()
    hit = SearchHit(url="https://example.org/", title="half \ud800", snippet="", provider="Fake")
    with capture_logs() as lines:
        await SearchMemory(store, FakeClock()).keep(
            "search:a", FoundOnce(at_s=0, provider="Fake", hits=(hit,))
        )
    assert store.kept == {}
    assert [line["event"] for line in lines] == ["search.not_kept"]


@given(st.binary(max_size=200))
async def test_whatever_stands_under_the_key_is_recalled_or_not_but_never_fails(value: bytes) -> None:
    store = FakeStore()
    await store.put({"search:a": value}, ttl_s=60)
    with capture_logs():
        assert await SearchMemory(store, FakeClock()).recall("search:a") is None


async def test_what_is_older_than_a_day_is_not_recalled_however_long_a_store_keeps_it() -> None:
    store = FakeStore()
    longer = SearchMemory(store, FakeClock(), kept_s=1e9)
    await longer.keep("search:a", FoundOnce(at_s=longer.now_s() - 86_401, provider="Fake", hits=(HIT,)))
    assert await SearchMemory(store, FakeClock()).recall("search:a") is None


async def test_that_nothing_was_found_takes_room_for_a_minute_only() -> None:
    clock = FakeClock()
    store = FakeStore(clock=clock)
    memory = SearchMemory(store, clock)
    await memory.keep("search:a", FoundOnce(at_s=memory.now_s(), provider="Fake", hits=()))
    await memory.keep("search:b", FoundOnce(at_s=memory.now_s(), provider="Fake", hits=(HIT,)))
    clock.elapsed_s = 61
    assert await store.keys("search:") == ["search:b"]


@pytest.mark.parametrize("ahead_s", [-5, 5])
async def test_a_machine_whose_clock_differs_a_little_shares_what_it_found(ahead_s: float) -> None:
    memory = SearchMemory(FakeStore(), FakeClock())
    await memory.keep("search:a", FoundOnce(at_s=memory.now_s() + ahead_s, provider="Fake", hits=(HIT,)))
    found = await memory.recall("search:a")
    assert found is not None
    assert memory.is_fresh(found)


@pytest.mark.parametrize(
    ("one", "other"),
    [("What raises tides?", "  what RAISES\ttides? "), ("stra\u00dfe", "STRASSE"), ("e\u0301", "\u00e9")],
)
def test_queries_that_every_engine_takes_for_the_same_have_one_key(one: str, other: str) -> None:
    assert search_key(one, limit=12) == search_key(other, limit=12)


@given(st.text(), st.integers(1, 50))
def test_a_key_is_short_plain_and_another_for_another_limit(query: str, limit: int) -> None:
    key = search_key(query, limit=limit)
    assert key.isascii()
    assert len(key) == len("search:") + 32
    assert key != search_key(query, limit=limit + 1)
    assert key != search_key(f"{query}x", limit=limit)

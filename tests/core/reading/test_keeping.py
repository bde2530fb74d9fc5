import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from core.reading.keeping import MAX_WAITING, Keeping
from core.reading.passages import split_page
from core.types import KeptPage, Passage, Vectors
from tests.contracts.test_page_store import page
from tests.fakes import FakeClock, FakeEmbedder, FakePageStore


@dataclass
class CountingStore(FakePageStore):
    """batches: how many pages each write brought. gate: closed, a write goes on for ever."""

    batches: list[int] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def keep(
        self, pages: Sequence[KeptPage], passages: Sequence[Passage], vectors: Mapping[str, Vectors]
    ) -> None:
        self.batches.append(len(pages))
        self.begun.set()
        await self.gate.wait()
        await super().keep(pages, passages, vectors)
        self.ended.set()


def open_store() -> CountingStore:
    store = CountingStore()
    store.gate.set()
    return store


async def test_a_question_s_pages_are_written_at_once_when_the_last_question_has_its_answer() -> None:
    store = open_store()
    keeping = Keeping(store, FakeEmbedder(), FakeClock())
    running = asyncio.create_task(keeping.run())
    with keeping.held_back():
        with keeping.held_back():
            keeping.note(page("a"))
            keeping.note(page("b"))
            await asyncio.sleep(0.01)
        keeping.note(page("c"))
        await asyncio.sleep(0.01)
        assert store.batches == []
    async with asyncio.timeout(5):
        await store.ended.wait()
    assert store.batches == [3]
    running.cancel()


async def test_a_write_is_followed_by_the_one_task_that_maintains() -> None:
    store = open_store()
    keeping = Keeping(store, FakeEmbedder(), FakeClock())
    keeping.note(page("a"))
    await keeping.flush()
    assert store.maintained == 1


async def test_passages_are_kept_with_the_vectors_they_have_and_none_is_embedded_for_it() -> None:
    store, embedder = open_store(), FakeEmbedder()
    one, other = (split_page(page(name).page)[0].embedded_text for name in "ab")
    await embedder.embed([one])
    keeping = Keeping(store, embedder, FakeClock())
    await keeping.keep([page("a"), page("b")])
    assert set(store.rows) == {one}
    assert set(embedder.memory) == {one}
    assert other in {passage.embedded_text for passage in store.passages["https://example.org/b"]}


async def test_a_write_that_was_cut_off_is_made_up_for_at_the_end() -> None:
    store = CountingStore()
    keeping = Keeping(store, FakeEmbedder(), FakeClock())
    running = asyncio.create_task(keeping.run())
    keeping.note(page("a"))
    async with asyncio.timeout(5):
        await store.begun.wait()
    running.cancel()
    await asyncio.wait([running])
    store.gate.set()
    await keeping.flush()
    assert set(store.kept) == {"https://example.org/a"}


async def test_a_write_that_hangs_is_given_up_and_the_next_one_has_its_pages_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("core.reading.keeping.WRITE_LIMIT_S", 0.2)
    store = CountingStore()
    keeping = Keeping(store, FakeEmbedder(), FakeClock())
    running = asyncio.create_task(keeping.run())
    with capture_logs() as logs:
        async with asyncio.timeout(5):
            keeping.note(page("a"))
            await store.begun.wait()
            store.begun.clear()
            keeping.note(page("b"))
            await store.begun.wait()
            store.gate.set()
            await store.ended.wait()
    assert store.batches == [1, 2]
    assert set(store.kept) == {"https://example.org/a", "https://example.org/b"}
    assert logs[0] == {"event": "pages.not_kept", "reason": "took too long", "log_level": "warning"}
    running.cancel()


async def test_a_library_that_fails_costs_pages_and_nothing_else() -> None:
    keeping = Keeping(FakePageStore(fails=True), FakeEmbedder(), FakeClock())
    keeping.note(page("a"))
    with capture_logs() as logs:
        await keeping.flush()
        assert await keeping.recall(["https://example.org/a"]) == {}
    assert [entry["event"] for entry in logs] == ["pages.not_kept", "library.not_asked"]


async def test_what_waits_is_bounded() -> None:
    store = open_store()
    keeping = Keeping(store, FakeEmbedder(), FakeClock())
    for number in range(MAX_WAITING + 5):
        keeping.note(page(str(number)))
    await keeping.flush()
    assert len(store.kept) == MAX_WAITING


async def test_a_page_is_recalled_under_both_its_addresses_and_fresh_for_an_hour() -> None:
    clock = FakeClock()
    keeping = Keeping(open_store(), FakeEmbedder(), clock)
    kept = page("a", requested="https://example.org/moved")
    await keeping.keep([kept])
    urls = ["https://example.org/moved", "https://example.org/a", "https://example.org/b"]
    assert await keeping.recall(urls) == dict.fromkeys(urls[:2], kept)
    assert keeping.is_fresh(kept)
    clock.elapsed_s = timedelta(hours=1).total_seconds()
    assert not keeping.is_fresh(kept)

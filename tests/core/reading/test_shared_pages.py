from collections.abc import Mapping
from dataclasses import dataclass, replace

from core.ports import Store
from core.providers.storage.memory_store import MemoryStore
from core.reading.keeping import Keeping
from core.reading.shared_pages import MAX_CHARS, SharedPages
from core.types import KeptPage
from tests.contracts.test_page_store import page
from tests.fakes import FakeClock, FakeEmbedder, FakePageStore


@dataclass
class Process:
    """One of several, with a library of its own."""

    keeping: Keeping

    @classmethod
    def on(cls, store: Store, clock: FakeClock) -> "Process":
        shared = SharedPages(store, fresh_s=3600)
        return cls(Keeping(FakePageStore(), FakeEmbedder(), clock, shared=shared))

    async def read(self, *pages: KeptPage) -> None:
        for kept in pages:
            self.keeping.note(kept)
        await self.keeping.flush()


async def test_what_one_process_has_read_another_need_not_fetch_for_an_hour() -> None:
    clock = FakeClock()
    store = MemoryStore(clock)
    one, other = Process.on(store, clock), Process.on(store, clock)
    kept = page("a", requested="https://example.org/moved")
    await one.read(kept)
    assert await other.keeping.recall(["https://example.org/moved", "https://example.org/b"]) == {
        "https://example.org/moved": kept
    }
    clock.elapsed_s = 3600
    assert await other.keeping.recall(["https://example.org/moved"]) == {}


async def test_a_page_that_waits_to_be_written_is_there_already() -> None:
    process = Process.on(MemoryStore(FakeClock()), FakeClock())
    process.keeping.note(page("a"))
    assert await process.keeping.recall(["https://example.org/a"]) == {"https://example.org/a": page("a")}


async def test_what_can_not_be_shared_or_read_costs_nothing_but_itself() -> None:
    store = MemoryStore(FakeClock())
    shared = SharedPages(store, fresh_s=3600)
    good, long, broken = page("a"), page("b", "x" * (MAX_CHARS + 1)), page("c", "half a \ud800 pair")
    await shared.put([good, long, broken])
    assert len(await store.keys("page:")) == 1
    await store.put(dict.fromkeys(await store.keys("page:"), b'{"page": 1}'), ttl_s=60)
    assert await shared.get(["https://example.org/a"]) == {}
    await shared.put([replace(good, requested_url="https://example.org/other")])
    assert set(await shared.get(["https://example.org/other"])) == {"https://example.org/other"}


async def test_however_many_pages_come_at_once_no_write_is_larger_than_a_page() -> None:
    class Measured(MemoryStore):
        largest = 0

        async def put(self, values: Mapping[str, bytes], *, ttl_s: float) -> None:
            self.largest = max(self.largest, sum(map(len, values.values())))
            await super().put(values, ttl_s=ttl_s)

    store = Measured(FakeClock())
    pages = [page(str(number), "x" * MAX_CHARS) for number in range(20)]
    await SharedPages(store, fresh_s=3600).put(pages)
    assert len(await store.keys("page:")) == 20
    assert store.largest < 2 * MAX_CHARS

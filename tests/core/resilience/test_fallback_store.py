from structlog.testing import capture_logs

from core.resilience.fallback_store import FallbackStore
from tests.fakes import FakeStore


async def test_the_second_stands_in_while_the_first_is_gone_and_each_change_is_told_once() -> None:
    first, second = FakeStore(), FakeStore()
    store = FallbackStore(first, second)
    with capture_logs() as logs:
        await store.put({"a:1": b"one"}, ttl_s=60)
        first.fails = True
        assert await store.get(["a:1"]) == [None]
        await store.put({"a:2": b"two"}, ttl_s=60)
        assert await store.get(["a:2"]) == [b"two"]
        first.fails = False
        assert await store.get(["a:1", "a:2"]) == [b"one", None]
        await store.get(["a:1"])
    assert [entry["event"] for entry in logs] == ["store.fell_back", "store.recovered"]
    assert logs[0]["reason"] == "the store is gone"


async def test_what_is_removed_is_gone_from_both() -> None:
    first, second = FakeStore(), FakeStore()
    store = FallbackStore(first, second)
    first.fails = True
    await store.put({"a:1": b"secret"}, ttl_s=60)
    first.fails = False
    await store.put({"a:1": b"secret"}, ttl_s=60)

    await store.remove(["a:1"])

    assert first.kept == second.kept == {}

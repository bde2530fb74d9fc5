from hypothesis import given
from hypothesis import strategies as st

from core.providers.storage.memory_store import MemoryStore
from tests.fakes import FakeClock


async def test_what_was_not_used_for_longest_makes_room() -> None:
    store = MemoryStore(FakeClock(), max_bytes=3_000)
    for name in ("a", "b", "c"):
        await store.put({name: b"x" * 500}, ttl_s=60)
    await store.get(["a"])
    await store.put({"d": b"x" * 500}, ttl_s=60)
    assert await store.keys("") == ["c", "a", "d"]


async def test_what_is_larger_than_all_the_room_is_not_kept() -> None:
    store = MemoryStore(FakeClock(), max_bytes=3_000)
    await store.put({"a": b"x" * 3_000}, ttl_s=60)
    assert await store.get(["a"]) == [None]
    assert store._bytes == 0


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 900), st.integers(1, 50), st.integers(0, 3)),
        max_size=60,
    )
)
async def test_its_bytes_are_those_of_its_values_and_never_too_many(
    puts: list[tuple[str, int, int, int]],
) -> None:
    clock = FakeClock()
    store = MemoryStore(clock, max_bytes=3_000)
    for name, size, ttl_s, pause_s in puts:
        await store.put({name: b"x" * size}, ttl_s=ttl_s)
        await clock.sleep(pause_s)
        assert 0 <= store._bytes <= 3_000
    await clock.sleep(60)
    assert await store.keys("") == []
    assert (store._bytes, store._ends) == (0, [])


async def test_a_value_replaced_ten_thousand_times_leaves_no_trail() -> None:
    store = MemoryStore(FakeClock())
    for _ in range(10_000):
        await store.add("n", 1, ttl_s=86_400)
    assert len(store._ends) < 200

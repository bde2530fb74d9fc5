from core.asking.seen import KEPT_S, MAX_KEYS, Seen
from tests.fakes import FakeClock


def test_an_event_is_first_once_under_any_of_its_names() -> None:
    seen = Seen(FakeClock())

    assert seen.first("event:1", "message:7")
    assert not seen.first("event:1")
    assert not seen.first("event:2", "message:7")
    assert not seen.first("event:2")
    assert seen.first("event:3")


async def test_after_fifteen_minutes_it_is_forgotten() -> None:
    clock = FakeClock()
    seen = Seen(clock)
    seen.first("a")

    await clock.sleep(KEPT_S - 1)
    assert not seen.first("a")
    await clock.sleep(KEPT_S)
    assert seen.first("a")


def test_its_memory_is_bounded_and_the_oldest_makes_room() -> None:
    seen = Seen(FakeClock())
    for number in range(MAX_KEYS + 1):
        seen.first(str(number))

    assert not seen.first(str(MAX_KEYS))
    assert seen.first("0")

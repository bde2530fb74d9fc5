import doctest
import inspect

from benchmarks import entry


def test_every_door_for_scoring_does_what_its_example_shows() -> None:
    results = doctest.testmod(entry)

    assert results.failed == 0
    assert results.attempted >= 7


def test_every_door_has_an_example() -> None:
    doors = [door for name, door in inspect.getmembers(entry, inspect.isfunction) if not name.startswith("_")]
    own = [door for door in doors if door.__module__ == entry.__name__]

    assert len(own) >= 7
    assert [door.__name__ for door in own if ">>>" not in (door.__doc__ or "")] == []

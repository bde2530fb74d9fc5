import doctest

from benchmarks import entry


def test_every_door_for_scoring_does_what_its_example_shows() -> None:
    results = doctest.testmod(entry)

    assert results.failed == 0
    assert results.attempted >= 7


def test_every_door_has_an_example() -> None:
    doors = [
        function
        for name, function in vars(entry).items()
        if getattr(function, "__module__", "") == entry.__name__
    ]
    undocumented = [
        door.__name__
        for door in doors
        if not door.__name__.startswith("_") and ">>>" not in (door.__doc__ or "")
    ]

    assert undocumented == []

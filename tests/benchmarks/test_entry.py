import doctest
import inspect
from collections.abc import Sequence

import pytest

from benchmarks import entry

PUBLIC, PRIVATE = "93.184.215.14", "10.0.0.1"


def test_every_door_for_scoring_does_what_its_example_shows() -> None:
    results = doctest.testmod(entry)

    assert results.failed == 0
    assert results.attempted >= 7


def test_every_door_has_an_example() -> None:
    doors = [door for name, door in inspect.getmembers(entry, inspect.isfunction) if not name.startswith("_")]
    own = [door for door in doors if door.__module__ == entry.__name__]

    assert len(own) >= 7
    assert [door.__name__ for door in own if ">>>" not in (door.__doc__ or "")] == []


@pytest.mark.parametrize(
    ("look_ups", "allowed"),
    [
        ([[PUBLIC]], True),
        ([[PUBLIC, "2606:4700::1111"]], True),
        ([[PUBLIC], [PUBLIC]], True),
        ([], False),
        ([[]], False),
        ([[PUBLIC], []], False),
        ([[], [PUBLIC]], False),
        ([[PUBLIC], [PRIVATE]], False),
        ([[PUBLIC, PRIVATE]], False),
        ([[PUBLIC] * 17], False),
        ([["no address"]], False),
    ],
)
def test_a_url_may_be_fetched_if_every_answer_of_every_look_up_may_be_connected_to(
    look_ups: Sequence[Sequence[str]], allowed: bool
) -> None:
    assert entry.url_verdict("https://example.org/", {"example.org": look_ups}) is allowed
    assert entry.url_verdict("https://example.org/", {"*": look_ups}) is allowed
    assert entry.redirect_verdict("https://start.example.org/", "//example.org/", {"*": look_ups}) is allowed


@pytest.mark.parametrize("name", ["bücher.example.org", "BÜCHER.Example.Org.", "xn--bcher-kva.example.org"])
@pytest.mark.parametrize("host", ["bücher.example.org", "BÜCHER.EXAMPLE.ORG", "XN--bcher-kva.example.org."])
def test_a_host_finds_its_answers_however_either_is_spelled(host: str, name: str) -> None:
    assert entry.url_verdict(f"https://{host}/", {name: [[PUBLIC]], "*": [[PRIVATE]]})
    assert not entry.url_verdict(f"https://{host}/", {name: [[PRIVATE]], "*": [[PUBLIC]]})


def test_the_star_answers_for_hosts_that_are_not_listed_only() -> None:
    assert entry.url_verdict("https://other.example.org/", {"example.org": [[PRIVATE]], "*": [[PUBLIC]]})
    assert not entry.url_verdict("https://example.org/", {"example.org": [], "*": [[PUBLIC]]})


def test_answers_under_two_spellings_of_a_host_all_count() -> None:
    assert not entry.url_verdict(
        "https://example.org/", {"example.org": [[PUBLIC]], "EXAMPLE.org.": [[PRIVATE]]}
    )
    assert not entry.url_verdict("https://example.org/", {"example.org": [[PUBLIC]], "EXAMPLE.org.": []})


def test_an_address_in_a_url_needs_no_look_up_and_no_answer_clears_it() -> None:
    assert entry.url_verdict(f"https://{PUBLIC}/", {})
    assert not entry.url_verdict(f"https://{PRIVATE}/", {PRIVATE: [[PUBLIC]], "*": [[PUBLIC]]})
    assert not entry.url_verdict("http://localhost/", {"localhost": [[PUBLIC]]})


def test_a_name_in_the_table_that_is_no_host_answers_for_nobody() -> None:
    assert entry.url_verdict("https://example.org/", {"no host!": [[PRIVATE]], "example.org": [[PUBLIC]]})


def test_a_redirect_is_judged_with_both_its_ends() -> None:
    dns = {"*": [[PUBLIC]]}
    assert entry.redirect_verdict("http://example.org/", "https://example.com/", dns)
    assert not entry.redirect_verdict("https://example.org/", "http://example.com/", dns)
    assert not entry.redirect_verdict("http://localhost/", "https://example.com/", dns)
    assert not entry.redirect_verdict("https://example.org/", "/a\nb", dns)

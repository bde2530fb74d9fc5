"""What a reader is told of engines that could not be asked, as it reads under the answer."""

import pytest

from adapters.wording import notice_line, notice_lines
from core.answering.answering import _Found, _nothing_to_read, _skipped_notices
from core.errors import SearchFailed
from core.searching.search import SearchResults
from core.types import Outcome, SearchHit

HIT = SearchHit(url="https://example.org/", title="A", snippet="", provider="DuckDuckGo")
OVER_QUOTA = SearchFailed("Serper", "is over its quota")
RESTING = SearchFailed("Brave", "is resting after failures")


def lines(results: SearchResults) -> list[str]:
    return [notice_line(notice) for notice in _skipped_notices(results)]


def test_nothing_is_said_where_the_first_engine_answered() -> None:
    assert lines(SearchResults(hits=(HIT,), provider="Serper")) == []


@pytest.mark.parametrize(
    ("skipped", "said"),
    [
        ((OVER_QUOTA,), "Serper is over its quota"),
        ((OVER_QUOTA, RESTING), "Serper is over its quota; Brave is resting after failures"),
    ],
)
def test_all_engines_that_were_passed_over_stand_in_one_line_with_the_one_that_answered(
    skipped: tuple[SearchFailed, ...], said: str
) -> None:
    results = SearchResults(hits=(HIT,), provider="DuckDuckGo", skipped=skipped)
    assert lines(results) == [
        f"Not every search engine could be asked ({said}; results are from DuckDuckGo)."
    ]


def test_pages_of_an_earlier_search_are_said_to_be_that() -> None:
    results = SearchResults(hits=(HIT,), provider="Serper", skipped=(OVER_QUOTA,), remembered=True)
    (line,) = lines(results)
    assert line.startswith("No search engine could be asked (Serper is over its quota).")
    assert "earlier" in line


def test_finding_nothing_without_the_first_engine_is_not_passed_off_as_there_being_nothing() -> None:
    results = SearchResults(hits=(), provider="DuckDuckGo", skipped=(OVER_QUOTA,))
    answer = _nothing_to_read(_Found(results=results, unavailable=None))
    assert answer.outcome is Outcome.NOTHING_FOUND
    assert notice_lines(answer)[1:] == ["Not every search engine could be asked (Serper is over its quota)."]

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from core.errors import SearchUnavailable
from core.ports import SearchProvider
from core.resilience import Deadline
from core.searching.search import Search
from core.types import SearchHit
from tests.fakes import FakeSearchProvider

HIT = SearchHit(url="https://example.org/a", title="A", snippet="about a", provider="Fake")


@dataclass
class HangingProvider:
    name: str = "Hanging"

    async def search(self, query: str, *, limit: int) -> Sequence[SearchHit]:
        await asyncio.Event().wait()
        raise AssertionError


def search_over(
    providers: Sequence[SearchProvider], *, library: SearchProvider | None = None, provider_s: float = 5
) -> Search:
    return Search(providers, library=library or FakeSearchProvider(name="Library"), provider_s=provider_s)


async def test_the_first_provider_that_has_hits_answers_alone() -> None:
    second = FakeSearchProvider(hits=[HIT], name="Second")
    search = search_over([FakeSearchProvider(hits=[HIT], name="First"), second])

    results = await search.search("a", deadline=Deadline.after(5))

    assert (results.provider, results.hits, results.skipped) == ("First", (HIT,), ())
    assert second.queries == []


async def test_a_failed_provider_is_skipped_and_its_reason_kept() -> None:
    search = search_over(
        [FakeSearchProvider(fails_with="is over its quota", name="First"), FakeSearchProvider(hits=[HIT])]
    )

    results = await search.search("a", deadline=Deadline.after(5))

    assert results.provider == "Fake"
    assert [str(failure) for failure in results.skipped] == ["First is over its quota"]


async def test_a_provider_without_hits_lets_the_next_one_try() -> None:
    search = search_over([FakeSearchProvider(name="Empty"), FakeSearchProvider(hits=[HIT], name="Full")])

    results = await search.search("a", deadline=Deadline.after(5))

    assert results.provider == "Full"


async def test_no_hits_anywhere_is_an_answer_not_a_failure() -> None:
    search = search_over(
        [FakeSearchProvider(name="Empty"), FakeSearchProvider(fails_with="is failing", name="Broken")]
    )

    results = await search.search("a", deadline=Deadline.after(5))

    assert (results.hits, results.provider) == ((), "Empty")


async def test_when_all_fail_each_is_named_with_its_reason() -> None:
    search = search_over(
        [FakeSearchProvider(fails_with="refused the API key", name="First"), HangingProvider()],
        provider_s=0.01,
    )

    with pytest.raises(SearchUnavailable, match="First refused the API key; Hanging did not answer in time"):
        await search.search("a", deadline=Deadline.after(5))


async def test_the_question_s_deadline_bounds_a_provider() -> None:
    search = search_over([HangingProvider()], provider_s=60)

    with pytest.raises(SearchUnavailable, match="did not answer in time"):
        await search.search("a", deadline=Deadline.after(0.01))


async def test_when_all_fail_the_library_is_asked_and_that_is_said() -> None:
    library = FakeSearchProvider(hits=[HIT], name="Library")
    search = search_over([FakeSearchProvider(fails_with="is failing", name="Broken")], library=library)

    results = await search.search("a", deadline=Deadline.after(5))

    assert (results.hits, results.provider, results.kept) == ((HIT,), "Library", True)
    assert [str(failure) for failure in results.skipped] == ["Broken is failing"]


async def test_the_library_is_not_asked_while_an_engine_answers_though_it_finds_nothing() -> None:
    library = FakeSearchProvider(hits=[HIT], name="Library")
    broken = FakeSearchProvider(fails_with="is failing", name="Broken")

    results = await search_over([broken, FakeSearchProvider(name="Empty")], library=library).search(
        "a", deadline=Deadline.after(5)
    )

    assert results.hits == ()
    assert library.queries == []


async def test_without_engines_only_the_library_is_asked_and_may_have_nothing() -> None:
    results = await search_over([]).search("a", deadline=Deadline.after(5))

    assert (results.hits, results.kept, results.skipped) == ((), True, ())


async def test_a_library_that_fails_too_is_named_among_the_failures() -> None:
    library = FakeSearchProvider(fails_with="could not be opened", name="Library")
    search = search_over([FakeSearchProvider(fails_with="is failing", name="Broken")], library=library)

    with pytest.raises(SearchUnavailable, match="Broken is failing; Library could not be opened"):
        await search.search("a", deadline=Deadline.after(5))

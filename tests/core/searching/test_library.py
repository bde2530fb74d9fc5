import pytest
from structlog.testing import capture_logs

from core.errors import SearchFailed
from core.reading.passages import split_page
from core.searching.library import LibrarySearch, is_relevant
from core.types import KeptPage
from tests.contracts.test_page_store import page
from tests.fakes import FakeEmbedder, FakePageStore


async def store_of(*pages: KeptPage) -> FakePageStore:
    store = FakePageStore()
    await store.keep(pages, [passage for each in pages for passage in split_page(each.page)], {})
    return store


OTTERS = page("otters", "Sea otters sleep afloat, wrapped in kelp.")
BREAD = page("bread", "Bread rises because yeast makes gas.")


async def test_a_page_that_speaks_of_it_is_found_with_its_passage_for_a_snippet() -> None:
    store = await store_of(OTTERS, BREAD)
    (hit,) = await LibrarySearch(store, FakeEmbedder()).search("Where do sea otters sleep?", limit=5)
    assert (hit.url, hit.title, hit.provider) == (OTTERS.page.url, "The otters", "Library")
    assert "wrapped in kelp" in hit.snippet
    assert hit.published == "2025-12-31"


async def test_what_only_shares_a_word_is_not_passed_off_as_an_answer() -> None:
    store = await store_of(OTTERS, BREAD)
    assert (
        await LibrarySearch(store, FakeEmbedder()).search("Which giraffes sleep standing up?", limit=5) == []
    )


async def test_a_page_is_one_hit_and_the_limit_holds() -> None:
    long = page("long", "\n\n".join(f"Sea otters sleep afloat in bay {number}. " * 20 for number in range(9)))
    store = await store_of(long, OTTERS)
    search = LibrarySearch(store, FakeEmbedder())
    hits = await search.search("Where do sea otters sleep?", limit=5)
    assert {hit.url for hit in hits} == {long.page.url, OTTERS.page.url}
    assert len(hits) == 2
    assert len(await search.search("Where do sea otters sleep?", limit=1)) == 1


async def test_without_a_model_words_decide() -> None:
    store = await store_of(OTTERS, BREAD)
    with capture_logs():
        hits = await LibrarySearch(store, FakeEmbedder(fails=True)).search("sea otters sleep", limit=5)
    assert [hit.url for hit in hits] == [OTTERS.page.url]


async def test_a_library_that_fails_is_a_failed_search() -> None:
    with capture_logs(), pytest.raises(SearchFailed, match="Library could not be opened"):
        await LibrarySearch(FakePageStore(fails=True), FakeEmbedder()).search("otters", limit=5)


@pytest.mark.parametrize(
    ("shared", "likeness", "relevant"),
    [
        (0.0, 0.55, True),  # other words, the same thing
        (0.0, 0.46, False),  # the height of another tower
        (0.6, 0.3, True),
        (0.6, 0.1, False),  # the words in another sense
        (0.3, 0.4, False),
        (0.6, None, True),
        (0.4, None, False),
    ],
)
def test_meaning_alone_has_to_be_clear_and_words_may_help_it(
    shared: float, likeness: float | None, relevant: bool
) -> None:
    assert is_relevant(shared=shared, likeness=likeness) is relevant

"""What every PageStore promises, on the fake and LanceDB."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from core.ports import PageStore
from core.providers.storage.lance_pages import LancePageStore
from core.reading.passages import split_page
from core.types import KeptPage, Page, PageKind, Validators, Vectors
from tests.fakes import FakeClock, FakePageStore


@pytest.fixture(params=["fake", "lance"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[PageStore]:
    if request.param == "fake":
        yield FakePageStore()
    else:
        lance = LancePageStore(str(tmp_path / "library"), model="fake", clock=FakeClock())
        yield lance
        await lance.aclose()


def page(name: str, text: str = "", *, lasting: bool = False, requested: str = "") -> KeptPage:
    url = f"https://example.org/{name}"
    return KeptPage(
        page=Page(
            url=url,
            title=f"The {name}",
            text=text or f"Words about {name}.",
            kind=PageKind.HTML,
            site="Site",
            published="2025-12-31",
            author="Ann",
        ),
        requested_url=requested or url,
        read_at=FakeClock().now(),
        validators=Validators(etag='W/"1"', last_modified="Wed, 21 Oct 2015 07:28:00 GMT"),
        lasting=lasting,
    )


async def keep(store: PageStore, *pages: KeptPage, vectors: dict[str, Vectors] | None = None) -> None:
    passages = [passage for each in pages for passage in split_page(each.page)]
    await store.keep(pages, passages, vectors or {})


def unit(*values: float) -> Vectors:
    row = np.array(values, dtype=np.float32)
    normal: Vectors = row / np.linalg.norm(row)
    return normal


async def test_a_page_comes_back_as_it_was_kept(store: PageStore) -> None:
    kept = page("o'tter \\ % _ 水獺")
    await keep(store, kept, page("bread"))
    assert await store.pages([kept.page.url]) == [kept]


async def test_a_page_is_found_by_the_address_it_was_asked_for_under(store: PageStore) -> None:
    kept = page("otters", requested="https://example.org/moved")
    await keep(store, kept)
    assert await store.pages(["https://example.org/moved"]) == [kept]
    assert await store.pages([kept.page.url]) == [kept]
    assert list(await store.pages(["https://example.org/other"])) == []


async def test_a_page_kept_again_takes_the_place_of_the_old_one(store: PageStore) -> None:
    await keep(store, page("otters", "They sleep afloat."))
    await keep(store, page("otters", "They hold hands."))
    assert [each.page.text for each in await store.pages(["https://example.org/otters"])] == [
        "They hold hands."
    ]
    assert await store.find("afloat", None, limit=5) == []
    assert len(await store.find("hands", None, limit=5)) == 1


async def test_what_lasts_goes_on_to_last_when_it_is_read_again(store: PageStore) -> None:
    await keep(store, page("otters", lasting=True))
    await keep(store, page("otters", "New words."))
    (kept,) = await store.pages(["https://example.org/otters"])
    assert kept.lasting


async def test_vectors_come_back_by_their_text_and_only_those_there_are(store: PageStore) -> None:
    kept = page("otters")
    (passage,) = split_page(kept.page)
    await keep(store, kept, vectors={passage.embedded_text: unit(1, 2, 2)})
    await keep(store, page("bread"))
    found = await store.vectors([passage.embedded_text, "The bread\nWords about bread.", "never seen"])
    assert list(found) == [passage.embedded_text]
    assert found[passage.embedded_text] == pytest.approx(unit(1, 2, 2))


async def test_passages_are_found_by_words_and_by_meaning_each_once(store: PageStore) -> None:
    otters, bread, stone = page("otters"), page("bread"), page("stone")
    texts = [split_page(each.page)[0].embedded_text for each in (otters, bread)]
    vectors = {texts[0]: unit(1, 0), texts[1]: unit(0.8, 0.6)}
    await keep(store, otters, bread, stone, vectors=vectors)
    by_text = {found.text: found for found in await store.find("otters", unit(1, 0.1), limit=5)}
    assert set(by_text) == set(texts)
    assert by_text[texts[0]].lexical > by_text[texts[1]].lexical == 0
    assert by_text[texts[1]].vector == pytest.approx(unit(0.8, 0.6))
    assert (by_text[texts[0]].url, by_text[texts[0]].title) == (otters.page.url, "The otters")
    assert (by_text[texts[0]].published, by_text[texts[0]].read_at) == ("2025-12-31", otters.read_at)


@pytest.mark.parametrize("question", ["", '"open', 'AND (x:y) {"match": 1} ~^* \\', "\ud800", "?!"])
async def test_no_question_is_query_syntax(store: PageStore, question: str) -> None:
    await keep(store, page("otters"))
    assert list(await store.find(question, None, limit=3)) == []


async def test_an_empty_store_has_nothing_and_takes_nothing(store: PageStore) -> None:
    await keep(store)
    await store.maintain()
    assert list(await store.pages(["https://example.org/"])) == []
    assert list(await store.pages([])) == []
    assert dict(await store.vectors(["text"])) == {}
    assert list(await store.find("otters", unit(1, 0), limit=3)) == []


async def test_what_is_removed_goes_with_all_that_lies_beneath(store: PageStore) -> None:
    await keep(store, page("a"), page("a/b"), page("a/b/c", lasting=True), page("ab"))
    assert await store.remove(["https://example.org/a"]) == 3
    assert await store.remove(["https://example.org/a"]) == 0
    assert [found.url for found in await store.find("words about", None, limit=9)] == [
        "https://example.org/ab"
    ]


async def test_a_page_without_any_passage_can_be_kept(store: PageStore) -> None:
    await store.keep([page("otters")], [], {})
    await store.maintain()
    assert len(await store.pages(["https://example.org/otters"])) == 1


async def test_a_date_keeps_its_time_zone(store: PageStore) -> None:
    await keep(store, page("otters"))
    (kept,) = await store.pages(["https://example.org/otters"])
    assert kept.read_at.utcoffset() == timedelta(0)

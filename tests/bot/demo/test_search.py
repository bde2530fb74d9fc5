"""The demo's search engine."""

from __future__ import annotations

import pytest

from bot.demo.catalogue import FORBIDDEN_PATH, HANGING_PATH, HUGE_PATH, MISSING_PATH, PAGES
from bot.demo.search import QUESTIONS, DemoSearch
from bot.demo.web import DemoWeb

MISBEHAVING = {HANGING_PATH, MISSING_PATH, FORBIDDEN_PATH, HUGE_PATH}
READABLE = {page.path for page in PAGES if page.file and page.path != "/"}


async def found(query: str, *, limit: int = 12) -> list[str]:
    """Paths, best first."""
    web = DemoWeb()
    hits = await DemoSearch(web).search(query, limit=limit)
    assert all(hit.provider == "Demo web" and hit.title and hit.snippet for hit in hits)
    return [hit.url.removeprefix(web.base_url) for hit in hits]


@pytest.mark.parametrize("question", QUESTIONS)
async def test_every_offered_question_finds_several_pages_to_read(question: str) -> None:
    assert len(READABLE & set(await found(question))) >= 2


async def test_the_first_question_finds_twelve_pages_and_all_that_misbehave_are_among_them() -> None:
    paths = await found(QUESTIONS[0])
    assert len(paths) == 12
    assert set(paths) >= MISBEHAVING


async def test_no_more_is_found_than_was_asked_for_and_nothing_twice() -> None:
    paths = await found("heat pump", limit=100)
    assert len(set(paths)) == len(paths)
    assert await found("heat pump", limit=5) == paths[:5]


async def test_words_match_in_singular_and_plural_and_in_japanese() -> None:
    assert (await found("sourdough starters"))[:1] == (await found("sourdough starter"))[:1]
    assert (await found("寒冷地の電気代"))[0] == "/ja/co2-heat-pump"


@pytest.mark.parametrize("query", ["Who painted the Mona Lisa?", "what is it", "", "???"])
async def test_what_the_web_does_not_know_is_not_found(query: str) -> None:
    assert await found(query) == []

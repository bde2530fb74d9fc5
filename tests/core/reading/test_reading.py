import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta

from core.errors import PageFailed, PageFailure
from core.reading.reading import Reading, ReadingLimits, ReadPages
from core.resilience.deadline import Deadline
from core.types import Document, KeptPage, Page, PageKind, SearchHit, Validators
from tests.fakes import FakeClock, FakeExtractor, FakeFetcher, FakePageStore, fake_keeping

QUICK = ReadingLimits(enough_pages=2, grace_s=0.01, cap_s=0.05, asked_s=0.1)


def url(name: str) -> str:
    return f"https://example.org/{name}"


def document(name: str) -> Document:
    return Document(url=url(name), media_type="text/plain", body=f"{name}\ntext of {name}".encode())


def hit(name: str) -> SearchHit:
    return SearchHit(url=url(name), title=name, snippet=f"snippet of {name}", provider="Fake")


@dataclass
class Watcher:
    counts: list[tuple[int, int]] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)

    def counted(self, done: int, started: int) -> None:
        self.counts.append((done, started))

    def arrived(self, page: Page) -> None:
        self.pages.append(page)


async def read(
    fetcher: FakeFetcher,
    names: str,
    *,
    asked: tuple[str, ...] = (),
    limits: ReadingLimits = QUICK,
    store: FakePageStore | None = None,
    kept_hits: bool = False,
    then_s: float = 0,
) -> tuple[ReadPages, Watcher]:
    """then_s: what the question goes on to do when it has its pages."""
    watcher, clock = Watcher(), FakeClock()
    keeping = fake_keeping(store, clock)
    reading = Reading(fetcher, FakeExtractor(), keeping, clock, limits)
    async with reading.question() as start:
        pages = await reading.read(
            [hit(name) for name in names],
            asked_urls=asked,
            start=start,
            deadline=Deadline.after(5),
            watcher=watcher,
            kept_hits=kept_hits,
        )
        await asyncio.sleep(then_s)
    await keeping.flush()
    return pages, watcher


def kinds(read: ReadPages) -> list[tuple[str, PageKind]]:
    return [(page.title, page.kind) for page in read.pages]


async def test_pages_come_in_the_order_of_the_hits_not_of_their_arrival() -> None:
    fetcher = FakeFetcher({url(n): document(n) for n in "ab"}, delays_s={url("a"): 0.005})

    pages, watcher = await read(fetcher, "ab")

    assert kinds(pages) == [("a", PageKind.TEXT), ("b", PageKind.TEXT)]
    assert watcher.counts == [(0, 2), (1, 2), (2, 2)]
    assert [page.title for page in watcher.pages] == ["b", "a"]


async def test_enough_pages_end_the_wait_and_late_hits_are_stood_in_for() -> None:
    fetcher = FakeFetcher({url(n): document(n) for n in "abc"}, delays_s={url("c"): 60})

    pages, _ = await read(fetcher, "abc")

    assert kinds(pages) == [("a", PageKind.TEXT), ("b", PageKind.TEXT), ("c", PageKind.SNIPPET)]
    assert [(page.url, page.reason) for page in pages.skipped] == [(url("c"), PageFailure.TIMEOUT)]


async def test_too_few_pages_are_not_waited_for_beyond_the_cap() -> None:
    fetcher = FakeFetcher({url(n): document(n) for n in "ab"}, delays_s={url("b"): 60})

    pages, _ = await read(fetcher, "ab")

    assert kinds(pages)[0] == ("a", PageKind.TEXT)


async def test_a_failed_page_is_stood_in_for_by_its_snippet() -> None:
    pages, _ = await read(FakeFetcher({url("a"): document("a")}), "ab")

    assert pages.pages[1].text == "snippet of b"
    assert pages.pages[1].kind is PageKind.SNIPPET
    assert pages.skipped[0].reason is PageFailure.STATUS


async def test_an_address_the_guard_refused_is_not_shown_at_all() -> None:
    class Guard(FakeFetcher):
        async def fetch(self, url: str) -> Document:
            raise PageFailed(PageFailure.BLOCKED)

    pages, _ = await read(Guard({}), "a")

    assert pages.pages == ()


async def test_a_page_the_asker_named_is_waited_for_and_stands_first() -> None:
    fetcher = FakeFetcher({url(n): document(n) for n in "abx"}, delays_s={url("x"): 0.07})

    pages, _ = await read(fetcher, "ab", asked=(url("x"),))

    assert kinds(pages) == [("x", PageKind.TEXT), ("a", PageKind.TEXT), ("b", PageKind.TEXT)]


async def test_no_more_pages_are_started_than_the_limit_says() -> None:
    fetcher = FakeFetcher({})

    await read(fetcher, "abcdef", limits=ReadingLimits(max_started=3, cap_s=0.05))

    assert fetcher.fetched == [url("a"), url("b"), url("c")]


async def test_two_hits_for_one_page_are_read_once() -> None:
    fetcher = FakeFetcher({url("a"): document("a")})

    pages, _ = await read(fetcher, "aa")

    assert fetcher.fetched == [url("a")]
    assert len(pages.pages) == 1


def store_with(name: str, *, age: timedelta) -> FakePageStore:
    page = Page(url=url(name), title=f"kept {name}", text=f"kept text of {name}", kind=PageKind.HTML)
    kept = KeptPage(page=page, requested_url=url(name), read_at=FakeClock().now() - age)
    return FakePageStore(kept={url(name): kept})


async def test_what_was_read_within_the_hour_is_not_fetched_again() -> None:
    fetcher = FakeFetcher({url("b"): document("b")})

    pages, watcher = await read(fetcher, "ab", store=store_with("a", age=timedelta(minutes=59)))

    assert kinds(pages) == [("kept a", PageKind.HTML), ("b", PageKind.TEXT)]
    assert list(pages.recalled) == [url("a")]
    assert fetcher.fetched == [url("b")]
    assert {page.title for page in watcher.pages} == {"kept a", "b"}


async def test_an_older_page_is_read_anew_and_replaced() -> None:
    fetcher = FakeFetcher({url("a"): document("a")})
    store = store_with("a", age=timedelta(minutes=61))

    pages, _ = await read(fetcher, "a", store=store)

    assert kinds(pages) == [("a", PageKind.TEXT)]
    assert store.kept[url("a")].page.title == "a"


async def test_yesterday_s_copy_never_stands_in_for_a_page_that_fails() -> None:
    pages, _ = await read(FakeFetcher({}), "a", store=store_with("a", age=timedelta(hours=2)))

    assert kinds(pages) == [("a", PageKind.SNIPPET)]


async def test_hits_of_the_library_are_taken_however_old_they_are() -> None:
    fetcher = FakeFetcher({})

    pages, _ = await read(fetcher, "a", store=store_with("a", age=timedelta(days=6)), kept_hits=True)

    assert kinds(pages) == [("kept a", PageKind.HTML)]
    assert fetcher.fetched == []


async def test_a_late_page_is_kept_though_the_question_has_gone_on_without_it() -> None:
    fetcher = FakeFetcher({url(n): document(n) for n in "abc"}, delays_s={url("c"): 0.04})
    store = FakePageStore()

    pages, _ = await read(fetcher, "abc", store=store, then_s=0.06)

    assert kinds(pages)[2] == ("c", PageKind.SNIPPET)
    assert set(store.kept) == {url(n) for n in "abc"}


async def test_with_the_answer_the_wait_for_late_pages_ends() -> None:
    fetcher = FakeFetcher({url(n): document(n) for n in "abc"}, delays_s={url("c"): 60})
    store = FakePageStore()

    await read(fetcher, "abc", store=store)

    assert set(store.kept) == {url("a"), url("b")}


async def test_excerpts_are_not_kept() -> None:
    store = FakePageStore()

    await read(FakeFetcher({url("a"): document("a")}), "ab", store=store)

    assert set(store.kept) == {url("a")}


async def test_a_page_that_a_person_named_is_fetched_and_never_kept() -> None:
    fetcher = FakeFetcher({url("x"): document("x")})
    store = store_with("x", age=timedelta(minutes=1))

    pages, _ = await read(fetcher, "", asked=(url("x"),), store=store)

    assert kinds(pages) == [("x", PageKind.TEXT)]
    assert store.kept[url("x")].page.title == "kept x"


async def test_a_library_that_fails_costs_a_page_nothing() -> None:
    fetcher = FakeFetcher({url("a"): document("a")})

    pages, _ = await read(fetcher, "a", store=FakePageStore(fails=True))

    assert kinds(pages) == [("a", PageKind.TEXT)]


async def test_a_page_its_server_calls_unchanged_is_fresh_again() -> None:
    unchanged = replace(document("a"), validators=Validators(etag='"1"'))
    store = store_with("a", age=timedelta(hours=2))
    store.kept[url("a")] = replace(store.kept[url("a")], validators=Validators(etag='"1"'))

    pages, _ = await read(FakeFetcher({url("a"): unchanged}), "a", store=store)

    assert kinds(pages) == [("kept a", PageKind.HTML)]
    assert pages.recalled == {}
    assert store.kept[url("a")].read_at == FakeClock().now()


async def test_a_page_that_two_questions_want_at_once_is_fetched_once() -> None:
    fetcher = FakeFetcher({url("a"): document("a")}, delays_s={url("a"): 0.01})
    reading = Reading(fetcher, FakeExtractor(), fake_keeping(), FakeClock(), QUICK)

    async def ask() -> ReadPages:
        async with reading.question() as start:
            return await reading.read(
                [hit("a")], asked_urls=(), start=start, deadline=Deadline.after(5), watcher=Watcher()
            )

    results = await asyncio.gather(ask(), ask())
    assert [kinds(result) for result in results] == [[("a", PageKind.TEXT)]] * 2
    assert fetcher.fetched == [url("a")]

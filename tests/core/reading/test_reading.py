from dataclasses import dataclass, field

from core.errors import PageFailed, PageFailure
from core.reading.reading import Reading, ReadingLimits, ReadPages
from core.resilience import Deadline
from core.types import Document, Page, PageKind, SearchHit
from tests.fakes import FakeExtractor, FakeFetcher

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
    fetcher: FakeFetcher, names: str, *, asked: tuple[str, ...] = (), limits: ReadingLimits = QUICK
) -> tuple[ReadPages, Watcher]:
    watcher = Watcher()
    reading = Reading(fetcher, FakeExtractor(), limits)
    pages = await reading.read(
        [hit(name) for name in names],
        asked_urls=asked,
        deadline=Deadline.after(5),
        watcher=watcher,
    )
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

"""The fetcher against servers that behave, more or less, and its manners towards them."""

from __future__ import annotations

import codecs
import gzip
import zlib

import pytest

from core.errors import PageFailed, PageFailure
from core.providers.web.fetcher import WebFetcher
from core.types import Document, KeptPage, Page, PageKind, Validators
from tests.fakes import FakeClock
from tests.hostile.fetching import loopback_fetcher
from tests.hostile.web_server import Behaviour, hostile_server, in_turn, redirect, respond

PAGE = b"<html><title>Plovers</title><p>They run and stop.</html>"
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj"


async def fetch(behaviour: Behaviour) -> Document:
    async with hostile_server({"/page": behaviour}) as server, loopback_fetcher(server) as fetcher:
        return await fetcher.fetch(server.url("/page"))


async def failure_of(fetcher: WebFetcher, url: str) -> PageFailure:
    with pytest.raises(PageFailed) as raised:
        await fetcher.fetch(url)
    return raised.value.reason


async def failure(behaviour: Behaviour) -> PageFailure:
    async with hostile_server({"/page": behaviour}) as server, loopback_fetcher(server) as fetcher:
        return await failure_of(fetcher, server.url("/page"))


async def test_a_document_is_what_was_served_and_where_from() -> None:
    async with (
        hostile_server({"/page": respond(PAGE, content_type="Text/HTML; charset=UTF-8")}) as server,
        loopback_fetcher(server) as fetcher,
    ):
        document = await fetcher.fetch(server.url("/page#part"))
    assert document == Document(url=server.url("/page"), media_type="text/html", body=PAGE, charset="utf-8")


async def test_a_request_says_who_asks_and_nothing_about_whom_for() -> None:
    async with hostile_server({"/page": respond(PAGE)}) as server, loopback_fetcher(server) as fetcher:
        await fetcher.fetch(server.url("/page"))
    (exchange,) = server.exchanges
    assert exchange.headers == {
        "Host": f"127.0.0.1:{server.port}",
        "Accept": "text/html,application/xhtml+xml,application/pdf;q=0.9,text/plain;q=0.8",
        "Accept-Encoding": "gzip, deflate",
        "User-Agent": "RelevanceSearch/0.1 (+https://example.org/bot)",
    }


async def test_cookies_are_never_sent_back() -> None:
    behaviours = {
        "/start": redirect("/page", headers=["Set-Cookie: a=1; Path=/"]),
        "/page": respond(PAGE, headers=["Set-Cookie: b=2; Path=/"]),
    }
    async with hostile_server(behaviours) as server, loopback_fetcher(server) as fetcher:
        await fetcher.fetch(server.url("/start"))
        await fetcher.fetch(server.url("/page"))
    assert [exchange.headers.get("Cookie") for exchange in server.exchanges] == [None, None, None]


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ("text/html", ""),
        ("text/html; charset=Shift_JIS", "shift_jis"),
        ('text/html; charset="windows-1252"', "windows-1252"),
        ("text/html; charset=punycode", ""),
        ("text/html; charset=unicode_escape", ""),
        ("text/html; charset=utf-7", ""),
    ],
)
async def test_only_charsets_of_the_web_are_handed_on(content_type: str, charset: str) -> None:
    document = await fetch(respond(PAGE, content_type=content_type))
    assert document.charset == charset


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(PAGE, mtime=0)),
        ("GZIP", gzip.compress(PAGE, mtime=0)),
        ("deflate", zlib.compress(PAGE)),
        ("deflate", zlib.compress(PAGE, wbits=-15)),
        ("identity", PAGE),
        ("gzip", gzip.compress(PAGE[:9], mtime=0) + gzip.compress(PAGE[9:], mtime=0)),
        ("gzip", gzip.compress(PAGE, mtime=0) + bytes(100)),
        ("deflate", zlib.compress(PAGE) + zlib.compress(PAGE)),
    ],
)
async def test_content_encoding_is_undone(encoding: str, body: bytes) -> None:
    document = await fetch(respond(body, headers=[f"Content-Encoding: {encoding}"]))
    assert document.body == PAGE


@pytest.mark.parametrize("encoding", ["br", "zstd", "x-gzip", "gzip, gzip", "gzip, br", "compress", "rot13"])
async def test_a_content_encoding_that_was_not_asked_for_is_refused(encoding: str) -> None:
    behaviour = respond(gzip.compress(PAGE, mtime=0), headers=[f"Content-Encoding: {encoding}"])
    assert await failure(behaviour) is PageFailure.ENCODING


async def test_two_content_encoding_headers_count_as_two_encodings() -> None:
    behaviour = respond(
        gzip.compress(PAGE, mtime=0), headers=["Content-Encoding: gzip", "Content-Encoding: gzip"]
    )
    assert await failure(behaviour) is PageFailure.ENCODING


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html", PAGE),
        ("application/xhtml+xml", PAGE),
        ("text/plain", b"plain"),
        ("text/markdown", b"# Plovers"),
        ("application/pdf", PDF),
        ("application/pdf", b"\r\n" * 500 + PDF),
        ("text/html", codecs.BOM_UTF16_LE + "<p>Plovers".encode("utf-16-le")),
        ("text/html", b"<p>A PDF file starts with %PDF-1.7."),
        ("text/html", b""),
    ],
)
async def test_html_text_and_pdf_are_read(content_type: str, body: bytes) -> None:
    document = await fetch(respond(body, content_type=content_type))
    assert (document.media_type, document.body) == (content_type, body)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("image/png", b"\x89PNG\r\n"),
        ("application/octet-stream", PAGE),
        ("application/json", b"{}"),
        ("", PAGE),
        ("text/html", PDF),
        ("text/html", b" \r\n" + PDF),
        ("text/html", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
        ("text/plain", b"\x7fELF\x02\x01\x01\0"),
        ("text/html", b"\x01\x02\x03\x04" * 300),
        ("application/pdf", PAGE),
        ("application/pdf", b" " * 1_024 + PDF),
        ("application/pdf", b""),
    ],
)
async def test_what_is_not_what_it_says_or_not_for_reading_is_left(content_type: str, body: bytes) -> None:
    assert await failure(respond(body, content_type=content_type)) is PageFailure.MEDIA_TYPE


@pytest.mark.parametrize(
    "status", ["204 No Content", "304 Not Modified", "404 Not Found", "410 Gone", "500 Oops"]
)
async def test_any_status_but_200_is_a_failure(status: str) -> None:
    assert await failure(respond(status=status)) is PageFailure.STATUS


@pytest.mark.parametrize(
    "behaviour",
    [
        respond(PAGE, status="403 Forbidden"),
        respond(PAGE, status="429 Too Many Requests"),
        respond(PAGE, status="503 Busy", headers=["cf-mitigated: challenge"]),
        respond(PAGE, status="202 Accepted", headers=["X-Amzn-Waf-Action: challenge"]),
        respond(b"<html><head><title>Just a moment...</title>"),
        respond(b"<script>window._cf_chl_opt={cvId:'3'}</script>"),
        respond(b"<script src='https://ct.captcha-delivery.com/c.js'></script>"),
    ],
)
async def test_a_wall_that_asks_for_a_human_is_a_challenge(behaviour: Behaviour) -> None:
    assert await failure(behaviour) is PageFailure.CHALLENGE


async def test_a_long_page_about_challenges_is_none() -> None:
    body = b"<p>It sets window._cf_chl_opt." + b"<p>Here is how." * 5_000
    assert (await fetch(respond(body))).body == body
    text = b"<title>Just a moment...</title>"
    assert (await fetch(respond(text, content_type="text/plain"))).body == text


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed_to_the_page(status: int) -> None:
    behaviours = {"/a": redirect("b?x=1", status=f"{status} Moved"), "/b": respond(PAGE)}
    async with hostile_server(behaviours) as server, loopback_fetcher(server) as fetcher:
        document = await fetcher.fetch(server.url("/a"))
    assert document.url == server.url("/b?x=1")


async def test_five_redirects_are_followed_and_no_sixth() -> None:
    behaviours = {f"/{hop}": redirect(f"/{hop + 1}") for hop in range(6)} | {"/6": respond(PAGE)}
    async with hostile_server(behaviours) as server, loopback_fetcher(server) as fetcher:
        document = await fetcher.fetch(server.url("/1"))
        assert document.url == server.url("/6")
        server.exchanges.clear()
        assert await failure_of(fetcher, server.url("/0")) is PageFailure.STATUS
    assert server.targets == ["/0", "/1", "/2", "/3", "/4", "/5"]


async def test_a_redirect_that_names_no_place_is_a_status() -> None:
    assert await failure(respond(status="302 Found")) is PageFailure.STATUS


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1/", "http://[::1]/", "file:///etc/passwd", "//a b/", "http://[/"]
)
async def test_a_redirect_that_the_guard_refuses_ends_the_fetch(location: str) -> None:
    assert await failure(redirect(location)) is PageFailure.BLOCKED


@pytest.mark.parametrize(
    "page",
    [
        respond(b"<meta http-equiv=refresh content='0; url=/secret'>"),
        respond(PAGE, headers=["Refresh: 0; url=/secret"]),
        respond(PAGE, headers=["Link: </secret>; rel=preload", "Content-Location: /secret"]),
        respond(PAGE, headers=['Alt-Svc: h2="127.0.0.1:80"', "Location: /secret"]),
        respond(b"<script>location='/secret'</script>" + b"<a href=/secret>" * 50),
    ],
)
async def test_nothing_but_a_redirect_status_starts_another_request(page: Behaviour) -> None:
    async with (
        hostile_server({"/page": page, "/secret": respond(PAGE)}) as server,
        loopback_fetcher(server) as fetcher,
    ):
        document = await fetcher.fetch(server.url("/page"))
        assert document.url == server.url("/page")
        await fetcher.fetch(server.url("/page"))
    assert server.targets == ["/page", "/page"]


async def test_failures_name_no_url() -> None:
    async with hostile_server({}) as server, loopback_fetcher(server) as fetcher:
        for url in (server.url("/token=secret"), "http://127.0.0.1/secret", "http://secret.example.org/"):
            with pytest.raises(PageFailed) as raised:
                await fetcher.fetch(url)
            assert "secret" not in str(raised.value)


# robots.txt


def robots(text: str) -> Behaviour:
    return respond(text.encode(), content_type="text/plain")


async def test_robots_txt_is_asked_first_and_kept_for_a_day() -> None:
    clock = FakeClock()
    behaviours = {"/robots.txt": robots("User-agent: *\nDisallow: /private"), "/page": respond(PAGE)}
    async with (
        hostile_server(behaviours) as server,
        loopback_fetcher(server, respect_robots=True, monotonic=clock.monotonic) as fetcher,
    ):
        await fetcher.fetch(server.url("/page"))
        assert await failure_of(fetcher, server.url("/private/page")) is PageFailure.ROBOTS
        await clock.sleep(86_399)
        await fetcher.fetch(server.url("/page"))
        assert server.targets == ["/robots.txt", "/page", "/page"]
        await clock.sleep(1)
        await fetcher.fetch(server.url("/page"))
    assert server.targets[3:] == ["/robots.txt", "/page"]


async def test_a_redirect_does_not_lead_around_robots_txt() -> None:
    behaviours = {
        "/robots.txt": robots("User-agent: *\nDisallow: /private"),
        "/page": redirect("/private/page"),
        "/private/page": respond(PAGE),
    }
    async with hostile_server(behaviours) as server, loopback_fetcher(server, respect_robots=True) as fetcher:
        assert await failure_of(fetcher, server.url("/page")) is PageFailure.ROBOTS
    assert server.targets == ["/robots.txt", "/page"]


@pytest.mark.parametrize(
    "answer",
    [
        respond(status="404 Not Found"),
        respond(status="403 Forbidden"),
        respond(status="429 Too Many Requests"),
        redirect("http://127.0.0.1/robots.txt"),
        redirect("/robots.txt"),
        respond(b"x", headers=["Content-Encoding: br"]),
        respond(b"User-agent: *\nDisallow: /\n".rjust(600_000)),
    ],
)
async def test_without_readable_rules_all_is_allowed(answer: Behaviour) -> None:
    behaviours = {"/robots.txt": answer, "/page": respond(PAGE)}
    async with hostile_server(behaviours) as server, loopback_fetcher(server, respect_robots=True) as fetcher:
        assert (await fetcher.fetch(server.url("/page"))).body == PAGE


async def test_a_server_in_trouble_over_robots_txt_is_left_alone_and_asked_again_the_next_time() -> None:
    behaviours = {
        "/robots.txt": in_turn(respond(status="503 Busy"), robots("User-agent: *\nDisallow:")),
        "/page": respond(PAGE),
    }
    async with hostile_server(behaviours) as server, loopback_fetcher(server, respect_robots=True) as fetcher:
        assert await failure_of(fetcher, server.url("/page")) is PageFailure.ROBOTS
        await fetcher.fetch(server.url("/page"))
    assert server.targets == ["/robots.txt", "/robots.txt", "/page"]


async def test_a_page_uses_the_connection_of_its_robots_txt() -> None:
    behaviours = {"/robots.txt": robots(""), "/page": respond(PAGE)}
    async with hostile_server(behaviours) as server, loopback_fetcher(server, respect_robots=True) as fetcher:
        await fetcher.fetch(server.url("/page"))
    assert server.connections == 1


def kept_before(url: str, *, found_url: str = "", validators: Validators) -> KeptPage:
    page = Page(url=found_url or url, title="", text="Plovers.", kind=PageKind.HTML)
    return KeptPage(page=page, requested_url=url, read_at=FakeClock().now(), validators=validators)


async def test_validators_are_sent_to_the_address_that_gave_them_and_to_no_other() -> None:
    behaviours = {"/old": redirect("/page"), "/page": respond(status="304 Not Modified")}
    async with hostile_server(behaviours) as server, loopback_fetcher(server) as fetcher:
        kept = kept_before(
            server.url("/old"), found_url=server.url("/page"), validators=Validators(etag='"1"')
        )
        assert await fetcher.refetch(kept) is None
    sent = {exchange.target: exchange.headers.get("If-None-Match") for exchange in server.exchanges}
    assert (sent["/old"], sent["/page"]) == (None, '"1"')


async def test_a_date_is_asked_with_where_there_is_no_entity_tag() -> None:
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    async with (
        hostile_server({"/page": respond(status="304 Not Modified")}) as server,
        loopback_fetcher(server) as fetcher,
    ):
        kept = kept_before(server.url("/page"), validators=Validators(last_modified=date))
        assert await fetcher.refetch(kept) is None
    assert server.exchanges[-1].headers["If-Modified-Since"] == date


async def test_a_304_that_nothing_was_asked_for_is_a_failed_page() -> None:
    async with (
        hostile_server({"/page": respond(status="304 Not Modified")}) as server,
        loopback_fetcher(server) as fetcher,
    ):
        assert await failure_of(fetcher, server.url("/page")) is PageFailure.STATUS
        with pytest.raises(PageFailed):
            await fetcher.refetch(kept_before(server.url("/page"), validators=Validators()))


@pytest.mark.parametrize("etag", ['"' + "x" * 300 + '"', '"caf\xe9"'])
async def test_a_validator_that_is_none_is_not_kept(etag: str) -> None:
    document = await fetch(respond(PAGE, headers=[f"ETag: {etag}", "Last-Modified: today"]))
    assert document.validators == Validators(last_modified="today")

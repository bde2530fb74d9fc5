"""The doors for scoring: plain functions over the product's own code, so that public data sets can be run.

Synchronous and stable; none of them is a second implementation.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import platformdirs
import structlog
from yarl import URL

from adapters.discord import render as discord_render
from adapters.slack import render as slack_render
from bot.settings import APP_NAME
from core.answering.extractive import ExtractiveAnswer
from core.answering.footnotes import MARK
from core.answering.writing import Writing
from core.errors import PageFailed
from core.providers.embedding.local import LocalEmbedder
from core.providers.storage.lance import LanceLibrary
from core.providers.storage.memory import MemoryLibrary
from core.providers.web.extractor import ChildExtractor
from core.providers.web.html import read_html
from core.ranking.ranking import Ranking
from core.reading.passages import split_page
from core.reading.urls import (
    AddressPolicy,
    UrlRefused,
    check_answers,
    check_redirect,
    check_url,
    literal_address,
)
from core.resilience.deadline import Deadline
from core.tracing import Trace
from core.types import (
    Answer,
    AskerId,
    Completion,
    Document,
    FinishReason,
    Page,
    PageKind,
    Passage,
    Prompt,
    Question,
    Source,
)

structlog.configure(
    logger_factory=structlog.PrintLoggerFactory(sys.stderr)
)  # standard output is the scorer's

T = TypeVar("T")
Dns = Mapping[str, Sequence[Sequence[str]]]

_URL = "https://example.org/"
_REMEMBERED_VECTORS = 100_000
"""A corpus is ranked once for each of its queries: no text of it is embedded twice."""


def extract_html(html: str) -> str:
    """The page's text as core would read it: light Markdown.

    >>> extract_html("<title>T</title><article><h1>Tides</h1><p>The moon raises them.</p></article>")
    '# Tides\\n\\nThe moon raises them.'
    """
    return read_html(html, _URL).text


def extract_pdf(data: bytes) -> str:
    """The text of a PDF, read in the killable child; empty if there is none.

    >>> extract_pdf(b"no PDF")
    ''
    """

    async def extract() -> str:
        async with ChildExtractor(children=1) as extractor:
            document = Document(url=_URL, media_type="application/pdf", body=data)
            with suppress(PageFailed):
                return (await extractor.extract(document)).text
            return ""

    return asyncio.run(extract())


def split_passages(text: str, title: str = "") -> list[str]:
    """The passages of a text, verbatim, in order.

    >>> split_passages("The moon raises the tides. The sun helps.")
    ['The moon raises the tides. The sun helps.']
    """
    page = Page(url=_URL, title=title, text=text, kind=PageKind.TEXT)
    return [passage.text for passage in split_page(page)]


def rank(question: str, passages: list[str]) -> list[int]:
    """All indices, best first, ties stable; as a live question under normal load ranks its passages.

    >>> rank("Who wrote Faust?", ["Bread is baked.", "Goethe wrote Faust in two parts."])
    [1, 0]
    """
    # A page for each, so that a long corpus isn't taken for one long page; the URL tells the place.
    candidates = [
        Passage(url=str(place), index=0, text=text, title="") for place, text in enumerate(passages)
    ]
    ranked = _run(_ranking().rank(question, candidates))
    return [int(candidate.passage.url) for candidate in ranked.passages]


def pick_sentences(question: str, passages: list[dict[str, str]]) -> list[dict[str, str]]:
    """What the extractive answer shows: at most 3 of {text, pid}, best first, verbatim, <= 350 characters.

    passages: {id, title, text}.

    >>> pick_sentences("How long is the Rhine?", [{"id": "r", "title": "Rhine", "text": "It has 1,233 km."}])
    [{'text': 'It has 1,233 km.', 'pid': 'r'}]
    """
    candidates = [
        # The place is the URL, so that the id comes back as it was, whatever its type.
        Passage(url=str(place), index=0, text=passage["text"], title=passage.get("title", ""))
        for place, passage in enumerate(passages)
    ]
    picked = _run(ExtractiveAnswer(_embedder()).pick(question, candidates))
    return [{"text": each.text, "pid": passages[int(each.passage.url)]["id"]} for each in picked]


def safe_text(model_text: str, sources: list[str]) -> str:
    """Raw model output, marks [n] 1-based into sources (URLs) -> the canonical text that a reader may see.

    Marks stay as [n], renumbered by first use; there is no source list.

    >>> safe_text("Tides: see https://evil.example/x [2], @everyone!", ["https://a.example", "https://b.example"])
    'Tides: see `evil.example`[1], `@everyone`!'
    """
    return MARK.sub(r"[\1]", _written(model_text, [{"title": "", "url": url} for url in sources]).text)


def render_slack(model_text: str, sources: list[dict[str, str]]) -> list[dict[str, Any]]:
    """The messages of the final state in Slack, each {text, blocks}, source list included, buttons left out.

    sources: {title, url}, 1-based for the marks in the model's text.

    >>> [message] = render_slack("Tides [1].", [{"title": "Tides", "url": "https://a.example/t"}])
    >>> message["blocks"][0]
    {'type': 'markdown', 'text': 'Tides[[1](https://a.example/t)].'}
    """
    messages = slack_render.final_messages(_written(model_text, sources))
    return [{"text": message.text, "blocks": list(message.blocks)} for message in messages]


def render_discord(model_text: str, sources: list[dict[str, str]]) -> list[str]:
    """The messages of the final state in Discord; see `render_slack`.

    >>> [message] = render_discord("Tides [1].", [{"title": "Tides", "url": "https://a.example/t"}])
    >>> message.splitlines()[0]
    'Tides[[1]](https://a.example/t).'
    """
    return discord_render.final_messages(_written(model_text, sources))


def _written(model_text: str, sources: Sequence[Mapping[str, str]]) -> Answer:
    """What a model's text becomes on its way to a reader, as in a live answer."""

    async def write() -> Answer:
        writing = Writing(_Recital(model_text), ExtractiveAnswer(_embedder()))
        return await writing.write(
            Question(id="", text="?", asker=AskerId(""), platform="", asked_at=datetime.now(UTC)),
            [_source(number, source) for number, source in enumerate(sources, start=1)],
            (),
            asked="?",
            show=lambda event: None,
            deadline=Deadline.after(60),
            trace=Trace(),
        )

    return _run(write())


def _source(number: int, source: Mapping[str, str]) -> Source:
    page = Page(url=source["url"], title=source["title"], text="", kind=PageKind.HTML)
    return Source(number=number, page=page, passages=())


@dataclass(frozen=True, slots=True)
class _Recital:
    """A language model that says one text."""

    text: str
    name: str = "recital"

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Completion]:
        yield self.text
        yield Completion(finish_reason=FinishReason.STOP, model=self.name)


def url_verdict(url: str, dns: Dns) -> bool:
    """May this URL be fetched? True only if every answer of every look-up may be connected to.

    dns: host, in any spelling -> the answers of successive look-ups; "*" stands for any other host. No
    entry or an empty list: the name doesn't resolve. No socket is opened.

    >>> url_verdict("https://example.org/", {"example.org": [["93.184.215.14"]]})
    True
    >>> url_verdict("http://169.254.169.254/latest/meta-data/", {})
    False
    >>> url_verdict("https://rebind.example/", {"*": [["93.184.215.14"], ["127.0.0.1"]]})
    False
    """
    policy = AddressPolicy()
    with suppress(UrlRefused):
        _check_look_ups(check_url(url, policy), dns, policy)
        return True
    return False


def redirect_verdict(url: str, location: str, dns: Dns) -> bool:
    """May a redirect from an allowed URL to this Location be followed? `dns` as for `url_verdict`.

    >>> redirect_verdict("https://example.org/a", "/b", {"*": [["93.184.215.14"]]})
    True
    >>> redirect_verdict("https://example.org/a", "http://127.0.0.1/", {"*": [["93.184.215.14"]]})
    False
    """
    policy = AddressPolicy()
    with suppress(UrlRefused):
        _check_look_ups(check_redirect(check_url(url, policy), location, policy), dns, policy)
        return True
    return False


def _check_look_ups(url: URL, dns: Dns, policy: AddressPolicy) -> None:
    """Every answer of every look-up, as the resolver would judge it. Raises UrlRefused."""
    if literal_address(url) is not None:
        return
    for answers in _look_ups(url.raw_host, dns):
        check_answers(answers, url.port or 0, policy)


def _look_ups(host: str | None, dns: Dns) -> list[Sequence[str]]:
    """Those of every entry that names the host, however it is spelled; of "*" only where none does."""
    entries = [look_ups for name, look_ups in dns.items() if _canonical(name) == host] or [dns.get("*", [])]
    return [answers for look_ups in entries for answers in look_ups or [[]]]


@cache
def _canonical(name: str) -> str | None:
    """The name as the guard hands it to a resolver; None if it never would."""
    with suppress(UrlRefused):
        return check_url(f"http://{name}/", AddressPolicy()).raw_host
    return None


@cache
def _runner() -> asyncio.Runner:
    return asyncio.Runner()


def _run(work: Coroutine[Any, Any, T]) -> T:
    return _runner().run(work)


@cache
def _embedder() -> LocalEmbedder:
    embedder = LocalEmbedder(
        cache_dir=platformdirs.user_cache_path(APP_NAME), cached_vectors=_REMEMBERED_VECTORS
    )
    _run(embedder.prepare())
    return embedder


@cache
def _ranking() -> Ranking:
    library = LanceLibrary(Path(tempfile.mkdtemp(prefix="relevancesearch-benchmark-")))
    return Ranking(library=library, fallback=MemoryLibrary(), embedder=_embedder())

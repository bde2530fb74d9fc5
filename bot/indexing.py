"""`python -m bot index`: documents a person chose, put into the library to stay."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from bot.app import App, open_app
from bot.settings import Settings
from core.errors import PageFailed, PageFailure
from core.reading.passages import split_page
from core.types import Document, KeptPage, Validators

MEDIA_TYPES: Final[Mapping[str, str]] = {
    ".html": "text/html",
    ".htm": "text/html",
    ".md": "text/markdown",
    ".txt": "text/plain",
    ".pdf": "application/pdf",
}
MAX_FILE_BYTES: Final = 10_000_000

BATCH: Final = 16
"""Documents read side by side and written at once: a write costs 50 ms however many they are."""


class Result(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """What became of one document. page: what is to be kept of it. reason: why it failed."""

    url: str
    result: Result
    page: KeptPage | None = None
    reason: str = ""


async def index_places(settings: Settings, places: Sequence[str], console: Console) -> bool:
    """Prints each failure and the counts; True if nothing failed and there was something to index.

    Raises EmbeddingFailed and LibraryFailed: what was written until then stays.
    """
    urls = await asyncio.to_thread(lambda: list(dict.fromkeys(_documents(places))))
    counts: Counter[Result] = Counter()
    async with open_app(settings) as app:
        with _progress(console) as progress:
            task = progress.add_task("Indexing", total=len(urls))
            for start in range(0, len(urls), BATCH):
                for indexed in await _index_batch(app, urls[start : start + BATCH]):
                    counts[indexed.result] += 1
                    if indexed.result is Result.FAILED:
                        progress.console.print(Text(f"{indexed.url}: {indexed.reason}"), soft_wrap=True)
                    progress.advance(task)
        await app.embedders.pages.maintain()
    console.print(", ".join(f"{counts[result]} {result.value}" for result in Result))
    return bool(urls) and not counts[Result.FAILED]


async def forget_places(settings: Settings, places: Sequence[str], console: Console) -> bool:
    """Takes them out, with all that lies beneath; True if there was anything. Raises LibraryFailed."""
    async with open_app(settings) as app:
        removed = await app.embedders.pages.remove([_url(place) for place in places])
    console.print(f"{removed} forgotten")
    return removed > 0


async def _index_batch(app: App, urls: Sequence[str]) -> Sequence[Indexed]:
    kept = await app.embedders.pages.pages(urls)
    known = {page.requested_url: page for page in kept} | {page.page.url: page for page in kept}
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_read(app, url, known.get(url))) for url in urls]
    results = [task.result() for task in tasks]
    pages = [result.page for result in results if result.page is not None]
    passages = [passage for page in pages for passage in await asyncio.to_thread(split_page, page.page)]
    await app.embedders.recalling.embed([passage.embedded_text for passage in passages])
    await app.keeping.keep(pages)
    return results


async def _read(app: App, url: str, known: KeptPage | None) -> Indexed:
    try:
        document = await _document(app, url, known)
        if document is None:
            return _unchanged(url, known)
        page = await app.extractor.extract(document)
    except PageFailed as failure:
        return Indexed(url=url, result=Result.FAILED, reason=str(failure))
    new = KeptPage(
        page=page,
        requested_url=url,
        read_at=app.clock.now(),
        validators=document.validators,
        lasting=True,
    )
    if known is None or not known.lasting:
        result = Result.ADDED
    else:
        result = Result.UNCHANGED if known.content_hash == new.content_hash else Result.CHANGED
    return Indexed(url=url, result=result, page=new)


def _unchanged(url: str, known: KeptPage | None) -> Indexed:
    """What a question had read stays from now on."""
    if known is None or known.lasting:
        return Indexed(url=url, result=Result.UNCHANGED)
    return Indexed(url=url, result=Result.ADDED, page=replace(known, lasting=True))


async def _document(app: App, url: str, known: KeptPage | None) -> Document | None:
    """None if it is what it was when it was kept. Raises PageFailed."""
    if not url.startswith("file:"):
        return await (app.fetcher.refetch(known) if known else app.fetcher.fetch(url))
    document = await asyncio.to_thread(_file, url)
    return None if known and known.validators == document.validators else document


def _file(url: str) -> Document:
    """Raises PageFailed."""
    path = Path(url2pathname(urlsplit(url).path))
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise PageFailed(PageFailure.TOO_LARGE)
        media_type, body = MEDIA_TYPES[path.suffix.lower()], path.read_bytes()
    except KeyError:
        raise PageFailed(PageFailure.MEDIA_TYPE, path.suffix or "no suffix") from None
    except OSError as error:
        raise PageFailed(PageFailure.UNREACHABLE, error.strerror or type(error).__name__) from error
    digest = hashlib.blake2b(body, digest_size=16).hexdigest()
    return Document(url=url, media_type=media_type, body=body, validators=Validators(etag=digest))


def _documents(places: Sequence[str]) -> Iterator[str]:
    """URLs of the places, for a folder those of the files in it; hidden ones are left out."""
    for place in places:
        folder = Path(place)
        if _is_web(place) or not folder.is_dir():
            yield _url(place)
            continue
        for path in sorted(folder.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
            if path.suffix.lower() in MEDIA_TYPES and path.is_file() and not hidden:
                yield path.resolve().as_uri()


def _url(place: str) -> str:
    return place if _is_web(place) else Path(place).resolve().as_uri()


def _is_web(place: str) -> bool:
    return place.lower().startswith(("http://", "https://"))


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=console, transient=True
    )

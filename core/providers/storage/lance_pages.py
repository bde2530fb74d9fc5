"""Kept pages in LanceDB: one table of pages, one of their passages with words and vectors.

All writing, ageing and compacting goes one at a time, in this process and between processes: `optimize`
beside another write ends in a conflict and leaves files behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

import structlog
from filelock import AsyncFileLock, Timeout

from core.errors import LibraryFailed
from core.ports import Clock
from core.providers.storage import lance_rows as rows
from core.providers.storage.healing import HealingPlace, storable
from core.reading.ageing import TIME_TO_LIVE, ShelfRow, expired, surplus
from core.types import FoundPassage, KeptPage, Passage, Vectors

if TYPE_CHECKING:
    import pyarrow as pa
    from lancedb.db import AsyncConnection
    from lancedb.table import AsyncTable

log = structlog.get_logger(__name__)

R = TypeVar("R")

LOCK_LIMIT_S = 20.0
"""For another process to end its write: the longest, compacting 200 MB, takes some seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShelfLimits:
    """max_bytes: of what ages; what lasts is not counted. Merging rewrites the tables, and what it replaced
    goes with the next merging: until then there may be two and a half times as much on disk.
    max_fragments: files of rows from which they are merged; each write adds one to both tables.
    old_versions: the least that what a write replaced stays, for those who read it: another process sees
    the new one by SEEN_AFTER, and a search takes no more than two seconds.
    aged_every_s: between two looks for what has expired, where nothing was written.
    """

    max_bytes: int = 40_000_000
    time_to_live: timedelta = TIME_TO_LIVE
    max_fragments: int = 25
    old_versions: timedelta = timedelta(seconds=15)
    aged_every_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class _Tables:
    pages: AsyncTable
    passages: AsyncTable

    def __iter__(self) -> Iterator[AsyncTable]:
        return iter((self.pages, self.passages))


class LancePageStore:
    """A PageStore. uri: a directory, or an object store's address as LanceDB takes it.

    model: names the vectors' space. Under another name the old vectors are dropped, the words stay.
    Belongs to one event loop.
    """

    def __init__(self, uri: str, *, model: str, clock: Clock, limits: ShelfLimits | None = None) -> None:
        self._place = HealingPlace(uri, _set_up)
        self._vector = rows.vector_column(model)
        self._clock = clock
        self._limits = limits or ShelfLimits()
        self._writing = asyncio.Lock()
        self._aged_at_s: float | None = None

    async def prepare(self) -> None:
        """Open the library. Raises LibraryFailed."""
        await self._place.opened()

    async def aclose(self) -> None:
        """Once what was begun has ended."""
        await self._place.aclose()

    async def pages(self, urls: Sequence[str]) -> Sequence[KeptPage]:
        if not urls:
            return ()
        asked = rows.any_of("url", urls, "requested_url")

        async def read(tables: _Tables) -> Sequence[KeptPage]:
            found = await tables.pages.query().where(f"({asked}) AND {self._in_time()}").to_arrow()
            return [rows.kept_page(row) for row in found.to_pylist()]

        return await self._place.run(read)

    async def vectors(self, texts: Sequence[str]) -> Mapping[str, Vectors]:
        by_hash = {rows.text_hash(text): text for text in texts}
        if not by_hash:
            return {}

        async def read(tables: _Tables) -> Mapping[str, Vectors]:
            if self._vector not in (await tables.passages.schema()).names:
                return {}
            found = await (
                tables.passages.query()
                .where(f"{rows.any_of('hash', by_hash)} AND {self._vector} IS NOT NULL")
                .select(["hash", self._vector])
                .to_arrow()
            )
            stored = zip(found["hash"].to_pylist(), rows.matrix(found[self._vector]), strict=True)
            return {by_hash[hash_]: row for hash_, row in stored if row is not None}

        return await self._place.run(read)

    async def keep(
        self, pages: Sequence[KeptPage], passages: Sequence[Passage], vectors: Mapping[str, Vectors]
    ) -> None:
        by_url = {page.page.url: page for page in pages}
        if not by_url:
            return

        async def write(tables: _Tables) -> None:
            known = await _known(tables, by_url)
            new = {url for url, page in by_url.items() if known.get(url, ("", False))[0] != page.content_hash}
            # Passages first: killed in between, the page still has its old hash and is written again.
            await self._put_passages(tables.passages, new, passages, vectors, replace=bool(new & set(known)))
            table = rows.page_table(
                by_url.values(), lasting={url for url, (_, stays) in known.items() if stays}
            )
            merge = tables.pages.merge_insert("url").when_matched_update_all().when_not_matched_insert_all()
            await merge.execute(table)

        await self._alone(write)

    async def find(self, question: str, vector: Vectors | None, *, limit: int) -> Sequence[FoundPassage]:
        async def search(tables: _Tables) -> Sequence[FoundPassage]:
            has_vectors = self._vector in (await tables.passages.schema()).names
            columns = ["url", "place", "text", *([self._vector] if has_vectors else [])]
            words = tables.passages.query().nearest_to_text(storable(question), columns=["text"])
            found = [await words.select([*columns, "_score"]).limit(limit).to_arrow()]
            if has_vectors and vector is not None:
                near = tables.passages.query().nearest_to(vector.ravel()).column(self._vector)
                near = near.distance_type("dot").select([*columns, "_distance"])
                found.append(await near.limit(limit).to_arrow())
            candidates = rows.candidates(found, self._vector)
            urls = sorted({candidate.url for candidate in candidates})
            return rows.found_passages(candidates, await self._titles(tables, urls))

        return await self._place.run(search)

    async def remove(self, urls: Sequence[str]) -> int:
        if not urls:
            return 0

        async def delete(tables: _Tables) -> int:
            named = rows.beneath(urls)
            count = await tables.pages.count_rows(named)
            await tables.pages.delete(named)
            await _drop_orphans(tables)
            return count

        return await self._alone(delete)

    async def maintain(self) -> None:
        async def tidy(tables: _Tables) -> None:
            fragments = max(
                [(await _statistics(table))["fragment_stats"]["num_fragments"] for table in tables]
            )
            if fragments < self._limits.max_fragments and not self._ageing_is_due():
                return
            await self._age(tables, fragments)
            self._aged_at_s = self._clock.monotonic()

        await self._alone(tidy)

    def _ageing_is_due(self) -> bool:
        return (
            self._aged_at_s is None or self._clock.monotonic() - self._aged_at_s > self._limits.aged_every_s
        )

    async def _age(self, tables: _Tables, fragments: int) -> None:
        shelf = await _shelf(tables.pages)
        old = set(expired(shelf, self._clock.now(), self._limits.time_to_live))
        left = [row for row in shelf if row.url not in old]
        total_bytes = sum([(await _statistics(table))["total_bytes"] for table in tables])
        too_many = surplus(left, total_bytes=total_bytes, max_bytes=self._limits.max_bytes)
        await _delete(tables, [*old, *too_many])
        if old or too_many or fragments >= self._limits.max_fragments:
            await self._compact(tables)
        log.info("library.aged", expired=len(old), trimmed=len(too_many), pages=len(left), bytes=total_bytes)

    async def _compact(self, tables: _Tables) -> None:
        await _drop_orphans(tables)
        for table in tables:
            await table.optimize(cleanup_older_than=self._limits.old_versions, delete_unverified=False)

    async def _put_passages(
        self,
        table: AsyncTable,
        urls: set[str],
        passages: Sequence[Passage],
        vectors: Mapping[str, Vectors],
        *,
        replace: bool,
    ) -> None:
        wanted = [passage for passage in passages if passage.url in urls]
        row = next(iter(vectors.values()), None)
        if row is not None:
            await _make_room_for_vectors(table, self._vector, row.size)
        if replace:
            await table.delete(rows.any_of("url", urls))
        if wanted:
            new = rows.passage_table(wanted, vectors, self._vector)
            await table.add(new, on_bad_vectors="null")  # that is what a missing one counts as

    async def _titles(self, tables: _Tables, urls: Sequence[str]) -> Mapping[str, tuple[str, str, datetime]]:
        """Title, publication date and date of reading by URL, of those that are in time."""
        if not urls:
            return {}
        found = await (
            tables.pages.query()
            .where(f"{rows.any_of('url', urls)} AND {self._in_time()}")
            .select(["url", "title", "published", "read_at"])
            .to_arrow()
        )
        return {row["url"]: (row["title"], row["published"], row["read_at"]) for row in found.to_pylist()}

    def _in_time(self) -> str:
        oldest = self._clock.now() - self._limits.time_to_live
        return f"(lasting OR read_at >= timestamp '{rows.timestamp(oldest)}')"

    async def _alone(self, work: Callable[[_Tables], Awaitable[R]]) -> R:
        """Beside no other write; whose caller is cancelled, it still keeps them away until its end."""

        async def locked() -> R:
            async with self._lock():
                return await self._place.run(work)

        return await self._place.to_its_end(locked())

    @asynccontextmanager
    async def _lock(self) -> AsyncGenerator[None]:
        async with self._writing:
            await self._place.opened()  # which makes the directory's parents
            if (directory := self._place.directory) is None:
                yield
                return
            lock = AsyncFileLock(directory.with_name(f"{directory.name}.lock"), timeout=LOCK_LIMIT_S)
            try:
                await lock.acquire()
            except Timeout as error:
                raise LibraryFailed(f"another process has been writing for {LOCK_LIMIT_S:.0f} s") from error
            try:
                yield
            finally:
                await lock.release()


async def _set_up(connection: AsyncConnection) -> _Tables:
    """The tables with their indices. Each file of rows is opened once: one that was cut short shows here."""
    from lancedb.index import FTS, BTree

    tables = _Tables(
        await _table(connection, rows.PAGES, rows.page_schema()),
        await _table(connection, rows.PASSAGES, rows.passage_schema()),
    )
    indexed = {column for index in await tables.passages.list_indices() for column in index.columns}
    for column in {"url", "hash"} - indexed:
        await tables.passages.create_index(column, config=BTree())
    if "text" not in indexed:
        await tables.passages.create_index("text", config=FTS(base_tokenizer="icu"))
    for table in tables:
        await table.query().select(["url"]).to_arrow()
    await tables.passages.query().nearest_to_text("probe", columns=["text"]).limit(1).to_arrow()
    for column in ("url", "hash"):
        await tables.passages.query().where(f"{column} = ''").select(["url"]).to_arrow()
    return tables


async def _table(connection: AsyncConnection, name: str, schema: pa.Schema) -> AsyncTable:
    if name in (await connection.list_tables()).tables:
        return await connection.open_table(name)  # whose vectors are in no schema of ours
    return await connection.create_table(name, schema=schema, exist_ok=True)


async def _known(tables: _Tables, urls: Mapping[str, KeptPage]) -> dict[str, tuple[str, bool]]:
    """Content hash and whether it lasts, by URL."""
    query = tables.pages.query().where(rows.any_of("url", urls)).select(["url", "content_hash", "lasting"])
    return {row["url"]: (row["content_hash"], row["lasting"]) for row in (await query.to_arrow()).to_pylist()}


async def _statistics(table: AsyncTable) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", await table.stats())  # annotated as a class, it is a dict


async def _shelf(pages: AsyncTable) -> list[ShelfRow]:
    found = await pages.query().select(["url", "read_at", "chars", "lasting"]).to_arrow()
    return [
        ShelfRow(url=row["url"], read_at=row["read_at"], size=row["chars"], lasting=row["lasting"])
        for row in found.to_pylist()
    ]


async def _delete(tables: _Tables, urls: Sequence[str]) -> None:
    for start in range(0, len(urls), rows.URLS_A_FILTER):
        chunk = rows.any_of("url", urls[start : start + rows.URLS_A_FILTER])
        await tables.pages.delete(chunk)
        await tables.passages.delete(chunk)


async def _drop_orphans(tables: _Tables) -> None:
    """Passages whose page went, or never came because its writer was killed."""
    urls = [set((await table.query().select(["url"]).to_arrow())["url"].to_pylist()) for table in tables]
    await _delete(tables, sorted(urls[1] - urls[0]))


async def _make_room_for_vectors(table: AsyncTable, column: str, dimensions: int) -> None:
    import pyarrow as pa

    names = (await table.schema()).names
    if column in names:
        return
    if others := [name for name in names if name.startswith(rows.VECTOR_PREFIX)]:
        await table.drop_columns(others)
    await table.add_columns(pa.field(column, pa.list_(pa.float32(), dimensions)))

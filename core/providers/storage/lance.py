"""The library in LanceDB: scores now, and the place where pages will be kept.

Each question gets a table of its own, cloned from an empty one that carries the index's configuration,
and dropped when its scores are read. So the statistics are this question's alone, nothing grows, and
questions don't wait for each other (docs/adr/0003-ranking-through-lancedb.md has the figures).
"""

from __future__ import annotations

import asyncio
import importlib
import shutil
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import structlog

from core.errors import LibraryFailed
from core.types import Passage, Vectors

if TYPE_CHECKING:
    import pyarrow as pa
    from lancedb.db import AsyncConnection
    from lancedb.table import AsyncTable

log = structlog.get_logger(__name__)

CACHE_BYTES = 16 * 2**20
"""For LanceDB's index cache, and as much for its metadata: the defaults are 6 GiB and 1 GiB."""

LEXICAL_TEMPLATE = "template_lexical_v1"
DENSE_TEMPLATE = "template_dense_v1_{dimensions}"
QUESTION_PREFIX = "question_"

LEFTOVER_AGE_S = 600
"""A question's table this old belongs to a process that was killed: no question lives that long."""

DROP_LIMIT_S = 1.0

# What lancedb and pyarrow raise; they have no common class of their own.
_LANCE_FAULTS = (OSError, RuntimeError, ValueError, KeyError, TypeError)

_Scores = TypeVar("_Scores")


class LanceLibrary:
    """directory: a cache. A broken one is renamed, kept until the next one breaks, and begun anew.

    Belongs to one event loop. Opened by the first question or by `prepare`.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._connection: AsyncConnection | None = None
        self._opening = asyncio.Lock()

    async def prepare(self) -> None:
        """Open the library and clear away what killed processes left. Raises LibraryFailed."""
        connection = await self._open()
        try:
            await _drop_leftovers(connection)
        except _LANCE_FAULTS as error:
            log.warning("library.cleaning_failed", reason=_reason(error))

    async def lexical_scores(self, question: str, passages: Sequence[Passage]) -> Sequence[float]:
        texts = [_storable(passage.embedded_text) for passage in passages]

        async def score(connection: AsyncConnection) -> Sequence[float]:
            return await _lexical_scores(connection, self._directory, _storable(question), texts)

        return await self._healing(score) if texts else ()

    async def dense_scores(self, question: Vectors, passages: Vectors) -> Sequence[float]:
        async def score(connection: AsyncConnection) -> Sequence[float]:
            return await _dense_scores(connection, self._directory, question, passages)

        return await self._healing(score) if len(passages) else ()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()  # type: ignore[no-untyped-call]  # lancedb leaves it untyped
            self._connection = None

    async def _healing(self, score: Callable[[AsyncConnection], Awaitable[_Scores]]) -> _Scores:
        """Tries a second time on a library opened anew: that is what mends or replaces a broken one."""
        connection = await self._open()
        try:
            return await score(connection)
        except _LANCE_FAULTS as error:
            log.warning("library.reopened", reason=_reason(error))
        if self._connection is connection:
            self._connection = None
        connection = await self._open()
        try:
            return await score(connection)
        except _LANCE_FAULTS as error:
            raise LibraryFailed(_reason(error)) from error

    async def _open(self) -> AsyncConnection:
        async with self._opening:
            if self._connection is None:
                try:
                    self._connection = await _connect(self._directory)
                except _LANCE_FAULTS as error:
                    self._connection = await self._begin_anew(error)
            return self._connection

    async def _begin_anew(self, error: Exception) -> AsyncConnection:
        try:
            aside = await asyncio.to_thread(_set_aside, self._directory)
            log.warning("library.set_aside", path=str(aside), reason=_reason(error))
            return await _connect(self._directory)
        except _LANCE_FAULTS as second:
            raise LibraryFailed(_reason(second)) from second


async def _connect(directory: Path) -> AsyncConnection:
    """An open library whose template has answered a query: what is broken shows here."""
    lancedb = await asyncio.to_thread(importlib.import_module, "lancedb")  # a second of work
    session = lancedb.Session(index_cache_size_bytes=CACHE_BYTES, metadata_cache_size_bytes=CACHE_BYTES)
    connection: AsyncConnection = await lancedb.connect_async(directory, session=session)
    template = await connection.create_table(LEXICAL_TEMPLATE, schema=_lexical_schema(), exist_ok=True)
    if not await template.list_indices():
        # Words are found by ICU's dictionaries, which know Chinese, Japanese and Thai too.
        await template.create_index("text", config=lancedb.index.FTS(base_tokenizer="icu"))
    await _search_text(template, "probe", limit=1)
    return connection


def _set_aside(directory: Path) -> Path:
    """Where it went. One is kept, to be looked at; an older one makes room."""
    aside = directory.with_name(f"{directory.name}.broken")
    if aside.is_dir():
        shutil.rmtree(aside)
    else:
        aside.unlink(missing_ok=True)
    directory.replace(aside)
    return aside


async def _drop_leftovers(connection: AsyncConnection) -> None:
    oldest = f"{QUESTION_PREFIX}{int(time.time()) - LEFTOVER_AGE_S}"
    for name in (await connection.list_tables(limit=10_000)).tables:
        # Seconds since 1970 have ten digits until 2286: their order is the names'.
        if name.startswith(QUESTION_PREFIX) and name < oldest:
            await connection.drop_table(name, ignore_missing=True)


@asynccontextmanager
async def _question_table(
    connection: AsyncConnection, directory: Path, template: str
) -> AsyncGenerator[AsyncTable]:
    """An empty table like the template, for one question."""
    name = f"{QUESTION_PREFIX}{int(time.time())}_{uuid.uuid4().hex}"
    table = await connection.clone_table(name, str(directory / f"{template}.lance"))
    try:
        yield table
    finally:
        table.close()  # type: ignore[no-untyped-call]  # lancedb leaves it untyped
        with suppress(*_LANCE_FAULTS):  # what stays is cleared away at the next start
            async with asyncio.timeout(DROP_LIMIT_S):
                await connection.drop_table(name)


async def _lexical_scores(
    connection: AsyncConnection, directory: Path, question: str, texts: Sequence[str]
) -> Sequence[float]:
    import pyarrow as pa

    async with _question_table(connection, directory, LEXICAL_TEMPLATE) as table:
        await table.add(pa.table({"row": range(len(texts)), "text": texts}, schema=_lexical_schema()))
        found = await _search_text(table, question, limit=len(texts))
    scores = [0.0] * len(texts)
    for row, score in zip(found["row"].to_pylist(), found["_score"].to_pylist(), strict=True):
        scores[row] = score
    return scores


async def _dense_scores(
    connection: AsyncConnection, directory: Path, question: Vectors, passages: Vectors
) -> Sequence[float]:
    import pyarrow as pa

    count, dimensions = passages.shape
    template = DENSE_TEMPLATE.format(dimensions=dimensions)
    await connection.create_table(template, schema=_dense_schema(dimensions), exist_ok=True)
    async with _question_table(connection, directory, template) as table:
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(passages.ravel()), dimensions)
        await table.add(pa.table({"row": range(count), "vector": vectors}, schema=_dense_schema(dimensions)))
        query = table.query().nearest_to(question[0]).distance_type("dot").select(["row", "_distance"])
        found = await query.limit(count).to_arrow()
    scores = [0.0] * count
    for row, distance in zip(found["row"].to_pylist(), found["_distance"].to_pylist(), strict=True):
        scores[row] = 1.0 - distance
    return scores


async def _search_text(table: AsyncTable, question: str, *, limit: int) -> pa.Table:
    query = table.query().nearest_to_text(question, columns=["text"])
    return await query.select(["row", "_score"]).limit(limit).to_arrow()


def _lexical_schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema([("row", pa.int32()), ("text", pa.string())])


def _dense_schema(dimensions: int) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([("row", pa.int32()), ("vector", pa.list_(pa.float32(), dimensions))])


def _storable(text: str) -> str:
    """Lone surrogates have no UTF-8."""
    return text.encode("utf-8", "replace").decode()


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]

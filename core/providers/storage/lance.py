"""Scores from LanceDB.

Each question gets a table of its own, cloned from an empty one that carries the index's configuration,
and dropped when its scores are read. So the statistics are this question's alone, nothing grows, and
questions don't wait for each other (docs/adr/0003-ranking-through-lancedb.md has the figures).
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from core.providers.storage.healing import LANCE_FAULTS, HealingPlace, reason, storable
from core.types import Passage, Vectors

if TYPE_CHECKING:
    import pyarrow as pa
    from lancedb.db import AsyncConnection
    from lancedb.table import AsyncTable

log = structlog.get_logger(__name__)

LEXICAL_TEMPLATE = "template_lexical_v1"
DENSE_TEMPLATE = "template_dense_v1_{dimensions}"
QUESTION_PREFIX = "question_"

LEFTOVER_AGE_S = 600
"""A question's table this old belongs to a process that was killed: no question lives that long."""

DROP_LIMIT_S = 1.0


class LanceLibrary:
    """directory: a cache on a local disk. A broken one is renamed, kept until the next one breaks, and
    begun anew.

    Belongs to one event loop. Opened by the first question or by `prepare`.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._place = HealingPlace(str(directory), _set_up)

    async def prepare(self) -> None:
        """Open the library and clear away what killed processes left. Raises LibraryFailed."""
        connection = await self._place.opened()
        try:
            await _drop_leftovers(connection)
        except LANCE_FAULTS as error:
            log.warning("library.cleaning_failed", reason=reason(error))

    async def lexical_scores(self, question: str, passages: Sequence[Passage]) -> Sequence[float]:
        texts = [storable(passage.embedded_text) for passage in passages]

        async def score(connection: AsyncConnection) -> Sequence[float]:
            return await _lexical_scores(connection, self._directory, storable(question), texts)

        return await self._place.run(score) if texts else ()

    async def dense_scores(self, question: Vectors, passages: Vectors) -> Sequence[float]:
        async def score(connection: AsyncConnection) -> Sequence[float]:
            return await _dense_scores(connection, self._directory, question, passages)

        return await self._place.run(score) if len(passages) else ()

    async def aclose(self) -> None:
        """Once what was begun has ended."""
        await self._place.aclose()


async def _set_up(connection: AsyncConnection) -> AsyncConnection:
    """The same connection, whose template has answered a query: what is broken shows here."""
    from lancedb.index import FTS

    template = await connection.create_table(LEXICAL_TEMPLATE, schema=_lexical_schema(), exist_ok=True)
    if not await template.list_indices():
        # Words are found by ICU's dictionaries, which know Chinese, Japanese and Thai too.
        await template.create_index("text", config=FTS(base_tokenizer="icu"))
    await _search_text(template, "probe", limit=1)
    return connection


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
    try:
        table = await connection.clone_table(name, str(directory / f"{template}.lance"))
        with closing(table):
            yield table
    finally:
        with suppress(*LANCE_FAULTS):  # what stays is cleared away at the next start
            async with asyncio.timeout(DROP_LIMIT_S):
                await connection.drop_table(name, ignore_missing=True)


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

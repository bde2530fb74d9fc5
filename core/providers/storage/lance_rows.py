"""Kept pages as rows and back: schemas, filters, hashes. Pure but for pyarrow."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from core.providers.storage.healing import storable
from core.types import FoundPassage, KeptPage, Page, PageKind, Passage, Validators, Vectors

if TYPE_CHECKING:
    import pyarrow as pa

PAGES = "pages_v1"
PASSAGES = "passages_v1"
VECTOR_PREFIX = "vector_"
URLS_A_FILTER = 500

_PAGE_TEXTS = ("url", "title", "text", "kind", "site", "published", "author")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A passage's row, with the score it was found by."""

    url: str
    text: str
    lexical: float
    vector: Vectors | None


def page_schema() -> pa.Schema:
    import pyarrow as pa

    texts = (*_PAGE_TEXTS, "requested_url", "etag", "last_modified", "content_hash")
    return pa.schema(
        [
            *((name, pa.string()) for name in texts),
            ("read_at", pa.timestamp("us", tz="UTC")),
            ("chars", pa.int64()),
            ("lasting", pa.bool_()),
        ]
    )


def passage_schema() -> pa.Schema:
    """Without the vectors' column, which is added when their length is known."""
    import pyarrow as pa

    return pa.schema(
        [("url", pa.string()), ("place", pa.int32()), ("text", pa.string()), ("hash", pa.string())]
    )


def page_table(pages: Iterable[KeptPage], *, lasting: Collection[str]) -> pa.Table:
    """lasting: URLs of those that last already."""
    import pyarrow as pa

    return pa.Table.from_pylist([_page_row(page, lasting) for page in pages], schema=page_schema())


def _page_row(kept: KeptPage, lasting: Collection[str]) -> dict[str, Any]:
    return {
        **{name: storable(value) for name, value in asdict(kept.page).items()},
        **{name: storable(value) for name, value in asdict(kept.validators).items()},
        "requested_url": storable(kept.requested_url),
        "content_hash": kept.content_hash,
        "read_at": kept.read_at,
        "chars": len(kept.page.text),
        "lasting": kept.lasting or kept.page.url in lasting,
    }


def kept_page(row: Mapping[str, Any]) -> KeptPage:
    texts = {name: row[name] for name in _PAGE_TEXTS}
    return KeptPage(
        page=Page(**(texts | {"kind": PageKind(row["kind"])})),
        requested_url=row["requested_url"],
        read_at=row["read_at"],
        validators=Validators(etag=row["etag"], last_modified=row["last_modified"]),
        lasting=row["lasting"],
    )


def passage_table(passages: Sequence[Passage], vectors: Mapping[str, Vectors], column: str) -> pa.Table:
    """Without the vectors' column where there is none to store."""
    import pyarrow as pa

    texts = [passage.embedded_text for passage in passages]
    columns: dict[str, Any] = {
        "url": [storable(passage.url) for passage in passages],
        "place": pa.array([passage.index for passage in passages], pa.int32()),
        "text": [storable(text) for text in texts],
        "hash": [text_hash(text) for text in texts],
    }
    if vectors:
        dimensions = next(iter(vectors.values())).size
        stored = [vectors[text].ravel() if text in vectors else None for text in texts]
        columns[column] = pa.array(stored, pa.list_(pa.float32(), dimensions))
    return pa.table(columns)


def matrix(column: pa.ChunkedArray) -> list[Vectors | None]:
    return [None if row is None else np.asarray(row, dtype=np.float32) for row in column.to_pylist()]


def candidates(found: Iterable[pa.Table], vector_column: str) -> list[Candidate]:
    """Each passage once. The first table is the one found by words."""
    by_place: dict[tuple[str, int], Candidate] = {}
    for table in found:
        count = table.num_rows
        scores = table["_score"].to_pylist() if "_score" in table.column_names else [0.0] * count
        has_vectors = vector_column in table.column_names
        vectors = matrix(table[vector_column]) if has_vectors else [None] * count
        places = zip(table["url"].to_pylist(), table["place"].to_pylist(), strict=True)
        for place, text, score, row in zip(places, table["text"].to_pylist(), scores, vectors, strict=True):
            by_place.setdefault(place, Candidate(url=place[0], text=text, lexical=score, vector=row))
    return list(by_place.values())


def found_passages(
    candidates: Iterable[Candidate], titles: Mapping[str, tuple[str, str, datetime]]
) -> list[FoundPassage]:
    """Those whose page is among `titles`: title, publication date and date of reading by URL."""
    return [
        FoundPassage(
            url=candidate.url,
            text=candidate.text,
            title=titles[candidate.url][0],
            published=titles[candidate.url][1],
            read_at=titles[candidate.url][2],
            lexical=candidate.lexical,
            vector=candidate.vector,
        )
        for candidate in candidates
        if candidate.url in titles
    ]


def any_of(column: str, values: Iterable[str], *others: str) -> str:
    """A filter: one of these columns has one of these values."""
    quoted = ", ".join("'" + storable(value).replace("'", "''") + "'" for value in values)
    return " OR ".join(f"{name} IN ({quoted})" for name in (column, *others))


def beneath(urls: Sequence[str]) -> str:
    """A filter: one of these URLs, or one that goes on after it."""
    prefixes = (storable(url).rstrip("/").replace("'", "''") for url in urls)
    parts = [f"starts_with(url, '{p}/')" for p in prefixes]
    return " OR ".join([any_of("url", urls, "requested_url"), *parts])


def timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")


def text_hash(text: str) -> str:
    return hashlib.blake2b(storable(text).encode(), digest_size=16).hexdigest()


def vector_column(model: str) -> str:
    return VECTOR_PREFIX + hashlib.blake2b(model.encode(), digest_size=4).hexdigest()

"""Embeds by any API shaped like OpenAI's embeddings; what it said once is not asked again."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import httpx2
import numpy as np
import orjson
import structlog

from core.errors import CircuitOpen, DependencyError, EmbeddingFailed, StoreFailed
from core.ports import Clock, Store
from core.providers.embedding.vector_memory import REMEMBERED, VectorMemory, text_key
from core.providers.openai_api import GARBLED, TIMED_OUT, failures_named, open_client
from core.resilience.breaker import BreakerLimits, CircuitBreaker
from core.resilience.deadline import Deadline
from core.resilience.retrying import Guard, RetryBudget
from core.types import Vectors

log = structlog.get_logger(__name__)

TEXTS_A_REQUEST: Final = 32
"""What a question normally embeds, and Hugging Face's server takes unless told otherwise."""

MAX_CHARS: Final = 1_500
"""A passage has some 600. Some servers refuse what is over 512 tokens in place of cutting it."""

STORED_S: Final = 24 * 3600.0
"""Among them are those of questions, of which nothing is kept longer."""
_STORED_TYPE: Final = np.dtype("<f2")
"""Half the size; a cosine moves by less than .001."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiLimits:
    """Both for one request of TEXTS_A_REQUEST texts: attempt_s for one try, limit_s for all of them.

    Ranking allows two seconds for a question's vectors: what fails here leaves the local model the rest.
    """

    attempt_s: float = 1.0
    limit_s: float = 1.5


class ApiEmbedder:
    """A RememberingEmbedder. store: for what other processes asked already; None where there are none."""

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        model: str,
        store: Store | None,
        clock: Clock,
        limits: ApiLimits | None = None,
        breaker_limits: BreakerLimits | None = None,
    ) -> None:
        self.model = f"api:{model}"
        self._asked_model = model
        self._limits = limits or ApiLimits()
        self._store = store
        self._memory = VectorMemory(REMEMBERED)
        self._length: int | None = None
        """Of a vector, as the API gave it; before it has, nothing remembered or stored is trusted to fit."""
        self.breaker = CircuitBreaker(self.model, clock, breaker_limits or BreakerLimits())
        self._guard = Guard(self.breaker, RetryBudget(), clock)
        host = urlsplit(base_url).hostname or ""
        self._client = open_client(
            base_url=base_url, api_key=api_key, host=host, timeout_s=self._limits.attempt_s
        )

    async def aclose(self) -> None:
        await self._client.close()

    async def embed(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        rows = dict(self.remembered(texts))
        rows |= await self._stored([text for text in dict.fromkeys(texts) if text not in rows])
        missing = [text for text in dict.fromkeys(texts) if text not in rows]
        for start in range(0, len(missing), TEXTS_A_REQUEST):
            batch = missing[start : start + TEXTS_A_REQUEST]
            new = dict(zip(batch, await self._requested(batch), strict=True))
            rows |= new
            await self._put_by(new)
        self._memory.keep(rows)
        return np.stack([rows[text] for text in texts])

    def remembered(self, texts: Sequence[str]) -> Mapping[str, Vectors]:
        known = self._memory.known(texts)
        return {text: row for text, row in known.items() if row.size == self._length}

    def remember(self, vectors: Mapping[str, Vectors]) -> None:
        self._memory.keep(vectors)

    async def _requested(self, texts: Sequence[str]) -> Vectors:
        """Raises EmbeddingFailed."""
        try:
            rows = await self._guard.call(
                lambda: self._attempt(texts), deadline=Deadline.after(self._limits.limit_s)
            )
        except EmbeddingFailed:
            raise
        except CircuitOpen as failure:
            raise EmbeddingFailed(
                str(failure), fault=failure.fault, retry_after_s=failure.retry_after_s
            ) from failure
        except DependencyError as failure:  # the guard's own: the time was up
            raise EmbeddingFailed(TIMED_OUT, fault=failure.fault) from failure
        length = rows.shape[1]
        if self._length not in {None, length}:
            raise EmbeddingFailed(f"gave vectors of {length} numbers after some of {self._length}")
        self._length = length
        return rows

    async def _attempt(self, texts: Sequence[str]) -> Vectors:
        with failures_named(EmbeddingFailed):
            async with asyncio.timeout(self._limits.attempt_s):
                # As it came: the SDK would unpack thousands of numbers on the event loop.
                response = await self._client.post(
                    "/embeddings",
                    cast_to=httpx2.Response,
                    body={
                        "model": self._asked_model,
                        "input": [_sendable(text) for text in texts],
                        "encoding_format": "base64",  # who doesn't know it sends numbers, four times the size
                    },
                )
        return await asyncio.to_thread(_rows, response.content, len(texts))

    async def _stored(self, texts: Sequence[str]) -> Mapping[str, Vectors]:
        if not texts or self._length is None or self._store is None:
            return {}
        try:
            values = await self._store.get([self._key(text) for text in texts])
        except StoreFailed as failure:
            log.debug("vectors.not_looked_up", reason=str(failure))
            return {}
        size = self._length * _STORED_TYPE.itemsize
        rows = {
            text: np.frombuffer(value, _STORED_TYPE).astype(np.float32)
            for text, value in zip(texts, values, strict=True)
            if value is not None and len(value) == size
        }
        return {text: _unit_length(row[None])[0] for text, row in rows.items() if _has_direction(row[None])}

    async def _put_by(self, rows: Mapping[str, Vectors]) -> None:
        if self._store is None:
            return
        values = {self._key(text): row.astype(_STORED_TYPE).tobytes() for text, row in rows.items()}
        try:
            await self._store.put(values, ttl_s=STORED_S)
        except StoreFailed as failure:
            log.debug("vectors.not_stored", reason=str(failure))

    def _key(self, text: str) -> str:
        return f"vector:{self._asked_model}:{text_key(text).hex()}"


def _sendable(text: str) -> str:
    """Never blank, which servers refuse; no lone surrogates, which are no UTF-8."""
    return text[:MAX_CHARS].encode("utf-8", "replace").decode() if text.strip() else "."


def _rows(body: bytes, count: int) -> Vectors:
    """Of a response for so many texts, in their order. Raises EmbeddingFailed."""
    try:
        items = orjson.loads(body)["data"]
        by_place = {item.get("index", place): item["embedding"] for place, item in enumerate(items)}
        rows = np.stack([_row(by_place.pop(place)) for place in range(count)])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise EmbeddingFailed(GARBLED) from None
    if by_place or rows.ndim != 2 or not _has_direction(rows):
        raise EmbeddingFailed(GARBLED)
    return _unit_length(rows)


def _row(embedding: str | list[float]) -> Vectors:
    """From base64 of little-endian float32, or from numbers."""
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4").astype(np.float32)
    return np.asarray(embedding, dtype=np.float32)


def _has_direction(rows: Vectors) -> bool:
    """Whether each row points somewhere."""
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    return bool(np.all(np.isfinite(lengths) & (lengths > 0)))


def _unit_length(rows: Vectors) -> Vectors:
    wide = rows.astype(np.float64)
    unit: Vectors = (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32)
    return unit


__all__ = ["ApiEmbedder", "ApiLimits"]

"""What searches found, kept for a day: for the same question soon after, and for when no engine answers."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import structlog
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from core.errors import StoreFailed
from core.ports import Clock, Store
from core.types import SearchHit

log = structlog.get_logger(__name__)

BRIEFLY_S: Final = 60.0
"""What is worth little soon: that nothing was found, or what another engine than the first found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundOnce:
    """at_s: when, as a UNIX time. skipped: each engine that failed before, and its reason."""

    at_s: float
    provider: str
    hits: tuple[SearchHit, ...]
    skipped: tuple[tuple[str, str], ...] = ()


_FORM: Final = TypeAdapter(FoundOnce)


class SearchMemory:
    """Never fails: where the store does, nothing is remembered.

    fresh_s: so long it stands for a search. kept_s: so long it is better than none.
    """

    def __init__(
        self, store: Store, clock: Clock, *, fresh_s: float = 900.0, kept_s: float = 86_400.0
    ) -> None:
        self._store = store
        self._clock = clock
        self._fresh_s = fresh_s
        self._kept_s = kept_s

    async def recall(self, key: str) -> FoundOnce | None:
        """What `keep` was given under the key, if it is not too old to be of any use."""
        try:
            (value,) = await self._store.get([key])
        except StoreFailed as failure:
            log.warning("search.not_recalled", reason=str(failure))
            return None
        try:
            found = _FORM.validate_json(value) if value is not None else None
        except ValidationError:
            log.warning("search.not_recalled", reason="the store holds something else under its key")
            return None
        return found if found and self._age_s(found) <= self._kept_s else None

    async def keep(self, key: str, found: FoundOnce) -> None:
        ttl_s = self._kept_s if found.hits else min(BRIEFLY_S, self._kept_s)
        try:
            await self._store.put({key: _FORM.dump_json(found)}, ttl_s=ttl_s)
        except (StoreFailed, PydanticSerializationError) as failure:
            log.warning("search.not_kept", reason=str(failure))

    def is_fresh(self, found: FoundOnce) -> bool:
        briefly = bool(found.skipped) or not found.hits
        return self._age_s(found) <= (min(BRIEFLY_S, self._fresh_s) if briefly else self._fresh_s)

    def now_s(self) -> float:
        return self._clock.now().timestamp()

    def _age_s(self, found: FoundOnce) -> float:
        # The clocks of two machines differ: what another kept may come from a moment ahead.
        return abs(self.now_s() - found.at_s)


def search_key(query: str, *, limit: int) -> str:
    """The same for queries that every engine takes for the same; tells nothing of the query."""
    words = " ".join(unicodedata.normalize("NFC", query).casefold().split())
    digest = blake2b(f"{limit}\0{words}".encode("utf-8", "replace"), digest_size=16)
    return f"search:{digest.hexdigest()}"

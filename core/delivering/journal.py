"""What every reply in work has asked, posted and shown, so that another process can end what one left.

A record lies under `journal:KEY` until its reply has ended; beside it, under `lease:KEY`, whoever works on it
says so anew every few seconds. A record without a lease was abandoned: its process was killed. Whoever claims
the lease takes it over. Under `stop:KEY` another process asks whoever works on it to end that.

Order is what makes it safe against a kill at any moment:

- The record is claimed before its lease: a kill between the two leaves a record that is found, never a
  lease that hides nothing and keeps a repeated delivery out.
- The record is removed before its lease, for the same reason.
- An answer is noted before it is first drawn, so that what is half drawn can be drawn to its end. Drafts
  are noted after: of a text that was never shown, nothing is missed.
- A new message is noted before anything else is called, so that it is edited and not posted twice.

A journal that can't be kept fails no answer: the reply goes on without one, as in a process without a store.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Protocol, TypeVar

import structlog
from pydantic import JsonValue, TypeAdapter, ValidationError

from core.errors import StoreFailed, SurfaceFailed
from core.ports import Clock, ReplySurface, Store
from core.types import Answer, AnswerEvent, Deferred, Draft

log = structlog.get_logger(__name__)

T = TypeVar("T")

RECORD: Final = "journal:"
LEASE: Final = "lease:"
STOP: Final = "stop:"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyRecord:
    """key: of the reply, unique over all platforms; begins with the platform and a colon.

    ask: what its adapter needs to ask again. place: the messages posted so far, as its surface says.
    attempt: 1 for the process that took the question; one more for each that took the record over.
    shown: the newest draft that was drawn, or the answer from before its first draw on.
    kept_s: what it says is worth nothing after so long; None where it always is.
    """

    key: str
    platform: str
    ask: Mapping[str, JsonValue] = field(repr=False)
    begun_at: datetime
    place: Mapping[str, JsonValue] = field(default_factory=dict)
    attempt: int = 1
    shown: Answer | Draft | None = field(default=None, repr=False)
    kept_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalLimits:
    """In seconds. lease_s: after so long without a heartbeat a record counts as abandoned.

    kept_s: the longest a question lies in the journal. call_s: for each call of the store.
    """

    lease_s: float = 30.0
    heartbeat_s: float = 10.0
    kept_s: float = 86_400.0
    call_s: float = 1.0


class PlacedSurface(ReplySurface, Protocol):
    """A surface that another process can open again."""

    def place(self) -> Mapping[str, JsonValue]:
        """The messages posted so far, in the adapter's own words."""

    def on_placed(self, tell: Callable[[], Awaitable[None]]) -> None:
        """`tell` is awaited after each change of `place()`, before anything else is called."""


_RECORDS: Final = TypeAdapter(ReplyRecord)


class Journal:
    """One process's part in it. A StoreFailed is logged when the store goes, and when it comes back.

    on_stop: told with a heartbeat of each key held here that another process asked to stop.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        limits: JournalLimits | None = None,
        *,
        on_stop: Callable[[str], object] = lambda _key: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._limits = limits or JournalLimits()
        self._on_stop = on_stop
        self._owner = uuid.uuid4().hex.encode()
        self._held: set[str] = set()
        self._ended: set[str] = set()
        self._leasing = asyncio.Lock()
        self._is_well = True

    async def begin(self, record: ReplyRecord) -> bool:
        """False where the same was begun before, here or elsewhere, and has not ended."""
        if record.key in self._held:
            return False
        self._held.add(record.key)
        if record.key in self._ended:
            await self._remove(record.key)
        begun = await self._tried(self._claim_both(record), otherwise=True)
        if not begun:
            self._held.discard(record.key)
        return begun

    async def _claim_both(self, record: ReplyRecord) -> bool:
        """Between the two, another process may find a record without a lease, and take it over."""
        claimed = await self._store.claim(
            RECORD + record.key, _RECORDS.dump_json(record), ttl_s=self._ttl_s(record)
        )
        return claimed and await self._claim_lease(record.key)

    async def _claim_lease(self, key: str) -> bool:
        """Also where a heartbeat of this process has claimed it in between."""
        if await self._store.claim(LEASE + key, self._owner, ttl_s=self._limits.lease_s):
            return True
        (owner,) = await self._store.get([LEASE + key])
        return owner == self._owner

    async def note(self, record: ReplyRecord) -> None:
        """The newest state of a record that is held here."""
        if record.key in self._held:
            await self._tried(self._put(record), otherwise=None)

    async def _put(self, record: ReplyRecord) -> None:
        data = {RECORD + record.key: _RECORDS.dump_json(record)}
        await self._store.put(data, ttl_s=self._ttl_s(record))

    def _ttl_s(self, record: ReplyRecord) -> float:
        age_s = (self._clock.now() - record.begun_at).total_seconds()
        kept_s = self._limits.kept_s if record.kept_s is None else record.kept_s
        return max(1.0, min(kept_s, self._limits.kept_s) - age_s)

    async def end(self, key: str) -> None:
        """The reply has ended, and its record with it."""
        if key in self._held:
            async with self._leasing:
                self._held.discard(key)
                await self._remove(key)

    def leave(self, key: str) -> None:
        """Nobody here works on it any more: whoever finds it next, also here, takes it over."""
        self._held.discard(key)

    def holds(self, key: str) -> bool:
        """Is it this process's to draw? Not where it slept until another took it over."""
        return key in self._held

    async def knows(self, key: str) -> bool:
        """Is anybody at work on it, or will be?"""
        found = await self._tried(self._store.get([RECORD + key]), otherwise=(None,))
        return key in self._held or found[0] is not None

    async def elsewhere(self, platform: str) -> list[ReplyRecord]:
        """Those of a platform that other processes work on, or that are left to be found."""
        keys = await self._others(platform)
        found = await self._tried(self._store.get([RECORD + key for key in keys]), otherwise=())
        read = (_read(key, data) for key, data in zip(keys, found, strict=False) if data is not None)
        return [record for record in read if record]

    async def ask_to_stop(self, key: str) -> None:
        """Whoever works on it is told with their next heartbeat."""
        await self._tried(self._store.put({STOP + key: b"1"}, ttl_s=self._limits.lease_s), otherwise=None)

    async def abandoned(self, platform: str) -> list[ReplyRecord]:
        """Those of a platform without a lease, oldest first, which are held here from now on."""
        leases = await self._leases(await self._others(platform))
        found = [
            await self._tried(self._taken_over(key), otherwise=None)
            for key, owner in leases.items()
            if owner is None
        ]
        return sorted((record for record in found if record), key=lambda record: record.begun_at)

    async def _others(self, platform: str) -> list[str]:
        """The keys of a platform that are not held here."""
        names = await self._tried(self._store.keys(f"{RECORD}{platform}:"), otherwise=())
        return [key for key in (name.removeprefix(RECORD) for name in names) if key not in self._held]

    async def _taken_over(self, key: str) -> ReplyRecord | None:
        """None where another was faster, or it has just ended, or can't be read."""
        if not await self._claim_lease(key):
            return None
        (data,) = await self._store.get([RECORD + key])
        record = _read(key, data) if data is not None else None
        if record is None:
            await self._store.remove([RECORD + key, LEASE + key])
            return None
        # Counted before anything is done, so that what kills a process is not tried for ever.
        record = replace(record, attempt=record.attempt + 1)
        await self._put(record)
        self._held.add(key)
        return record

    async def run(self) -> None:
        """Says until cancelled that what is held here is being worked on."""
        while True:
            await self._clock.sleep(self._limits.heartbeat_s)
            async with self._leasing:
                await self._beat()

    async def _beat(self) -> None:
        for key in list(self._ended):
            await self._remove(key)
        leases = await self._leases(sorted(self._held))
        own = {LEASE + key: self._owner for key, owner in leases.items() if owner == self._owner}
        if own:
            await self._tried(self._store.put(own, ttl_s=self._limits.lease_s), otherwise=None)
        for key, owner in leases.items():
            if owner == self._owner or key not in self._held:
                continue
            if owner is not None or not await self._tried(self._claim_lease(key), otherwise=True):
                self._held.discard(key)
                log.warning("lease.lost", key=key)
        await self._heed_stops()

    async def _heed_stops(self) -> None:
        keys = sorted(self._held)
        marks = await self._tried(self._store.get([STOP + key for key in keys]), otherwise=()) if keys else ()
        stopped = [key for key, mark in zip(keys, marks, strict=False) if mark is not None]
        for key in stopped:
            self._on_stop(key)
        if stopped:
            # Told once: what draws its last state must not be stopped in that.
            await self._tried(self._store.remove([STOP + key for key in stopped]), otherwise=None)

    async def _leases(self, keys: list[str]) -> dict[str, bytes | None]:
        """Who says to work on these; nothing where nobody knows."""
        if not keys:
            return {}
        owners = await self._tried(self._store.get([LEASE + key for key in keys]), otherwise=())
        return dict(zip(keys, owners, strict=False))

    async def _remove(self, key: str) -> None:
        """Tried again with the next heartbeat where the store fails: else the reply would be drawn again."""
        removing = self._store.remove([RECORD + key, LEASE + key])
        removed = await self._tried(_true_after(removing), otherwise=False)
        (self._ended.discard if removed else self._ended.add)(key)

    async def _tried(self, call: Awaitable[T], *, otherwise: T) -> T:
        try:
            async with asyncio.timeout(self._limits.call_s):
                result = await call
        except (StoreFailed, TimeoutError) as failure:
            if self._is_well:
                log.warning("journal.failed", reason=str(failure) or "took too long")
            self._is_well = False
            return otherwise
        if not self._is_well:
            log.info("journal.mended")
        self._is_well = True
        return result


async def _true_after(call: Awaitable[None]) -> bool:
    await call
    return True


def _read(key: str, data: bytes) -> ReplyRecord | None:
    try:
        return _RECORDS.validate_json(data)
    except ValidationError as error:
        log.error("record.unreadable", key=key, faults=error.error_count())  # noqa: TRY400 # it holds the text
        return None


class Journaled:
    """A core.ports.ReplySurface whose draws are noted. record: as it was begun, or taken over."""

    def __init__(self, surface: PlacedSurface, journal: Journal, record: ReplyRecord) -> None:
        self._surface = surface
        self._journal = journal
        self._record = record
        surface.on_placed(self._note_place)

    async def draw(self, event: AnswerEvent) -> Deferred | None:
        if not self._journal.holds(self._record.key):
            raise SurfaceFailed("another process has taken the reply over", lost=True)
        if isinstance(event, Answer):
            await self._note(event)
        deferred = await self._surface.draw(event)
        if isinstance(event, Draft) and deferred is None:
            await self._note(event)
        return deferred

    async def _note_place(self) -> None:
        await self._note(self._record.shown)

    async def _note(self, shown: Answer | Draft | None) -> None:
        record = replace(self._record, shown=shown, place=dict(self._surface.place()))
        if record != self._record:
            self._record = record
            await self._journal.note(record)


__all__ = ["Journal", "JournalLimits", "Journaled", "PlacedSurface", "ReplyRecord"]

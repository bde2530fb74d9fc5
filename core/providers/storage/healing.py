"""A LanceDB place that mends itself: what is broken is renamed and begun anew."""

from __future__ import annotations

import asyncio
import importlib
import shutil
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import structlog

from core.errors import LibraryFailed

if TYPE_CHECKING:
    from lancedb.db import AsyncConnection

log = structlog.get_logger(__name__)

CACHE_BYTES = 512 * 2**10
"""For LanceDB's index cache, and as much for its metadata: the defaults are 6 GiB and 1 GiB. It counts
loosely: with 16 MiB each the process grew by 90 MB in 240 writes, with 2 MiB by 9 in 300, with this by 5 (all
while reads were still cancelled). Searches are hardly faster with 64 MiB; without any, merging took seconds
longer."""

SEEN_AFTER = timedelta(seconds=5)
"""By when what another process wrote is read here."""

MAX_UNDER_WAY = 1_000
"""Works on one place: 32 questions at once begin some ten each. More is a LanceDB that answers no more."""

SETTLE_LIMIT_S = 1.0
"""At the end, for what was begun: look-ups and scores take some 30 ms, a write 40, merging half a second."""

LANCE_FAULTS = (OSError, RuntimeError, ValueError, KeyError, TypeError)
"""What lancedb and pyarrow raise; they have no common class of their own."""

_NOT_THE_FILES_FAULT = ("no space left", "permission denied", "file too large", "read-only", "quota")
"""Where a disk is full or closed to us, what lies on it is as good as it was."""

T = TypeVar("T")
R = TypeVar("R")


class HealingPlace(Generic[T]):
    """uri: a directory, or an object store's address, where nothing can be renamed.

    set_up: makes what is to be there and reads some of it, so that what is broken shows.
    Belongs to one event loop. Opened by the first work that wants it.
    """

    def __init__(self, uri: str, set_up: Callable[[AsyncConnection], Awaitable[T]]) -> None:
        self._uri = uri
        self._set_up = set_up
        self._connection: AsyncConnection | None = None
        self._opened: T | None = None
        self._opening = asyncio.Lock()
        self._under_way: set[asyncio.Task[Any]] = set()

    @property
    def directory(self) -> Path | None:
        """None on an object store."""
        return None if "://" in self._uri else Path(self._uri)

    async def run(self, work: Callable[[T], Awaitable[R]]) -> R:
        """Tries a second time on a place opened anew: that mends or replaces it. Raises LibraryFailed.

        A cancelled caller leaves at once, as of `to_its_end`.
        """
        return await self.to_its_end(self._run(work))

    async def to_its_end(self, work: Coroutine[Any, Any, R]) -> R:
        """Waited for no longer than wanted, but never cut off. Raises LibraryFailed if it can't begin.

        LanceDB 0.40 doesn't forget a read that was cancelled: after some 2,000 of them `optimize` waited
        for ever, every thread idle (presumably its scheduler's account of such reads, as in
        lance-format/lance#7638). A write that is cut off goes on inside LanceDB, beside what is done next.
        """
        if len(self._under_way) >= MAX_UNDER_WAY:
            work.close()
            raise LibraryFailed(f"{MAX_UNDER_WAY} works have not ended")
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # somebody waited for it, or nobody wants it any more

    async def _run(self, work: Callable[[T], Awaitable[R]]) -> R:
        opened = await self.opened()
        try:
            return await work(opened)
        except LANCE_FAULTS as error:
            log.warning("library.reopened", reason=reason(error))
        if self._opened is opened:
            self._close()
        opened = await self.opened()
        try:
            return await work(opened)
        except LANCE_FAULTS as error:
            raise LibraryFailed(reason(error)) from error

    async def opened(self) -> T:
        """Raises LibraryFailed."""
        async with self._opening:
            if self._opened is None:
                try:
                    self._opened = await self._open()
                except LANCE_FAULTS as error:
                    self._opened = await self._begin_anew(error)
            return self._opened

    async def aclose(self) -> None:
        """First what is under way comes to its end, in SETTLE_LIMIT_S at the longest."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=SETTLE_LIMIT_S)
        self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()  # type: ignore[no-untyped-call]  # lancedb leaves it untyped
        self._connection = self._opened = None

    async def _open(self) -> T:
        lancedb = await asyncio.to_thread(importlib.import_module, "lancedb")  # a second of work
        session = lancedb.Session(index_cache_size_bytes=CACHE_BYTES, metadata_cache_size_bytes=CACHE_BYTES)
        self._connection = await lancedb.connect_async(
            self._uri, session=session, read_consistency_interval=SEEN_AFTER
        )
        return await self._set_up(self._connection)

    async def _begin_anew(self, error: Exception) -> T:
        if self.directory is None or any(sign in str(error).lower() for sign in _NOT_THE_FILES_FAULT):
            raise LibraryFailed(reason(error)) from error
        try:
            aside = await asyncio.to_thread(_set_aside, self.directory)
            log.warning("library.set_aside", path=str(aside), reason=reason(error))
            return await self._open()
        except LANCE_FAULTS as second:
            raise LibraryFailed(reason(second)) from second


def _set_aside(directory: Path) -> Path:
    """Where it went. One is kept, to be looked at; an older one makes room."""
    aside = directory.with_name(f"{directory.name}.broken")
    if aside.is_dir():
        shutil.rmtree(aside)
    else:
        aside.unlink(missing_ok=True)
    directory.replace(aside)
    return aside


def storable(text: str) -> str:
    """Lone surrogates have no UTF-8."""
    return text.encode("utf-8", "replace").decode()


def reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]

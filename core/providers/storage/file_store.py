"""Small values as files, which outlive the process: one file each, replaced as a whole.

A file is a line of JSON (key, until: seconds since 1970, digest: of the value), then the value. Writers,
of all processes, take turns at one lock that the system frees when its holder dies; readers need none.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final, TypeVar

import orjson
from filelock import FileLock, Timeout

from core.errors import Fault, StoreFailed
from core.ports import Clock
from core.providers.storage.memory_store import counted

MAX_BYTES: Final = 64 * 2**20
SWEPT_EVERY_S: Final = 600.0

LOCK_S: Final = 1.0
"""A turn takes a millisecond; a sweep of some thousand files a few tenths of a second."""
_LOCK_POLL_S: Final = 0.002
_LOCK: Final = ".lock"
_UNFINISHED: Final = ".new"
"""The name under which a writer writes; it has its turn, so there is one."""
_PLAIN_WORD: Final = re.compile(r"[a-z0-9_-]{1,60}")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Entry:
    key: str
    value: bytes
    until_s: float


class FileStore:
    """directory: made when it is first written to, readable by its owner only.

    max_bytes: of all values; past it, what would end soonest goes first.
    lock_s: how long a turn is waited for.
    Written without fsync: a power cut may lose the last values, and what it left half written is not read.
    """

    def __init__(
        self, directory: Path, clock: Clock, *, max_bytes: int = MAX_BYTES, lock_s: float = LOCK_S
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._max_bytes = max_bytes
        self._lock_s = lock_s
        self._swept_at_s: float | None = None
        # Those of this process wait here, where nobody polls; the others at the file.
        self._turn = asyncio.Lock()

    async def get(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        return await _in_thread(lambda: [self._value(key) for key in keys])

    async def put(self, values: Mapping[str, bytes], *, ttl_s: float) -> None:
        def write() -> None:
            for key, value in values.items():
                self._write(_Entry(key, value, self._now_s() + ttl_s))

        await self._in_turn(write)

    async def claim(self, key: str, value: bytes, *, ttl_s: float) -> bool:
        def write() -> bool:
            if self._read(key) is not None:
                return False
            self._write(_Entry(key, value, self._now_s() + ttl_s))
            return True

        return await self._in_turn(write)

    async def add(self, key: str, amount: int, *, ttl_s: float) -> int:
        def write() -> int:
            entry = self._read(key)
            total = counted(entry.value if entry else None) + amount
            until_s = entry.until_s if entry else self._now_s() + ttl_s
            self._write(_Entry(key, str(total).encode(), until_s))
            return total

        return await self._in_turn(write)

    async def remove(self, keys: Sequence[str]) -> None:
        def delete() -> None:
            for key in keys:
                self._path(key).unlink(missing_ok=True)

        await self._in_turn(delete)

    async def keys(self, prefix: str) -> Sequence[str]:
        namespace = _folder(prefix) if ":" in prefix else "*"

        def read() -> list[str]:
            entries = (self._read_file(path) for path in self._directory.glob(f"{namespace}/*"))
            return [entry.key for entry in entries if entry and entry.key.startswith(prefix)]

        return await _in_thread(read)

    async def _in_turn(self, work: Callable[[], T]) -> T:
        async with self._turn:
            return await _in_thread(lambda: self._locked(work))

    def _locked(self, work: Callable[[], T]) -> T:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock(self._directory / _LOCK, timeout=self._lock_s, poll_interval=_LOCK_POLL_S)
        with lock:
            self._sweep_if_due()
            return work()

    def _value(self, key: str) -> bytes | None:
        entry = self._read(key)
        return entry.value if entry else None

    def _read(self, key: str) -> _Entry | None:
        entry = self._read_file(self._path(key))
        return entry if entry and entry.key == key else None

    def _read_file(self, path: Path) -> _Entry | None:
        """None where there is none, it is over, or what is there is no whole entry. Raises OSError."""
        try:
            header, _, value = path.read_bytes().partition(b"\n")
            fields = orjson.loads(header)
            entry = _Entry(str(fields["key"]), value, float(fields["until"]))
            is_whole = fields["digest"] == _digest(value)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return entry if is_whole and entry.until_s > self._now_s() else None

    def _write(self, entry: _Entry) -> None:
        path = self._path(entry.key)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        fields = {"key": entry.key, "until": entry.until_s, "digest": _digest(entry.value)}
        unfinished = self._directory / _UNFINISHED
        unfinished.touch(mode=0o600)
        unfinished.write_bytes(orjson.dumps(fields) + b"\n" + entry.value)
        unfinished.replace(path)

    def _path(self, key: str) -> Path:
        return self._directory / _folder(key) / _digest(key.encode())

    def _sweep_if_due(self) -> None:
        now_s = self._clock.monotonic()
        if self._swept_at_s is not None and now_s - self._swept_at_s < SWEPT_EVERY_S:
            return
        self._swept_at_s = now_s
        kept: list[tuple[float, int, Path]] = []
        for path in self._directory.glob("*/*"):
            entry = self._read_file(path)
            if entry is None:
                path.unlink(missing_ok=True)
            else:
                kept.append((entry.until_s, len(entry.value), path))
        for path in _surplus(sorted(kept, reverse=True), self._max_bytes):
            path.unlink(missing_ok=True)

    def _now_s(self) -> float:
        return self._clock.now().timestamp()


def _surplus(latest_first: Sequence[tuple[float, int, Path]], max_bytes: int) -> Iterator[Path]:
    total = 0
    for _, size, path in latest_first:
        total += size
        if total > max_bytes:
            yield path


async def _in_thread(work: Callable[[], T]) -> T:
    with _faults_named():
        return await asyncio.to_thread(work)


@contextmanager
def _faults_named() -> Iterator[None]:
    try:
        yield
    except Timeout:
        raise StoreFailed("another process keeps the files locked", fault=Fault.TIMED_OUT) from None
    except OSError as error:
        raise StoreFailed(f"files: {error.strerror or type(error).__name__}") from error


def _folder(key: str) -> str:
    """A key's first word, where it can be a file's name; so a namespace is listed without the others."""
    word = key.partition(":")[0]
    return word if _PLAIN_WORD.fullmatch(word) else "_"


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()


__all__ = ["FileStore"]

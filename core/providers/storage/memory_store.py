"""Small values in this process's memory: gone with it."""

from __future__ import annotations

import heapq
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from core.errors import Fault, StoreFailed
from core.ports import Clock

MAX_BYTES: Final = 32 * 2**20

_ENTRY_BYTES: Final = 400
"""What an entry takes beside its key and value: some 380 bytes of CPython's objects, measured."""

_WHOLE_NUMBER: Final = re.compile(rb"0|-?[1-9][0-9]{0,18}")
"""As Redis counts."""


@dataclass(frozen=True, slots=True)
class _Entry:
    value: bytes
    until_s: float


class MemoryStore:
    """What was not used for longest makes room. Belongs to one event loop."""

    def __init__(self, clock: Clock, max_bytes: int = MAX_BYTES) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._ends: list[tuple[float, str]] = []

    async def get(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        return [self._value(key) for key in keys]

    async def put(self, values: Mapping[str, bytes], *, ttl_s: float) -> None:
        for key, value in values.items():
            self._keep(key, value, self._clock.monotonic() + ttl_s)

    async def claim(self, key: str, value: bytes, *, ttl_s: float) -> bool:
        if self._value(key) is not None:
            return False
        self._keep(key, value, self._clock.monotonic() + ttl_s)
        return True

    async def add(self, key: str, amount: int, *, ttl_s: float) -> int:
        value = self._value(key)
        until_s = self._clock.monotonic() + ttl_s if value is None else self._entries[key].until_s
        total = counted(value) + amount
        self._keep(key, str(total).encode(), until_s)
        return total

    async def remove(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._drop(key)

    async def keys(self, prefix: str) -> Sequence[str]:
        self._drop_what_is_over()
        return [key for key in self._entries if key.startswith(prefix)]

    def _value(self, key: str) -> bytes | None:
        self._drop_what_is_over()
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry.value

    def _keep(self, key: str, value: bytes, until_s: float) -> None:
        self._drop(key)
        self._entries[key] = _Entry(value, until_s)
        self._bytes += _size(key, value)
        heapq.heappush(self._ends, (until_s, key))
        if len(self._ends) > 2 * len(self._entries) + 100:
            self._forget_old_ends()
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= _size(key, entry.value)

    def _drop_what_is_over(self) -> None:
        now_s = self._clock.monotonic()
        while self._ends and self._ends[0][0] <= now_s:
            _, key = heapq.heappop(self._ends)
            entry = self._entries.get(key)
            if entry is not None and entry.until_s <= now_s:
                self._drop(key)

    def _forget_old_ends(self) -> None:
        """Those of values that were replaced."""
        self._ends = [(entry.until_s, key) for key, entry in self._entries.items()]
        heapq.heapify(self._ends)


def counted(value: bytes | None) -> int:
    """What a counter stands at. Raises StoreFailed where something else is kept under its key."""
    if value is None:
        return 0
    if not _WHOLE_NUMBER.fullmatch(value):
        raise StoreFailed("what is kept there is no counter", fault=Fault.REFUSED)
    return int(value)


def _size(key: str, value: bytes) -> int:
    return len(key) + len(value) + _ENTRY_BYTES


__all__ = ["MemoryStore", "counted"]

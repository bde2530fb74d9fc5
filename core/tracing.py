"""What one question cost: how long its stages took and what they counted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Trace:
    """Collected on the way, written once, in the question's one log line."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self.timings_ms: dict[str, float] = {}
        self.counts: dict[str, int | str] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time spent inside to the stage's."""
        started_s = time.monotonic()
        try:
            yield
        finally:
            self.timings_ms[name] = self.timings_ms.get(name, 0.0) + _since_ms(started_s)

    def mark(self, name: str) -> None:
        """Notes the time since the question came, the first time it is called with this name."""
        self.timings_ms.setdefault(name, _since_ms(self._started_s))

    def count(self, **counts: int | str) -> None:
        self.counts.update(counts)


def _since_ms(started_s: float) -> float:
    return round((time.monotonic() - started_s) * 1000, 1)

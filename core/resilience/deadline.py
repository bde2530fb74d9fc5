"""One absolute deadline per question, handed down."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the running loop's clock, by which a question has ended.

    at_s: as `loop.time()` counts.
    """

    at_s: float

    @classmethod
    def after(cls, limit_s: float) -> Deadline:
        return cls(asyncio.get_running_loop().time() + limit_s)

    def remaining_s(self) -> float:
        """0 once it has passed."""
        return max(0.0, self.at_s - asyncio.get_running_loop().time())

    def within(self, limit_s: float) -> asyncio.Timeout:
        """A time limit for one stage: its own, or what is left of the question's if that is less."""
        return asyncio.timeout(min(limit_s, self.remaining_s()))

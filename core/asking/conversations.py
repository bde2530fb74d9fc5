"""What was asked and answered in a thread, for as long as a follow-up may come."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from core.ports import Clock
from core.types import Turn

KEPT_S = 24 * 3600
"""Questions and answers are kept for a day at most."""
MAX_THREADS = 1_000
MAX_TURNS = 4
"""Enough for "and in Germany?"; older ones only distract."""
MAX_ANSWER_CHARS = 1_500


@dataclass(frozen=True, slots=True)
class _Thread:
    turns: tuple[Turn, ...]
    until_s: float


class Conversations:
    """In memory, bounded by threads, turns and time; only the bot's own questions and answers."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._threads: OrderedDict[str, _Thread] = OrderedDict()

    def turns(self, thread: str) -> tuple[Turn, ...]:
        """Oldest first. thread: unique over all platforms."""
        known = self._threads.get(thread)
        if known is None or known.until_s <= self._clock.monotonic():
            self._threads.pop(thread, None)
            return ()
        return known.turns

    def remember(self, thread: str, turn: Turn) -> None:
        short = Turn(question=turn.question, answer=turn.answer[:MAX_ANSWER_CHARS])
        turns = (*self.turns(thread), short)[-MAX_TURNS:]
        self._threads[thread] = _Thread(turns, self._clock.monotonic() + KEPT_S)
        self._threads.move_to_end(thread)
        while len(self._threads) > MAX_THREADS:
            self._threads.popitem(last=False)

    def forget(self, thread: str) -> None:
        self._threads.pop(thread, None)

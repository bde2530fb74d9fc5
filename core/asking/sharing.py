"""The same question, asked in one channel by several people at once, is worked on once."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from core.answering.writing import Show
from core.resilience.flights import Flights
from core.types import Answer, Draft, Progress, Question


class SharedQuestions:
    """Each asker has a reply of their own; all show the same work, which ends when nobody wants it."""

    def __init__(self) -> None:
        self._flights: Flights[Answer] = Flights()
        self._audiences: dict[object, _Audience] = {}

    async def answer(
        self, question: Question, *, show: Show, work: Callable[[Show], Coroutine[Any, Any, Answer]]
    ) -> Answer:
        """What `work` answers, done for this question or for one like it that came first.

        work: is given what it shows its progress to. Its failure reaches everybody.
        """
        key = _identity(question)
        if not self._flights.under_way(key):
            # Not the audience of work that ends just now: what that has shown is not this one's beginning.
            self._audiences[key] = _Audience()
        audience = self._audiences[key]
        try:
            with audience.joined_by(show):
                return await self._flights.share(key, lambda: work(audience.show))
        finally:
            if audience.is_empty and self._audiences.get(key) is audience:
                del self._audiences[key]


class _Audience:
    def __init__(self) -> None:
        self._listeners: list[Show] = []
        self._newest: Progress | Draft | None = None

    @property
    def is_empty(self) -> bool:
        return not self._listeners

    @contextmanager
    def joined_by(self, show: Show) -> Iterator[None]:
        """Who comes late sees at once how far it has got."""
        self._listeners.append(show)
        if self._newest:
            show(self._newest)
        try:
            yield
        finally:
            self._listeners.remove(show)

    def show(self, event: Progress | Draft) -> None:
        self._newest = event
        for listener in self._listeners:
            listener(event)


def _identity(question: Question) -> tuple[object, ...]:
    """Equal for questions with the same answer in the same company; outside a channel there is no other."""
    if not question.channel:
        return (question.id,)
    words = " ".join(question.text.casefold().split())
    return (question.channel, words, question.quoted, question.thread)

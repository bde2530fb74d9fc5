"""Admission: what is refused before any work is done."""

from __future__ import annotations

import math

from core.asking.smalltalk import small_talk
from core.errors import EmptyQuestion, QuestionTooLong, RateLimited
from core.ports import RateLimiter
from core.types import Question


class Admission:
    """max_question_chars: of the question's text, spaces at its ends not counted."""

    def __init__(self, rate_limiter: RateLimiter, *, max_question_chars: int) -> None:
        self._rate_limiter = rate_limiter
        self._max_question_chars = max_question_chars

    async def admit(self, question: Question) -> None:
        """Raises QuestionError. A question that is refused for its text does not count as one."""
        self._check_text(question)
        retry_after_s = await self._rate_limiter.hit(question.asker)
        if retry_after_s is not None:
            raise RateLimited(
                f"You have asked a lot in a short time. Please ask again in {_spoken(retry_after_s)}.",
                retry_after_s=retry_after_s,
            )

    def _check_text(self, question: Question) -> None:
        # A message that was chosen may be all of the question; thanks may be one emoji.
        has_words = any(map(str.isalnum, question.text + question.quoted))
        if not has_words and small_talk(question.text) is None:
            raise EmptyQuestion("There is no question in that. Ask me something in words.")
        length = len(question.text.strip())
        if length > self._max_question_chars:
            raise QuestionTooLong(
                f"That question has {length:,} characters; I can take {self._max_question_chars:,}. "
                "Please shorten it."
            )


def _spoken(duration_s: float) -> str:
    """Rounded up, so that whoever waits that long is let in."""
    if duration_s <= 90:
        seconds = max(1, math.ceil(duration_s))
        return "a second" if seconds == 1 else f"{seconds} seconds"
    return f"{math.ceil(duration_s / 60)} minutes"

"""Admission: what is refused before any work is done."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Final

from core.asking.smalltalk import small_talk
from core.errors import EmptyQuestion, QuestionTooLong, RateLimited
from core.ports import RateLimiter
from core.types import AskerId, Question, Quota, QuotaScope, QuotaState

MINUTE_S: Final = 60
HOUR_S: Final = 3600
DAY_S: Final = 86_400

_SPANS: Final = {MINUTE_S: "a minute", HOUR_S: "an hour", DAY_S: "a day"}
_USED_UP: Final = {
    QuotaScope.ASKER: "You have asked as many questions as you can within {span}.",
    QuotaScope.CHANNEL: "This channel has asked as many questions as it can within {span}.",
    QuotaScope.WORKSPACE: "This workspace has asked as many questions as it can within {span}.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaRules:
    """How many questions each may ask; 0 is as many as they like."""

    per_minute: int = 0
    per_day: int = 0
    channel_per_hour: int = 0
    workspace_per_day: int = 0

    def quotas(self, asker: AskerId, channel: str, workspace: str) -> list[Quota]:
        """Those a question counts against; what is asked in no channel counts for none."""
        rules = (
            (QuotaScope.ASKER, asker, self.per_minute, MINUTE_S),
            (QuotaScope.ASKER, asker, self.per_day, DAY_S),
            (QuotaScope.CHANNEL, channel, self.channel_per_hour, HOUR_S),
            (QuotaScope.WORKSPACE, workspace, self.workspace_per_day, DAY_S),
        )
        return [
            Quota(scope=scope, key=key, limit=limit, window_s=window_s)
            for scope, key, limit, window_s in rules
            if limit and key
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What somebody may still ask. states: of each limit there is, the asker's own first.

    exempt: no limit holds for them.
    budget_left: of the language model's for today, 0 to 1; None where there is no such limit.
    """

    states: tuple[QuotaState, ...] = ()
    exempt: bool = False
    budget_left: float | None = None


async def _no_budget() -> float | None:
    return None


class Admission:
    """max_question_chars: of the question's text, spaces at its ends not counted.

    exempt: who may ask without limit; their questions don't count against others' either.
    budget_left: as in Allowance.
    """

    def __init__(
        self,
        rate_limiter: RateLimiter,
        *,
        max_question_chars: int,
        rules: QuotaRules | None = None,
        exempt: Collection[AskerId] = (),
        budget_left: Callable[[], Awaitable[float | None]] = _no_budget,
    ) -> None:
        self._rate_limiter = rate_limiter
        self._max_question_chars = max_question_chars
        self._rules = rules or QuotaRules()
        self._exempt = frozenset(exempt)
        self._budget_left = budget_left

    async def admit(self, question: Question) -> None:
        """Raises QuestionError. A question that is refused for its text does not count as one."""
        self._check_text(question)
        if question.asker in self._exempt:
            return
        quotas = self._rules.quotas(question.asker, question.channel, question.workspace)
        used_up = await self._rate_limiter.hit(quotas)
        if used_up is not None:
            raise RateLimited(
                f"{_USED_UP[used_up.quota.scope].format(span=span(used_up.quota))} "
                f"Please ask again in {spoken(used_up.next_in_s)}.",
                retry_after_s=used_up.next_in_s,
            )

    async def left(self, asker: AskerId, channel: str, workspace: str) -> Allowance:
        """What this person may still ask there; nothing is counted."""
        budget_left = await self._budget_left()
        if asker in self._exempt:
            return Allowance(exempt=True, budget_left=budget_left)
        states = await self._rate_limiter.states(self._rules.quotas(asker, channel, workspace))
        return Allowance(states=tuple(states), budget_left=budget_left)

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


def span(quota: Quota) -> str:
    """ "a minute": the window, as people say it."""
    return _SPANS[quota.window_s]


def spoken(duration_s: float) -> str:
    """Rounded up, so that whoever waits that long is let in."""
    if duration_s <= 90:
        seconds = max(1, math.ceil(duration_s))
        return "a second" if seconds == 1 else f"{seconds} seconds"
    if duration_s <= 90 * MINUTE_S:
        return f"{math.ceil(duration_s / MINUTE_S)} minutes"
    return f"{math.ceil(duration_s / HOUR_S)} hours"

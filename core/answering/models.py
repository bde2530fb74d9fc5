"""Several language models as one: the next is asked where one fails before a reader has seen a word of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import structlog

from core.errors import CircuitOpen, DependencyError, Fault, ModelFailed
from core.ports import Clock, LanguageModel
from core.resilience.breaker import BreakerLimits, CircuitBreaker
from core.resilience.deadline import Deadline
from core.resilience.retrying import Guard, RetryBudget
from core.types import Completion, Prompt

log = structlog.get_logger(__name__)

_GUARD_SLACK_S: Final = 0.05
"""By how much a guard's time ends after its attempts' own: what ends at the guard's counts for nothing."""

_TIMED_OUT: Final = "did not answer in time"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainLimits:
    """first_token_s: for all attempts of one model together, the wait for a place included.

    all_s: shared by all models, so that half of a question's minute is left to write in. What one that
    failed fast has not used is the others'.
    streams: at once, over all questions.
    """

    first_token_s: float = 15.0
    all_s: float = 30.0
    streams: int = 24


class ModelChain:
    """A LanguageModel: the first of several that answers. Once text has come, no other is asked.

    What it raises names the model that broke off; where none began, the first, and the others in the reason.
    """

    def __init__(
        self,
        models: Sequence[LanguageModel],
        clock: Clock,
        *,
        limits: ChainLimits | None = None,
        breaker_limits: BreakerLimits | None = None,
    ) -> None:
        self._limits = limits or ChainLimits()
        self._places = asyncio.Semaphore(self._limits.streams)
        self._least_s = self._limits.all_s / len(models)
        self.members = tuple(
            GuardedModel(
                model,
                CircuitBreaker(model.name, clock, breaker_limits or BreakerLimits()),
                clock,
                fair_s=min(self._limits.first_token_s, self._least_s) / 2,
            )
            for model in models
        )

    @property
    def name(self) -> str:
        """The first one's."""
        return self.members[0].name

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Completion]:
        all_until = Deadline.after(self._limits.all_s)
        until = self._until(all_until, len(self.members))
        failures: list[tuple[str, ModelFailed]] = []
        async with self._place(until):
            for member in self.members:
                if failures:
                    until = self._until(all_until, len(self.members) - len(failures))
                begun = False
                try:
                    async with aclosing(member.stream(prompt, until)) as pieces:
                        async for piece in pieces:
                            begun = True
                            yield piece
                except ModelFailed as failure:
                    if begun:
                        raise ModelFailed(failure.reason, model=member.name, fault=failure.fault) from failure
                    log.warning("model.skipped", model=member.name, reason=failure.reason)
                    failures.append((member.name, failure))
                else:
                    return
        raise _none_began(failures)

    def _until(self, all_until: Deadline, models_left: int) -> Deadline:
        share_s = all_until.remaining_s() / models_left
        # A model that thought for long before it failed has used up the time of those after it.
        return Deadline.after(min(self._limits.first_token_s, max(share_s, self._least_s)))

    @asynccontextmanager
    async def _place(self, until: Deadline) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(until.at_s):
                await self._places.acquire()
        except TimeoutError:
            raise ModelFailed("has too many answers to write just now", fault=Fault.OVERLOADED) from None
        try:
            yield
        finally:
            self._places.release()


class GuardedModel:
    """One model with its circuit breaker.

    fair_s: being silent for less says nothing about a model: the time went by in the line for a place, or
    in an attempt before.
    """

    def __init__(self, model: LanguageModel, breaker: CircuitBreaker, clock: Clock, *, fair_s: float) -> None:
        self.model = model
        self.breaker = breaker
        self._fair_s = fair_s
        self._guard = Guard(breaker, RetryBudget(), clock)

    @property
    def name(self) -> str:
        return self.model.name

    async def stream(self, prompt: Prompt, until: Deadline) -> AsyncGenerator[str | Completion]:
        """Its text from the first word on, that is without white space before it.

        until: for its first token. Raises ModelFailed.
        """
        first, rest = await self._begun(prompt, until)
        spoken = bool(first.strip())
        async with aclosing(rest):
            if spoken:
                yield first
            try:
                async for piece in rest:
                    spoken = spoken or isinstance(piece, Completion) or bool(piece.strip())
                    if spoken:
                        yield piece
            except ModelFailed as failure:
                self._note(failure)
                raise

    async def _begun(self, prompt: Prompt, until: Deadline) -> tuple[str, AsyncGenerator[str | Completion]]:
        try:
            return await self._guard.call(
                lambda: self._first_token(prompt, until), deadline=Deadline(until.at_s + _GUARD_SLACK_S)
            )
        except ModelFailed:
            raise
        except CircuitOpen as failure:
            raise ModelFailed(
                "failed too often and is left alone for a while",
                fault=failure.fault,
                retry_after_s=failure.retry_after_s,
            ) from failure
        except DependencyError as failure:  # the guard's own: there was no time
            raise ModelFailed(_TIMED_OUT, fault=failure.fault) from failure

    async def _first_token(
        self, prompt: Prompt, until: Deadline
    ) -> tuple[str, AsyncGenerator[str | Completion]]:
        """The first piece and the stream of the others, which is then the caller's to close."""
        stream = self.model.stream(prompt)
        # Where the time is not fair its end is the guard's, which counts for nothing.
        is_fair = until.remaining_s() >= self._fair_s
        try:
            async with asyncio.timeout_at(until.at_s if is_fair else None):
                first = await anext(stream)
        except TimeoutError:
            # Not to be tried again in the guard's slack.
            raise ModelFailed(_TIMED_OUT, fault=Fault.TIMED_OUT, retry_after_s=_GUARD_SLACK_S) from None
        if isinstance(first, Completion):
            await stream.aclose()
            raise ModelFailed("gave no text")
        return first, stream

    def _note(self, failure: ModelFailed) -> None:
        """Tells the breaker of a stream that died; all it knows is that it began."""
        with suppress(ModelFailed, CircuitOpen), self.breaker.call():
            raise failure


def _none_began(failures: Sequence[tuple[str, ModelFailed]]) -> ModelFailed:
    """Reads on after the first one's name: "is out of credit; other/model did not answer in time"."""
    (first, failure), *others = failures
    reasons = [failure.reason, *(f"{name} {other.reason}" for name, other in others)]
    last = failures[-1][1]
    return ModelFailed("; ".join(reasons), model=first, fault=last.fault, retry_after_s=last.retry_after_s)


__all__ = ["ChainLimits", "GuardedModel", "ModelChain"]

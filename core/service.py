"""One question, end to end: admitted, answered, delivered, logged."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

import structlog

from core.answering.answering import Answering
from core.asking.limits import Admission
from core.delivering.delivery import Delivery
from core.errors import QuestionError, RateLimited
from core.ports import Clock, ReplySurface
from core.resilience import Deadline
from core.tracing import Trace
from core.types import Answer, Notice, NoticeKind, Outcome, Question

log = structlog.get_logger(__name__)


class QuestionService:
    """question_s: from admission to the last word. final_draw_s: what drawing that may take."""

    def __init__(
        self,
        *,
        admission: Admission,
        answering: Answering,
        clock: Clock,
        question_s: float = 60.0,
        final_draw_s: float = 10.0,
    ) -> None:
        self._admission = admission
        self._answering = answering
        self._clock = clock
        self._question_s = question_s
        self._interrupting = False
        self._final_draw_s = final_draw_s

    def interrupt(self) -> None:
        """From now on a question that is cancelled was not stopped by a person but by the process's end."""
        self._interrupting = True

    async def handle(self, question: Question, surface: ReplySurface) -> Answer:
        """Draws exactly one Answer, whatever happens, and returns it.

        Cancelled, it draws what there is, marked as stopped, and raises CancelledError. A bug is
        apologised for, logged and raised.
        """
        trace = Trace()
        limit = asyncio.timeout(self._question_s)
        # When nobody can see the reply any more, its work ends as if its time were up.
        delivery = Delivery(
            surface,
            self._clock,
            on_lost=lambda: _end(limit),
            in_flight_s=self._final_draw_s / 2,
        )
        answer = _cut_short(delivery, Outcome.FAILED, NoticeKind.BUG)
        with structlog.contextvars.bound_contextvars(question_id=question.id, platform=question.platform):
            try:
                answer = await self._answer(question, delivery, limit, trace)
            except asyncio.CancelledError:
                answer = self._cancelled(delivery)
                raise
            except Exception:
                log.exception("question.failed")
                answer = _cut_short(delivery, Outcome.FAILED, NoticeKind.BUG)
                raise
            finally:
                answer = replace(answer, timings_ms=dict(trace.timings_ms))
                await self._finish(delivery, answer)
                _log_handled(question, answer, trace)
        return answer

    async def _answer(
        self, question: Question, delivery: Delivery, limit: asyncio.Timeout, trace: Trace
    ) -> Answer:
        with trace.stage("total"):
            try:
                await self._admission.admit(question)
                async with delivery.drawing(), limit:
                    return await self._answering.answer(
                        question,
                        show=delivery.show,
                        deadline=Deadline.after(self._question_s),
                        trace=trace,
                    )
            except QuestionError as refusal:
                return _refused(refusal)
            except TimeoutError:
                if delivery.lost:
                    return _cut_short(delivery, Outcome.CANCELLED, NoticeKind.STOPPED)
                return _cut_short(delivery, Outcome.FAILED, NoticeKind.TOOK_TOO_LONG)

    def _cancelled(self, delivery: Delivery) -> Answer:
        if self._interrupting:
            return _cut_short(delivery, Outcome.INTERRUPTED, NoticeKind.INTERRUPTED)
        return _cut_short(delivery, Outcome.CANCELLED, NoticeKind.STOPPED)

    async def _finish(self, delivery: Delivery, answer: Answer) -> None:
        try:
            async with asyncio.timeout(self._final_draw_s):
                drawn = await delivery.finish(answer)
        except TimeoutError:
            drawn = False
        if not drawn:
            log.error("answer.undelivered", outcome=answer.outcome.value)


def _end(limit: asyncio.Timeout) -> None:
    # A draw that was under way when the work was done finds nothing left to end.
    with suppress(RuntimeError):
        limit.reschedule(0)


def _refused(refusal: QuestionError) -> Answer:
    if isinstance(refusal, RateLimited):
        return Answer(outcome=Outcome.RATE_LIMITED, text=str(refusal), retry_after_s=refusal.retry_after_s)
    return Answer(outcome=Outcome.REFUSED, text=str(refusal))


def _cut_short(delivery: Delivery, outcome: Outcome, kind: NoticeKind) -> Answer:
    """What the reader has seen so far stays, with the reason why it ends there."""
    return Answer(
        outcome=outcome,
        text=delivery.draft.text,
        footnotes=delivery.draft.footnotes,
        notices=(Notice(kind=kind),),
    )


def _log_handled(question: Question, answer: Answer, trace: Trace) -> None:
    log.info(
        "question.handled",
        outcome=answer.outcome.value,
        notices=[notice.kind.value for notice in answer.notices],
        question_chars=len(question.text),
        answer_chars=len(answer.text),
        footnotes=len(answer.footnotes),
        model=answer.model,
        **_suffixed(trace.timings_ms),
        **trace.counts,
    )


def _suffixed(timings_ms: Mapping[str, float]) -> dict[str, float]:
    return {f"{name}_ms": duration_ms for name, duration_ms in timings_ms.items()}

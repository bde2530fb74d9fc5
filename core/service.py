"""One question, end to end: admitted, answered, delivered, logged."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import replace

import structlog

from core.answering.answering import Answering
from core.answering.writing import Show
from core.asking.limits import Admission, Allowance
from core.asking.line import Line
from core.asking.sharing import SharedQuestions
from core.delivering.delivery import Delivery
from core.errors import Busy, QuestionError, RateLimited
from core.ports import Clock, ReplySurface
from core.resilience.deadline import Deadline
from core.tracing import Trace
from core.types import Answer, AskerId, Notice, NoticeKind, Outcome, Progress, Question, Stage

log = structlog.get_logger(__name__)


class QuestionService:
    """line: for a place to work in. question_s: from admission to the last word.

    final_draw_s: what drawing that may take.
    """

    def __init__(
        self,
        *,
        admission: Admission,
        answering: Answering,
        clock: Clock,
        line: Line | None = None,
        question_s: float = 60.0,
        final_draw_s: float = 10.0,
    ) -> None:
        self._admission = admission
        self._answering = answering
        self._clock = clock
        self._line = line or Line()
        self._shared = SharedQuestions()
        self._question_s = question_s
        self._interrupting = False
        self._final_draw_s = final_draw_s

    def interrupt(self) -> None:
        """From now on a question that is cancelled was not stopped by a person but by the process's end."""
        self._interrupting = True

    async def left(self, asker: AskerId, channel: str, workspace: str) -> Allowance:
        """What this person may still ask there, by the names a Question would have; nothing is counted."""
        return await self._admission.left(asker, channel, workspace)

    async def handle(self, question: Question, surface: ReplySurface) -> Answer:
        """Admits and answers, where a refusal may stand on the reply like an answer."""
        try:
            await self.admit(question)
        except QuestionError as refusal:
            answer = refused(refusal)
            await self._finish(Delivery(surface, self._clock), answer)
            return answer
        return await self.answer(question, surface)

    async def admit(self, question: Question) -> None:
        """Counts it. Raises QuestionError, whose message is for the asker alone: there is no reply then."""
        try:
            self._line.check()
            await self._admission.admit(question)
        except QuestionError as refusal:
            with _named(question):
                _log_handled(question, refused(refusal), Trace())
            raise

    async def answer(self, question: Question, surface: ReplySurface) -> Answer:
        """Of a question that was admitted: draws exactly one Answer, whatever happens, and returns it.

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
        with _named(question):
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
                async with delivery.drawing(), limit:
                    return await self._work(question, delivery.show, trace)
            except QuestionError as refusal:
                return refused(refusal)
            except TimeoutError:
                if delivery.lost:
                    return _cut_short(delivery, Outcome.CANCELLED, NoticeKind.STOPPED)
                return _cut_short(delivery, Outcome.FAILED, NoticeKind.TOOK_TOO_LONG)

    async def _work(self, question: Question, show: Show, trace: Trace) -> Answer:
        deadline = Deadline.after(self._question_s)

        async def work(show_all: Show) -> Answer:
            def moved(before: int, waiting: int) -> None:
                show_all(Progress(stage=Stage.WAITING, done=before, total=waiting))

            async with self._line.place(moved):
                trace.mark("waited")
                return await self._answering.answer(question, show=show_all, deadline=deadline, trace=trace)

        return await self._shared.answer(question, show=show, work=work)

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
            # The surface's owner may go on trying: whether it gives up, it says itself.
            log.warning("answer.late", outcome=answer.outcome.value, lost=delivery.lost)


def _end(limit: asyncio.Timeout) -> None:
    # A draw that was under way when the work was done finds nothing left to end.
    with suppress(RuntimeError):
        limit.reschedule(0)


def _named(question: Question) -> AbstractContextManager[None]:
    """Every log line inside says which question it belongs to."""
    return structlog.contextvars.bound_contextvars(question_id=question.id, platform=question.platform)


def refused(refusal: QuestionError) -> Answer:
    """The refusal as an answer, where there is a reply that can say it."""
    if isinstance(refusal, RateLimited):
        return Answer(outcome=Outcome.RATE_LIMITED, text=str(refusal), retry_after_s=refusal.retry_after_s)
    return Answer(outcome=Outcome.BUSY if isinstance(refusal, Busy) else Outcome.REFUSED, text=str(refusal))


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

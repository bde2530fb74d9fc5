"""From sources to the text a reader sees: a model's, streamed, or the sources' own sentences."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import aclosing

import structlog

from core.answering.answer_text import AnswerText, harmless_titles
from core.answering.budget import BudgetSpent
from core.answering.defuse import defuse
from core.answering.extractive import ExtractiveAnswer
from core.answering.prompt import BOUNDARY_BYTES, compose_prompt
from core.errors import ModelFailed
from core.ports import LanguageModel
from core.resilience.deadline import Deadline
from core.tracing import Trace
from core.types import (
    Answer,
    Completion,
    Draft,
    FinishReason,
    Notice,
    NoticeKind,
    Outcome,
    Progress,
    Prompt,
    Question,
    Source,
)

log = structlog.get_logger(__name__)

Show = Callable[[Progress | Draft], None]
"""Takes an event and returns at once."""

FALLBACK_S = 3.0
"""Kept of the question's time for the extractive answer, should the model use up all of it."""

WORDS_S = 1.0
"""Kept of that for an answer by words alone, should the embedder use up the rest."""

_CUTS = {
    FinishReason.LENGTH: NoticeKind.CUT_BY_LENGTH,
    FinishReason.CONTENT_FILTER: NoticeKind.CUT_BY_FILTER,
}


class Writing:
    """model: None where none is set up."""

    def __init__(self, model: LanguageModel | None, extractive: ExtractiveAnswer) -> None:
        self._model = model
        self._extractive = extractive

    async def write(
        self,
        question: Question,
        sources: Sequence[Source],
        notices: Sequence[Notice],
        *,
        asked: str,
        show: Show,
        deadline: Deadline,
        trace: Trace,
    ) -> Answer:
        """The model's text, shown as it grows; whole sentences of the sources where it has none.

        notices: what is to be said beside the answer already.
        asked: the question, made whole if it is a follow-up; sentences are compared with it.
        """
        if self._model is None:
            without = Notice(kind=NoticeKind.EXTRACTIVE_NO_MODEL)
            return await self._extract(asked, sources, (*notices, without), deadline)
        prompt = compose_prompt(question, sources, boundary=secrets.token_hex(BOUNDARY_BYTES))
        trace.count(prompt_version=prompt.version)
        attempt = _Attempt(self._model, sources, show, trace)
        try:
            async with asyncio.timeout(max(0.0, deadline.remaining_s() - FALLBACK_S)):
                await attempt.run(prompt)
        except (ModelFailed, TimeoutError) as failure:
            attempt.blame(failure)
            log.warning("model.failed", model=attempt.model, reason=_reason(failure))
            if not attempt.text.strip():
                without = _without_model(attempt.model, failure)
                return await self._extract(asked, sources, (*notices, without), deadline)
            detail = f"{attempt.model} {_reason(failure)}"
            attempt.notices.append(Notice(kind=NoticeKind.CUT_BY_FAILURE, detail=detail))
        return attempt.answer(notices)

    async def _extract(
        self, asked: str, sources: Sequence[Source], notices: Sequence[Notice], deadline: Deadline
    ) -> Answer:
        compare_s = max(0.0, deadline.remaining_s() - WORDS_S)
        text, footnotes = await self._extractive.compose(asked, sources, compare_s=compare_s)
        if not text:
            return Answer(
                outcome=Outcome.NOTHING_FOUND,
                notices=(*notices, Notice(kind=NoticeKind.NO_RELEVANT_PASSAGE)),
            )
        return Answer(
            outcome=Outcome.ANSWERED,
            text=defuse(text),
            footnotes=harmless_titles(footnotes),
            notices=tuple(notices),
        )


def _without_model(model: str, failure: ModelFailed | TimeoutError) -> Notice:
    if isinstance(failure, BudgetSpent):
        return Notice(kind=NoticeKind.EXTRACTIVE_BUDGET_SPENT)
    return Notice(kind=NoticeKind.EXTRACTIVE_MODEL_FAILED, detail=f"{model} {_reason(failure)}")


def _reason(failure: ModelFailed | TimeoutError) -> str:
    return str(failure) or "did not finish in time"


class _Attempt:
    """One model's go at an answer.

    model: which one it is; of several, the first until it is known.
    """

    def __init__(self, model: LanguageModel, sources: Sequence[Source], show: Show, trace: Trace) -> None:
        self.notices: list[Notice] = []
        self.model = model.name
        self._text = AnswerText(sources)
        self._asked = model
        self._show = show
        self._trace = trace

    @property
    def text(self) -> str:
        """What a reader may see."""
        return self._text.text

    async def run(self, prompt: Prompt) -> None:
        """Raises ModelFailed; what was written until then stands in `text`."""
        try:
            async with aclosing(self._asked.stream(prompt)) as stream:
                async for piece in stream:
                    if isinstance(piece, Completion):
                        self._end(piece)
                    else:
                        self._draw(self._text.feed(piece))
        finally:
            self._text.finish()
        if not self.text.strip():
            raise ModelFailed("gave no text")

    def _draw(self, grown: str) -> None:
        if grown:
            self._trace.mark("first_text")
            self._show(Draft(text=self.text, footnotes=self._text.footnotes()))

    def blame(self, failure: ModelFailed | TimeoutError) -> None:
        if isinstance(failure, ModelFailed):
            self.model = failure.model or self.model

    def _end(self, completion: Completion) -> None:
        self.model = completion.model
        if completion.finish_reason in _CUTS:
            self.notices.append(Notice(kind=_CUTS[completion.finish_reason]))
        self._trace.count(
            model_answered=completion.model,
            **{
                name: count
                for name, count in (
                    ("input_tokens", completion.input_tokens),
                    ("output_tokens", completion.output_tokens),
                )
                if count is not None
            },
        )

    def answer(self, earlier: Sequence[Notice]) -> Answer:
        if self._text.n_unknown_marks:
            self.notices.append(Notice(kind=NoticeKind.UNKNOWN_MARKS_DROPPED))
        return Answer(
            outcome=Outcome.ANSWERED,
            text=self.text,
            footnotes=self._text.footnotes(),
            notices=(*earlier, *self.notices),
            model=self.model,
        )

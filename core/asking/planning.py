"""The search plan; a follow-up is made whole by one short model call, by rule where that is no use."""

from __future__ import annotations

import secrets
from contextlib import aclosing
from dataclasses import replace
from typing import Final

import structlog

from core.answering.prompt import BOUNDARY_BYTES, compose_query_prompt
from core.answering.words import words
from core.asking.languages import language_of, tokens
from core.asking.query import (
    MAX_QUERY_CHARS,
    MAX_QUOTED_CHARS,
    SearchPlan,
    earlier_questions,
    plan_search,
)
from core.errors import ModelFailed
from core.ports import LanguageModel
from core.reading.urls import find_urls
from core.resilience.deadline import Deadline
from core.tracing import Trace
from core.types import Completion, FinishReason, Question

log = structlog.get_logger(__name__)

_MAX_REPLY_CHARS: Final = 2 * MAX_QUERY_CHARS
"""Whatever says more than that is not writing a query."""


class Planning:
    """model: None where none is set up. limit_s: what its call may take before the search begins."""

    def __init__(self, model: LanguageModel | None, *, limit_s: float = 3.0) -> None:
        self._model = model
        self._limit_s = limit_s

    async def plan(self, question: Question, *, deadline: Deadline, trace: Trace) -> SearchPlan:
        """Fails for nobody's fault but a bug's."""
        plan = plan_search(question)
        if plan.stands_alone or self._model is None:
            return plan
        with trace.stage("query"):
            query = await self._ask(self._model, question, deadline, trace)
        trace.count(query_by="model" if query else "rule")
        return replace(plan, query=query, asked=query) if query else plan

    async def _ask(self, model: LanguageModel, question: Question, deadline: Deadline, trace: Trace) -> str:
        """Empty where the model gave none that can be used."""
        try:
            async with deadline.within(self._limit_s):
                reply = await _reply(model, question, trace)
        except (ModelFailed, TimeoutError) as failure:
            log.warning("query.composed_by_rule", reason=str(failure) or "did not answer in time")
            return ""
        query = usable_query(reply, question)
        if not query:
            log.warning("query.composed_by_rule", reason="the model's query was refused")
        return query


async def _reply(model: LanguageModel, question: Question, trace: Trace) -> str:
    """Empty where it was cut. Raises ModelFailed."""
    prompt = compose_query_prompt(
        question,
        earlier_questions(question),
        boundary=secrets.token_hex(BOUNDARY_BYTES),
    )
    trace.count(query_prompt_version=prompt.version)
    reply = ""
    async with aclosing(model.stream(prompt)) as stream:
        async for piece in stream:
            if isinstance(piece, Completion):
                trace.count(
                    query_input_tokens=piece.input_tokens or 0, query_output_tokens=piece.output_tokens or 0
                )
                return reply if piece.finish_reason is FinishReason.STOP else ""
            reply += piece
            if len(reply) > _MAX_REPLY_CHARS:
                break
    return ""


def usable_query(reply: str, question: Question) -> str:
    """A model's reply as a query; empty if it is none, or has a word the asker did not write.

    With no word but the asker's own and small ones, no five words of a page can stand in it, nor what a
    page talked a model into.
    """
    query = reply.strip().strip("\"'“”„«»`").strip()
    if not query or len(query) > MAX_QUERY_CHARS or len(query.splitlines()) > 1:
        return ""
    if find_urls(query) or "//" in query or "www." in query.lower():
        return ""
    own = " ".join((*earlier_questions(question), question.quoted[:MAX_QUOTED_CHARS], question.text))
    known, language = frozenset(words(own)), language_of(own)
    foreign = [word for token in tokens(query) if not language.knows(token.lower()) for word in words(token)]
    return "" if set(foreign) - known or not words(query) else query

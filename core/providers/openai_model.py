"""Any language model behind an API shaped like OpenAI's chat completions."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator
from typing import Any, Final
from urllib.parse import urlsplit

import openai
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDelta
from openai.types.completion_usage import CompletionUsage

from core.errors import Fault, ModelFailed
from core.providers.openai_api import (
    BROKE_OFF,
    GARBLED,
    OPENAI_HOST,
    OPENROUTER_HOST,
    failures_named,
    open_client,
)
from core.types import Completion, FinishReason, MessageRole, Prompt, PromptMessage

_TAIL_TIMEOUT_S: Final = 1.0
"""How long after its last word a model may take to say what it used."""

_REASONING_TOKENS: Final = 4_000
"""Allowed beside the answer's: the API counts both as output, the prompt only what is read."""
_CHARS_PER_TOKEN: Final = 5
"""More than any language has on average: an API that keeps its own limit is never cut by ours."""

_REASONING_FIELDS: Final = ("reasoning", "reasoning_content", "reasoning_details")
"""What OpenRouter, DeepSeek and vLLM call a model's thoughts."""

_FINISH_REASONS: Final = {
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}


class OpenAIModel:
    """first_token_s, gap_s: how long the first token may take, and each after it; thoughts are tokens too."""

    def __init__(
        self, *, base_url: str, api_key: str, model: str, first_token_s: float = 15.0, gap_s: float = 10.0
    ) -> None:
        self._model = model
        self._first_token_s = first_token_s
        self._gap_s = gap_s
        self._host = urlsplit(base_url).hostname or ""
        self._client = open_client(
            base_url=base_url, api_key=api_key, host=self._host, timeout_s=first_token_s
        )
        self._completions = (
            self._client.chat.completions
        )  # imports itself on first use: 20 ms not on the loop

    @property
    def name(self) -> str:
        return self._model

    async def aclose(self) -> None:
        await self._client.close()

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Completion]:
        """See LanguageModel; an empty piece says that it has begun to think.

        Nothing is tried twice here: what to do about a failure is the caller's.
        """
        reading = _Reading(self._model, prompt.max_output_tokens * _CHARS_PER_TOKEN)
        loop = asyncio.get_running_loop()
        until = loop.time() + self._first_token_s
        async with await self._request(prompt, until) as events:
            while not reading.ended and (chunk := await self._next(events, reading, until)):
                silent = not reading.begun
                if (text := reading.take(chunk)) or (silent and reading.begun):
                    yield text
                if reading.begun:
                    until = loop.time() + (_TAIL_TIMEOUT_S if reading.finish_reason else self._gap_s)
        yield reading.completion()

    async def _request(self, prompt: Prompt, until: float) -> openai.AsyncStream[ChatCompletionChunk]:
        max_tokens = prompt.max_output_tokens + _REASONING_TOKENS
        # OpenAI's reasoning models refuse the name that everybody else knows.
        is_openai = self._host == OPENAI_HOST
        with failures_named(ModelFailed):
            async with asyncio.timeout_at(until):
                return await self._completions.create(
                    model=self._model,
                    messages=[_message(message) for message in prompt.messages],
                    stream=True,
                    stream_options={"include_usage": True},
                    max_completion_tokens=max_tokens if is_openai else openai.omit,
                    max_tokens=openai.omit if is_openai else max_tokens,
                    extra_body=_asked_for_cost(self._host),
                )

    async def _next(
        self, events: openai.AsyncStream[ChatCompletionChunk], reading: _Reading, until: float
    ) -> ChatCompletionChunk | None:
        """None once nothing more will come."""
        try:
            with failures_named(ModelFailed, begun=reading.begun):
                async with asyncio.timeout_at(until):
                    return await anext(events, None)
        except ModelFailed:
            if reading.finish_reason:
                return None  # all was said; only the token counts are missing
            raise


class _Reading:
    """What a stream of chunks has said so far."""

    def __init__(self, model: str, chars_left: int) -> None:
        self.finish_reason = ""
        self.begun = False
        """Whether it has said or thought anything."""
        self._model = model
        self._chars_left = chars_left
        self._has_text = False
        self._usage: CompletionUsage | None = None

    @property
    def ended(self) -> bool:
        return bool(self.finish_reason) and (self._usage is not None or self._chars_left <= 0)

    def take(self, chunk: ChatCompletionChunk) -> str:
        """The visible text in it. Raises ModelFailed if it is no chunk of an answer."""
        if not isinstance(chunk, ChatCompletionChunk):
            raise ModelFailed(GARBLED)
        self._model = chunk.model or self._model
        self._usage = chunk.usage or self._usage
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        if not isinstance(choice, Choice):
            raise ModelFailed(GARBLED)
        self.finish_reason = choice.finish_reason or self.finish_reason
        return self._visible(choice.delta)

    def _visible(self, delta: ChoiceDelta | None) -> str:
        text = delta.content if delta and isinstance(delta.content, str) else ""
        thoughts = delta.model_extra or {} if delta else {}
        self.begun = self.begun or bool(text) or any(thoughts.get(field) for field in _REASONING_FIELDS)
        self._has_text = self._has_text or bool(text.strip())
        self._chars_left -= len(text)
        if self._chars_left <= 0:
            self.finish_reason = "length"
        return text

    def completion(self) -> Completion:
        """Raises ModelFailed if what was said is no answer."""
        if not self.finish_reason or self.finish_reason == "error":
            raise ModelFailed(BROKE_OFF if self.begun else GARBLED)
        finish_reason = _FINISH_REASONS.get(self.finish_reason, FinishReason.STOP)
        if not self._has_text:
            if finish_reason is FinishReason.CONTENT_FILTER:
                raise ModelFailed("withheld its answer", fault=Fault.REFUSED)
            raise ModelFailed("gave no text")
        return Completion(
            finish_reason=finish_reason,
            model=self._model,
            input_tokens=self._usage.prompt_tokens if self._usage else None,
            output_tokens=self._usage.completion_tokens if self._usage else None,
            cost_usd=_cost_usd(self._usage),
        )


def _asked_for_cost(host: str) -> dict[str, Any] | None:
    """OpenRouter states what an answer cost if asked to; others may refuse a request that asks."""
    return {"usage": {"include": True}} if host == OPENROUTER_HOST else None


def _cost_usd(usage: CompletionUsage | None) -> float | None:
    """As OpenRouter states it, and what serves its API; other servers have no such field."""
    cost = (usage.model_extra or {}).get("cost") if usage else None
    return float(cost) if isinstance(cost, int | float) and 0 <= cost < math.inf else None


def _message(message: PromptMessage) -> ChatCompletionMessageParam:
    if message.role is MessageRole.SYSTEM:
        return {"role": "system", "content": message.content}
    return {"role": "user", "content": message.content}

"""Any language model behind an API shaped like OpenAI's chat completions.

Nothing of the environment leaks into a request: the SDK fills gaps from OPENAI_* variables and adds
headers that describe the machine, so what it may send is named here, and proxies are not trusted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import httpx2
import openai
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDelta
from openai.types.completion_usage import CompletionUsage

from core.errors import ModelFailed
from core.types import Completion, FinishReason, MessageRole, Prompt, PromptMessage

_CONNECT_TIMEOUT_S: Final = 5.0
_TAIL_TIMEOUT_S: Final = 1.0
"""How long after its last word a model may take to say what it used."""

_REASONING_TOKENS: Final = 4_000
"""Allowed beside the answer's: the API counts both as output, the prompt only what is read."""
_CHARS_PER_TOKEN: Final = 5
"""More than any language has on average: an API that keeps its own limit is never cut by ours."""

_OPENAI_HOST: Final = "api.openai.com"
_OPENROUTER_HOST: Final = "openrouter.ai"
_APP_NAME: Final = "RelevanceSearch"

_SENT_HEADERS: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-title",
    }
)
_REASONING_FIELDS: Final = ("reasoning", "reasoning_content", "reasoning_details")
"""What OpenRouter, DeepSeek and vLLM call a model's thoughts."""

_TIMED_OUT: Final = "did not answer in time"
_BROKE_OFF: Final = "broke off in the middle of its answer"
_GARBLED: Final = "sent something that is not an answer"
_REASONS: Final = {
    400: "refused the request",
    401: "refused the API key",
    402: "is out of credit",
    403: "denied access",
    404: "does not know the model",
    408: _TIMED_OUT,
    413: "found the request too long",
    422: "refused the request",
    429: "is over its rate limit",
    504: _TIMED_OUT,
}
_REASONS_BY_CODE: Final = {
    "insufficient_quota": "is over its quota",
    "context_length_exceeded": "found the request too long",
    "model_not_found": "does not know the model",
}
_FINISH_REASONS: Final = {
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}


NO_KEY: Final = "none"
"""Sent to a server that asks for no key: a header that ends after "Bearer " would be no header."""


class OpenAIModel:
    """first_token_s, gap_s: how long the first token may take, and each after it; thoughts are tokens too."""

    def __init__(
        self, *, base_url: str, api_key: str, model: str, first_token_s: float = 15.0, gap_s: float = 10.0
    ) -> None:
        token = api_key or NO_KEY
        self._model = model
        self._first_token_s = first_token_s
        self._gap_s = gap_s
        self._host = urlsplit(base_url).hostname or ""
        self._client = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=token,
            # Empty, not None: None is looked up in the environment.
            admin_api_key="",
            organization="",
            project="",
            webhook_secret="",
            max_retries=0,
            # Given by name, this one wins over OPENAI_CUSTOM_HEADERS.
            default_headers={"Authorization": f"Bearer {token}"} | _app_headers(self._host),
            http_client=_http_client(first_token_s),
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
        """See LanguageModel. Nothing is tried twice here: what to do about a failure is the caller's."""
        reading = _Reading(self._model, prompt.max_output_tokens * _CHARS_PER_TOKEN)
        loop = asyncio.get_running_loop()
        until = loop.time() + self._first_token_s
        async with await self._request(prompt, until) as events:
            while not reading.ended and (chunk := await self._next(events, reading, until)):
                if text := reading.take(chunk):
                    yield text
                if reading.begun:
                    until = loop.time() + (_TAIL_TIMEOUT_S if reading.finish_reason else self._gap_s)
        yield reading.completion()

    async def _request(self, prompt: Prompt, until: float) -> openai.AsyncStream[ChatCompletionChunk]:
        max_tokens = prompt.max_output_tokens + _REASONING_TOKENS
        # OpenAI's reasoning models refuse the name that everybody else knows.
        is_openai = self._host == _OPENAI_HOST
        with _failures_named(begun=False):
            async with asyncio.timeout_at(until):
                return await self._completions.create(
                    model=self._model,
                    messages=[_message(message) for message in prompt.messages],
                    stream=True,
                    stream_options={"include_usage": True},
                    max_completion_tokens=max_tokens if is_openai else openai.omit,
                    max_tokens=openai.omit if is_openai else max_tokens,
                )

    async def _next(
        self, events: openai.AsyncStream[ChatCompletionChunk], reading: _Reading, until: float
    ) -> ChatCompletionChunk | None:
        """None once nothing more will come."""
        try:
            with _failures_named(begun=reading.begun):
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
            raise ModelFailed(_GARBLED)
        self._model = chunk.model or self._model
        self._usage = chunk.usage or self._usage
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        if not isinstance(choice, Choice):
            raise ModelFailed(_GARBLED)
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
            raise ModelFailed(_BROKE_OFF if self.begun else _GARBLED)
        finish_reason = _FINISH_REASONS.get(self.finish_reason, FinishReason.STOP)
        if not self._has_text:
            filtered = finish_reason is FinishReason.CONTENT_FILTER
            raise ModelFailed("withheld its answer" if filtered else "gave no text")
        return Completion(
            finish_reason=finish_reason,
            model=self._model,
            input_tokens=self._usage.prompt_tokens if self._usage else None,
            output_tokens=self._usage.completion_tokens if self._usage else None,
        )


def _app_headers(host: str) -> dict[str, str]:
    return {"X-Title": _APP_NAME} if host == _OPENROUTER_HOST else {}


def _message(message: PromptMessage) -> ChatCompletionMessageParam:
    if message.role is MessageRole.SYSTEM:
        return {"role": "system", "content": message.content}
    return {"role": "user", "content": message.content}


def _http_client(timeout_s: float) -> openai.DefaultAsyncHttpxClient:
    return openai.DefaultAsyncHttpxClient(
        trust_env=False,  # no proxy, no .netrc
        follow_redirects=False,  # a question goes where it was sent
        timeout=httpx2.Timeout(None, connect=min(_CONNECT_TIMEOUT_S, timeout_s)),
        event_hooks={"request": [_drop_other_headers]},
    )


async def _drop_other_headers(request: httpx2.Request) -> None:
    for name in set(request.headers) - _SENT_HEADERS:
        del request.headers[name]


@contextmanager
def _failures_named(*, begun: bool) -> Iterator[None]:
    """Raises ModelFailed for what the SDK raises; without its cause, which can quote keys and prompts."""
    try:
        yield
    except (TimeoutError, openai.APITimeoutError):
        reason = _TIMED_OUT
    except openai.APIConnectionError:
        reason = _BROKE_OFF if begun else "could not be reached"
    except openai.APIStatusError as error:
        reason = _reason(error.status_code, error.code)
    except openai.APIError as error:
        reason = _reason(_status(error.code), error.code)
    except ValueError:
        reason = _GARBLED
    else:
        return
    raise ModelFailed(reason)


def _reason(status: int, code: str | None) -> str:
    return _REASONS_BY_CODE.get(code or "") or _REASONS.get(status) or f"failed with status {status}"


def _status(code: str | None) -> int:
    """An error inside a stream has no status; OpenRouter gives it as the code."""
    return int(code) if code and code.isascii() and code.isdigit() else 500

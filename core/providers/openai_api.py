"""What all clients of APIs shaped like OpenAI's share: how they are made, and what their refusals mean.

Nothing of the environment leaks into a request: the SDK fills gaps from OPENAI_* variables and adds
headers that describe the machine, so what it may send is named here, and proxies are not trusted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

import httpx2
import openai

from core.errors import EmbeddingFailed, Fault, ModelFailed
from core.providers.search.refusals import retry_after_s

OPENAI_HOST: Final = "api.openai.com"
OPENROUTER_HOST: Final = "openrouter.ai"

NO_KEY: Final = "none"
"""Sent to a server that asks for no key: a header that ends after "Bearer " would be no header."""

GARBLED: Final = "sent something that is not an answer"
BROKE_OFF: Final = "broke off in the middle of its answer"
TIMED_OUT: Final = "did not answer in time"

_APP_NAME: Final = "RelevanceSearch"
_CONNECT_TIMEOUT_S: Final = 5.0

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
_REASONS: Final = {
    400: "refused the request",
    401: "refused the API key",
    402: "is out of credit",
    403: "denied access",
    404: "does not know the model",
    408: TIMED_OUT,
    413: "found the request too long",
    422: "refused the request",
    429: "is over its rate limit",
    504: TIMED_OUT,
}
_REASONS_BY_CODE: Final = {
    "insufficient_quota": "is over its quota",
    "context_length_exceeded": "found the request too long",
    "model_not_found": "does not know the model",
}
_FAULTS: Final = {
    401: Fault.KEY_REFUSED,
    402: Fault.OUT_OF_CREDIT,
    403: Fault.KEY_REFUSED,
    408: Fault.TIMED_OUT,
    429: Fault.RATE_LIMITED,
    502: Fault.OVERLOADED,
    503: Fault.OVERLOADED,
    504: Fault.OVERLOADED,
}


def open_client(*, base_url: str, api_key: str, host: str, timeout_s: float) -> openai.AsyncOpenAI:
    """host: of `base_url`. timeout_s: for a connection; for the rest the caller has its own."""
    token = api_key or NO_KEY
    title = {"X-Title": _APP_NAME} if host == OPENROUTER_HOST else {}
    return openai.AsyncOpenAI(
        base_url=base_url,
        api_key=token,
        # Empty, not None: None is looked up in the environment.
        admin_api_key="",
        organization="",
        project="",
        webhook_secret="",
        max_retries=0,
        # Given by name, this one wins over OPENAI_CUSTOM_HEADERS.
        default_headers={"Authorization": f"Bearer {token}"} | title,
        http_client=openai.DefaultAsyncHttpxClient(
            trust_env=False,  # no proxy, no .netrc
            follow_redirects=False,  # a question goes where it was sent
            timeout=httpx2.Timeout(None, connect=min(_CONNECT_TIMEOUT_S, timeout_s)),
            event_hooks={"request": [_drop_other_headers]},
        ),
    )


async def _drop_other_headers(request: httpx2.Request) -> None:
    for name in set(request.headers) - _SENT_HEADERS:
        del request.headers[name]


@contextmanager
def failures_named(failed: type[ModelFailed | EmbeddingFailed], *, begun: bool = False) -> Iterator[None]:
    """Raises `failed` for what the SDK raises; without its cause, which can quote keys and prompts.

    begun: part of the answer had come.
    """
    try:
        yield
    except (TimeoutError, openai.APITimeoutError):
        failure = failed(TIMED_OUT, fault=Fault.TIMED_OUT)
    except openai.APIConnectionError:
        if begun:  # and may have to be paid for
            failure = failed(BROKE_OFF, fault=Fault.FAILING)
        else:
            failure = failed("could not be reached", fault=Fault.UNREACHABLE)
    except openai.APIStatusError as error:
        failure = failed(
            _reason(error.status_code, error.code),
            fault=_fault(error.status_code, error.code),
            retry_after_s=retry_after_s(error.response.headers.get("retry-after", ""), now=datetime.now(UTC)),
        )
    except openai.APIError as error:
        status = _status(error.code)
        failure = failed(_reason(status, error.code), fault=_fault(status, error.code))
    except ValueError:
        failure = failed(GARBLED)
    else:
        return
    raise failure


def _reason(status: int, code: str | None) -> str:
    return _REASONS_BY_CODE.get(code or "") or _REASONS.get(status) or f"failed with status {status}"


def _fault(status: int, code: str | None) -> Fault:
    if code == "insufficient_quota":  # OpenAI says so with 429, which would pass
        return Fault.OUT_OF_CREDIT
    return _FAULTS.get(status) or (Fault.FAILING if status >= 500 else Fault.REFUSED)


def _status(code: str | None) -> int:
    """An error inside a stream has no status; OpenRouter gives it as the code."""
    return int(code) if code and code.isascii() and code.isdigit() else 500


__all__ = [
    "BROKE_OFF",
    "GARBLED",
    "NO_KEY",
    "OPENAI_HOST",
    "OPENROUTER_HOST",
    "TIMED_OUT",
    "failures_named",
    "open_client",
]

"""Slack's Web API: calls that either worked, were refused, or were not answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from adapters.slack.pacing import NotYet, Pacer

RATE_LIMITED: Final = frozenset({"ratelimited", "rate_limited"})
"""The HTTP layer's word, and the methods' own."""

_PERHAPS_DONE: Final = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout"})
"""Slack's own faults: what was asked for may have happened all the same."""

_NO_CONNECTION: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)

LITERALLY: Final[Mapping[str, Any]] = {"parse": "none", "link_names": False}
"""Without these Slack makes mentions and channels of plain words."""

QUIETLY: Final[Mapping[str, Any]] = {**LITERALLY, "unfurl_links": False, "unfurl_media": False}
"""For new messages: no previews of what they link to."""

_DEFAULT_RETRY_S: Final = 30.0


class CallRefused(Exception):
    """Slack said no, and nothing happened. code: as Slack writes it ("channel_not_found").

    retry_after_s: what Slack asks for with a 429.
    needed: the scope that is missing, where Slack names one.
    """

    def __init__(self, method: str, code: str, *, retry_after_s: float = 0.0, needed: str = "") -> None:
        super().__init__(f"{method}: {code}")
        self.code = code
        self.retry_after_s = retry_after_s
        self.needed = needed


class CallUnanswered(Exception):
    """Nobody knows whether it happened. was_sent: False where it surely did not: there was no connection."""

    def __init__(self, detail: str, *, was_sent: bool = True) -> None:
        super().__init__(detail)
        self.was_sent = was_sent


class SlackWeb:
    """`session` is the caller's to close; its time limit holds for each call."""

    def __init__(self, client: AsyncWebClient, session: aiohttp.ClientSession) -> None:
        self._client = client
        self._session = session

    async def call(self, method: str, **arguments: object) -> AsyncSlackResponse:
        """A method that writes. Raises CallRefused, CallUnanswered."""
        return await self._send(method, json=arguments)

    async def read(self, method: str, **arguments: object) -> AsyncSlackResponse:
        """A method that reads: those take no JSON. Raises CallRefused, CallUnanswered."""
        return await self._send(method, http_verb="GET", params=arguments)

    async def respond(self, response_url: str, text: str) -> None:
        """A word that only whoever pressed or typed sees. Raises CallUnanswered."""
        body = {"response_type": "ephemeral", "replace_original": False, "text": text}
        try:
            async with self._session.post(response_url, json=body) as response:
                response.raise_for_status()
        except (aiohttp.ClientError, TimeoutError, OSError) as failure:
            raise CallUnanswered(f"response_url: {type(failure).__name__}") from None

    async def _send(self, method: str, **request: Any) -> AsyncSlackResponse:
        try:
            return await self._client.api_call(method, **request)
        except SlackApiError as error:
            raise _fault(method, error) from None
        # ValueError: the SDK lets through what is no UTF-8.
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, SlackClientError) as failure:
            was_sent = not isinstance(failure, _NO_CONNECTION)
            raise CallUnanswered(f"{method}: {type(failure).__name__}", was_sent=was_sent) from None


def _fault(method: str, error: SlackApiError) -> CallRefused | CallUnanswered:
    """`error.response` is aiohttp's own where the body could not be read."""
    response = error.response
    data = response.data if isinstance(response, AsyncSlackResponse) else None
    code = data.get("error") if isinstance(data, Mapping) else None
    if not isinstance(code, str) or code in _PERHAPS_DONE:
        return CallUnanswered(f"{method}: {code or 'no readable response'}")
    needed = data.get("needed") if isinstance(data, Mapping) else ""
    return CallRefused(method, code, retry_after_s=_retry_after_s(response, code), needed=str(needed or ""))


def _retry_after_s(response: AsyncSlackResponse, code: str) -> float:
    if code not in RATE_LIMITED:
        return 0.0
    try:
        return float(response.headers.get("Retry-After", _DEFAULT_RETRY_S))
    except ValueError:
        return _DEFAULT_RETRY_S


class PacedCalls:
    """One answer's way to Slack: each call in its turn among all answers'. key: the answer's."""

    def __init__(self, web: SlackWeb, pacer: Pacer, *, key: str) -> None:
        self._web = web
        self._pacer = pacer
        self._key = key

    async def call(self, method: str, *, urgent: bool = False, **arguments: Any) -> AsyncSlackResponse:
        """Raises NotYet where there is no turn now: nothing was called, or Slack refused it for its rate.

        urgent: goes before what is not. Raises CallRefused, CallUnanswered.
        """
        lane = f"{method}:{arguments['channel']}" if method == "chat.postMessage" else method
        self._pacer.take(lane, self._key, urgent=urgent)
        try:
            return await self._web.call(method, **arguments)
        except CallRefused as refusal:
            if refusal.code not in RATE_LIMITED:
                raise
            self._pacer.hold(lane, refusal.retry_after_s)
            raise NotYet(refusal.retry_after_s) from None

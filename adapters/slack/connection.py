"""The connection to Slack: who we are there, and a socket that is never deaf for long."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import structlog
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.asks import Identity
from adapters.slack.web import CallRefused, CallUnanswered, SlackWeb
from core.errors import PlatformFailed
from core.ports import Clock

log = structlog.get_logger(__name__)

SCOPES: Final = ("app_mentions:read", "chat:write", "commands", "im:history")
"""Without one of these the bot is deaf or mute somewhere."""

_BAD_BOT_TOKEN: Final = frozenset(
    {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "no_permission"}
)
_BAD_APP_TOKEN: Final = _BAD_BOT_TOKEN | {"not_allowed_token_type", "missing_scope", "access_denied"}
_WHERE: Final = "https://api.slack.com/apps"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the connection waits, in seconds.

    first_retry_s, max_retry_s: between two attempts, doubled each time.
    ping_s: between two pings; the SDK takes four lost ones for a dead socket.
    watch_s: between two looks at the socket. deaf_s: how long it may be dead before it is made anew.
    connect_s: for the opening of one socket.
    """

    first_retry_s: float = 1.0
    max_retry_s: float = 60.0
    ping_s: float = 10.0
    watch_s: float = 5.0
    deaf_s: float = 60.0
    connect_s: float = 30.0


async def identify(web: SlackWeb, clock: Clock, patience: Patience) -> Identity:
    """Raises PlatformFailed where the bot token is wrong or lacks a scope; network trouble is waited out."""
    retry_s = patience.first_retry_s
    while True:
        try:
            response = await web.call("auth.test")
        except CallRefused as refusal:
            if refusal.code in _BAD_BOT_TOKEN:
                raise PlatformFailed(
                    f"Slack refused SLACK_BOT_TOKEN ({refusal.code}). Copy the Bot User OAuth Token, which "
                    f"starts with xoxb-, from OAuth & Permissions of your app at {_WHERE}."
                ) from None
            log.warning("slack.unreachable", detail=str(refusal))
        except CallUnanswered as failure:
            log.warning("slack.unreachable", detail=str(failure))
        else:
            _check_scopes(response.headers.get("x-oauth-scopes"))
            return Identity(
                team=response["team_id"],
                user=response["user_id"],
                bot=str(response.get("bot_id") or ""),
                enterprise=str(response.get("enterprise_id") or ""),
                name=str(response.get("user") or ""),
            )
        await clock.sleep(retry_s)
        retry_s = min(2 * retry_s, patience.max_retry_s)


def bolt(me: Identity, client: AsyncWebClient) -> AsyncApp:
    """An app that knows who it is: Bolt would ask Slack before it acknowledges the first event."""
    known = AuthorizeResult(
        enterprise_id=me.enterprise or None,
        team_id=me.team,
        bot_user_id=me.user,
        bot_id=me.bot or None,
        bot_token=client.token,
    )

    async def authorize() -> AuthorizeResult:
        return known

    # Bolt finds SLACK_BOT_TOKEN in the environment and warns that it makes no use of it.
    logger = logging.getLogger("slack_bolt.errors")
    logger.setLevel(logging.ERROR)
    app = AsyncApp(authorize=authorize, request_verification_enabled=False, logger=logger)
    app.client.base_url, app.client.session = client.base_url, client.session
    return app


def _check_scopes(granted: str | None) -> None:
    """granted: as Slack's header lists them; None where a stand-in for Slack has no such header."""
    if granted is None:
        return
    missing = [scope for scope in SCOPES if scope not in {word.strip() for word in granted.split(",")}]
    if missing:
        raise PlatformFailed(
            f"The Slack app lacks the scope {' and '.join(missing)}. Paste manifest.yml into App Manifest of "
            f"your app at {_WHERE}, then press Reinstall to Workspace under Install App."
        )


class Connection:
    """is_ever_open: whether it has been open once; from then on nothing but network trouble is assumed."""

    def __init__(
        self, app: AsyncApp, web: SlackWeb, clock: Clock, patience: Patience, app_token: str
    ) -> None:
        self._app = app
        self._web = web
        self._clock = clock
        self._patience = patience
        self._app_token = app_token
        self._was_open = False

    async def hold(self) -> None:
        """Until cancelled. Raises PlatformFailed where the app token is wrong from the start."""
        retry_s = self._patience.first_retry_s
        while True:
            try:
                async with self._socket() as handler:
                    self._was_open = True
                    retry_s = self._patience.first_retry_s
                    log.info("slack.connected")
                    await self._until_deaf(handler)
            except (CallRefused, CallUnanswered, TimeoutError) as failure:
                log.warning("slack.disconnected", detail=str(failure) or type(failure).__name__)
                await self._clock.sleep(retry_s)
                retry_s = min(2 * retry_s, self._patience.max_retry_s)

    @asynccontextmanager
    async def _socket(self) -> AsyncIterator[AsyncSocketModeHandler]:
        url = await self._url()
        handler = AsyncSocketModeHandler(self._app, self._app_token, ping_interval=self._patience.ping_s)
        # The client would ask for it itself, and retry for ever what Slack refuses.
        handler.client.wss_uri = url
        try:
            async with asyncio.timeout(self._patience.connect_s):
                await handler.connect_async()  # type: ignore[no-untyped-call] # Bolt leaves it bare
            yield handler
        finally:
            await handler.close_async()  # type: ignore[no-untyped-call] # Bolt leaves it bare

    async def _url(self) -> str:
        try:
            response = await self._web.call("apps.connections.open", token=self._app_token)
        except CallRefused as refusal:
            if refusal.code in _BAD_APP_TOKEN and not self._was_open:
                raise PlatformFailed(
                    f"Slack refused SLACK_APP_TOKEN ({refusal.code}). Make an App-Level Token with the scope "
                    "connections:write, which starts with xapp-, under Basic Information of your app at "
                    f"{_WHERE}."
                ) from None
            raise
        return str(response["url"])

    async def _until_deaf(self, handler: AsyncSocketModeHandler) -> None:
        """The SDK mends most breaks itself; where it has given up, this returns."""
        deaf_s = 0.0
        while deaf_s < self._patience.deaf_s:
            await asyncio.sleep(self._patience.watch_s)
            connected = await handler.client.is_connected()
            deaf_s = 0.0 if connected else deaf_s + self._patience.watch_s
        log.warning("slack.deaf", deaf_s=deaf_s)

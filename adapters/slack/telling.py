"""One sentence to whoever asked or pressed, that nobody else sees."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from adapters.slack.asks import Ask
from adapters.slack.web import QUIETLY, CallRefused, CallUnanswered, SlackWeb

log = structlog.get_logger(__name__)

Tell = Callable[[str], Awaitable[None]]
"""Never fails; says nothing where there is nothing to say."""


def by_response(web: SlackWeb, response_url: str) -> Tell:
    """Through the payload's own URL, which works where the bot is no member."""

    async def tell(text: str) -> None:
        if not text:
            return
        try:
            await web.respond(response_url, text)
        except CallUnanswered as failure:
            log.info("slack.hint_lost", detail=str(failure))

    return tell


def in_channel(web: SlackWeb, ask: Ask) -> Tell:
    """In a direct message there is nobody else to see it."""
    where = {"thread_ts": ask.thread_ts} if ask.thread_ts and (ask.is_reply or ask.is_direct) else {}
    method = "chat.postMessage" if ask.is_direct else "chat.postEphemeral"
    if not ask.is_direct:
        where["user"] = ask.user

    async def tell(text: str) -> None:
        if not text:
            return
        try:
            await web.call(method, channel=ask.channel, text=text, **where, **QUIETLY)
        except (CallRefused, CallUnanswered) as failure:
            log.info("slack.hint_lost", detail=str(failure))

    return tell


__all__ = ["Tell", "by_response", "in_channel"]

"""Messages of replies that nobody works on any more, though they look as if somebody did.

A process that was killed between a post and Slack's word that it stands has noted nothing of it. The
buttons of such a message name its answer: by them it is found in the thread, where the scopes allow to
read that, or when somebody presses one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog

from adapters import wording
from adapters.slack.asks import Ask, Payload
from adapters.slack.buttons import SEARCH_AGAIN, STOP, ending_blocks
from adapters.slack.render import Block
from adapters.slack.threads import MAX_MESSAGES
from adapters.slack.web import LITERALLY, CallRefused, CallUnanswered
from adapters.slack.workspace import Workspace
from core.types import NoticeKind

log = structlog.get_logger(__name__)

_MAX_TEXT_CHARS: Final = 4_000
_SAYING_NOTHING: Final = frozenset({"section", "actions", "task_card", "plan"})
"""Of the blocks of a reply, those that stand there before its first word."""


async def delete_orphans(workspace: Workspace, ask: Ask, key: str, *, known: Collection[str]) -> None:
    """Takes away what stands in the thread for this answer beside what is known of it. Never fails."""
    try:
        response = await workspace.web.read(
            "conversations.replies",
            channel=ask.channel,
            ts=ask.thread_ts,
            oldest=ask.ts,
            limit=MAX_MESSAGES,
        )
    except (CallRefused, CallUnanswered) as failure:
        log.info("slack.thread_unread", detail=str(failure))
        return
    me = workspace.me
    for message in response.get("messages") or []:
        is_mine = message.get("user") == me.user or (me.bot and message.get("bot_id") == me.bot)
        if is_mine and message["ts"] not in known and key in _buttons(message).values():
            await _delete(workspace, ask.channel, str(message["ts"]))


async def tidy(workspace: Workspace, key: str, pressed: Payload) -> None:
    """Marks as interrupted what is left of an answer, or takes it away if it says nothing. Never fails.

    pressed: the message as Slack sends it with a press, with its channel as an id.
    """
    channel, ts, blocks = str(pressed["channel"]), str(pressed["ts"]), pressed.get("blocks") or []
    if SEARCH_AGAIN in _buttons(pressed):
        return
    with suppress(CallRefused, CallUnanswered):  # it is no stream, or stopped with its process
        await workspace.web.call("chat.stopStream", channel=channel, ts=ts)
    if all(block["type"] in _SAYING_NOTHING for block in blocks):
        await _delete(workspace, channel, ts)
        return
    said = [block for block in blocks if block["type"] != "actions"]
    try:
        await workspace.web.call(
            "chat.update",
            channel=channel,
            ts=ts,
            text=str(pressed.get("text") or wording.NOTICES[NoticeKind.INTERRUPTED])[:_MAX_TEXT_CHARS],
            blocks=[*said, *_marked(key, native_feedback=workspace.abilities.native_feedback)],
            **LITERALLY,
        )
    except (CallRefused, CallUnanswered) as failure:
        log.info("slack.orphan_not_marked", detail=str(failure))


async def _delete(workspace: Workspace, channel: str, ts: str) -> None:
    try:
        await workspace.web.call("chat.delete", channel=channel, ts=ts)
    except (CallRefused, CallUnanswered) as failure:
        log.info("slack.orphan_not_deleted", detail=str(failure))


def _marked(key: str, *, native_feedback: bool) -> Sequence[Block]:
    notice = {"type": "mrkdwn", "text": wording.NOTICES[NoticeKind.INTERRUPTED]}
    return [
        {"type": "context", "elements": [notice]},
        *ending_blocks(key, native_feedback=native_feedback),
    ]


def _buttons(message: Payload) -> dict[str, str]:
    """Values by action id."""
    return {
        str(element["action_id"]): str(element.get("value"))
        for element in _elements(message)
        if element.get("action_id") in {STOP, SEARCH_AGAIN}
    }


def _elements(message: Payload) -> Iterator[dict[str, Any]]:
    for block in message.get("blocks") or []:
        if block.get("type") == "actions":
            yield from block.get("elements") or []


__all__ = ["delete_orphans", "tidy"]

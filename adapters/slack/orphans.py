"""Messages of replies that nobody works on any more, though they look as if somebody did.

Whoever was killed between a post and Slack's word that it stands has noted nothing of it, and whoever never
got that word has not either. Such a message names its answer, in its buttons, its tasks or its metadata: by
that it is found in the thread, where the scopes allow to read it, or when somebody presses a button.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import structlog

from adapters import wording
from adapters.slack.asks import Payload
from adapters.slack.buttons import SEARCH_AGAIN, STOP, ending_blocks
from adapters.slack.render import Block
from adapters.slack.stream import Recipient, is_task_of
from adapters.slack.web import LITERALLY, CallRefused, CallUnanswered
from adapters.slack.workspace import Workspace
from core.types import NoticeKind

log = structlog.get_logger(__name__)

_MAX_TEXT_CHARS: Final = 4_000
_MAX_READ: Final = 100
"""Messages of a thread after its question, among which those of the answer are looked for."""
_POSTED: Final = "relevancesearch_reply"
_SAYING_NOTHING: Final = frozenset({"section", "actions", "task_card", "plan"})
"""Of the blocks of a reply, those that stand there before its first word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A message of an answer, found in its thread. is_posted: it was posted, and is no stream."""

    ts: str
    is_posted: bool


def metadata(key: str) -> dict[str, Any]:
    """For a message to post: by this it is found also where it has no buttons. key: of the answer."""
    return {"event_type": _POSTED, "event_payload": {"key": key}}


async def standing(
    workspace: Workspace, recipient: Recipient, key: str, *, known: Collection[str]
) -> list[Standing]:
    """What stands in the thread for this answer beside what is known of it, oldest first.

    Raises CallRefused, CallUnanswered.
    """
    response = await workspace.web.read(
        "conversations.replies",
        channel=recipient.channel,
        ts=recipient.thread_ts,
        oldest=recipient.asked_ts,
        limit=_MAX_READ,
        include_all_metadata="true",
    )
    me = workspace.me
    return [
        Standing(ts=str(message["ts"]), is_posted=_posted_key(message) == key)
        for message in response.get("messages") or []
        if (message.get("user") == me.user or (me.bot and message.get("bot_id") == me.bot))
        and message["ts"] not in known
        and _is_of(message, key)
    ]


async def delete_orphans(
    workspace: Workspace, recipient: Recipient, key: str, *, known: Collection[str]
) -> None:
    """Takes away what stands in the thread for this answer beside what is known of it. Never fails."""
    try:
        found = await standing(workspace, recipient, key, known=known)
    except (CallRefused, CallUnanswered) as failure:
        log.info("slack.thread_unread", detail=str(failure))
        return
    for orphan in found:
        await _delete(workspace, recipient.channel, orphan.ts)


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


def _is_of(message: Payload, key: str) -> bool:
    tasks = (str(block.get("task_id")) for block in message.get("blocks") or [])
    return (
        _posted_key(message) == key
        or key in _buttons(message).values()
        or any(is_task_of(key, task) for task in tasks)
    )


def _posted_key(message: Payload) -> str:
    """Empty where it is no message of an answer, or a stream, or Slack keeps no metadata."""
    kept = message.get("metadata") or {}
    return str(kept["event_payload"].get("key")) if kept.get("event_type") == _POSTED else ""


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


__all__ = ["Standing", "delete_orphans", "metadata", "standing", "tidy"]

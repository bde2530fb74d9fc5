"""What was said before in a thread: the bot's own turns, and the message it is asked about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from adapters import wording
from adapters.slack.asks import Ask, Identity, Payload, plain_text
from adapters.slack.web import CallRefused, CallUnanswered, SlackWeb
from core.asking.conversations import MAX_ANSWER_CHARS, MAX_TURNS, Conversations
from core.types import Turn

log = structlog.get_logger(__name__)

MAX_MESSAGES: Final = 15
"""Of a thread, when it has to be read again after a restart."""

_ASKED: Final = wording.asked_by("", "")
"""Between the asker and the question, in the message that stands for a command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """quoted: the message at its head, where that is somebody else's.

    is_unread: it could not be read, and the question may be about it.
    """

    turns: tuple[Turn, ...] = ()
    quoted: str = ""
    is_unread: bool = False


async def read_thread(web: SlackWeb, conversations: Conversations, ask: Ask, me: Identity) -> Thread:
    """From memory; else, for a question inside a thread, from Slack, where the scopes for it were given."""
    turns = conversations.turns(ask.thread_key)
    if turns or not ask.is_reply:
        return Thread(turns=turns)
    try:
        response = await web.read(
            "conversations.replies", channel=ask.channel, ts=ask.thread_ts, limit=MAX_MESSAGES
        )
    except (CallRefused, CallUnanswered) as failure:
        log.info("slack.thread_unread", detail=str(failure))
        return Thread(is_unread=not ask.is_direct)
    messages = [message for message in response.get("messages") or [] if message.get("ts") != ask.ts]
    return _Reading(me, is_direct=ask.is_direct).thread(messages)


@dataclass(frozen=True, slots=True)
class _Reading:
    """is_direct: whatever a person writes there is for the bot."""

    me: Identity
    is_direct: bool

    def thread(self, messages: Sequence[Payload]) -> Thread:
        head = messages[0] if messages else {}
        if head and not self._is_mine(head) and not self._question(head):
            return Thread(turns=self._turns(messages[1:]), quoted=plain_text(_text(head)))
        return Thread(turns=self._turns(messages))

    def _turns(self, messages: Sequence[Payload]) -> tuple[Turn, ...]:
        """Each question to the bot with what the bot wrote after it; nobody else's words."""
        turns: list[Turn] = []
        question = ""
        for message in messages:
            if asked := self._question(message):
                question = asked
            elif question and self._is_mine(message):
                answer = plain_text(_text(message))[:MAX_ANSWER_CHARS]
                turns.append(Turn(question=question, answer=answer))
                question = ""
        return tuple(turns[-MAX_TURNS:])

    def _question(self, message: Payload) -> str:
        """Empty if it is none to the bot."""
        text = _text(message)
        if self._is_mine(message):
            _, asked, question = text.partition(_ASKED)
            return plain_text(question) if asked and text.startswith("<@") else ""
        if self.is_direct or self.me.mention in text:
            return plain_text(text.replace(self.me.mention, " "))
        return ""

    def _is_mine(self, message: Payload) -> bool:
        is_bot = bool(self.me.bot) and message.get("bot_id") == self.me.bot
        return is_bot or message.get("user") == self.me.user


def _text(message: Payload) -> str:
    return str(message.get("text") or "")

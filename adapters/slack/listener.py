"""What Slack sends, acknowledged before any work, each thing taken once.

A question is begun in the journal before Slack has its acknowledgement, and its names are seen after that.
So each question has one answer, whenever this process is killed:

- Before the record: Slack has no acknowledgement and nothing was seen, so it is delivered again, and taken.
- After the record: it is found in the journal, by the next process or another one, and answered there. What
  is delivered again meanwhile finds the record, and what comes later finds the names: whoever takes the
  record over says that they were seen, too. Were they seen before the record, a kill between the two would
  leave a question that is refused wherever it is delivered.
- A name that was seen after all, the same message under another event or a late delivery of one that was
  answered, ends the record just begun.

Slack delivers commands and presses once only: there the record alone stands between the acknowledgement and
the answer.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_bolt.response import BoltResponse

from adapters import wording
from adapters.slack import buttons
from adapters.slack.asks import (
    Ask,
    Payload,
    from_command,
    from_message,
    from_shortcut,
    presser,
    running_key,
)
from adapters.slack.desk import Desk
from adapters.slack.taken import PLATFORM, Taken
from adapters.slack.telling import Tell, by_response, in_channel
from adapters.slack.web import CallRefused, CallUnanswered
from adapters.slack.workspace import Workspace
from core.asking.commands import CommandKind, parse_command
from core.asking.seen import Seen

log = structlog.get_logger(__name__)

ANSWER_THIS: Final = "answer_this"
"""The shortcut's callback id, as the manifest has it."""

_ANYTHING: Final = re.compile(r"[\s\S]*")
_QUESTIONS: Final = frozenset({"app_mention", "message"})

Next = Callable[[], Awaitable[BoltResponse]]


class Listener:
    """closed: once set, nothing new is taken."""

    def __init__(self, desk: Desk, workspace: Workspace, *, seen: Seen, closed: asyncio.Event) -> None:
        self._desk = desk
        self._workspace = workspace
        self._me = workspace.me
        self._web = workspace.web
        self._closed = closed
        self._seen = seen

    def listen(self, app: AsyncApp) -> None:
        """The last of each kind takes what nobody else does: Slack repeats what is not acknowledged."""
        app.use(self._questions_first)
        app.error(self._failed)
        app.event(_ANYTHING)(self._event)
        app.command(_ANYTHING)(self._command)
        app.message_shortcut(ANSWER_THIS)(self._shortcut)
        app.action(buttons.STOP)(self._stop)
        app.action(buttons.SEARCH_AGAIN)(self._again)
        app.action(re.compile(rf"{buttons.FEEDBACK}(?::\w+)?\Z"))(self._feedback)
        for others in (app.action, app.shortcut, app.view, app.options):
            others(_ANYTHING)(self._other)

    async def _questions_first(self, body: Payload, next_: Next) -> BoltResponse:
        """Bolt acknowledges an event before its listener runs, so a question is taken here.

        Not acknowledged when closed: Slack delivers it again, at once and after one and five minutes.
        """
        event = body.get("event") or {}
        if event.get("type") not in _QUESTIONS:
            return await next_()
        if self._closed.is_set():
            return BoltResponse(status=503)
        ask = from_message(body, self._me)
        if ask is None or not self._is_question(ask):
            return await next_()
        tell = in_channel(self._web, ask)
        await self._take(Taken(key=ask.key, ask=ask), tell, f"slack:{body.get('event_id')}", ask.key)
        return BoltResponse(status=200)

    def _is_question(self, ask: Ask) -> bool:
        return parse_command(ask.text).kind is CommandKind.ASK and self._desk.may_ask(ask)

    async def _instead(self, ask: Ask) -> str:
        """What is said in the place of an answer, where there is to be none."""
        match parse_command(ask.text).kind:
            case CommandKind.HELP:
                return wording.HELP
            case CommandKind.LIMITS:
                return await self._desk.limits(ask)
            case CommandKind.ASK:
                return wording.NOT_ALLOWED_HERE

    async def _take(self, taken: Taken, tell: Tell, *names: str) -> None:
        """The record before the names: see above."""
        record = await self._desk.begin(taken)
        if record is None:
            return
        if await self._seen.first(*names):
            self._desk.take(taken, record, tell)
        else:
            await self._desk.forget(record)

    async def _failed(self, error: Exception) -> None:
        log.error("slack.listener_failed", exc_info=error)

    async def _other(self, ack: AsyncAck) -> None:
        await ack()

    async def _event(self, body: Payload) -> None:
        event = body["event"]
        if event["type"] in _QUESTIONS:
            await self._message(body)
        elif event["type"] == "agent_session_stopped":
            await self._desk.stop_thread(event["channel"], str(event.get("thread_ts") or ""), event["user"])
        elif event["type"] == "app_home_opened" and event.get("tab") == "messages":
            await self._offer_prompts(event["channel"])
        elif event["type"] == "assistant_thread_started":
            thread = event["assistant_thread"]
            await self._offer_prompts(thread["channel_id"], thread_ts=thread["thread_ts"])

    async def _message(self, body: Payload) -> None:
        event = body["event"]
        if event.get("subtype") == "message_deleted":
            gone = str(event["deleted_ts"])
            await self._seen.first(running_key(event["channel"], gone))
            self._desk.withdraw(event["channel"], gone)
            return
        ask = from_message(body, self._me)
        if ask is not None and await self._seen.first(f"slack:{body.get('event_id')}", ask.key):
            await in_channel(self._web, ask)(await self._instead(ask))

    async def _command(self, ack: AsyncAck, body: Payload) -> None:
        """The acknowledgement is a word to the asker; the channel gets a message to answer under."""
        asked = from_command(body, self._me, parent_ts="")
        if not asked.text:
            await ack(wording.HELP)
        elif parse_command(asked.text).kind is not CommandKind.ASK:
            await ack(await self._instead(asked))
        elif self._closed.is_set():
            await ack(wording.RESTARTING)
        elif not self._desk.may_ask(asked):
            await ack(wording.NOT_ALLOWED_HERE)
        else:
            name = f"{PLATFORM}:{body.get('trigger_id')}"
            await self._take(Taken(key=name, ask=asked), self._teller(body), name)
            await ack(wording.ACCEPTED)

    async def _shortcut(self, ack: AsyncAck, body: Payload) -> None:
        tell = self._teller(body)
        ask = from_shortcut(body, self._me)
        said = ""
        if self._closed.is_set():
            said = wording.RESTARTING
        elif not self._desk.may_ask(ask):
            said = wording.NOT_ALLOWED_HERE
        else:
            await self._take(Taken(key=ask.key, ask=ask), tell, f"slack:{body.get('trigger_id')}", ask.key)
        await ack()
        await tell(said)

    async def _stop(self, ack: AsyncAck, body: Payload) -> None:
        await ack()
        pressed = {**body["message"], "channel": body["channel"]["id"]}
        said = await self._desk.stop(body["actions"][0]["value"], presser(body, self._me), pressed)
        await self._teller(body)(said)

    async def _again(self, ack: AsyncAck, body: Payload) -> None:
        key = body["actions"][0]["value"]
        said = ""
        if self._closed.is_set():
            said = wording.RESTARTING
        elif await self._seen.first(f"slack:{body.get('trigger_id')}"):
            said = await self._desk.again(key, presser(body, self._me), self._teller(body))
        await ack()
        await self._teller(body)(said)

    async def _feedback(self, ack: AsyncAck, body: Payload) -> None:
        await ack()
        verdict = body["actions"][0].get("value")
        if verdict in (buttons.GOOD, buttons.BAD) and await self._seen.first(
            f"slack:{body.get('trigger_id')}"
        ):
            await self._teller(body)(self._desk.hear(verdict))

    async def _offer_prompts(self, channel: str, **thread: str) -> None:
        prompts = [{"title": title, "message": message} for title, message in wording.PROMPTS]
        try:
            await self._web.call(
                "assistant.threads.setSuggestedPrompts", channel_id=channel, prompts=prompts, **thread
            )
        except (CallRefused, CallUnanswered) as failure:
            # A nicety: the manifest offers the same ones.
            log.debug("slack.prompts_refused", detail=str(failure))

    def _teller(self, body: Payload) -> Tell:
        return by_response(self._web, str(body.get("response_url")))

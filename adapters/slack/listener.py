"""What Slack sends, acknowledged before any work, each thing taken once."""

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
from adapters.slack.desk import Desk, Tell
from adapters.slack.pacing import NotYet
from adapters.slack.render import parent_text
from adapters.slack.web import QUIETLY, CallRefused, CallUnanswered, PacedCalls
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

    def __init__(self, desk: Desk, workspace: Workspace, *, closed: asyncio.Event) -> None:
        self._desk = desk
        self._workspace = workspace
        self._me = workspace.me
        self._web = workspace.web
        self._clock = workspace.clock
        self._closed = closed
        self._seen = Seen(workspace.clock)

    def listen(self, app: AsyncApp) -> None:
        """The last of each kind takes what nobody else does: Slack repeats what is not acknowledged."""
        app.use(self._leave_when_closed)
        app.error(self._failed)
        app.event(_ANYTHING)(self._event)
        app.command(_ANYTHING)(self._command)
        app.message_shortcut(ANSWER_THIS)(self._shortcut)
        app.action(buttons.STOP)(self._stop)
        app.action(buttons.SEARCH_AGAIN)(self._again)
        app.action(re.compile(rf"{buttons.FEEDBACK}(?::\w+)?\Z"))(self._feedback)
        for others in (app.action, app.shortcut, app.view, app.options):
            others(_ANYTHING)(self._other)

    async def _leave_when_closed(self, body: Payload, next_: Next) -> BoltResponse:
        """Not acknowledged, so Slack delivers it again, at once and after one and five minutes."""
        if self._closed.is_set() and (body.get("event") or {}).get("type") in _QUESTIONS:
            return BoltResponse(status=503)
        return await next_()

    async def _failed(self, error: Exception) -> None:
        log.error("slack.listener_failed", exc_info=error)

    async def _other(self, ack: AsyncAck) -> None:
        await ack()

    async def _event(self, body: Payload) -> None:
        event = body["event"]
        if event["type"] in _QUESTIONS:
            await self._message(body)
        elif event["type"] == "agent_session_stopped":
            self._desk.stop_thread(event["channel"], str(event.get("thread_ts") or ""), event["user"])
        elif event["type"] == "app_home_opened" and event.get("tab") == "messages":
            await self._offer_prompts(event["channel"])
        elif event["type"] == "assistant_thread_started":
            thread = event["assistant_thread"]
            await self._offer_prompts(thread["channel_id"], thread_ts=thread["thread_ts"])

    async def _message(self, body: Payload) -> None:
        event = body["event"]
        if event.get("subtype") == "message_deleted":
            gone = str(event["deleted_ts"])
            self._seen.first(running_key(event["channel"], gone))
            self._desk.withdraw(event["channel"], gone)
            return
        ask = from_message(body, self._me)
        if ask is None or not self._seen.first(f"slack:{body.get('event_id')}", ask.key):
            return

        async def tell(text: str) -> None:
            await self._tell_in_channel(ask, text)

        if parse_command(ask.text).kind is CommandKind.HELP:
            await tell(wording.HELP)
        elif not self._desk.may_ask(ask):
            await tell(wording.NOT_ALLOWED_HERE)
        else:
            self._desk.take(ask, tell)

    async def _command(self, ack: AsyncAck, body: Payload) -> None:
        """The acknowledgement is a word to the asker; the channel gets a message to answer under."""
        asked = from_command(body, self._me, parent_ts="")
        if parse_command(asked.text).kind is CommandKind.HELP or not asked.text:
            await ack(wording.HELP)
        elif self._closed.is_set():
            await ack(wording.RESTARTING)
        elif not self._desk.may_ask(asked):
            await ack(wording.NOT_ALLOWED_HERE)
        else:
            await ack(wording.ACCEPTED)
            if self._seen.first(f"slack:{body.get('trigger_id')}"):
                await self._open_thread(body, asked)

    async def _open_thread(self, body: Payload, asked: Ask) -> None:
        tell = self._teller(body)
        try:
            parent_ts = await self._post_parent(asked)
        except CallRefused as refusal:
            log.info("slack.command_unanswerable", code=refusal.code)
            await tell(self._desk.hint(refusal.code))
        except CallUnanswered as failure:
            log.warning("slack.command_unanswerable", detail=str(failure))
            await tell(wording.TRY_AGAIN)
        else:
            self._desk.take(from_command(body, self._me, parent_ts=parent_ts), tell)

    async def _post_parent(self, asked: Ask) -> str:
        """Raises CallRefused, CallUnanswered."""
        calls = PacedCalls(self._web, self._workspace.pacer, key=f"{asked.asker}:{self._clock.monotonic()}")
        while True:
            try:
                response = await calls.call(
                    "chat.postMessage",
                    channel=asked.channel,
                    text=parent_text(asked.user, asked.text),
                    **QUIETLY,
                )
                return str(response["ts"])
            except NotYet as wait:
                await self._clock.sleep(wait.after_s)

    async def _shortcut(self, ack: AsyncAck, body: Payload) -> None:
        await ack()
        tell = self._teller(body)
        ask = from_shortcut(body, self._me)
        if self._closed.is_set():
            await tell(wording.RESTARTING)
        elif not self._desk.may_ask(ask):
            await tell(wording.NOT_ALLOWED_HERE)
        elif self._seen.first(f"slack:{body.get('trigger_id')}", ask.key):
            self._desk.take(ask, tell)

    async def _stop(self, ack: AsyncAck, body: Payload) -> None:
        await ack()
        key = body["actions"][0]["value"]
        await self._say(body, self._desk.stop(key, presser(body, self._me)))

    async def _again(self, ack: AsyncAck, body: Payload) -> None:
        await ack()
        if self._closed.is_set():
            await self._say(body, wording.RESTARTING)
        elif self._seen.first(f"slack:{body.get('trigger_id')}"):
            key = body["actions"][0]["value"]
            said = self._desk.again(key, presser(body, self._me), self._teller(body))
            await self._say(body, said)

    async def _feedback(self, ack: AsyncAck, body: Payload) -> None:
        await ack()
        verdict = body["actions"][0].get("value")
        if verdict in (buttons.GOOD, buttons.BAD) and self._seen.first(f"slack:{body.get('trigger_id')}"):
            await self._say(body, self._desk.hear(verdict))

    async def _offer_prompts(self, channel: str, **thread: str) -> None:
        prompts = [{"title": title, "message": message} for title, message in wording.PROMPTS]
        try:
            await self._web.call(
                "assistant.threads.setSuggestedPrompts", channel_id=channel, prompts=prompts, **thread
            )
        except (CallRefused, CallUnanswered) as failure:
            # A nicety: the manifest offers the same ones.
            log.debug("slack.prompts_refused", detail=str(failure))

    async def _say(self, body: Payload, text: str) -> None:
        if text:
            await self._teller(body)(text)

    def _teller(self, body: Payload) -> Tell:
        """Through the payload's own URL, which works where the bot is no member."""

        async def tell(text: str) -> None:
            try:
                await self._web.respond(str(body.get("response_url")), text)
            except CallUnanswered as failure:
                log.info("slack.hint_lost", detail=str(failure))

        return tell

    async def _tell_in_channel(self, ask: Ask, text: str) -> None:
        """In a direct message there is nobody else to see it."""
        where = {"thread_ts": ask.thread_ts} if ask.is_reply or ask.is_direct else {}
        method = "chat.postMessage" if ask.is_direct else "chat.postEphemeral"
        if not ask.is_direct:
            where["user"] = ask.user
        try:
            await self._web.call(method, channel=ask.channel, text=text, **where, **QUIETLY)
        except (CallRefused, CallUnanswered) as failure:
            log.info("slack.hint_lost", detail=str(failure))

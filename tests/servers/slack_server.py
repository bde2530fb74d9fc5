"""Slack on loopback: the Web API and Socket Mode, as strict as the real one where a bot can go wrong.

People are in it too: they mention the bot, write to it, press its buttons, delete what they wrote.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from aiohttp import WSMsgType, web

BOT: Final = "UBOT"
TEAM: Final = "T1"
BOT_TOKEN: Final = "xoxb-test"
APP_TOKEN: Final = "xapp-test"
LEAST_SCOPES: Final = "app_mentions:read,chat:write,commands,im:history"

# By method: calls per minute, within one workspace; posting is counted per channel.
LIMITS: Final[Mapping[str, int]] = {
    "chat.update": 50,
    "chat.appendStream": 100,
    "chat.startStream": 20,
    "chat.stopStream": 20,
    "chat.delete": 50,
    "agents.sessions.setStatus": 50,
    "chat.postMessage": 60,
    "conversations.replies": 50,
}

_BLOCK_TYPES: Final = {"section", "context", "actions", "markdown", "context_actions", "divider", "header"}

Json = dict[str, Any]


@dataclass(kw_only=True)
class Stream:
    """mode: what it was opened with, and has to be fed with. state: of the streaming."""

    mode: Literal["chunks", "markdown_text"]
    state: Literal["open", "stopped", "expired", "stopped_by_user"] = "open"
    tasks: dict[str, Json] = field(default_factory=dict)
    pieces: list[str] = field(default_factory=list)
    blocks: list[Json] = field(default_factory=list)


@dataclass(kw_only=True)
class Message:
    """edits: every state it was in, the last one last."""

    channel: str
    ts: str
    user: str
    text: str = ""
    thread_ts: str = ""
    blocks: list[Json] = field(default_factory=list)
    metadata: Json = field(default_factory=dict)
    stream: Stream | None = None
    is_deleted: bool = False
    edits: list[str] = field(default_factory=list)

    @property
    def markdown(self) -> str:
        """The answer's text in it, as Markdown."""
        if self.stream:
            return "".join(self.stream.pieces)
        return "".join(block["text"] for block in self.blocks if block["type"] == "markdown")

    @property
    def all_blocks(self) -> list[Json]:
        return [*self.blocks, *(self.stream.blocks if self.stream else [])]

    @property
    def shown(self) -> str:
        """All words a reader sees in it."""
        notes = [
            element["text"] for block in self.all_blocks if block["type"] == "context"
            for element in block["elements"]
        ]  # fmt: skip
        sections = [block["text"]["text"] for block in self.all_blocks if block["type"] == "section"]
        tasks = [task["title"] for task in self.stream.tasks.values()] if self.stream else []
        return "\n".join([*tasks, self.markdown, *sections, *notes]).strip() or self.text

    @property
    def buttons(self) -> dict[str, str]:
        """Values by action id, also Slack's own feedback buttons by theirs."""
        found: dict[str, str] = {}
        for block in self.all_blocks:
            for element in block.get("elements", []):
                if element["type"] == "button":
                    found[element["action_id"]] = element["value"]
                elif element["type"] == "feedback_buttons":
                    found[element["action_id"]] = element["positive_button"]["value"]
        return found

    def _task_cards(self) -> list[Json]:
        tasks = self.stream.tasks.values() if self.stream else ()
        return [
            {
                "type": "task_card",
                "task_id": task["id"],
                **{name: task[name] for name in ("title", "status")},
            }
            for task in tasks
        ]

    def as_json(self) -> Json:
        parent = {"thread_ts": self.thread_ts} if self.thread_ts else {}
        bot = {"bot_id": "B1"} if self.user == BOT else {}
        said = [{"type": "markdown", "text": self.markdown}] if self.stream and self.markdown else []
        blocks = [*self._task_cards(), *said, *self.all_blocks]
        shown = {"blocks": blocks} if blocks else {}
        return {
            "type": "message",
            "ts": self.ts,
            "user": self.user,
            "text": self.text,
            **parent,
            **bot,
            **shown,
        }


class Refused(Exception):
    def __init__(self, code: str, **extra: object) -> None:
        super().__init__(code)
        self.body: Json = {"ok": False, "error": code, **extra}


@dataclass(kw_only=True)
class Fault:
    """What a method's next calls meet.

    kind: an error's code; "drop" loses the call, "lose" its response, "garble" makes that unreadable.
    """

    kind: str
    after: int = 0
    times: int = 1


@dataclass(frozen=True, kw_only=True)
class Call:
    """at_s: on the loop's clock. error: what it was refused with; empty where it was not."""

    method: str
    arguments: Json
    at_s: float
    error: str


@dataclass(kw_only=True)
class SlackServer:
    """member_of: the channels the bot is in. scopes: as the token has them.

    faster: how much faster its minutes pass than ours, for the rate limits.
    limits: calls per minute by method; None enforces nothing.
    is_agent: the app is one, so that threads have sessions with a stop button of Slack's.
    rejects: block types and methods this Slack has never heard of.
    is_deaf: no ping is answered. is_black_hole: no call is, while it is set.
    strict_edits: a message that was streamed can't be edited.
    at: told of each call before it does anything, and when it has, before the caller hears of it; of "ack"
        afterwards. True: the caller is gone, and what has not been done is not.
    """

    member_of: set[str] = field(default_factory=lambda: {"C1", "D1", *(f"C{n}" for n in range(2, 40))})
    archived: set[str] = field(default_factory=set)
    scopes: str = LEAST_SCOPES
    bot_token: str = BOT_TOKEN
    app_token: str = APP_TOKEN
    faster: float = 1.0
    limits: Mapping[str, int] | None = None
    rejects: set[str] = field(default_factory=set)
    max_appends: int = 1_000_000
    url: str = ""
    at: Callable[[Literal["before", "after"], str, Json], bool] = lambda _when, _method, _arguments: False
    messages: list[Message] = field(default_factory=list)
    ephemerals: list[Json] = field(default_factory=list)
    responses: list[Json] = field(default_factory=list)
    prompts: list[Json] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    acks: dict[str, Json] = field(default_factory=dict)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    is_deaf: bool = False
    is_black_hole: bool = False
    is_agent: bool = False
    sessions: dict[tuple[str, str], str] = field(default_factory=dict)
    connections: int = 0
    _counted: dict[str, deque[float]] = field(default_factory=dict)
    _numbers: Any = field(default_factory=itertools.count)
    # As in the real one, nothing has the name of what another had: a bot may remember for a while.
    _since_s: int = field(default_factory=lambda: random.randrange(1_500_000_000, 1_700_000_000))
    _appends: dict[str, int] = field(default_factory=dict)
    _runner: web.AppRunner | None = None
    _port: int = 0

    # --- what a test sees ---

    def thread(self, thread_ts: str, channel: str = "C1") -> list[Message]:
        """What the bot has in a thread, in order; a parent of its own is not of it."""
        return [
            message
            for message in self.messages
            if (message.channel, message.thread_ts, message.user) == (channel, thread_ts, BOT)
            and not message.is_deleted
        ]

    def called(self, method: str) -> list[Call]:
        return [call for call in self.calls if call.method == method]

    def fail(self, method: str, kind: str, *, after: int = 0, times: int = 1) -> None:
        self.faults.setdefault(method, []).append(Fault(kind=kind, after=after, times=times))

    async def until(self, condition: Callable[[], object], *, limit_s: float = 10.0) -> None:
        async with asyncio.timeout(limit_s):
            while not condition():  # noqa: ASYNC110 # what is waited for has no event of its own
                await asyncio.sleep(0.004)

    # --- what people do ---

    def write(self, text: str, *, user: str = "U1", channel: str = "C1", thread_ts: str = "") -> Message:
        """A message of a person; the bot hears nothing of it yet."""
        message = Message(channel=channel, ts=self._new_ts(), user=user, text=text, thread_ts=thread_ts)
        self.messages.append(message)
        return message

    def event(self, kind: str, message: Message, **extra: object) -> Json:
        """The envelope's payload for an event about a message."""
        channel_type = "im" if message.channel.startswith("D") else "channel"
        event = {
            **message.as_json(),
            "type": kind,
            "channel": message.channel,
            "channel_type": channel_type,
            "team": TEAM,
            **extra,
        }
        return self.callback(event)

    def callback(self, event: Json) -> Json:
        return {
            "type": "event_callback",
            "team_id": TEAM,
            "api_app_id": "A1",
            "event_id": f"Ev{self._since_s}{next(self._numbers)}",
            "event_time": 1,
            "event": event,
        }

    async def mention(self, text: str, **where: str) -> Message:
        message = self.write(f"<@{BOT}> {text}", **where)
        await self.deliver("events_api", self.event("app_mention", message))
        return message

    async def direct(self, text: str, *, thread_ts: str = "", **extra: object) -> Message:
        message = self.write(text, channel="D1", thread_ts=thread_ts)
        await self.deliver("events_api", self.event("message", message, **extra))
        return message

    async def command(self, text: str, *, channel: str = "C1", user: str = "U1") -> Json:
        """Returns what the asker sees at once."""
        payload = {
            "command": "/websearch",
            "text": text,
            "user_id": user,
            "team_id": TEAM,
            "channel_id": channel,
            "trigger_id": f"t{self._since_s}{next(self._numbers)}",
            "response_url": f"{self.url}/respond",
        }
        return await self.deliver("slash_commands", payload)

    async def choose(self, message: Message, *, user: str = "U1", **extra: object) -> None:
        """ "Answer this" from a message's menu."""
        payload = {
            "type": "message_action",
            "callback_id": "answer_this",
            "trigger_id": f"t{self._since_s}{next(self._numbers)}",
            "action_ts": self._new_ts(),
            "team": {"id": TEAM},
            "user": {"id": user, "team_id": TEAM},
            "channel": {"id": message.channel},
            "message": {**message.as_json(), **extra},
            "response_url": f"{self.url}/respond",
        }
        await self.deliver("interactive", payload)

    async def press(self, message: Message, action_id: str, *, user: str = "U1") -> None:
        payload = {
            "type": "block_actions",
            "trigger_id": f"t{self._since_s}{next(self._numbers)}",
            "team": {"id": TEAM},
            "user": {"id": user, "team_id": TEAM},
            "channel": {"id": message.channel},
            "message": message.as_json(),
            "response_url": f"{self.url}/respond",
            "actions": [
                {
                    "type": "button",
                    "block_id": "b1",
                    "action_id": action_id,
                    "value": message.buttons[action_id],
                    "action_ts": self._new_ts(),
                }
            ],
        }
        await self.deliver("interactive", payload)

    async def delete(self, message: Message) -> None:
        message.is_deleted = True
        event = {
            "type": "message",
            "subtype": "message_deleted",
            "channel": message.channel,
            "deleted_ts": message.ts,
            "ts": self._new_ts(),
        }
        await self.deliver("events_api", self.callback(event))

    async def deliver(self, kind: str, payload: Json, *, expect_ack: bool = True, attempt: int = 0) -> Json:
        """Over one of the open sockets; returns what the acknowledgement carried."""
        await self.until(lambda: any(not socket.closed for socket in self.sockets))
        envelope_id = f"env{next(self._numbers)}"
        envelope = {
            "type": kind,
            "envelope_id": envelope_id,
            "payload": payload,
            "accepts_response_payload": True,
            "retry_attempt": attempt,
            "retry_reason": "timeout" if attempt else "",
        }
        socket = next(socket for socket in self.sockets if not socket.closed)
        await socket.send_json(envelope)
        if not expect_ack:
            return {}
        await self.until(lambda: envelope_id in self.acks, limit_s=3.0)
        return self.acks[envelope_id]

    # --- the server ---

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[SlackServer]:
        await self.start()
        try:
            yield self
        finally:
            await self.stop()

    async def start(self) -> None:
        app = web.Application(client_max_size=2**22)
        app.router.add_route("*", "/api/{method}", self._api)
        app.router.add_get("/socket", self._socket)
        app.router.add_post("/respond", self._respond)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"

    async def stop(self) -> None:
        for socket in self.sockets:
            await socket.close()
        self.sockets.clear()
        if self._runner:
            await self._runner.cleanup()

    def cut(self) -> None:
        """Break all sockets without a word."""
        for socket in self.sockets:
            transport = socket._req.transport if socket._req else None
            if transport:
                transport.abort()
        self.sockets.clear()

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=not self.is_deaf)
        await socket.prepare(request)
        self.sockets.append(socket)
        self.connections += 1
        await socket.send_json({"type": "hello", "num_connections": 1})
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                ack = json.loads(message.data)
                self.acks[ack["envelope_id"]] = ack.get("payload") or {}
                self.at("after", "ack", ack)
        if socket in self.sockets:
            self.sockets.remove(socket)
        return socket

    async def _respond(self, request: web.Request) -> web.Response:
        self.responses.append(await request.json())
        return web.Response(text="ok")

    async def _api(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        arguments = dict(request.query)
        if request.can_read_body:
            arguments |= await request.json()
        while self.is_black_hole:  # noqa: ASYNC110 # a switch that a test throws
            await asyncio.sleep(0.01)
        if self.at("before", method, arguments):
            return web.json_response({})
        fault = self._fault(method)
        error = "" if fault is None else fault.kind
        body: Json = {"ok": True}
        headers = {"x-oauth-scopes": self.scopes} if self.scopes else {}
        status = 200
        try:
            body |= self._answer(request, method, arguments, error)
        except Refused as refusal:
            body = refusal.body
            error = body["error"]
            if error == "ratelimited":
                status = 429
                headers["Retry-After"] = str(body.get("wait_s", 0.05))
        self.calls.append(
            Call(method=method, arguments=arguments, at_s=asyncio.get_running_loop().time(), error=error)
        )
        self.at("after", method, arguments)
        if error in {"drop", "lose"} and request.transport:
            request.transport.abort()
        if error == "garble":
            return web.Response(body=b"\xff\xfe\x00 {{{", content_type="application/json")
        return web.json_response(body, status=status, headers=headers)

    def _answer(self, request: web.Request, method: str, arguments: Json, fault: str) -> Json:
        if fault == "drop":
            return {}
        if fault not in {"", "lose", "garble"}:
            raise Refused(fault)
        self._check_token(request, method)
        self._count(method, arguments)
        return self._method(method)(arguments)

    def _fault(self, method: str) -> Fault | None:
        for fault in self.faults.get(method, []):
            if fault.after > 0:
                fault.after -= 1
            elif fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def _check_token(self, request: web.Request, method: str) -> None:
        wanted = self.app_token if method == "apps.connections.open" else self.bot_token
        if request.headers.get("Authorization") != f"Bearer {wanted}":
            raise Refused("invalid_auth")

    def _count(self, method: str, arguments: Json) -> None:
        if not self.limits or method not in self.limits:
            return
        name = f"{method}:{arguments['channel']}" if method == "chat.postMessage" else method
        counted = self._counted.setdefault(name, deque())
        window_s = 60 / self.faster
        now_s = time.monotonic()
        while counted and counted[0] <= now_s - window_s:
            counted.popleft()
        if len(counted) >= self.limits[method]:
            raise Refused("ratelimited", wait_s=counted[0] + window_s - now_s)
        counted.append(now_s)

    def _method(self, method: str) -> Callable[[Json], Json]:
        methods: dict[str, Callable[[Json], Json]] = {
            "auth.test": self._auth_test,
            "apps.connections.open": self._open_connection,
            "chat.postMessage": self._post,
            "chat.postEphemeral": self._post_ephemeral,
            "chat.update": self._update,
            "chat.delete": self._delete,
            "chat.startStream": self._start_stream,
            "chat.appendStream": self._append_stream,
            "chat.stopStream": self._stop_stream,
            "conversations.replies": self._replies,
            "assistant.threads.setSuggestedPrompts": self._suggest,
            "agents.sessions.setStatus": self._set_session,
        }
        if method not in methods or method in self.rejects:
            raise Refused("unknown_method")
        return methods[method]

    def _auth_test(self, _: Json) -> Json:
        return {"team_id": TEAM, "user_id": BOT, "user": "relevancesearch", "bot_id": "B1", "url": self.url}

    def _open_connection(self, _: Json) -> Json:
        return {"url": f"{self.url.replace('http', 'ws')}/socket"}

    def _check_channel(self, arguments: Json) -> str:
        channel = str(arguments["channel"])
        if channel not in self.member_of:
            raise Refused("not_in_channel" if channel.startswith("C") else "channel_not_found")
        if channel in self.archived:
            raise Refused("is_archived")
        return channel

    def _check_blocks(self, blocks: list[Json]) -> None:
        if len(blocks) > 50 or any(block["type"] not in _BLOCK_TYPES - self.rejects for block in blocks):
            raise Refused("invalid_blocks")
        if sum(len(block["text"]) for block in blocks if block["type"] == "markdown") > 12_000:
            raise Refused("msg_blocks_too_long")
        if len(json.dumps(blocks, ensure_ascii=False)) > 13_200:
            raise Refused("msg_blocks_too_long")
        for block in blocks:
            if block["type"] == "section" and not 0 < len(block["text"]["text"]) <= 3_000:
                raise Refused("invalid_blocks")
            if block["type"] == "context" and not 0 < len(block["elements"]) <= 10:
                raise Refused("invalid_blocks")
            if any(len(element.get("value", "")) > 2_000 for element in block.get("elements", [])):
                raise Refused("invalid_blocks")

    def _post(self, arguments: Json) -> Json:
        channel = self._check_channel(arguments)
        blocks = arguments.get("blocks", [])
        self._check_blocks(blocks)
        if not arguments.get("text") and not blocks:
            raise Refused("no_text")
        message = Message(
            channel=channel,
            ts=self._new_ts(),
            user=BOT,
            text=arguments.get("text", "")[:40_000],
            thread_ts=arguments.get("thread_ts", ""),
            blocks=blocks,
            metadata=arguments.get("metadata", {}),
        )
        message.edits.append(message.markdown)
        self.messages.append(message)
        return {"ts": message.ts, "channel": channel}

    def _post_ephemeral(self, arguments: Json) -> Json:
        self._check_channel(arguments)
        self.ephemerals.append(arguments)
        return {"message_ts": self._new_ts()}

    def _own(self, arguments: Json) -> Message:
        self._check_channel(arguments)
        for message in self.messages:
            if (message.channel, message.ts) == (arguments["channel"], arguments["ts"]):
                if message.is_deleted:
                    break
                if message.user != BOT:
                    raise Refused("cant_update_message")
                return message
        raise Refused("message_not_found")

    def _update(self, arguments: Json) -> Json:
        message = self._own(arguments)
        if message.stream:
            raise Refused("streaming_state_conflict" if message.stream.state == "open" else "block_mismatch")
        if len(arguments.get("text", "")) > 4_000:
            raise Refused("msg_too_long")
        self._check_blocks(arguments.get("blocks", []))
        message.text = arguments.get("text", "")
        message.blocks = arguments.get("blocks", [])
        message.edits.append(message.markdown)
        return {"ts": message.ts}

    def _delete(self, arguments: Json) -> Json:
        self._own(arguments).is_deleted = True
        return {}

    def _start_stream(self, arguments: Json) -> Json:
        channel = self._check_channel(arguments)
        if not channel.startswith("D"):
            for needed in ("recipient_user_id", "recipient_team_id"):
                if not arguments.get(needed):
                    raise Refused(f"missing_{needed}")
        mode: Literal["chunks", "markdown_text"] = "chunks" if "chunks" in arguments else "markdown_text"
        stream = Stream(mode=mode)
        message = Message(
            channel=channel, ts=self._new_ts(), user=BOT, thread_ts=arguments["thread_ts"], stream=stream
        )
        self._feed(stream, arguments)
        self.messages.append(message)
        return {"ts": message.ts}

    def _streaming(self, arguments: Json) -> tuple[Message, Stream]:
        message = self._own(arguments)
        if message.stream is None:
            raise Refused("message_not_in_streaming_state")
        if message.stream.state == "stopped_by_user":
            raise Refused("stopped_by_user")
        if message.stream.state != "open":
            raise Refused("message_not_in_streaming_state")
        return message, message.stream

    def _append_stream(self, arguments: Json) -> Json:
        message, stream = self._streaming(arguments)
        self._appends[message.ts] = self._appends.get(message.ts, 0) + 1
        if self._appends[message.ts] > self.max_appends:
            stream.state = "expired"
            raise Refused("message_not_in_streaming_state")
        if not arguments.get("chunks") and not arguments.get("markdown_text"):
            raise Refused("no_text")
        self._feed(stream, arguments)
        message.edits.append(message.markdown)
        return {"ts": message.ts}

    def _stop_stream(self, arguments: Json) -> Json:
        message, stream = self._streaming(arguments)
        self._check_blocks(arguments.get("blocks", []))
        self._feed(stream, arguments)
        stream.state = "stopped"
        stream.blocks += arguments.get("blocks", [])
        message.edits.append(message.markdown)
        return {"ts": message.ts}

    def _feed(self, stream: Stream, arguments: Json) -> None:
        for mode in ("chunks", "markdown_text"):
            if arguments.get(mode) and mode != stream.mode:
                raise Refused("streaming_mode_mismatch")
        chunks = arguments.get("chunks", [])
        texts = [chunk["text"] for chunk in chunks if chunk["type"] == "markdown_text"]
        if sum(map(len, [*stream.pieces, *texts])) > 12_000:
            raise Refused("msg_too_long")
        for chunk in chunks:
            if chunk["type"] == "task_update":
                stream.tasks[chunk["id"]] = chunk
            elif chunk["type"] == "blocks":
                self._check_blocks(chunk["blocks"])
                stream.blocks += chunk["blocks"]
            elif chunk["type"] != "markdown_text":
                raise Refused("invalid_chunks")
        stream.pieces += texts

    def _replies(self, arguments: Json) -> Json:
        channel = str(arguments["channel"])
        if channel.startswith("C") and "channels:history" not in self.scopes.split(","):
            raise Refused("missing_scope", needed="channels:history", provided=self.scopes)
        with_metadata = arguments.get("include_all_metadata") == "true"
        found = [
            {**message.as_json(), **({"metadata": message.metadata} if with_metadata else {})}
            for message in self.messages
            if message.channel == channel
            and arguments["ts"] in (message.ts, message.thread_ts)
            and not message.is_deleted
            and (message.ts >= arguments.get("oldest", "") or not message.thread_ts)
        ]
        return {"messages": found[: int(arguments.get("limit", 100))]}

    def _suggest(self, arguments: Json) -> Json:
        self.prompts.append(arguments)
        return {}

    def _set_session(self, arguments: Json) -> Json:
        if not self.is_agent:
            raise Refused("not_an_agent")
        if arguments["status"] not in {"active", "processing", "suspended", "closed"}:
            raise Refused("invalid_arguments")
        self.sessions[arguments["channel_id"], arguments["thread_ts"]] = arguments["status"]
        return {"status": arguments["status"]}

    async def stop_natively(self, channel: str, thread_ts: str, *, user: str = "U1") -> None:
        """Slack's own stop button, which is there while a session is processing."""
        assert self.sessions[channel, thread_ts] == "processing"
        streams = [message for message in self.thread(thread_ts, channel) if message.stream]
        for message in streams:
            if message.stream and message.stream.state == "open":
                message.stream.state = "stopped_by_user"
        stopped = {
            "type": "agent_session_stopped",
            "channel": channel,
            "thread_ts": thread_ts,
            "user": user,
            "streaming_message_ts": [message.ts for message in streams],
        }
        await self.deliver("events_api", self.callback(stopped))

    def _new_ts(self) -> str:
        return f"{self._since_s}.{next(self._numbers):06d}"

"""Speaks Discord's gateway and REST API on loopback, and writes down every request."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from tests.servers.loopback import serving

APP_ID = 100
GUILD_ID = 200
CHANNEL_ID = 300
ASKER_ID = 400
ALL_PERMISSIONS = (1 << 50) - 1
SUPPRESS_EMBEDS = 1 << 2
EPHEMERAL = 1 << 6
LOADING = 1 << 7
"""Of a deferred response: "… is thinking"."""
TOKEN = "token"

_BARE_URL = re.compile(r"(?<!<)https?://")


@dataclass(frozen=True, kw_only=True)
class DiscordRequest:
    """status: as answered. at_s: when it came, on the monotonic clock."""

    method: str
    path: str
    body: Any
    status: int
    at_s: float


@dataclass(kw_only=True)
class Fault:
    """What matching requests get instead, so many times; status 0 breaks the connection.

    takes_effect: whether Discord does what was asked, all the same.
    min_chars: only requests whose content is at least so long.
    """

    method: str
    path: str
    status: int
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=lambda: {"Via": "1.1 google"})
    times: int = 1
    takes_effect: bool = False
    min_chars: int = 0

    def hits(self, method: str, path: str, body: Any) -> bool:
        is_meant = re.fullmatch(self.method, method) and re.fullmatch(self.path, path)
        chars = len(body.get("content", "")) if isinstance(body, dict) else 0
        return bool(self.times and is_meant) and chars >= self.min_chars


@dataclass(kw_only=True)
class Trap:
    """What happens to the bot at the first request that is meant: `spring` ends its process.

    takes_effect: whether Discord still does what was asked.
    """

    is_meant: Callable[[str, str, Any], bool]
    takes_effect: bool
    spring: Callable[[], None]
    is_sprung: bool = False


@dataclass(kw_only=True)
class Bucket:
    """So many edits within so many seconds, for each channel."""

    limit: int
    window_s: float
    left: dict[str, int] = field(default_factory=dict)
    until_s: dict[str, float] = field(default_factory=dict)

    def take(self, key: str) -> tuple[bool, dict[str, str]]:
        now_s = time.monotonic()
        if self.until_s.get(key, 0) <= now_s:
            self.until_s[key], self.left[key] = now_s + self.window_s, self.limit
        admitted = self.left[key] > 0
        self.left[key] -= admitted
        return admitted, {
            "X-RateLimit-Bucket": "edits",
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.left[key]),
            "X-RateLimit-Reset-After": f"{self.until_s[key] - now_s:.3f}",
        }


@dataclass(kw_only=True)
class DiscordServer:
    """One guild with text channels; messages as they stand, requests as they came.

    refused_identifies: close codes for the next IDENTIFYs; 0 is an invalid session that can't be resumed.
    commands: as they are registered.
    """

    url: str = ""
    token: str = TOKEN
    faults: list[Fault] = field(default_factory=list)
    trap: Trap | None = None
    edits: Bucket | None = None
    requests: list[DiscordRequest] = field(default_factory=list)
    messages: dict[int, dict[str, Any]] = field(default_factory=dict)
    commands: list[dict[str, Any]] = field(default_factory=list)
    channels: list[dict[str, Any]] = field(default_factory=list)
    refused_identifies: list[int] = field(default_factory=list)
    identifies: list[dict[str, Any]] = field(default_factory=list)
    resumes: list[dict[str, Any]] = field(default_factory=list)
    previews: list[str] = field(default_factory=list)
    """Contents under which a reader would see a preview of a page."""

    def __post_init__(self) -> None:
        self.channels = self.channels or [text_channel(CHANNEL_ID)]
        # As in the real one, nothing has the id of what another had: a bot may remember for a while.
        self._ids = count(10_000 * random.randrange(1, 10**12))
        self.sockets: list[web.WebSocketResponse] = []
        self._sent: list[dict[str, Any]] = []
        self._nonces: dict[str, int] = {}
        self._threads: dict[int, dict[str, Any]] = {}
        self._ready = asyncio.Event()

    # What a test says and asks.

    async def ready(self) -> None:
        """Once the bot is connected and knows the guild."""
        await self._ready.wait()

    def new_id(self) -> int:
        return next(self._ids)

    async def dispatch(self, event: str, data: Mapping[str, Any]) -> None:
        await self._send(self._event(event, data))

    async def replay(self, *, last: int) -> None:
        """The last events once more, as after a RESUME with an old sequence number."""
        for payload in self._sent[-last:]:
            await self._send(payload)

    async def ask_to_reconnect(self) -> None:
        await self._send({"op": 7, "d": None})

    async def invalidate_session(self, *, resumable: bool) -> None:
        await self._send({"op": 9, "d": resumable})

    async def drop(self, code: int) -> None:
        await self.sockets[-1].close(code=code)

    async def say(self, text: str, *, channel: int = CHANNEL_ID, **fields: Any) -> int:
        """Somebody writes a message; its id."""
        message_id = self.new_id()
        data = self._message(message_id, channel, text, author=user(ASKER_ID))
        data |= {"member": member(), "guild_id": str(GUILD_ID)} | fields
        self.messages[message_id] = data
        await self.dispatch("MESSAGE_CREATE", data)
        return message_id

    async def mention(self, text: str, *, channel: int = CHANNEL_ID, **fields: Any) -> int:
        return await self.say(f"<@{APP_ID}> {text}", channel=channel, mentions=[user(APP_ID)], **fields)

    async def interact(self, data: Mapping[str, Any], *, type_: int, **fields: Any) -> str:
        """Somebody uses a command or presses a button; the interaction's token."""
        interaction_id = self.new_id()
        token = f"interaction{interaction_id}"
        await self.dispatch(
            "INTERACTION_CREATE",
            {
                "id": str(interaction_id),
                "application_id": str(APP_ID),
                "type": type_,
                "token": token,
                "version": 1,
                "data": data,
                "guild_id": str(GUILD_ID),
                "channel_id": str(CHANNEL_ID),
                "channel": text_channel(CHANNEL_ID),
                "member": member() | {"user": user(ASKER_ID), "permissions": str(ALL_PERMISSIONS)},
                "app_permissions": str(ALL_PERMISSIONS),
                "locale": "en-US",
                "entitlements": [],
                "authorizing_integration_owners": {"0": str(GUILD_ID)},
                "attachment_size_limit": 0,
            }
            | fields,
        )
        return token

    async def search(self, question: str, *, private: bool = False) -> str:
        options = [
            {"name": "question", "type": 3, "value": question},
            {"name": "private", "type": 5, "value": private},
        ]
        return await self.interact({"id": "1", "name": "search", "type": 1, "options": options}, type_=2)

    async def press(self, message: Mapping[str, Any], label: str, *, by: int = ASKER_ID) -> str:
        """Somebody presses a button; the interaction's token."""
        (button,) = [
            button
            for row in message["components"]
            for button in row["components"]
            if button["label"] == label
        ]
        channel = int(message["channel_id"])
        where = text_channel(channel)
        if channel not in {int(known["id"]) for known in self.channels}:
            where = thread_channel(channel, parent=CHANNEL_ID, name="thread")
        return await self.interact(
            {"custom_id": button["custom_id"], "component_type": 2},
            type_=3,
            message=message,
            channel_id=str(channel),
            channel=where,
            member=member() | {"user": user(by), "permissions": str(ALL_PERMISSIONS)},
        )

    def thread_messages(self, channel: int) -> list[dict[str, Any]]:
        """The bot's, as they stand, oldest first."""
        return [
            message
            for message in self.messages.values()
            if message["channel_id"] == str(channel) and message["author"]["id"] == str(APP_ID)
        ]

    def writes(self, method: str = "POST|PATCH") -> list[DiscordRequest]:
        """Successful requests that put a message somewhere or changed one."""
        places = re.compile(r"/channels/\d+/messages(/\d+)?|/webhooks/.+|/interactions/.+/callback")
        return [
            request
            for request in self.requests
            if re.fullmatch(method, request.method)
            and places.fullmatch(request.path)
            and request.status < 300
        ]

    # The gateway.

    async def _send(self, payload: Mapping[str, Any]) -> None:
        """To every process that is connected."""
        for socket in list(self.sockets):
            await _send_to(socket, payload)

    async def _gateway(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await _send_to(socket, {"op": 10, "d": {"heartbeat_interval": 40_000}})
        try:
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    await self._receive(socket, orjson.loads(frame.data))
        finally:
            if socket in self.sockets:
                self.sockets.remove(socket)
        return socket

    async def _receive(self, socket: web.WebSocketResponse, payload: Mapping[str, Any]) -> None:
        if payload["op"] == 1:
            await _send_to(socket, {"op": 11})
        elif payload["op"] == 2:
            await self._identify(socket, payload["d"])
        elif payload["op"] == 6:
            self.resumes.append(payload["d"])
            for sent in self._sent[payload["d"]["seq"] :]:
                await _send_to(socket, sent)
            self.sockets.append(socket)
            await self.dispatch("RESUMED", {})

    async def _identify(self, socket: web.WebSocketResponse, data: dict[str, Any]) -> None:
        self.identifies.append(data)
        if self.refused_identifies:
            code = self.refused_identifies.pop(0)
            await (socket.close(code=code) if code else _send_to(socket, {"op": 9, "d": False}))
            return
        self._sent.clear()
        ready = {
            "v": 10,
            "user": user(APP_ID),
            "guilds": [{"id": str(GUILD_ID), "unavailable": True}],
            "session_id": f"session{len(self.identifies)}",
            "resume_gateway_url": self.url.replace("http", "ws") + "/gw",
            "shard": [0, 1],
            "application": {"id": str(APP_ID), "flags": 0},
        }
        for payload in (self._event("READY", ready), self._event("GUILD_CREATE", self._guild())):
            await _send_to(socket, payload)
        self.sockets.append(socket)
        self._ready.set()

    def _event(self, event: str, data: Mapping[str, Any]) -> dict[str, Any]:
        payload = {"op": 0, "t": event, "s": len(self._sent) + 1, "d": data}
        self._sent.append(payload)
        return payload

    def _guild(self) -> dict[str, Any]:
        everyone: dict[str, Any] = {
            "id": str(GUILD_ID),
            "name": "@everyone",
            "permissions": str(ALL_PERMISSIONS),
        }
        everyone |= {"position": 0, "color": 0, "hoist": False, "managed": False, "mentionable": False}
        lists = ("emojis", "stickers", "presences", "voice_states", "threads", "features")
        return {
            "id": str(GUILD_ID),
            "name": "Guild",
            "owner_id": str(ASKER_ID),
            "roles": [everyone],
            "channels": self.channels,
            "members": [member() | {"user": user(APP_ID)}],
            "member_count": 2,
            **{name: [] for name in lists},
        }

    # REST.

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/api/v10")
        raw = await request.read()
        body = orjson.loads(raw) if raw else None
        at_s = time.monotonic()
        status, answer, headers = self._respond(request, path, body)
        self.requests.append(
            DiscordRequest(method=request.method, path=path, body=body, status=status, at_s=at_s)
        )
        if status == 0 and request.transport:
            request.transport.abort()
        # The type must be exactly this, without a charset, for discord.py to take it as JSON.
        headers = {"Content-Type": "application/json", **headers}
        if status == 204:
            return web.Response(status=status)
        return web.Response(status=status or 500, body=orjson.dumps(answer), headers=headers)

    def _respond(self, request: web.Request, path: str, body: Any) -> tuple[int, Any, Mapping[str, str]]:
        trap = self.trap
        if trap and not trap.is_sprung and trap.is_meant(request.method, path, body):
            trap.is_sprung = True
            trap.spring()
            if not trap.takes_effect:
                return 0, {}, {}
        for fault in self.faults:
            if fault.hits(request.method, path, body):
                fault.times -= 1
                if fault.takes_effect:
                    self._routed(request.method, path, body)
                return fault.status, fault.body, fault.headers
        if request.headers.get("Authorization") not in {f"Bot {self.token}", None}:
            return 401, {"message": "401: Unauthorized", "code": 0}, {}
        headers: dict[str, str] = {}
        if self.edits and request.method == "PATCH" and path.startswith("/channels/"):
            admitted, headers = self.edits.take(path.split("/")[2])
            if not admitted:
                wait_s = float(headers["X-RateLimit-Reset-After"])
                limited = {"message": "You are being rate limited.", "retry_after": wait_s, "global": False}
                return 429, limited, headers | {"Via": "1.1 google"}
        return (*self._routed(request.method, path, body), headers)

    def _routed(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        for known, pattern, handler in self._ROUTES:
            match = re.fullmatch(pattern, path)
            if match and method == known:
                answer: tuple[int, Any] = getattr(self, handler)(body, *match.groups())
                return answer
        return 404, {"message": "404: Not Found", "code": 0}

    _ROUTES = (
        ("GET", r"/gateway/bot", "_get_gateway"),
        ("GET", r"/users/@me", "_get_me"),
        ("GET", r"/oauth2/applications/@me", "_get_application"),
        ("GET", r"/applications/\d+/commands", "_get_commands"),
        ("PUT", r"/applications/\d+/commands", "_put_commands"),
        ("POST", r"/users/@me/channels", "_open_dm"),
        ("POST", r"/channels/(\d+)/messages", "_post_message"),
        ("GET", r"/users/(\d+)", "_get_user"),
        ("GET", r"/channels/(\d+)", "_get_channel"),
        ("GET", r"/channels/\d+/messages/(\d+)", "_get_message"),
        ("DELETE", r"/channels/\d+/messages/(\d+)", "_delete_message"),
        ("PATCH", r"/channels/\d+/messages/(\d+)", "_patch_message"),
        ("POST", r"/channels/(\d+)/messages/(\d+)/threads", "_open_thread"),
        ("POST", r"/interactions/\d+/([^/]+)/callback", "_acknowledge"),
        ("PATCH", r"/webhooks/\d+/([^/]+)/messages/([^/]+)", "_patch_webhook"),
        ("POST", r"/webhooks/\d+/([^/]+)", "_post_webhook"),
    )

    def _get_gateway(self, _body: Any) -> tuple[int, Any]:
        limit = {"total": 1000, "remaining": 999, "reset_after": 0, "max_concurrency": 1}
        url = self.url.replace("http", "ws") + "/gw"
        return 200, {"url": url, "shards": 1, "session_start_limit": limit}

    def _get_me(self, _body: Any) -> tuple[int, Any]:
        return 200, user(APP_ID)

    def _get_application(self, _body: Any) -> tuple[int, Any]:
        texts = {"name": "Bot", "description": "", "summary": "", "verify_key": "0"}
        flags = {"bot_public": False, "bot_require_code_grant": False, "flags": 0}
        return 200, {"id": str(APP_ID), "icon": None, "team": None, "owner": user(1), **texts, **flags}

    def _get_commands(self, _body: Any) -> tuple[int, Any]:
        return 200, self.commands

    def _put_commands(self, body: Any) -> tuple[int, Any]:
        filled = {"application_id": str(APP_ID), "version": "1", "description": ""}
        self.commands = [{**filled, **command, "id": str(self.new_id())} for command in body]
        return 200, self.commands

    def _open_dm(self, body: Any) -> tuple[int, Any]:
        return 200, {"id": "900", "type": 1, "recipients": [user(int(body["recipient_id"]))]}

    def _post_message(self, body: Any, channel: str) -> tuple[int, Any]:
        # Discord knows the nonces of a few minutes.
        nonce = body.get("nonce") if body.get("enforce_nonce") else None
        if nonce in self._nonces:
            return 200, self.messages[self._nonces[nonce]]
        message = self._store(int(channel), body)
        if nonce:
            self._nonces[nonce] = int(message["id"])
        return 200, message

    def _get_user(self, _body: Any, user_id: str) -> tuple[int, Any]:
        return 200, user(int(user_id))

    def _get_channel(self, _body: Any, channel: str) -> tuple[int, Any]:
        known = {int(each["id"]): each for each in self.channels} | self._threads
        found = known.get(int(channel))
        return (200, found) if found else (404, {"message": "Unknown Channel", "code": 10003})

    def _delete_message(self, _body: Any, message_id: str) -> tuple[int, Any]:
        if self.messages.pop(int(message_id), None) is None:
            return 404, {"message": "Unknown Message", "code": 10008}
        return 204, None

    def _get_message(self, _body: Any, message_id: str) -> tuple[int, Any]:
        message = self.messages.get(int(message_id))
        return (200, message) if message else (404, {"message": "Unknown Message", "code": 10008})

    def _patch_message(self, body: Any, message_id: str) -> tuple[int, Any]:
        message = self.messages.get(int(message_id))
        if message is None:
            return 404, {"message": "Unknown Message", "code": 10008}
        self._change(message, body)
        return 200, message

    def _open_thread(self, body: Any, parent: str, message_id: str) -> tuple[int, Any]:
        if int(message_id) in self._threads:
            return 400, {"message": "A thread has already been created for this message", "code": 160004}
        thread = thread_channel(int(message_id), parent=int(parent), name=body["name"])
        self._threads[int(message_id)] = thread
        return 201, thread

    def _acknowledge(self, body: Any, token: str) -> tuple[int, Any]:
        if body["type"] == 4:
            self._store_response(token, "@original", body["data"])
        elif body["type"] == 5:
            flags = LOADING | body.get("data", {}).get("flags", 0)
            self._store_response(token, "@original", {"content": "", "flags": flags})
        callback = {"id": "1", "type": 2, "response_message_loading": False}
        return 200, {"interaction": callback}

    def _post_webhook(self, body: Any, token: str) -> tuple[int, Any]:
        return 200, self._store_response(token, "", body)

    def _patch_webhook(self, body: Any, token: str, key: str) -> tuple[int, Any]:
        if token not in self.responses:
            return 404, {"message": "Unknown Webhook", "code": 10015}
        message = self.responses[token].get(key)
        if message is None:
            return 404, {"message": "Unknown Message", "code": 10008}
        message["flags"] &= ~LOADING
        self._change(message, body)
        return 200, message

    responses: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    """By interaction token, then "@original" or the message's id."""

    def _store_response(self, token: str, key: str, body: Mapping[str, Any]) -> dict[str, Any]:
        message = self._store(CHANNEL_ID, body)
        self.responses.setdefault(token, {})[key or message["id"]] = message
        return message

    def _store(self, channel: int, body: Mapping[str, Any]) -> dict[str, Any]:
        message_id = self.new_id()
        message = self._message(message_id, channel, "", author=user(APP_ID))
        self.messages[message_id] = message
        self._change(message, body)
        return message

    def _change(self, message: dict[str, Any], body: Mapping[str, Any]) -> None:
        message |= {key: body[key] for key in ("content", "components", "flags") if key in body}
        if _BARE_URL.search(message["content"]) and not message["flags"] & SUPPRESS_EMBEDS:
            self.previews.append(message["content"])

    def _message(self, message_id: int, channel: int, text: str, *, author: Any) -> dict[str, Any]:
        lists = ("embeds", "attachments", "mentions", "mention_roles", "components")
        return {
            "id": str(message_id),
            "channel_id": str(channel),
            "author": author,
            "content": text,
            "timestamp": "2026-01-01T00:00:00+00:00",
            "edited_timestamp": None,
            "tts": False,
            "mention_everyone": False,
            "pinned": False,
            "type": 0,
            "flags": 0,
            **{name: [] for name in lists},
        }


async def _send_to(socket: web.WebSocketResponse, payload: Mapping[str, Any]) -> None:
    if not socket.closed:
        with suppress(ConnectionError):  # of a process that was just killed
            await socket.send_str(orjson.dumps(payload).decode())


def user(user_id: int) -> dict[str, Any]:
    is_bot = user_id == APP_ID
    return {
        "id": str(user_id),
        "username": f"u{user_id}",
        "discriminator": "0",
        "avatar": None,
        "bot": is_bot,
    }


def member() -> dict[str, Any]:
    return {"roles": [], "joined_at": "2026-01-01T00:00:00+00:00", "deaf": False, "mute": False, "flags": 0}


def text_channel(channel_id: int) -> dict[str, Any]:
    return {
        "id": str(channel_id),
        "type": 0,
        "name": f"c{channel_id}",
        "position": 0,
        "guild_id": str(GUILD_ID),
        "permission_overwrites": [],
    }


def thread_channel(channel_id: int, *, parent: int, name: str) -> dict[str, Any]:
    archive: dict[str, Any] = {
        "archived": False,
        "auto_archive_duration": 1440,
        "archive_timestamp": "2026-01-01T00:00:00+00:00",
        "locked": False,
    }
    return {
        "id": str(channel_id),
        "type": 11,
        "name": name,
        "parent_id": str(parent),
        "owner_id": str(APP_ID),
        "guild_id": str(GUILD_ID),
        "message_count": 0,
        "member_count": 1,
        "thread_metadata": archive,
    }


@asynccontextmanager
async def discord_server(**state: Any) -> AsyncIterator[DiscordServer]:
    """state: what is not as a new server's."""
    server = DiscordServer(**state)
    app = web.Application()
    app.router.add_get("/gw/", server._gateway)
    app.router.add_get("/gw", server._gateway)
    app.router.add_route("*", "/api/v10/{tail:.*}", server._rest)
    async with serving(app) as root:
        server.url = root
        yield server

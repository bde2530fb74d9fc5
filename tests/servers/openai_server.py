"""Speaks OpenAI's chat completions, streamed, and its embeddings, on loopback."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import orjson
from aiohttp import web

from tests.servers.loopback import serving


@dataclass(frozen=True, kw_only=True)
class OpenAIRequest:
    headers: Mapping[str, str]
    payload: Mapping[str, object]


@dataclass(kw_only=True)
class OpenAIServer:
    """What it says next, and what it was asked.

    thoughts: said before the pieces, as reasoning.
    tokens_per_s: the pace of thoughts and pieces; 0 is at once.
    raw: sent after the pieces as it is.
    ending: "done" ends as it should; "short" leaves out the finish reason and what follows it; "reset"
        breaks the connection; "stall" says nothing more and keeps it.
    status, error: said in place of all that, if the status is not 200.
    failing: so many of the next requests end as `status` says, the others well; None is all.
    cost: in US dollars, stated beside the usage.
    vectors: said in place of those that `vector` makes. numbers: as JSON numbers, whatever was asked for.
    silent: takes requests and never answers.
    unknown: models it has never heard of.
    """

    pieces: Sequence[str] = ()
    thoughts: Sequence[str] = ()
    tokens_per_s: float = 0
    raw: bytes = b""
    ending: Literal["done", "short", "reset", "stall"] = "done"
    finish_reason: str = "stop"
    usage: tuple[int, int] | None = (11, 7)
    model: str = "served-model"
    cost: float | None = None
    vectors: Sequence[object] | None = None
    numbers: bool = False
    silent: bool = False
    unknown: frozenset[str] = frozenset()
    status: int = 200
    failing: int | None = None
    error: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    requests: list[OpenAIRequest] = field(default_factory=list)
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client goes before its answer is complete."""

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        payload = orjson.loads(await request.read())
        self.requests.append(OpenAIRequest(headers=dict(request.headers), payload=payload))
        if refusal := await self._refusal(request):
            return refusal
        if payload["model"] in self.unknown:
            return web.json_response({"error": {"code": "model_not_found"}}, status=404)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            await self._say(request, response)
        except ConnectionError:
            self.disconnected.set()
        return response

    async def _embed(self, request: web.Request) -> web.Response:
        payload = orjson.loads(await request.read())
        self.requests.append(OpenAIRequest(headers=dict(request.headers), payload=payload))
        if refusal := await self._refusal(request):
            return refusal
        vectors = self.vectors
        if vectors is None:
            as_base64 = payload["encoding_format"] == "base64" and not self.numbers
            made = [vector(text) for text in payload["input"]]
            vectors = [b64encode(row.tobytes()).decode() if as_base64 else row.tolist() for row in made]
        data = [
            {"object": "embedding", "index": place, "embedding": row} for place, row in enumerate(vectors)
        ]
        # In any order: each says which text it is of.
        body = {"object": "list", "data": data[::-1], "model": self.model}
        return web.Response(body=self.raw or orjson.dumps(body), content_type="application/json")

    async def _refusal(self, request: web.Request) -> web.Response | None:
        if self.silent:
            with suppress(ConnectionError):
                await _until_gone(request)
            return web.Response(status=499)
        if self.status == 200 or self.failing == 0:
            return None
        if self.failing:
            self.failing -= 1
        return web.json_response({"error": self.error}, status=self.status, headers=self.headers)

    async def _say(self, request: web.Request, response: web.StreamResponse) -> None:
        await self._send(response, {"role": "assistant", "content": ""})
        for thought in self.thoughts:
            await self._send(response, {"reasoning": thought})
        for piece in self.pieces:
            await self._send(response, {"content": piece})
        await response.write(self.raw)
        if self.ending == "stall":
            await _until_gone(request)
        elif self.ending == "reset" and request.transport:
            request.transport.abort()
        elif self.ending == "done":
            await self._send(response, {}, self.finish_reason)
            await self._send_usage(response)
            await response.write(b"data: [DONE]\n\n")

    async def _send(
        self, response: web.StreamResponse, delta: Mapping[str, str], finish_reason: str | None = None
    ) -> None:
        if self.tokens_per_s:
            await asyncio.sleep(1 / self.tokens_per_s)
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        await self._write(response, {"choices": [choice]})

    async def _send_usage(self, response: web.StreamResponse) -> None:
        if self.usage:
            prompt, completion = self.usage
            counts: dict[str, float] = {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": sum(self.usage),
            }
            if self.cost is not None:
                counts["cost"] = self.cost
            await self._write(response, {"choices": [], "usage": counts})

    async def _write(self, response: web.StreamResponse, fields: Mapping[str, object]) -> None:
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": self.model, **fields}
        await response.write(b"data: " + orjson.dumps(chunk) + b"\n\n")


def vector(text: str) -> npt.NDArray[np.float32]:
    """Its words counted into 16 numbers: texts that share words are near. Not of unit length."""
    row = np.zeros(16, dtype="<f4")
    for word in text.lower().split():
        row[sum(word.strip(".?!").encode()) % 16] += 2
    row[0] += 0.1
    return row


async def _until_gone(request: web.Request) -> None:
    """Raises ConnectionResetError once the client is gone."""
    while request.transport and not request.transport.is_closing():  # noqa: ASYNC110 # see below
        await asyncio.sleep(0.005)  # aiohttp tells a handler of it only where a whole server is set up so
    raise ConnectionResetError


@asynccontextmanager
async def openai_server(*, pieces: Sequence[str] = ()) -> AsyncIterator[OpenAIServer]:
    """Its `url` is what a client takes as base URL."""
    server = OpenAIServer(pieces=pieces)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server._complete)
    app.router.add_post("/v1/embeddings", server._embed)
    async with serving(app) as root:
        server.url = f"{root}/v1"
        yield server

"""What can go wrong with a server, acted out on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from aiohttp import web


class Doing(Enum):
    ANSWERS = auto()
    BREAKS_OFF = auto()
    """The connection is reset before an answer begins."""
    STALLS = auto()
    """No answer begins."""
    STALLS_MIDWAY = auto()
    """An answer begins, and no more comes."""


@dataclass(frozen=True, kw_only=True)
class Trouble:
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    content_type: str = "application/json"
    does: Doing = Doing.ANSWERS

    async def act(self, request: web.Request) -> web.StreamResponse:
        if self.does is Doing.BREAKS_OFF:
            assert request.transport is not None
            request.transport.abort()
        if self.does is Doing.STALLS:
            await asyncio.sleep(60)
        if self.does is Doing.STALLS_MIDWAY:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b'{"results": [')
            await asyncio.sleep(60)
        return web.Response(
            status=self.status, body=self.body, headers=self.headers, content_type=self.content_type
        )


TROUBLES: Final[Mapping[str, Trouble]] = {
    "401": Trouble(status=401),
    "402": Trouble(status=402),
    "403": Trouble(status=403, body=b'{"message": "Forbidden"}'),
    "404": Trouble(status=404, body=b"null"),
    "429": Trouble(status=429, headers={"Retry-After": "7"}),
    "500": Trouble(status=500, body=b"\xff\xfe"),
    "503": Trouble(status=503, headers={"Retry-After": "9"}, body=b"<html>", content_type="text/html"),
    "reset": Trouble(does=Doing.BREAKS_OFF),
    "stall": Trouble(does=Doing.STALLS),
    "stall midway": Trouble(does=Doing.STALLS_MIDWAY),
    "nothing": Trouble(),
    "garbage": Trouble(body=b"\xff\xfe\x00 {{{"),
    "another page": Trouble(body=b"<html>a captive portal</html>", content_type="text/html"),
    "gzip junk": Trouble(headers={"Content-Encoding": "gzip"}, body=b"this is no gzip"),
    "long header": Trouble(headers={"X-Long": "a" * 50_000}),
    "redirect": Trouble(status=307, headers={"Location": "/elsewhere"}),
    "no content": Trouble(status=204),
}

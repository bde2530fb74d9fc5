"""How often a message may be edited, by what Discord says with each edit."""

from __future__ import annotations

import re
from collections import OrderedDict
from types import SimpleNamespace

import aiohttp

MIN_GAP_S = 1.0
"""Between two edits of one reply: sooner, nobody reads it, and all channels share 50 requests a second."""
MAX_KEYS = 1_000

_EDITED = re.compile(r"/((?:channels/\d+|webhooks/\d+/[^/]+))/messages/[^/]+\Z")


class Pace:
    """The gap between edits, for each channel (or interaction) on its own.

    A key is the part of the API's path that names the bucket: "channels/1", "webhooks/1/TOKEN".
    """

    def __init__(self, *, min_gap_s: float = MIN_GAP_S) -> None:
        self._min_gap_s = min_gap_s
        self._gaps_s: OrderedDict[str, float] = OrderedDict()

    def gap_s(self, key: str) -> float:
        return self._gaps_s.get(key, self._min_gap_s)

    def trace(self) -> aiohttp.TraceConfig:
        """What a client's HTTP session has to be given."""
        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(self._read)
        return trace

    async def _read(
        self, _session: aiohttp.ClientSession, _context: SimpleNamespace, end: aiohttp.TraceRequestEndParams
    ) -> None:
        edited = _EDITED.search(end.url.path) if end.method == "PATCH" else None
        headers = end.response.headers
        if edited is None or "X-RateLimit-Remaining" not in headers:
            return
        remaining = int(headers["X-RateLimit-Remaining"])
        reset_after_s = float(headers.get("X-RateLimit-Reset-After", 0))
        # What is left of the window, shared out evenly over the edits that are left in it.
        self._gaps_s[edited[1]] = max(self._min_gap_s, reset_after_s / max(1, remaining))
        self._gaps_s.move_to_end(edited[1])
        while len(self._gaps_s) > MAX_KEYS:
            self._gaps_s.popitem(last=False)

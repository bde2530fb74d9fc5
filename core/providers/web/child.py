"""An extraction child: documents in, pages out, one at a time, until its parent goes away.

Started by extractor.py, in its own session, without the parent's environment. It reads frames from
standard input and writes frames to standard output: four bytes of length, big-endian, then the frame.

    in    one line of JSON (url, kind, charset, thorough, and the limits), then the document's bytes
    out   {"ready": true} once; then for each document any number of {"draft": {a page}},
          and one {"page": {...}} or {"failed": reason}, with cpu_ms and resident_bytes
"""

from __future__ import annotations

import json
import os
import resource
import struct
import sys
import time
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from core.types import Page

LENGTH = struct.Struct(">I")


def main(memory_bytes: int, cpu_s: int) -> None:
    """Serve until end of file. cpu_s: processor seconds that one document may take."""
    requests, replies = sys.stdin.buffer, _claim_stdout()
    _forbid_the_world(memory_bytes)
    _warm_up()
    _send(replies, {"ready": True})
    while frame := _next_frame(requests):
        _raise_cpu_limit(cpu_s)
        started_s = time.process_time()
        reply = _answer(frame, replies)
        reply["cpu_ms"] = round(1000 * (time.process_time() - started_s), 1)
        reply["resident_bytes"] = _resident_bytes()
        _send(replies, reply)


def _claim_stdout() -> BinaryIO:
    """Frames alone go there: what a library prints is lost."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return replies


def _forbid_the_world(memory_bytes: int) -> None:
    with suppress(ValueError):  # macOS knows this limit but keeps none
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _warm_up() -> None:
    """Import and compile before the first document waits for it: so short a page is tried by all three."""
    from core.providers.web.html import read_html

    read_html("<main><p>A sentence, to be read.</p></main>", "https://example.org/")


def _raise_cpu_limit(cpu_s: int) -> None:
    """The kernel ends a child that spins, should its parent not be there to do so."""
    used_s = int(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (used_s + 1 + cpu_s, resource.RLIM_INFINITY))


def _resident_bytes() -> int:
    """0 where it can't be told. Not by getrusage: its peak counts what the parent held before exec."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
    except OSError:
        return 0
    return int(pages) * resource.getpagesize()


def _next_frame(requests: BinaryIO) -> bytes:
    """Empty at the end of file."""
    header = requests.read(LENGTH.size)
    return requests.read(LENGTH.unpack(header)[0]) if len(header) == LENGTH.size else b""


def _send(replies: BinaryIO, reply: dict[str, Any]) -> None:
    frame = json.dumps(reply).encode()
    replies.write(LENGTH.pack(len(frame)) + frame)
    replies.flush()


def _answer(frame: bytes, replies: BinaryIO) -> dict[str, Any]:
    header, _, body = frame.partition(b"\n")
    try:
        return {"page": _read(json.loads(header), body, replies)}
    except Exception as error:  # noqa: BLE001  # the child's edge: whatever a hostile page raises is its failure
        return {"failed": type(error).__name__}


def _read(ask: dict[str, Any], body: bytes, replies: BinaryIO) -> dict[str, Any]:
    from core.providers.web.charset import decode
    from core.providers.web.html import read_html
    from core.providers.web.pdf import PdfLimits, read_pdf
    from core.types import PageKind

    url, max_chars = ask["url"], ask["chars"]

    def send_draft(page: Page) -> None:
        _send(replies, {"draft": asdict(replace(page, text=page.text[:max_chars]))})

    if ask["kind"] == PageKind.PDF:
        limits = PdfLimits(seconds=ask["seconds"], pages=ask["pages"], chars=max_chars)
        page = read_pdf(body, url, limits=limits, on_draft=send_draft)
    elif ask["kind"] == PageKind.HTML:
        page = read_html(decode(body, ask["charset"]), url, thorough=ask["thorough"], on_draft=send_draft)
    else:
        page = _plain_page(decode(body, ask["charset"]), url)
    return asdict(replace(page, text=page.text[:max_chars]))


def _plain_page(text: str, url: str) -> Page:
    from core.providers.web.charset import without_invisible
    from core.types import Page, PageKind

    text = without_invisible(text.replace("\r\n", "\n")).strip()
    return Page(url=url, title=text.split("\n", 1)[0].strip("# ")[:150], text=text, kind=PageKind.TEXT)

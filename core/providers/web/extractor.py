"""Documents -> pages in child processes that can be killed.

Parsing is slow code under the interpreter's lock, over input that a stranger chose: it may spin, grow
or crash. A few children are kept ready; each has one document at a time, and one that overruns, dies
or is no longer wanted is killed and replaced.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import structlog

from core.errors import PageFailed, PageFailure
from core.providers.web.child import LENGTH
from core.providers.web.pdf import pdf_page
from core.types import Document, Page, PageKind

_LOG = structlog.get_logger(__name__)

_ROOT = str(Path(__file__).resolve().parents[3])  # where `core` lies: the source tree, or site-packages
_RUN_CHILD = """\
import sys
root, memory_bytes, cpu_s = sys.argv[1:]
if root not in sys.path:
    sys.path.insert(0, root)  # -I left the working directory out
from core.providers.web.child import main
main(int(memory_bytes), int(cpu_s))
"""
# All that a child is given of an environment: nothing of ours, so no secret. A Python built shared
# may find its library only by LD_LIBRARY_PATH; one thread and one arena keep its memory small.
_ENVIRONMENT = {
    "PATH": os.defpath,
    "LANG": "C.UTF-8",
    "LD_LIBRARY_PATH": str(Path(sys.base_prefix, "lib")),
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
}
_KINDS = {"application/pdf": PageKind.PDF, "text/html": PageKind.HTML, "application/xhtml+xml": PageKind.HTML}
_MAX_RESTART_DELAY_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractLimits:
    """What one document may cost.

    html_s: wall time, then the child is killed; what the skip list read stands in.
    pdf_s: no page of a PDF is begun after so long; pdf_kill_s: the child is killed. Either way the
        pages read so far count.
    cpu_s: processor time, kept by the kernel should this process hang.
    memory_bytes: of address space. A child that has imported everything maps 135 MB; hostile HTML takes
        one to 240 before its second is over, and pdfium aborts where it is refused more.
    retire_bytes: resident after a document; a child that kept so much is replaced.
    reply_bytes: that a child may say about one document, drafts included; then it is killed.
    queued_thorough: with more documents than this waiting, pages are read the quick way.
    wait_s: for a child to be free or started.
    documents: a child is replaced after so many, and what it leaked goes with it.
    """

    html_s: float = 1.0
    pdf_s: float = 1.5
    pdf_kill_s: float = 2.0
    pdf_pages: int = 20
    chars: int = 400_000
    cpu_s: int = 5
    memory_bytes: int = 256 * 2**20
    retire_bytes: int = 128 * 2**20
    reply_bytes: int = 8_000_000
    queued_thorough: int = 24
    wait_s: float = 10.0
    documents: int = 500


class _ChildFailed(Exception):
    """The child is of no more use. drafts: what it had read by then."""

    def __init__(self, reason: str, drafts: Sequence[Page] = ()) -> None:
        super().__init__(reason)
        self.drafts = drafts


class ChildExtractor:
    """`async with ChildExtractor() as extractor`: children start in the background, none is left after.

    children: how many documents are read at once; one child takes 40 to 60 MB.
    """

    def __init__(self, *, children: int = 2, limits: ExtractLimits = ExtractLimits()) -> None:
        self._n_children = children
        self._limits = limits
        self._idle: asyncio.LifoQueue[_Child] = asyncio.LifoQueue()
        self._waiting = 0
        self._keepers = asyncio.TaskGroup()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self._keepers.__aenter__()
        self._tasks = [self._keepers.create_task(self._keep_one()) for _ in range(self._n_children)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        # Not told of the error, the group lets it out as itself instead of in an ExceptionGroup.
        await self._keepers.__aexit__(None, None, None)

    async def extract(self, document: Document) -> Page:
        """The readable text of a document, never empty. Raises PageFailed(UNREADABLE).

        When cancelled it kills the child that reads the document.
        """
        kind = _KINDS.get(document.media_type, PageKind.TEXT)
        child = await self._free_child()
        thorough = self._waiting <= self._limits.queued_thorough
        if not thorough and kind is PageKind.HTML:
            _LOG.info("page.read_quickly", documents_waiting=self._waiting)
        try:
            page = await child.read(document, kind, thorough=thorough)
        except _ChildFailed as failure:
            page = self._rescued(document, failure)
        finally:
            if child.is_usable:
                self._idle.put_nowait(child)
            else:
                child.kill()
        if not page.text:
            raise PageFailed(PageFailure.UNREADABLE, "no text")
        return page

    def _rescued(self, document: Document, failure: _ChildFailed) -> Page:
        """What is left of a document whose child was lost: a PDF's first pages, HTML read the quick way."""
        drafts = failure.drafts
        _LOG.info("extraction.killed", reason=str(failure), body_bytes=len(document.body), drafts=len(drafts))
        if not drafts:
            raise PageFailed(PageFailure.UNREADABLE, str(failure)) from failure
        if drafts[-1].kind is PageKind.PDF:
            return pdf_page(document.url, [draft.text for draft in drafts], title=drafts[-1].title)
        return drafts[-1]

    async def _free_child(self) -> _Child:
        self._waiting += 1
        try:
            async with asyncio.timeout(self._limits.wait_s):
                while not (child := await self._idle.get()).is_usable:
                    pass  # it died idle; its keeper starts another
                return child
        except TimeoutError:
            raise PageFailed(PageFailure.UNREADABLE, "no child was free") from None
        finally:
            self._waiting -= 1

    async def _keep_one(self) -> None:
        """Keep one child alive; wait ever longer between two that can't even start."""
        delay_s = 0.0
        while True:
            await asyncio.sleep(delay_s)
            try:
                child = await _Child.started(self._limits)
            except (OSError, _ChildFailed) as failure:
                _LOG.warning("extraction_child.not_started", reason=repr(failure))
                delay_s = min(_MAX_RESTART_DELAY_S, 2 * delay_s + 0.5)
                continue
            delay_s = 0.0
            self._idle.put_nowait(child)
            try:
                await child.ended()
            finally:
                await child.end()


class _Child:
    """One process and the frames to and from it."""

    def __init__(
        self,
        process: Process,
        replies: asyncio.StreamReader,
        transport: asyncio.BaseTransport,
        limits: ExtractLimits,
    ) -> None:
        self._process = process
        self._requests = cast("asyncio.StreamWriter", process.stdin)  # `started` asks for a pipe
        self._replies = replies
        self._transport = transport
        self._limits = limits
        self._documents_left = limits.documents
        self._reply_bytes_left = limits.reply_bytes
        self._busy = False

    @classmethod
    async def started(cls, limits: ExtractLimits, program: str = _RUN_CHILD) -> _Child:
        """A child that has said it is ready. Raises OSError, TimeoutError among them, or _ChildFailed."""
        replies, transport, sending = await _open_pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-c", program, _ROOT, str(limits.memory_bytes), str(limits.cpu_s),
                stdin=PIPE, stdout=sending, stderr=DEVNULL, env=_ENVIRONMENT, start_new_session=True,
            )  # fmt: skip
        except OSError:
            transport.close()
            raise
        finally:
            os.close(sending)
        child = cls(process, replies, transport, limits)
        try:
            async with asyncio.timeout(limits.wait_s):
                await child._reply()
        except BaseException:
            await child.end()
            raise
        return child

    @property
    def is_usable(self) -> bool:
        return not self._busy and self._documents_left > 0 and self._process.returncode is None

    async def read(self, document: Document, kind: PageKind, *, thorough: bool) -> Page:
        """Raises _ChildFailed where the child is lost, PageFailed where only the document is."""
        limit_s = self._limits.pdf_kill_s if kind is PageKind.PDF else self._limits.html_s
        drafts: list[Page] = []
        self._busy = True
        self._documents_left -= 1
        try:
            async with asyncio.timeout(limit_s):
                reply = await self._exchange(self._request(document, kind, thorough=thorough), drafts)
        except TimeoutError:
            raise _ChildFailed("took too long", drafts) from None
        except (OSError, _ChildFailed) as failure:
            raise _ChildFailed(str(failure) or type(failure).__name__, drafts) from failure
        if reply.get("failed") == MemoryError.__name__:
            raise _ChildFailed("ran out of memory", drafts)
        self._busy = False
        if reply["resident_bytes"] > self._limits.retire_bytes:
            self._documents_left = 0
        _LOG.debug("document.extracted", kind=kind, body_bytes=len(document.body), cpu_ms=reply["cpu_ms"])
        if "failed" in reply:
            raise PageFailed(PageFailure.UNREADABLE, reply["failed"])
        return _page(reply["page"])

    def _request(self, document: Document, kind: PageKind, *, thorough: bool) -> bytes:
        limits = self._limits
        header = {
            "url": document.url, "kind": kind, "charset": document.charset, "thorough": thorough,
            "seconds": limits.pdf_s, "pages": limits.pdf_pages, "chars": limits.chars,
        }  # fmt: skip
        return json.dumps(header).encode() + b"\n" + document.body

    async def _exchange(self, request: bytes, drafts: list[Page]) -> dict[str, Any]:
        """The child's last word on a request; what it says before goes to `drafts`."""
        self._requests.write(LENGTH.pack(len(request)))
        self._requests.write(request)
        await self._requests.drain()
        self._reply_bytes_left = self._limits.reply_bytes
        while "draft" in (reply := await self._reply()):
            drafts.append(_page(reply["draft"]))
        return reply

    async def _reply(self) -> dict[str, Any]:
        try:
            (length,) = LENGTH.unpack(await self._replies.readexactly(LENGTH.size))
            self._reply_bytes_left -= length
            if self._reply_bytes_left < 0:
                raise _ChildFailed("said too much")
            reply: dict[str, Any] = json.loads(await self._replies.readexactly(length))
        except asyncio.IncompleteReadError:
            raise _ChildFailed("died") from None
        except ValueError:
            raise _ChildFailed("spoke gibberish") from None
        return reply

    def kill(self) -> None:
        self._transport.close()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def ended(self) -> None:
        await self._process.wait()

    async def end(self) -> None:
        """Kill it, and wait until it is gone; a cancellation waits for that too."""
        self.kill()
        self._requests.close()
        await asyncio.shield(self._process.wait())


async def _open_pipe() -> tuple[asyncio.StreamReader, asyncio.BaseTransport, int]:
    """The reading end, what closes it, and the descriptor of the writing end.

    A pipe of ours, not asyncio's own for a process's output: that one tells of the process's end only once
    all was read, so that a child killed in the middle of a long reply would never have ended.
    """
    receiving, sending = os.pipe()
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(receiving, "rb", buffering=0)
    )
    return reader, transport, sending


def _page(fields: dict[str, Any]) -> Page:
    return Page(**(fields | {"kind": PageKind(fields["kind"])}))

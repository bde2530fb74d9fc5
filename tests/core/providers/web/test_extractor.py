"""Children that read what strangers wrote: bounded, replaced, and gone when they should be."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from core.errors import PageFailed, PageFailure
from core.providers.web.extractor import ChildExtractor, ExtractLimits, _Child, _ChildFailed
from core.types import Document, Page, PageKind
from tests.hostile.html_forms import HTML_FORMS
from tests.hostile.pdf_forms import PDF_FORMS, pdf, written
from tests.hostile.stalls import longest_stall_cpu_s

_GOOD = (
    "<title>Lamps</title><main>" + "<p>The keepers wrote down how far the lamp was seen.</p>" * 20 + "</main>"
)
_SLOW_HTML = HTML_FORMS["1 MB of short blocks"]()
_ENDLESS = b"<p>" + b"<div>" * 200_000  # no draft before any limit that is used here

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="counts processes by /proc")


def _html(body: bytes | str) -> Document:
    return Document(
        url="https://lights.example/",
        media_type="text/html",
        body=body.encode() if isinstance(body, str) else body,
    )


def _pdf(body: bytes) -> Document:
    return Document(url="https://lights.example/a.pdf", media_type="application/pdf", body=body)


@asynccontextmanager
async def _ready(extractor: ChildExtractor) -> AsyncGenerator[ChildExtractor]:
    """Entered, with a child that has read a page."""
    async with extractor:
        await extractor.extract(_html(_GOOD))
        yield extractor


def _children() -> list[int]:
    """This process's living children."""
    pids = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [
        int(pid) for pid in pids if b"core.providers.web.child" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


async def _eventually(holds: Callable[[], bool]) -> bool:
    """Whether it comes to hold within 5 s."""
    for _ in range(500):
        if holds():
            return True
        await asyncio.sleep(0.01)
    return False


async def _page_or_none(extractor: ChildExtractor, document: Document) -> Page | None:
    try:
        return await extractor.extract(document)
    except PageFailed:
        return None


async def _read_within(seconds: float, extractor: ChildExtractor, document: Document) -> None:
    async with asyncio.timeout(seconds):
        await extractor.extract(document)


def _proc(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_bytes().decode()


async def test_entering_does_not_wait_for_a_child() -> None:
    started_s = time.perf_counter()
    async with ChildExtractor(children=2):
        assert time.perf_counter() - started_s < 0.05
    assert not _children()


async def test_html_pdf_and_text_are_read_by_the_same_child() -> None:
    async with _ready(ChildExtractor(children=1)) as extractor:
        (child,) = _children()
        page = await extractor.extract(_html(_GOOD))
        assert (page.kind, page.title, page.url) == (PageKind.HTML, "Lamps", "https://lights.example/")
        report = await extractor.extract(_pdf(pdf([written(["Of lamps."])], title="Report")))
        assert (report.kind, report.title, report.text) == (PageKind.PDF, "Report", "Of lamps.")
        note = Document(
            url="u", media_type="text/plain", body="Ein Stück".encode("cp1252"), charset="windows-1252"
        )
        assert (await extractor.extract(note)).text == "Ein Stück"
        assert _children() == [child]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["html", "pdf"])
async def test_a_hostile_document_costs_its_own_budget_and_never_stalls_the_loop(kind: str) -> None:
    forms, document_of = (HTML_FORMS, _html) if kind == "html" else (PDF_FORMS, _pdf)
    documents = {name: document_of(form()) for name, form in forms.items()}
    limits = ExtractLimits(html_s=0.5, pdf_s=0.5, pdf_kill_s=0.7)
    done = asyncio.Event()
    async with _ready(ChildExtractor(children=1, limits=limits)) as extractor, asyncio.TaskGroup() as tasks:
        stall = tasks.create_task(longest_stall_cpu_s(done))
        for name, document in documents.items():
            await extractor.extract(_html(_GOOD))  # a replaced child has started
            started_s = time.perf_counter()
            page = await _page_or_none(extractor, document)
            assert page is None or 0 < len(page.text) <= limits.chars, name
            assert time.perf_counter() - started_s < 1.2, name
        done.set()
    assert stall.result() < 0.1


async def test_a_page_that_takes_too_long_is_read_the_quick_way() -> None:
    blocks = "".join(f"<div><p>Lamp {n} was lit.</p></div>" for n in range(12_000))
    limits = ExtractLimits(html_s=0.4)
    async with _ready(ChildExtractor(children=1, limits=limits)) as extractor:
        with structlog.testing.capture_logs() as logs:
            page = await extractor.extract(_html(f"<title>Lamps</title><main>{blocks}</main>"))
    assert page.title == "Lamps"
    assert "Lamp 11999 was lit." in page.text
    assert [entry["reason"] for entry in logs if entry["event"] == "extraction.killed"] == ["took too long"]


async def test_of_a_pdf_that_hangs_the_pages_read_so_far_are_kept() -> None:
    slow = pdf([written(["Lamps were lit."]), *[_slow_stream()] * 19])
    limits = ExtractLimits(pdf_s=10, pdf_kill_s=0.6)
    async with _ready(ChildExtractor(children=1, limits=limits)) as extractor:
        page = await extractor.extract(_pdf(slow))
    assert page.text.startswith("Lamps were lit.")
    assert page.title == "Lamps were lit."


def _slow_stream() -> bytes:
    """A page that takes a tenth of a second or more."""
    return written(["a" * 60] * 20_000)


async def test_a_child_that_was_killed_is_replaced() -> None:
    limits = ExtractLimits(html_s=0.4)
    async with _ready(ChildExtractor(children=1, limits=limits)) as extractor:
        (first,) = _children()
        with pytest.raises(PageFailed, match="took too long"):
            await extractor.extract(_html(_ENDLESS))
        assert (await extractor.extract(_html(_GOOD))).title == "Lamps"
        assert _children() != [first]


async def test_a_child_ended_by_sigterm_is_a_page_skipped_and_replaced() -> None:
    async with _ready(ChildExtractor(children=1)) as extractor, asyncio.TaskGroup() as tasks:
        (child,) = _children()
        reading = tasks.create_task(_failure(extractor, _html(_ENDLESS)))
        await asyncio.sleep(0.05)
        os.kill(child, signal.SIGTERM)
        assert (await reading).reason is PageFailure.UNREADABLE
        assert (await extractor.extract(_html(_GOOD))).title == "Lamps"


async def _failure(extractor: ChildExtractor, document: Document) -> PageFailed:
    with pytest.raises(PageFailed) as caught:
        await extractor.extract(document)
    return caught.value


async def test_children_that_died_idle_are_replaced_unnoticed() -> None:
    async with _ready(ChildExtractor(children=1)) as extractor:
        (child,) = _children()
        os.kill(child, signal.SIGTERM)
        assert await _eventually(lambda: child not in _children() and len(_children()) == 1)
        assert (await extractor.extract(_html(_GOOD))).title == "Lamps"


async def test_a_cancelled_reading_takes_its_child_with_it() -> None:
    async with _ready(ChildExtractor(children=1)) as extractor:
        (child,) = _children()
        with pytest.raises(TimeoutError):
            await _read_within(0.05, extractor, _html(_ENDLESS))
        assert await _eventually(lambda: child not in _children())
        assert (await extractor.extract(_html(_GOOD))).title == "Lamps"
    assert not _children()


async def test_leaving_in_the_middle_of_readings_leaves_no_child() -> None:
    with pytest.raises(TimeoutError):
        await _read_at_once(4, ChildExtractor(children=2), within_s=0.6)
    assert not _children()


async def _read_at_once(n_documents: int, extractor: ChildExtractor, *, within_s: float) -> None:
    async with asyncio.timeout(within_s), extractor, asyncio.TaskGroup() as tasks:
        for _ in range(n_documents):
            tasks.create_task(extractor.extract(_html(_ENDLESS)))


async def test_an_error_inside_comes_out_as_itself() -> None:
    with pytest.raises(ZeroDivisionError):
        await _fail_inside(ChildExtractor(children=1))
    assert not _children()


async def _fail_inside(extractor: ChildExtractor) -> None:
    async with extractor:
        raise ZeroDivisionError


async def test_a_child_is_replaced_after_so_many_documents() -> None:
    async with _ready(ChildExtractor(children=1, limits=ExtractLimits(documents=2))) as extractor:
        (first,) = _children()
        await extractor.extract(_html(_GOOD))
        await extractor.extract(_html(_GOOD))
        assert first not in _children()


async def test_a_child_that_says_too_much_is_killed() -> None:
    async with _ready(ChildExtractor(children=1, limits=ExtractLimits(reply_bytes=8_000))) as extractor:
        with pytest.raises(PageFailed, match="said too much"):
            await extractor.extract(_html(b"<pre>" + b"a line\n" * 3_000))
        assert (await extractor.extract(_html(_GOOD))).title == "Lamps"


async def test_a_page_without_text_is_unreadable_and_costs_no_child() -> None:
    async with _ready(ChildExtractor(children=1)) as extractor:
        (child,) = _children()
        with pytest.raises(PageFailed, match="no text"):
            await extractor.extract(_html("<script>1</script>"))
        assert _children() == [child]


async def test_without_a_child_a_page_fails_in_time() -> None:
    extractor = ChildExtractor(children=1, limits=ExtractLimits(wait_s=0.05))
    with pytest.raises(PageFailed, match="no child"):
        await extractor.extract(_html(_GOOD))


async def test_with_many_documents_waiting_pages_are_read_the_quick_way() -> None:
    """readability leaves a lone link out; the skip list keeps it."""
    article = "".join(
        f"<p>Sentence {n}, which is long enough, is followed by the next one.</p>" for n in range(30)
    )
    head = "<meta property=og:type content=article>"
    page = f"{head}<article>{article}</article><div><a href=x>Kept quickly</a></div>"
    async with _ready(ChildExtractor(children=1)) as extractor:
        assert "Kept quickly" not in (await extractor.extract(_html(page))).text
    async with _ready(ChildExtractor(children=1, limits=ExtractLimits(queued_thorough=-1))) as extractor:
        with capture_logs() as logs:
            assert "Kept quickly" in (await extractor.extract(_html(page))).text
    assert "page.read_quickly" in [entry["event"] for entry in logs]


async def test_a_child_holds_no_secret_and_no_right_to_the_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-canary")
    async with _ready(ChildExtractor(children=1)):
        (child,) = _children()
        environment, limits = _proc(child, "environ"), _proc(child, "limits")
        assert "canary" not in environment
        assert {entry.split("=")[0] for entry in environment.split("\0") if entry} == {
            "PATH", "LANG", "LD_LIBRARY_PATH", "OPENBLAS_NUM_THREADS", "MALLOC_ARENA_MAX"
        }  # fmt: skip
        assert "Max address space         268435456" in limits
        assert "Max file size             0" in limits
        assert "Max core file size        0" in limits
        assert "Max open files            16" in limits


@pytest.mark.timeout(120)
async def test_two_hundred_hostile_pages_leave_nothing_behind() -> None:
    limits = ExtractLimits(html_s=0.1, pdf_s=0.1, pdf_kill_s=0.1, documents=40)
    documents = [_html(_ENDLESS), _html(_SLOW_HTML), _html(b"\xff" * 99), _html(b""), _pdf(b"%PDF-1.7")]
    documents += [_pdf(PDF_FORMS["10 MB of operators"]()), *[_html(_GOOD)] * 14]
    async with _ready(ChildExtractor(children=2, limits=limits)) as extractor:
        before = await _footprint()
        for document in documents * 10:
            await _page_or_none(extractor, document)
        after = await _footprint()
    assert after[:2] == before[:2]
    assert after[2] - before[2] < 10
    assert not _children()


async def _footprint() -> tuple[int, int, float]:
    """Children, open files, and megabytes resident, once both children have started."""
    assert await _eventually(lambda: len(_children()) == 2)
    me = os.getpid()
    resident_pages = int(_proc(me, "statm").split()[1])
    return len(_children()), _open_files(me), resident_pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _open_files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


# Says more than is wanted, so that most of it is never read.
_TALKS = """\
import struct, sys, time
out = sys.stdout.buffer
ready = b'{"ready": true}'
out.write(struct.pack(">I", len(ready)) + ready)
out.flush()
sys.stdin.buffer.read(1)
out.write(struct.pack(">I", 10_000_000) + b"x" * 300_000)
out.flush()
time.sleep(60)
"""


async def test_a_child_killed_with_much_left_to_say_is_known_to_be_gone() -> None:
    child = await _Child.started(ExtractLimits(), _TALKS)

    with pytest.raises(_ChildFailed, match="said too much"):
        await child.read(_html(_GOOD), PageKind.HTML, thorough=True)
    await asyncio.sleep(0.1)  # until what it said has come
    child.kill()

    async with asyncio.timeout(5):
        await child.ended()
        await child.end()

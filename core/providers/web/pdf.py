"""PDF -> Page, page by page. Runs in an extraction child; `joined_pages` also where the child is watched.

pdfium reads a page in 2 ms, pypdf in 30; pypdf is asked for the pages that pdfium reads as nothing or
as garbage, and for the files that pdfium can't open.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from statistics import median
from typing import TYPE_CHECKING

from core.providers.web.charset import without_invisible
from core.types import Page, PageKind

if TYPE_CHECKING:
    from pypdf import PdfReader
    from pypdfium2 import PdfDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class PdfLimits:
    """seconds: after so long no further page is begun."""

    seconds: float = 1.5
    pages: int = 20
    chars: int = 400_000


def read_pdf(
    data: bytes,
    url: str,
    *,
    limits: PdfLimits = PdfLimits(),
    on_draft: Callable[[Page], None] = lambda _: None,
) -> Page:
    """The text of the first pages; `text` is empty if there is none.

    on_draft: called with each page's own text as soon as it is known, so that a reader who has to
        kill this process keeps what was read: `pdf_page` puts it together.
    """
    stop_at = time.monotonic() + limits.seconds
    source = _Source(data)
    texts: list[str] = []
    for index in range(min(source.n_pages, limits.pages)):
        chars_left = limits.chars - sum(map(len, texts))
        if time.monotonic() > stop_at or chars_left <= 0:
            break
        if text := shaped(source.page_text(index)[:chars_left]):
            texts.append(text)
            on_draft(Page(url=url, title=source.title, text=text, kind=PageKind.PDF))
    return pdf_page(url, texts, title=source.title)


def pdf_page(url: str, texts: Sequence[str], *, title: str = "") -> Page:
    """Of the pages that were read, however many they are. Without a title the first line is it."""
    text = joined_pages(texts)
    first_line = text.split("\n", 1)[0].lstrip("# ")[:_MAX_TITLE_CHARS]
    return Page(url=url, title=title or first_line, text=text, kind=PageKind.PDF)


_MAX_TITLE_CHARS = 150


class _Source:
    """A file as both libraries see it; each is opened when it is first needed."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._pdfium = _opened_by_pdfium(data)
        self._pypdf: PdfReader | None = None
        self._pypdf_tried = False
        self.n_pages = (
            len(self._pdfium) if self._pdfium else len(self._by_pypdf.pages) if self._by_pypdf else 0
        )

    @property
    def _by_pypdf(self) -> PdfReader | None:
        if not self._pypdf_tried:
            self._pypdf_tried = True
            self._pypdf = _opened_by_pypdf(self._data)
        return self._pypdf

    @property
    def title(self) -> str:
        found = self._pdfium.get_metadata_value("Title") if self._pdfium else ""
        return _plausible_title(found)

    def page_text(self, index: int) -> str:
        text = _pdfium_text(self._pdfium, index) if self._pdfium else ""
        if _garbling(text) <= 1:
            return text
        other = _pypdf_text(self._by_pypdf, index) if self._by_pypdf else ""
        return min(text, other, key=_garbling)


def _opened_by_pdfium(data: bytes) -> PdfDocument | None:
    import pypdfium2

    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError:
        return None


def _pdfium_text(document: PdfDocument, index: int) -> str:
    import pypdfium2

    try:
        text: str = document[index].get_textpage().get_text_bounded()
    except pypdfium2.PdfiumError:
        return ""
    return text


def _opened_by_pypdf(data: bytes) -> PdfReader | None:
    from pypdf import PdfReader, overwrite_configuration

    overwrite_configuration(
        zlib_maximum_output_length=8_000_000,
        lzw_maximum_output_length=8_000_000,
        run_length_maximum_output_length=8_000_000,
        brotli_maximum_output_length=8_000_000,
        maximum_declared_stream_length=10_000_000,
        stream_decoding_work_maximum_length=20_000_000,
        stream_parsing_work_maximum_count=200_000,
        page_tree_maximum_entries=5_000,
        xform_maximum_invocations_per_extraction=100,
        jbig2dec_binary=None,
    )
    try:
        reader = PdfReader(BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            return None
        len(reader.pages)
    except Exception:  # noqa: BLE001  # the extraction child's edge: a hostile file raises what it likes
        return None
    return reader


def _pypdf_text(reader: PdfReader, index: int) -> str:
    try:
        return reader.pages[index].extract_text()
    except Exception:  # noqa: BLE001  # as above: one bad page is a page without text
        return ""


_UNREADABLE = re.compile("[\ufffd\ue000-\uf8ff\x00-\x08\x0e-\x1f]")  # replaced, private use, control
# pdfium takes the Arabic ligature of lam and alef apart in the wrong order; two alefs in a row are the trace.
_REVERSED_LIGATURE = re.compile("ا[أإآ]")
_MAX_UNREADABLE_SHARE = 0.1  # of the characters
_MAX_LONE_LETTER_SHARE = 0.4  # of the words: "N O TI C E" is a word whose letters were placed one by one
_MAX_REVERSED_SHARE = 0.01  # of the words


def _garbling(text: str) -> float:
    """How far a page's text is from language: 0 is clean, above 1 nobody would read it."""
    words = text.split()
    if not words:
        return math.inf
    unreadable = len(_UNREADABLE.findall(text)) / sum(map(len, words))
    lone_letters = sum(len(word) == 1 and word.isalpha() and not _is_cjk(word) for word in words) / len(words)
    return max(
        unreadable / _MAX_UNREADABLE_SHARE,
        lone_letters / _MAX_LONE_LETTER_SHARE if len(words) > _FEW_WORDS else 0,
        len(_REVERSED_LIGATURE.findall(text)) / len(words) / _MAX_REVERSED_SHARE,
    )


_FEW_WORDS = 20  # a page of a formula or a table's corner may be all lone letters


def _plausible_title(found: str) -> str:
    """Many programs write a file's name or their own there."""
    title = " ".join(without_invisible(found).split())[:_MAX_TITLE_CHARS]
    if re.search(
        r"^(untitled|microsoft \w+ - .*|.*\.(docx?|pdf|tex|indd|dvi|pptx?|xlsx?|qxd))$", title, re.IGNORECASE
    ):
        return ""
    return title


_ITEM = re.compile(r"(?:[•◦▪●○■□–—*·-]|\d{1,3}[.)]|\(?[a-z]\))\s+\S")
_SENTENCE_END = re.compile(r"[.!?:;。！？：；]['\"”’)\]]*$")
_HYPHENS = ("-", "\u00ad", "\ufffe", "\x02")


def shaped(raw: str) -> str:
    """A page's lines joined to paragraphs, its hyphenated words made whole."""
    lines = [" ".join(line.split()) for line in raw.replace("\r\n", "\n").split("\n")]
    width = median(sorted(map(len, lines))[len(lines) // 2 :] or [0])
    paragraphs: list[str] = []
    previous = ""
    for line in lines:
        if paragraphs and previous and line and not _parts(previous, line, width):
            paragraphs[-1] = _glued(paragraphs[-1], line)
        elif line:
            paragraphs.append(line)
        previous = line
    return "\n\n".join(filter(None, map(without_invisible, paragraphs)))


def _parts(previous: str, line: str, width: float) -> bool:
    """Whether a new paragraph begins at `line`; width: of a full line, in characters."""
    if _ITEM.match(line):
        return True
    if previous.endswith(_HYPHENS) or line[0].islower():
        return False
    short = len(previous) < 0.7 * width
    return short or (bool(_SENTENCE_END.search(previous)) and len(previous) < 0.9 * width)


def _glued(text: str, line: str) -> str:
    if text.endswith(("\u00ad", "\ufffe", "\x02")):
        return text[:-1] + line
    if re.search(r"[^\W\d_]-$", text) and line[0].islower():
        return text[:-1] + line
    if _is_cjk(text[-1]) and _is_cjk(line[0]):
        return text + line
    return f"{text} {line}"


def _is_cjk(character: str) -> bool:
    return "\u3000" <= character <= "\u9fff" or "\uf900" <= character <= "\uffef"


def joined_pages(texts: Sequence[str]) -> str:
    """A sentence that runs over the page's end stays one."""
    joined = ""
    for text in texts:
        if joined and text[0].islower() and not _SENTENCE_END.search(joined):
            joined = _glued(joined, text)
        else:
            joined = f"{joined}\n\n{text}" if joined else text
    return joined

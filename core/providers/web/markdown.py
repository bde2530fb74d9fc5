"""A cleaned tree -> light Markdown, as core.types.Page describes it.

One writer, fed by one walker for each kind of tree. Both walk without recursion: how deep a page
nests is the page's choice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import ClassVar

from lxml.etree import _Element, iterwalk
from selectolax.lexbor import LexborNode

# Trafilatura's names for what HTML has too. Its "head" is a heading, with the level in `rend`.
_TEI_NAMES = {"item": "li", "row": "tr", "cell": "td", "lb": "br", "quote": "blockquote", "list": "ul"}
_HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)} | {"head": "## "}
# fmt: off
_BLOCKS = frozenset([
    "address", "article", "aside", "blockquote", "body", "button", "caption", "center", "dd", "details",
    "dialog", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hgroup",
    "hr", "html", "legend", "main", "nav", "option", "p", "section", "summary", "tbody", "tfoot", "thead",
])
_SKIPPED = frozenset([
    "script", "style", "noscript", "template", "svg", "iframe", "object", "embed", "canvas", "audio", "video",
    "title", "annotation", "annotation-xml", "select", "textarea",
])
# fmt: on
_OUT_OF_A_ROW = frozenset(["h1", "h2", "h3", "pre", "table", "article", "section"])
_MAX_CELL_CHARS = 400  # a longer one is a column of a page laid out by table
_SPACES = re.compile(r"[^\S\n]+")
_SPACED_BREAK = re.compile(r" *\n *")
_PARAGRAPH_BREAK = re.compile(r"\n{2,}")


class MarkdownWriter:
    """Takes elements and text in document order; `text` then gives the blocks.

    List items stand on adjoining lines, and so do table rows; other blocks are a blank line apart.
    """

    def __init__(self) -> None:
        self._blocks: list[tuple[str, str]] = []  # (kind, text); an empty text ends a list or a table
        self._inline: list[str] = []
        self._kind = "p"
        self._prefix = ""
        self._lists: list[int | None] = []  # for each open list its last number, None if it has bullets
        self._rows: list[
            list[str] | None
        ] = []  # for each open table the cells of its open row, None outside one
        self._skipped_depth = 0
        self._preformatted = False

    @property
    def text(self) -> str:
        self._end_block()
        return "".join(_joined(self._blocks))

    def open(self, tag: str, rend: str = "") -> None:
        tag = _TEI_NAMES.get(tag, tag)
        if self._skipped_depth or tag in _SKIPPED:
            self._skipped_depth += 1
        elif self._preformatted:
            self._inline.append("\n" if tag == "br" else "")
        else:
            if tag in _OUT_OF_A_ROW:
                self._leave_row()
            if (opener := self._OPENERS.get(tag)) is not None:
                opener(self, rend or tag)

    def data(self, text: str) -> None:
        """Text between two tags, spaces as in the source."""
        if not self._skipped_depth:
            self._inline.append(text if self._preformatted else _SPACES.sub(" ", text.replace("\n", " ")))

    def close(self, tag: str) -> None:
        tag = _TEI_NAMES.get(tag, tag)
        if self._skipped_depth:
            self._skipped_depth -= 1
        elif (not self._preformatted or tag == "pre") and (closer := self._CLOSERS.get(tag)) is not None:
            closer(self)

    def _break_line(self, _: str) -> None:
        self._inline.append("\n")

    def _open_block(self, _: str) -> None:
        self._end_block()

    def _open_pre(self, _: str) -> None:
        self._start_block("pre")
        self._preformatted = True

    def _open_heading(self, level: str) -> None:
        self._start_block("heading", _HEADINGS.get(level, "## "))

    def _open_list(self, kind: str) -> None:
        self._end_block()
        self._lists.append(0 if kind == "ol" else None)

    def _close_list(self) -> None:
        self._end_block()
        if self._lists:
            self._lists.pop()
        if not self._lists:
            self._blocks.append(("", ""))

    def _open_table(self, _: str) -> None:
        self._end_block()
        self._rows.append(None)

    def _close_table(self) -> None:
        self._end_block()
        if self._rows:
            self._rows.pop()
        self._blocks.append(("", ""))

    def _open_row(self, _: str) -> None:
        self._end_block()
        if self._rows:
            self._rows[-1] = []

    def _start_block(self, kind: str, prefix: str = "") -> None:
        self._end_block()
        if not self._in_row:
            self._kind, self._prefix = kind, prefix

    def _open_item(self, _: str) -> None:
        number = self._lists[-1] if self._lists else None
        mark = "- "
        if number is not None:
            self._lists[-1] = number + 1
            mark = f"{number + 1}. "
        self._start_block("item", "  " * max(0, len(self._lists) - 1) + mark)

    @property
    def _in_row(self) -> bool:
        return bool(self._rows) and self._rows[-1] is not None

    def _end_block(self) -> None:
        if self._in_row:
            self._inline.append("\n")
            return
        raw = "".join(self._inline)
        self._inline.clear()
        if self._preformatted:
            self._preformatted = False
            if raw.strip():
                self._blocks.append(("pre", "```\n" + raw.strip("\n").replace("```", "'''") + "\n```"))
        elif not raw.strip():
            return  # the prefix waits for its text: <li><p>…
        else:
            self._blocks.extend(_shaped(raw, self._kind, self._prefix))
        self._kind, self._prefix = "p", ""

    def _close_cell(self) -> None:
        if self._in_row:
            self._rows[-1].append(_trimmed("".join(self._inline)))  # type: ignore[union-attr]  # _in_row says so
            self._inline.clear()
        else:
            self._end_block()

    def _close_row(self) -> None:
        if not self._in_row:
            return
        cells = self._rows[-1] or []
        if len(cells) < 2 or any(len(cell) > _MAX_CELL_CHARS for cell in cells):
            self._leave_row()
        elif any(cells):
            line = " | ".join(cell.replace("\n", " ").replace("|", "/") for cell in cells)
            self._blocks.append(("row", f"| {line} |"))
        self._rows[-1] = None

    def _leave_row(self) -> None:
        """What the row holds so far becomes paragraphs: it is layout, not a table."""
        if not self._in_row:
            return
        cells, self._rows[-1] = self._rows[-1] or [], None
        for cell in cells:
            self._blocks.extend(_shaped(cell, "p", ""))
        self._end_block()

    _OPENERS: ClassVar[dict[str, Callable[[MarkdownWriter, str], None]]] = {
        **dict.fromkeys(_BLOCKS, _open_block),
        **dict.fromkeys(_HEADINGS, _open_heading),
        "br": _break_line,
        "pre": _open_pre,
        "ul": _open_list,
        "ol": _open_list,
        "li": _open_item,
        "table": _open_table,
        "tr": _open_row,
    }
    _CLOSERS: ClassVar[dict[str, Callable[[MarkdownWriter], None]]] = {
        **dict.fromkeys([*_BLOCKS, *_HEADINGS, "pre", "li"], _end_block),
        "ul": _close_list,
        "ol": _close_list,
        "td": _close_cell,
        "th": _close_cell,
        "tr": _close_row,
        "table": _close_table,
    }


def _trimmed(raw: str) -> str:
    return _SPACED_BREAK.sub("\n", _SPACES.sub(" ", raw)).strip()


def _shaped(raw: str, kind: str, prefix: str) -> Iterable[tuple[str, str]]:
    """The blocks of one element's text: two line breaks part paragraphs, only the first has the prefix."""
    text = _trimmed(raw)
    if kind in {"heading", "item"}:
        yield kind, prefix + " ".join(text.split())
    else:
        yield from (("p", part) for part in _PARAGRAPH_BREAK.split(text) if part)


def _joined(blocks: Iterable[tuple[str, str]]) -> Iterable[str]:
    previous, apart = "", ""
    for kind, text in blocks:
        if text:
            yield "\n" if kind == previous and kind in {"item", "row"} else apart
            yield text
            apart = "\n\n"
        previous = kind


def lxml_text(root: _Element) -> str:
    """Of an lxml tree: readability's HTML or trafilatura's body."""
    writer = MarkdownWriter()
    for event, element in iterwalk(root, events=("start", "end", "comment", "pi")):
        if event == "start":
            writer.open(element.tag, element.get("rend") or "")
            if element.text:
                writer.data(element.text)
            continue
        if event == "end":
            writer.close(element.tag)
        if element.tail and element is not root:
            writer.data(element.tail)
    return writer.text


def lexbor_text(root: LexborNode) -> str:
    """Of a lexbor tree."""
    writer = MarkdownWriter()
    node: LexborNode | None = root
    while node is not None:
        descend = None
        if node.is_text_node:
            writer.data(node.text_content or "")
        elif node.is_element_node:
            writer.open(node.tag or "")
            descend = node.first_child
            if descend is None:
                writer.close(node.tag or "")
        node = descend or _next_after(node, root, writer)
    return writer.text


def _next_after(node: LexborNode, root: LexborNode, writer: MarkdownWriter) -> LexborNode | None:
    """The next node in document order that is not below this one, closing what is left on the way."""
    while node.mem_id != root.mem_id:  # == would compare their HTML
        if node.next is not None:
            return node.next
        node = node.parent  # type: ignore[assignment]  # below the root every node has a parent
        writer.close(node.tag or "")
    return None

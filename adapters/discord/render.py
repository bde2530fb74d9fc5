"""Answers as Discord shows them: messages of light Markdown.

A mark is `[[1]](url)`, shown as "[1]", all of it a link: the number alone would be hard to hit on a phone
and would run together with its neighbours. Discord has no tables: a narrow one is drawn in a code block, its
marks in the line below, and a wide one becomes a list. Where text could call somebody or make a link, a
zero-width space keeps the characters apart; square brackets are escaped. All text is canonical: it went
through core.answering.defuse.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum, auto
from itertools import groupby
from typing import Final

from adapters import wording
from adapters.discord.tables import is_table, may_become_table, table_lines
from adapters.marks import replace_marks, settled
from adapters.pagination import paginate
from adapters.sources import MarkUrls, one_line, shortened, title, web_url
from core.types import Answer, Draft, Footnote

MAX_CONTENT_CHARS: Final = 2_000
"""Of a message, in code points as Discord counts them."""

_MAX_MARK_URL_CHARS: Final = 300  # longer, two marks would take up a third of a message; the page's own does
_MAX_SOURCE_URL_CHARS: Final = 1_000
_MAX_TITLE_CHARS: Final = 150
_MAX_ORIGIN_CHARS: Final = 120

_APART: Final = "\u200b"
_CALL = re.compile(r"[@<](?=[^\s=])")
_BRACKET = re.compile(r"(?<!\\)[\[\]]")
_LABEL_SIGNS = str.maketrans("[]<>`|@\\", "()‹›'¦＠/")
"""In a link's label Discord shows backslashes instead of minding them: there, signs are replaced."""

_HEADING = re.compile(r"(#{1,3})#*")
_QUOTE = re.compile(r"([ \t]*>)([> \t]*)")


def draft_messages(draft: Draft, *, suppress_previews: bool = False) -> list[str]:
    """The text so far; all but the last stay as they are when it grows. None for a blank text.

    suppress_previews: no link gets a preview, whatever the message's flags are.
    """
    return _pages(_markdown(draft.text, draft.footnotes, suppress_previews=suppress_previews, growing=True))


def final_messages(answer: Answer, *, suppress_previews: bool = False) -> list[str]:
    """The whole answer, notices and sources after the text; at least one message.

    suppress_previews: as for drafts.
    """
    pages = _pages(
        _markdown(answer.text, answer.footnotes, suppress_previews=suppress_previews, growing=False)
    )
    tail = _tail(answer, suppress_previews=suppress_previews)
    if not pages and not tail:
        return [wording.OUTCOMES[answer.outcome]]
    if pages and tail and len(whole := "\n\n".join([pages[-1], *tail])) <= MAX_CONTENT_CHARS:
        return [*pages[:-1], whole]
    return [*pages, *_packed(tail)]


def _pages(markdown: str) -> list[str]:
    return [page.text for page in paginate(markdown, MAX_CONTENT_CHARS)]


class _Kind(Enum):
    PROSE = auto()
    TABLE = auto()
    CODE = auto()


_Group = tuple[_Kind, list[str]]


def _markdown(text: str, footnotes: Sequence[Footnote], *, suppress_previews: bool, growing: bool) -> str:
    """When the text grows, the result grows by a suffix, as long as it is taken for growing."""
    urls = MarkUrls(footnotes, max_chars=_MAX_MARK_URL_CHARS)

    def shown(number: int, use: int) -> str:
        url = urls.of(number, use)
        return (
            f"[[{number}]]({_target(url, suppress_previews=suppress_previews)})" if url else f"\\[{number}\\]"
        )

    marked = replace_marks(settled(text) if growing else text, shown, prose=_prose)
    groups = _groups(marked.split("\n"))
    return "\n".join(_lines(_without_unfinished_table(groups) if growing else groups))


def _target(url: str, *, suppress_previews: bool) -> str:
    return f"<{url}>" if suppress_previews else url


def _prose(text: str) -> str:
    """Nothing in it is a mention, an emoji's token, a link or the label of one."""
    apart = _CALL.sub(rf"\g<0>{_APART}", text).replace("://", f":/{_APART}/")
    return _BRACKET.sub(r"\\\g<0>", apart).replace("](", "] (")


def _groups(lines: Iterable[str]) -> list[_Group]:
    return [
        (kind, [line for _, line in group])
        for kind, group in groupby(_kinds(lines), key=lambda pair: pair[0])
    ]


def _kinds(lines: Iterable[str]) -> Iterator[tuple[_Kind, str]]:
    fenced = False
    for line in lines:
        start = line.lstrip(" \t")
        if start.startswith("```"):
            fenced = not fenced
            yield _Kind.CODE, line
        elif fenced:
            yield _Kind.CODE, line
        else:
            yield (_Kind.TABLE if start.startswith("|") else _Kind.PROSE), line


def _without_unfinished_table(groups: Sequence[_Group]) -> Sequence[_Group]:
    """A table's columns are known once it has ended; until then it is not shown."""
    has_line_to_come = groups[-1][0] is _Kind.PROSE and not "".join(groups[-1][1]).strip()
    end = len(groups) - 1 if has_line_to_come and len(groups[-1][1]) == 1 else len(groups)
    kind, lines = groups[end - 1] if end else (_Kind.PROSE, [])
    return groups[: end - 1] if kind is _Kind.TABLE and may_become_table(lines) else groups


def _lines(groups: Iterable[_Group]) -> Iterator[str]:
    for kind, lines in groups:
        if kind is _Kind.CODE:
            yield from lines
        elif kind is _Kind.TABLE and is_table(lines):
            yield from table_lines(lines)
        else:
            yield from map(_line, lines)


def _line(line: str) -> str:
    """Discord has three levels of headings and one of quotations; ">>>" would quote all that follows."""
    line = _HEADING.sub(r"\1", line, count=1) if line.startswith("#") else line
    quote = _QUOTE.match(line)
    return quote[1] + quote[2].replace(">", "") + line[quote.end() :] if quote else line


def _tail(answer: Answer, *, suppress_previews: bool) -> list[str]:
    """Paragraphs: the notices, the sources."""
    # Small print, where it stands under an answer.
    small = "-# " if answer.text.strip() else ""
    notices = [
        f"{small}{shortened(_prose(line), MAX_CONTENT_CHARS // 2)}" for line in wording.notice_lines(answer)
    ]
    sources = [_source_line(footnote, suppress_previews=suppress_previews) for footnote in answer.footnotes]
    if sources:
        sources[0] = f"**{wording.SOURCES}**\n{sources[0]}"
    return ["\n".join(lines) for lines in (notices, sources) if lines]


def _source_line(footnote: Footnote, *, suppress_previews: bool) -> str:
    label = title(footnote, _MAX_TITLE_CHARS).translate(_LABEL_SIGNS).replace("://", ":")
    url = web_url(footnote.url, max_chars=_MAX_SOURCE_URL_CHARS)
    linked = f"[{label}]({_target(url, suppress_previews=suppress_previews)})" if url else label
    origin = one_line(wording.footnote_origin(footnote), _MAX_ORIGIN_CHARS).translate(_LABEL_SIGNS)
    return " · ".join(filter(None, (f"-# {footnote.number}. {linked}", origin)))


def _packed(paragraphs: Iterable[str]) -> list[str]:
    """Messages of whole lines, none of which is longer than one."""
    messages: list[str] = []
    for paragraph in paragraphs:
        for place, line in enumerate(paragraph.split("\n")):
            gap = "\n" if place else "\n\n"
            if messages and len(messages[-1]) + len(gap) + len(line) <= MAX_CONTENT_CHARS:
                messages[-1] += gap + line
            else:
                messages.append(line)
    return messages

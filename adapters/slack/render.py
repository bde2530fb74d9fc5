"""Answers as Slack shows them: `markdown` blocks for the text, mrkdwn for what is said beside it.

A mark is "[1]", its number a link: `[[1](url)]`, which looks the same to a strict Markdown parser and to a
simple one, and keeps numbers apart from each other and from the words. Angle brackets are escaped wherever
they stand, in code as well, because Slack reads `<!channel>` there too; only the ">" of quotations stays.
All text is canonical: it went through core.answering.defuse.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters import wording
from adapters.marks import replace_marks, settled
from adapters.pagination import paginate
from adapters.sources import MarkUrls, one_line, title, web_url
from core.answering.invisible import visible
from core.types import Answer, Draft, Footnote, Progress

Block = dict[str, Any]

MAX_TEXT_CHARS: Final = 4_000
"""Of a message's `text`: with more, chat.update answers msg_too_long."""

MAX_MARKDOWN_CHARS: Final = 11_500
"""Of a message's markdown, as JSON: Slack takes 12,000 in `markdown` blocks, and about 13,200 for all blocks,
of which buttons and the like need some."""

MAX_PAYLOAD_CHARS: Final = 13_000 - 1_300
"""Of all blocks from here, as JSON. The difference is for the blocks that the caller adds."""

_MAX_CONTEXT_CHARS: Final = 2_900  # Slack: 3,000 in a text object
_MAX_MARK_URL_CHARS: Final = 1_900
_MAX_PARENT_CHARS: Final = 2_900
_MAX_ORIGIN_CHARS: Final = 120

_MAX_TAIL_CHARS: Final = 10_000
_DETAILS: Final = ((150, 1_500), (100, 300), (60, 0))
"""For a title and for a URL, in characters: the first for which all sources fit into _MAX_TAIL_CHARS."""

_QUOTE = re.compile(r"(?:[ \t]*>)*")
_LINK = re.compile(r"\[\[(\d{1,3})\]\([^()\s]*\)\]")
_IMAGE = re.compile(rf"!(?={_LINK.pattern})")
_HALF_ENTITY = re.compile(r"&\w*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackMessage:
    """text: what notifications and screen readers get, mrkdwn, at most MAX_TEXT_CHARS."""

    text: str
    blocks: tuple[Block, ...]


def live_markdown(text: str, footnotes: Sequence[Footnote], *, complete: bool = False) -> str:
    """Markdown for a stream: when the text grows, and the footnotes with it, the result grows by a suffix.

    complete: the text won't grow. Until then, what could still become a mark or code is left out.
    """
    urls = MarkUrls(footnotes, max_chars=_MAX_MARK_URL_CHARS)

    def shown(number: int, use: int) -> str:
        url = urls.of(number, use)
        return f"[[{number}]({url})]" if url else f"[{number}]"

    markdown = replace_marks(text if complete else settled(text), shown, prose=_prose)
    return "\n".join(map(_escaped_line, markdown.split("\n")))


def draft_messages(draft: Draft) -> list[SlackMessage]:
    """The text so far; all but the last stay as they are when it grows. None for a blank text."""
    return [
        _message((_markdown_block(page),), page)
        for page in _pages(live_markdown(draft.text, draft.footnotes))
    ]


def final_messages(answer: Answer) -> list[SlackMessage]:
    """The whole answer, with notices and sources on the last message; at least one.

    The last message has room for three more blocks, of 1,300 characters together.
    """
    pages = _pages(live_markdown(answer.text, answer.footnotes, complete=True))
    tail = tuple(sources_blocks(answer))
    messages = [_message((_markdown_block(page),), page) for page in pages]
    if not tail and messages:
        return messages
    if not tail:
        said = wording.OUTCOMES[answer.outcome]
        return [_message((_section(_mrkdwn(said)),), said)]
    if messages and _json_chars([*messages[-1].blocks, *tail]) <= MAX_PAYLOAD_CHARS:
        last = messages.pop()
        return [*messages, SlackMessage(text=last.text, blocks=(*last.blocks, *tail))]
    said = "\n".join(wording.notice_lines(answer)) or wording.SOURCES
    return [*messages, _message(tail, said)]


def sources_blocks(answer: Answer) -> list[Block]:
    """Notices, then the list of sources: of at most 10,000 characters as JSON, for 60 sources at least."""
    show_notice = _context if answer.text.strip() else _section
    notices = [show_notice(text) for text in _joined(map(_mrkdwn, wording.notice_lines(answer)))]
    blocks: list[Block] = []
    for max_title_chars, max_url_chars in _DETAILS:
        lines = [_source_line(footnote, max_title_chars, max_url_chars) for footnote in answer.footnotes]
        heading = [f"*{wording.SOURCES}*"] if lines else []
        blocks = [*notices, *map(_context, _joined([*heading, *lines]))]
        if _json_chars(blocks) <= _MAX_TAIL_CHARS:
            break
    return blocks


def progress_text(progress: Progress) -> str:
    return _mrkdwn(wording.progress_line(progress))


def parent_text(asker_mention_id: str, question: str) -> str:
    """What opens a thread for a question that came by a command. asker_mention_id: the user's, "U…"."""
    asked = wording.asked_by(f"<@{asker_mention_id}>", _mrkdwn(visible(question).strip()))
    return _cut_mrkdwn(asked, _MAX_PARENT_CHARS)


def _prose(text: str) -> str:
    """No Markdown link but a mark's."""
    return text.replace("](", "] (")


def _escaped_line(line: str) -> str:
    if "<" in line or ">" in line:
        quote = _QUOTE.match(line)
        start = quote.end() if quote else 0
        line = line[:start] + line[start:].replace("<", "&lt;").replace(">", "&gt;")
    return _IMAGE.sub("! ", line)


def _source_line(footnote: Footnote, max_title_chars: int, max_url_chars: int) -> str:
    # A bar would end a link's address, a backtick make code of half a line.
    label = _mrkdwn(title(footnote, max_title_chars).replace("|", "¦").replace("`", "'"))
    origin = _mrkdwn(one_line(wording.footnote_origin(footnote), _MAX_ORIGIN_CHARS).replace("`", "'"))
    url = _mrkdwn(web_url(footnote.url, max_chars=max_url_chars))
    linked = f"<{url}|{label}>" if url else label
    return " · ".join(filter(None, (f"[{footnote.number}] {linked}", origin)))


def _joined(lines: Iterable[str]) -> list[str]:
    """Lines together, as many as one text object takes."""
    texts: list[str] = []
    for line in (_cut_mrkdwn(line, _MAX_CONTEXT_CHARS) for line in lines):
        if texts and len(texts[-1]) + 1 + len(line) <= _MAX_CONTEXT_CHARS:
            texts[-1] += f"\n{line}"
        else:
            texts.append(line)
    return texts


def _pages(markdown: str) -> list[str]:
    return [page.text for page in paginate(markdown, MAX_MARKDOWN_CHARS, size=_text_json_chars)]


def _json_chars(blocks: Sequence[Block]) -> int:
    return len(json.dumps(blocks, ensure_ascii=False))


def _text_json_chars(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False)) - len('""')


def _message(blocks: tuple[Block, ...], markdown: str) -> SlackMessage:
    plain = _LINK.sub(r"[\1]", markdown).replace("&lt;", "<").replace("&gt;", ">")
    return SlackMessage(text=_cut_mrkdwn(_mrkdwn(plain), MAX_TEXT_CHARS), blocks=blocks)


def _markdown_block(markdown: str) -> Block:
    return {"type": "markdown", "text": markdown}


def _context(mrkdwn: str) -> Block:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": mrkdwn}]}


def _section(mrkdwn: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": mrkdwn}}


def _mrkdwn(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut_mrkdwn(mrkdwn: str, max_chars: int) -> str:
    """No entity is cut in two."""
    if len(mrkdwn) <= max_chars:
        return mrkdwn
    return f"{_HALF_ENTITY.sub('', mrkdwn[: max_chars - 1]).rstrip()}…"

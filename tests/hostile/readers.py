"""What chat apps make of a text, as strictly as any of them: nothing here is shared with the filter.

Sources: CommonMark 0.31 and GitHub's tables and autolinks (markdown-it, linkify-it with all top-level
domains); Slack, "Formatting text for app surfaces"; Discord, "Message Formatting" and its client's rules.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

from linkify_it import LinkifyIt  # type: ignore[import-untyped] # publishes no types
from linkify_it.tlds import TLDS  # type: ignore[import-untyped] # the same
from markdown_it import MarkdownIt
from markdown_it.token import Token

_LINKIFY = LinkifyIt().tlds(TLDS)
_MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")

_BLOCK = re.compile(r"```.+?```", re.DOTALL)
_DISCORD_BLOCK = re.compile(r"```(?:[a-z0-9_+\-.#]+?\n)?\n*[^\n].*?\n*```", re.DOTALL | re.IGNORECASE)
_DISCORD_SPAN = re.compile(r"(`+)(.*?[^`])\1(?!`)", re.DOTALL)
_SLACK_SPAN = re.compile(r"`[^`\n]+`")
_SLACK_TOKEN = re.compile(r"<[^\s<>=\d-][^<>\n]*>")
_DISCORD_TOKEN = re.compile(
    r"@everyone|@here|<@[!&]?\d+>|<#\d+>|<a?:\w+:\d+>|<t:-?\d+(?::\w)?>|</[^>\n]+:\d+>|<id:\w+>"
)
_DISCORD_LINK = re.compile(r"(?:https?|steam|discord)://[^\s<]|\[[^\]]*\]\(", re.IGNORECASE)
_INVITE = re.compile(r"(?:discord\.gg|discord(?:app)?\.com/invite)/\w", re.IGNORECASE)
_INDENTED = re.compile(r"^(?: {4}|\t)", re.MULTILINE)


def dangers(text: str) -> list[str]:
    """All that some reader of this text would load, follow or be called by; the text may still grow."""
    closed = f"{text}\n```" if text.count("```") % 2 else text
    return [
        *(f"markdown: {found}" for found in _in_markdown(closed)),
        *(f"slack: {found}" for found in _in_slack(closed)),
        *(f"discord: {found}" for found in _in_discord(closed)),
        *(f"invisible: U+{ord(character):04X}" for character in _invisible(text)),
    ]


def _in_markdown(text: str) -> Iterator[str]:
    # A chat app knows no code by indentation.
    for token in _flat(_MARKDOWN.parse(_INDENTED.sub("", text))):
        if token.type in ("link_open", "image", "html_inline", "html_block"):
            yield f"{token.type} {token.attrs} {token.content}"
        elif token.type == "text":
            yield from _linked(token.content)


def _flat(tokens: Iterable[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _flat(token.children or ())


def _in_slack(text: str) -> Iterator[str]:
    prose = _SLACK_SPAN.sub("\n", _BLOCK.sub("\n", text))
    yield from _SLACK_TOKEN.findall(prose)
    yield from _linked(prose)


def _in_discord(text: str) -> Iterator[str]:
    yield from _INVITE.findall(_DISCORD_BLOCK.sub("", text))
    prose = _DISCORD_SPAN.sub("\n", _DISCORD_BLOCK.sub("\n", text))
    for pattern in (_DISCORD_TOKEN, _DISCORD_LINK):
        yield from pattern.findall(prose)


def _linked(prose: str) -> Iterator[str]:
    for form in (prose, unicodedata.normalize("NFKC", prose)):
        yield from (match.raw for match in _LINKIFY.match(form) or ())


_EMOJI_JOINED = re.compile(r"(?<=[\u2100-\u3300\U0001f000-\U0001faff])\ufe0f?\u200d?")
_BLANK: Final = re.compile(r"[\u034f\u115f\u1160\u2800\u3164\ufe00-\ufe0f\U000e0000-\U000e0fff]")


def _invisible(text: str) -> Iterator[str]:
    for character in _EMOJI_JOINED.sub("", text):
        hidden = unicodedata.category(character) in ("Cc", "Cf", "Co", "Cs") or _BLANK.match(character)
        if hidden and character not in "\n\t":
            yield character

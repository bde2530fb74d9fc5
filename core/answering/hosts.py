"""Makes words inert that a chat app would turn into a link or a call, whatever they are written in.

What a word is taken for, and what is shown instead:

    https://user@site.org:8/a?b, slack://x   the host, as code: `site.org`; the scheme where there is none
    www.site.org/a, site.org, a@site.org     the same, as code: none of them is a link there
    1.2.3.4/a, any.dotted/word, word.any:80  the same, as code
    discord.gg/invite                        the host, as code: an invitation may be found in code too
    mailto:…, javascript:…, data:…           the same, as code
    @everyone, @here, @channel               the same, as code
    anything of these in disguise            undisguised first: entities, escapes, full width

In inline code neither Slack nor Discord looks for links, mentions or formatting, and CommonMark (section
6.1) nothing at all. So a word which only looks like a host, such as main.py, reads as it should.
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import cache
from importlib import resources
from typing import Final
from urllib.parse import unquote

from core.answering.invisible import visible
from core.answering.words import CJK

_SPECIAL_NAMES: Final = frozenset(
    ("alt", "example", "internal", "invalid", "local", "localhost", "onion", "test")
)
"""Names a reader's own network may know (RFC 6761, 6762, 7686, 9476; ICANN, 2024)."""
_SCHEME_CHARS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-"  # RFC 3986, 3.1

_HARMLESS = re.compile(r"[^\W_]*[-,;'’\")*]*", re.ASCII)
_WEB_SCHEMES: Final = frozenset(("http", "https", "ftp", "ws", "wss"))

_ATOM = re.compile(r"[\w.\-:/\\@%&#;=?+$~]+")
"""All that the name of a host can stand among without a break."""
_SEAM = re.compile(rf"(?<=[{CJK}])(?=[A-Za-z0-9])|(?<=[A-Za-z0-9])(?=[{CJK}])")
"""Where a Latin word begins or ends in a script without spaces."""
_SLASHES = re.compile(r":[/\\]{2}")
_DOTTED = re.compile(r"[\w-]+(?:\.[\w-]+)+|(?<![.\w-])(?:\.[\w-]+)+")
"""With nothing before the first dot, a symbol may stand there: there are hosts of emoji."""
_IPV4 = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_PATH_OR_PORT = re.compile(r"\.?(?:/|:\d)")
_PINGS = re.compile(r"@(?:everyone|here|channel)", re.IGNORECASE)
_OPAQUE_URI = re.compile(
    r"(?<!\w)(?:blob|callto|cid|data|facetime|file|geo|intent|javascript|magnet|mailto|market|sip|sips"
    r"|skype|sms|steam|tel|vbscript|view-source|whatsapp|xmpp):(?=[^\s:])",
    re.IGNORECASE,
)
"""Schemes that do without "//" and that something on a reader's device answers to."""
_INVITE = re.compile(r"(discord\.gg|discord(?:app)?\.com/invite)/\S*", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]\w{1,31});")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
SPAN: Final = re.compile(r"(`[^`]*`)")
"""A code span as it is handed out; splits a text into prose and spans in turn."""
_AROUND_CODE = re.compile(r"([*~\"'“‘«(\s]*)(.*?)([*~\"'”’».,;:!?\s]*)", re.DOTALL)
_AROUND_ATOM = re.compile(r"(~~|[:=&?]*)(.*?)(~~|[.:;?&=]*)", re.DOTALL)
_EMPHASIS = re.compile(r"(_+)(.*[^_])\1", re.DOTALL)


def inert(text: str) -> str:
    """Words and the code spans among them, so that no word of them can be a link or a call. Spans may touch.

    text: where it has backticks, they are single and in pairs.
    """
    if _HARMLESS.fullmatch(text):
        return text
    parts = SPAN.split(text)
    parts[::2] = [_inert_words(part) for part in parts[::2]]
    return "".join(parts)


def is_risky(text: str) -> bool:
    """Whether there is anything in it that would be a link or a call."""
    return any(
        _OPAQUE_URI.search(form) or any(_is_risky_atom(atom) for atom in _atoms(form))
        for form in (text, _undisguised(text))
    )


def code(text: str) -> str:
    """As inline code, of URLs only the hosts; punctuation around it stays outside."""
    lead, core, trail = _halves(_AROUND_CODE, text.replace("`", ""))
    while core.endswith(")") and core.count(")") > core.count("("):
        core, trail = core[:-1], ")" + trail
    shown = _ATOM.sub(lambda atom: "".join(_without_url(atom[0]) or atom[0]), core)
    return lead + "|".join(map(code_span, shown.split("|"))) + trail  # a bar may end a table's cell


def code_span(content: str) -> str:
    """A model's own code as a span that every chat app takes for one: one backtick, one line.

    Where a table could break it, it is broken before, so that no half is left without its backtick.
    """
    content = _INVITE.sub(r"\1", " ".join(content.replace("`", "").splitlines()))
    if "|" in content and is_risky(content):
        return "|".join(_span(part) for part in content.split("|"))
    return _span(content)


def _span(content: str) -> str:
    """Spaces go outside: with them, some chat apps see no code."""
    stripped = content.strip()
    return content.replace(stripped, f"`{stripped}`") if stripped else content


def _halves(pattern: re.Pattern[str], text: str) -> tuple[str, str, str]:
    found = pattern.fullmatch(text)
    assert found is not None  # noqa: S101 # its middle takes anything
    return found[1], found[2], found[3]


def _inert_words(text: str) -> str:
    plain = _unescaped(text)
    if (plain != text and is_risky(plain)) or _OPAQUE_URI.search(text):
        return code(plain)
    shown = _ENTITY.sub(_shown_entity, _ATOM.sub(lambda atom: _inert_atom(atom[0]), text))
    if not shown.isascii() and is_risky(_undisguised(SPAN.sub(" ", shown))):
        plain = _undisguised(text)
        return code(plain if _SLASHES.search(plain) else text)
    return shown


def _shown_entity(entity: re.Match[str]) -> str:
    """For a model that writes about one; for one that uses it, a reader can still tell."""
    return entity[0] if html.unescape(entity[0]) == entity[0] else f"`{entity[0]}`"


def _undisguised(text: str) -> str:
    return unicodedata.normalize("NFKC", _unescaped(text)).replace("。", ".")


def _unescaped(text: str) -> str:
    """Without Markdown's escapes and HTML's, however often the one stands for the other."""
    while (plain := visible(html.unescape(_ESCAPE.sub(r"\1", text)))) != text:
        text = plain
    return text


def _atoms(text: str) -> list[str]:
    return [part for atom in _ATOM.findall(text) for part in _SEAM.split(atom)]


def _inert_atom(atom: str) -> str:
    return "".join(map(_inert_part, _SEAM.split(atom)))


def _inert_part(part: str) -> str:
    if reduced := _without_url(part):
        before, host, after = reduced
        return f"{_inert_part(before)}`{host}`{after}"
    if not _is_risky_atom(part):
        return part
    lead, core, trail = _halves(_AROUND_ATOM, part)
    if emphasis := _EMPHASIS.fullmatch(core):
        lead, core, trail = lead + emphasis[1], emphasis[2], emphasis[1] + trail
    return f"{lead}{code_span(core)}{trail}"


def _is_risky_atom(atom: str) -> bool:
    return (
        _url_start(atom) is not None
        or _PINGS.search(atom) is not None
        or any(_is_host(dotted, atom) for dotted in _DOTTED.finditer(atom))
    )


def _is_host(dotted: re.Match[str], atom: str) -> bool:
    """Under a public suffix; after "www.", "//" or "@"; before a path or a port; of numbers, addresses."""
    last = dotted[0].rpartition(".")[2].strip("-_").lower()
    has_more = _PATH_OR_PORT.match(atom, dotted.end()) is not None
    if atom[: dotted.start()].endswith("//"):
        return True
    if last.isdigit():
        return has_more and _IPV4.fullmatch(dotted[0]) is not None
    return (
        has_more
        or atom[: dotted.start()].endswith("@")
        or dotted[0].lower().startswith("www.")
        or last.startswith("xn--")
        or last in _top_level_names()
    )


@cache
def _top_level_names() -> frozenset[str]:
    """The last labels of the public suffix list, which the package tld ships; 5 ms, once."""
    rules = resources.files("tld") / "res" / "effective_tld_names.dat.txt"
    lines = rules.read_text(encoding="utf-8").splitlines()
    names = {line.rpartition(".")[2].strip() for line in lines if line and not line.startswith("//")}
    return _SPECIAL_NAMES | names


def _url_start(atom: str) -> tuple[int, int, int] | None:
    """Where its scheme starts and ends, and where what follows the slashes does."""
    for slashes in _SLASHES.finditer(atom):
        start = len(atom[: slashes.start()].rstrip(_SCHEME_CHARS))
        is_drive = slashes.start() - start == 1 and "\\" in slashes[0]
        if not is_drive:
            return start, slashes.start(), slashes.end()
    return None


def _without_url(atom: str) -> tuple[str, str, str] | None:
    """What stands before a URL, its host, and punctuation after it; None if there is no URL."""
    found = _url_start(atom)
    if found is None:
        return None
    start, end, authority_start = found
    rest, trail = _trimmed(unquote(atom[authority_start:]))
    if atom[start:end].lower() in _WEB_SCHEMES:
        rest = rest.lstrip("/\\")  # as browsers do
    authority = re.split(r"[/\\?#&;=]", rest)[0]
    host = re.sub(r":\d*\Z", "", authority.rpartition("@")[2])
    shown = re.sub(r"[^\w.:\-]", "", host) or atom[start:end].lstrip(".+-") + ":"
    return atom[:start], shown, trail


def _trimmed(url: str) -> tuple[str, str]:
    core = url.rstrip(".:;?~_=&")
    return core, re.sub(r"[;?=&]", "", url[len(core) :])

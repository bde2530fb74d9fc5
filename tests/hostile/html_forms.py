"""Pages built to cost more than they should, each small for what it does."""

from __future__ import annotations

from collections.abc import Callable

_SENTENCE = "<p>Lighthouses were kept by families, often for three generations.</p>"

HTML_FORMS: dict[str, Callable[[], bytes]] = {
    # readability given bytes: 11 s, 9 s, 8 s, 7 s
    "14 KB of <meta charset=": lambda: b"<meta charset=" * 1_000,
    "48 KB of <meta": lambda: b"<meta " * 8_000,
    "punycode as charset": lambda: b"<meta charset=punycode>" + b"\xff-" * 100_000,
    "an unknown charset": lambda: b"<meta charset=x-nobody-knows>\xff" + _SENTENCE.encode() * 20,
    "50 KB of spaces": lambda: b"<p>" + b" " * 50_000 + b"x</p>\xff",
    "2 MB of spaces": lambda: b"<p>a" + b" " * 2_000_000 + b"x</p>",
    # readability given text: 3 s and 100 MB, 6 s and 173 MB
    "1 MB of short blocks": lambda: b"<div><p>a" * 105_000,
    "2 MB of short blocks": lambda: b"<div><p>a" * 210_000,
    # nesting
    "260 deep": lambda: nested(260),
    "5,000 deep": lambda: nested(5_000),
    "200,000 deep": lambda: nested(200_000),
    "nested lists": lambda: b"<ul><li>a" * 50_000,
    "nested tables": lambda: b"<table><tr><td>a" * 20_000,
    "nested furniture": lambda: b'<div class="sidebar">a' * 20_000,
    "unclosed formatting": lambda: b"<b><i><a href=x><font>" * 3_000 + b"<p>a</b>" * 3_000,
    "misnested links": lambda: b"<a><p>x</a>" * 20_000,
    # attributes
    "one tag, 100,000 attributes": lambda: b"<p " + b" ".join(b"a%d=1" % n for n in range(100_000)) + b">x",
    "1 MB in one style": lambda: b'<p style="' + b"display: " * 110_000 + b'">x',
    "1 MB in one class": lambda: b'<p class="' + b"-share" * 170_000 + b'x">x',
    "style after style": lambda: b'<p style="color:red;a;b;c">x' * 30_000,
    # text
    "entities": lambda: b"&amp;&#x41;&notin;" * 60_000,
    "an unclosed comment": lambda: b"<!--" * 250_000,
    "NUL bytes": lambda: b"<p>a\0b</p>" * 100_000,
    "nothing": lambda: b"",
    "no tags": lambda: b"a" * 1_900_000,
    "a <pre> of 1 MB": lambda: b"<pre>" + b"a  \n" * 250_000,
    "line breaks": lambda: b"<br>" * 200_000 + b"x",
    "100,000 cells": lambda: b"<table>" + b"<tr><td>a<td>b" * 50_000,
    # head
    "deep JSON-LD": lambda: _json_ld(b"[" * 100_000),
    "wide JSON-LD": lambda: _json_ld(b"[" + b"{}," * 90_000 + b"{}]"),
    "a graph in a graph": lambda: _json_ld(b'{"@graph":[' * 2_000 + b"]}" * 2_000),
    "a title of 1 MB": lambda: b"<title>" + b" | a" * 250_000 + b"</title>" + _SENTENCE.encode() * 20,
    "5,000 <meta>": lambda: b"<meta name=date content=never>" * 5_000 + _SENTENCE.encode() * 20,
}


def nested(depth: int) -> bytes:
    """Text at the top and at the very bottom."""
    return (_SENTENCE + "<div>" * depth + _SENTENCE * 10 + "</div>" * depth).encode()


def _json_ld(source: bytes) -> bytes:
    return b'<script type="application/ld+json">' + source + b"</script>" + _SENTENCE.encode() * 20

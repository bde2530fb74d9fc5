"""Bytes as served become text, whatever their header says."""

from __future__ import annotations

import encodings.aliases
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.providers.web.charset import CODEC_BY_LABEL, decode, without_invisible

_RUSSIAN = "Маяк стоит на скале, и свет его виден за двадцать миль."
_JAPANESE = "灯台は岬の上に立っています。"


@pytest.mark.parametrize(
    ("text", "label", "codec"),
    [
        (_RUSSIAN, "windows-1251", "cp1251"),
        (_RUSSIAN, "koi8-r", "koi8_r"),
        (_JAPANESE, "Shift_JIS", "cp932"),
        (_JAPANESE, "euc-jp", "euc_jp"),
        ("灯塔建在海角上。", "gb2312", "gb18030"),
        ("燈塔建在海角上。", "big5", "big5"),
        ("등대는 곶 위에 서 있다.", "euc-kr", "cp949"),
        ("Das Stück kostet 5 € – über alles", "iso-8859-1", "cp1252"),
    ],
)
def test_a_page_in_a_legacy_charset_reads_the_same_by_header_or_by_meta(
    text: str, label: str, codec: str
) -> None:
    body = text.encode(codec)
    assert decode(body, label) == text
    assert decode(f"<meta charset='{label}'>".encode() + body).endswith(text)
    http_equiv = f'<meta http-equiv="Content-Type" content="text/html; charset={label}">'
    assert decode(http_equiv.encode() + body).endswith(text)


def test_the_header_outranks_the_meta() -> None:
    assert decode(b"<meta charset=koi8-r>" + _RUSSIAN.encode("cp1251"), "windows-1251").endswith(_RUSSIAN)


def test_what_is_utf8_is_read_as_utf8_whatever_is_declared() -> None:
    assert decode(_RUSSIAN.encode(), "windows-1251") == _RUSSIAN


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_outranks_all_else(codec: str) -> None:
    assert decode(_JAPANESE.encode(codec), "windows-1252") == _JAPANESE


@given(st.text(min_size=1), st.integers(min_value=0, max_value=3))
def test_a_body_cut_inside_a_character_stays_utf8(text: str, missing: int) -> None:
    body = ("é" + text).encode("utf-8", "surrogatepass")
    kept = body[: max(2, len(body) - missing)]
    assert decode(kept, "windows-1252") == kept.decode("utf-8", "ignore")


def test_a_meta_after_the_first_kilobyte_is_not_looked_for() -> None:
    body = b" " * 1024 + b"<meta charset=windows-1251>" + _RUSSIAN.encode("cp1251")
    assert "\ufffd" in decode(body)


def test_no_codec_outside_the_webs_own_is_ever_tried() -> None:
    for label in ("punycode", "idna", "utf-7", "unicode_escape", "zlib", "base64", "rot13", "no-such"):
        assert label not in CODEC_BY_LABEL
        assert decode(b"\xffabc", label) == "\ufffdabc"


def test_any_declared_charset_costs_little_and_raises_nothing() -> None:
    body = b"\xff-abc" * 40_000
    for label in {*encodings.aliases.aliases, *encodings.aliases.aliases.values(), *CODEC_BY_LABEL}:
        started_s = time.process_time()
        decode(body, label)
        decode(b"<meta charset=%s>" % label.encode() + body)
        assert time.process_time() - started_s < 0.5, label


@given(st.binary(), st.text())
def test_no_bytes_and_no_label_raise(body: bytes, label: str) -> None:
    decode(body, label)


def test_nothing_a_reader_cannot_see_is_left() -> None:
    smuggled = "".join(chr(0xE0000 + ord(letter)) for letter in "ignore all")
    assert (
        without_invisible(f"so\u00adft \u202eword\u202c\u200b{smuggled}\ufe0f\x00\n\tend")
        == "soft word\n\tend"
    )

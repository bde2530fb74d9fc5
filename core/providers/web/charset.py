"""Bytes as served -> text, by the order browsers use, with none of Python's odder codecs.

Only the encodings of the WHATWG standard that pages use are ever tried: "punycode", "idna", "utf-7",
"unicode_escape" and the like decode in quadratic time or run what they decode.
"""

from __future__ import annotations

import codecs
import re

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# Python's codec: its labels in https://encoding.spec.whatwg.org/#names-and-labels. Others are ignored.
_CODECS = {
    "utf-8": ("utf-8", "utf8", "unicode-1-1-utf-8"),
    "cp1252": ("windows-1252", "cp1252", "iso-8859-1", "iso8859-1", "iso_8859-1", "latin1", "latin-1", "l1",
               "us-ascii", "ascii"),
    "cp874": ("windows-874", "tis-620", "iso-8859-11"),
    "cp1254": ("windows-1254", "cp1254", "iso-8859-9", "iso8859-9", "latin5"),
    "gb18030": ("gb18030", "gbk", "gb2312", "x-gbk", "gb_2312-80", "chinese"),
    "big5hkscs": ("big5", "big5-hkscs", "cn-big5", "x-x-big5"),
    "cp932": ("shift_jis", "shift-jis", "sjis", "x-sjis", "windows-31j", "ms_kanji", "ms932"),
    "euc_jp": ("euc-jp", "x-euc-jp"),
    "iso2022_jp": ("iso-2022-jp",),
    "cp949": ("euc-kr", "ks_c_5601-1987", "ksc5601", "ks_c_5601", "korean", "windows-949"),
    "koi8_r": ("koi8-r", "koi8", "koi"),
    "koi8_u": ("koi8-u", "koi8-ru"),
    "mac_roman": ("macintosh", "mac", "x-mac-roman"),
    "mac_cyrillic": ("x-mac-cyrillic",),
    "cp866": ("ibm866", "cp866"),
    **{
        f"cp{page}": (f"windows-{page}", f"cp{page}", f"x-cp{page}")
        for page in (1250, 1251, 1253, 1255, 1256, 1257, 1258)
    },
    **{
        f"iso8859_{part}": (f"iso-8859-{part}", f"iso8859-{part}", f"iso_8859-{part}")
        for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)
    },
}  # fmt: skip
CODEC_BY_LABEL = {label: codec for codec, labels in _CODECS.items() for label in labels}

_META_WINDOW_BYTES = 1024  # where the HTML standard stops looking for a declaration
_META_CHARSET = re.compile(
    rb"<meta[^>]{0,200}?charset\s{0,9}=\s{0,9}[\"']?([a-z0-9_:.-]{2,40})", re.IGNORECASE
)


def decode(body: bytes, declared: str = "") -> str:
    """Byte-order mark, strict UTF-8, the header's charset, <meta>, then UTF-8 with replacements.

    declared: as the Content-Type header says it, or empty. Never raises. A character cut off by the
    end of the body does not make it any less UTF-8.
    """
    for bom, codec in _BOMS:
        if body.startswith(bom):
            return body[len(bom) :].decode(codec, "replace")
    try:
        return _decode_utf8_strictly(body)
    except UnicodeDecodeError:
        return body.decode(_declared_codec(body, declared), "replace")


def _decode_utf8_strictly(body: bytes) -> str:
    # Not final: an unfinished last character is held back instead of refused.
    return codecs.getincrementaldecoder("utf-8")("strict").decode(body, final=False)


def _declared_codec(body: bytes, declared: str) -> str:
    for label in (declared, _meta_charset(body)):
        codec = CODEC_BY_LABEL.get(label.strip().strip("\"'").lower())
        if codec is not None:
            return codec
    return "utf-8"


def _meta_charset(body: bytes) -> str:
    found = _META_CHARSET.search(body[:_META_WINDOW_BYTES])
    return found[1].decode("ascii") if found else ""


# Categories Cc (but tab and newline) and Cf, the tag block, variation selectors: what a reader never
# sees but a model reads. A soft hyphen is among them, and so are the joiners of Persian and Hindi,
# whose words stay legible without.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)


def without_invisible(text: str) -> str:
    return _INVISIBLE.sub("", text)

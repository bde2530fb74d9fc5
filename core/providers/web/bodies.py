"""What may be read of a response: judged by its headers before, by its bytes while they come."""

from __future__ import annotations

import codecs
import sys
import zlib
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing

import aiohttp

from core.errors import PageFailed, PageFailure

PDF = "application/pdf"
HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
TEXT_TYPES = frozenset({*HTML_TYPES, "text/plain", "text/markdown"})

_PIECE_BYTES = 64 * 1024
_MAX_GZIP_MEMBERS = 100  # one is usual; 200,000 empty ones are an attack on the loop
_HEAD_BYTES = 1_024  # where PDF readers look for the mark, ISO 32000-1, annex H.3.4.1
_PDF_MARK = b"%PDF-"
_BINARY = bytes([*range(0x09), 0x0B, *range(0x0E, 0x1B), *range(0x1C, 0x20)])  # MIME Sniffing, section 3
_MAX_BINARY_SHARE = 0.05

_CHALLENGE_STATUSES = frozenset({403, 429})
_CHALLENGE_HEADERS = ("cf-mitigated", "x-amzn-waf-action")
_MAX_CHALLENGE_BYTES = 64 * 1024  # a wall is a small page; an article that quotes one need not be
_CHALLENGE_MARKS = (
    b"<title>just a moment...</title>",  # Cloudflare
    b"<title>attention required! | cloudflare</title>",
    b"_cf_chl_opt",
    b"captcha-delivery.com",  # DataDome
    b"px-captcha",  # PerimeterX
    b"window.gokuprops",  # AWS WAF
    b"<title>pardon our interruption</title>",  # Imperva
    b"<title>human verification</title>",
    b"<title>are you a robot?</title>",
    b"<title>robot check</title>",
)


class BodyDecoder:
    """Undoes Content-Encoding in pieces of at most 64 KiB, so that a bomb is seen while it unfolds.

    aiohttp's own decoding is off: it hands on what it does not know ("gzip, gzip") as if it were plain.
    """

    def __init__(self, encoding: str) -> None:
        """encoding: the header's value, empty if absent. Raises PageFailed(ENCODING) for any but ours."""
        self._encoding = encoding.strip().lower() or "identity"
        if self._encoding not in ("identity", "gzip", "deflate"):
            raise PageFailed(PageFailure.ENCODING, "unknown content encoding")
        self._inflater: zlib._Decompress | None = None
        self._members = 0

    def decode(self, data: bytes) -> Iterator[bytes]:
        if self._encoding == "identity":
            yield data
            return
        try:
            yield from self._inflate(data)
        except zlib.error as error:
            raise PageFailed(PageFailure.ENCODING, "damaged") from error

    def close(self) -> None:
        """The body has ended. Raises PageFailed(ENCODING) if the data had not."""
        if self._inflater is not None and not self._inflater.eof:
            raise PageFailed(PageFailure.ENCODING, "cut short")

    def _inflate(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._inflater is None or self._inflater.eof:
                if not self._starts_member(data):
                    return
                self._inflater = zlib.decompressobj(self._window_bits(data))
            yield from self._inflate_member(self._inflater, data)
            data = self._inflater.unused_data

    def _inflate_member(self, inflater: zlib._Decompress, data: bytes) -> Iterator[bytes]:
        piece = inflater.decompress(data, _PIECE_BYTES)
        while piece:
            yield piece
            piece = inflater.decompress(inflater.unconsumed_tail, _PIECE_BYTES)

    def _starts_member(self, data: bytes) -> bool:
        """What follows the end is another gzip member, RFC 1952, section 2.2, or padding to be ignored."""
        if self._members and (self._encoding == "deflate" or data[0] != 0x1F):
            return False
        self._members += 1
        if self._members > _MAX_GZIP_MEMBERS:
            raise PageFailed(PageFailure.ENCODING, "too many gzip members")
        return True

    def _window_bits(self, data: bytes) -> int:
        if self._encoding == "gzip":
            return 16 + zlib.MAX_WBITS
        # "deflate" means the zlib format, RFC 9110, section 8.4.1.2, but some send it bare.
        return zlib.MAX_WBITS if data[0] & 0x0F == 8 else -zlib.MAX_WBITS


async def read_body(response: aiohttp.ClientResponse, media_type: str, *, max_bytes: int) -> bytes:
    """The decoded body. Raises PageFailed as soon as it is too large, undecodable, or not what it says."""
    body = bytearray()
    judged = False
    async with aclosing(_decoded(response, max_bytes)) as pieces:
        async for piece in pieces:
            body += piece
            if len(body) > max_bytes:
                raise PageFailed(PageFailure.TOO_LARGE)
            if not judged and len(body) >= _HEAD_BYTES:
                check_head(body[:_HEAD_BYTES], media_type)
                judged = True
    if not judged:
        check_head(body, media_type)
    return bytes(body)


async def read_start(response: aiohttp.ClientResponse, *, max_bytes: int) -> bytes:
    """The first `max_bytes` of the decoded body, or all of it. Raises PageFailed(ENCODING)."""
    body = bytearray()
    async with aclosing(_decoded(response, sys.maxsize)) as pieces:
        async for piece in pieces:
            body += piece
            if len(body) >= max_bytes:
                break
    return bytes(body[:max_bytes])


async def _decoded(response: aiohttp.ClientResponse, max_wire_bytes: int) -> AsyncGenerator[bytes]:
    decoder = BodyDecoder(",".join(response.headers.getall("Content-Encoding", [])))
    if (response.content_length or 0) > max_wire_bytes:
        raise PageFailed(PageFailure.TOO_LARGE, "by its own account")
    wire_bytes = 0
    async for data in response.content.iter_chunked(_PIECE_BYTES):
        wire_bytes += len(data)
        if wire_bytes > max_wire_bytes:  # else nothing, compressed, could be sent without end
            raise PageFailed(PageFailure.TOO_LARGE, "on the wire")
        for piece in decoder.decode(data):
            yield piece
    decoder.close()


def check_head(head: bytes | bytearray, media_type: str) -> None:
    """Do the first bytes look like what the header says? Raises PageFailed(MEDIA_TYPE) if not."""
    is_pdf = _PDF_MARK in head if media_type == PDF else head.lstrip().startswith(_PDF_MARK)
    if is_pdf != (media_type == PDF):
        raise PageFailed(PageFailure.MEDIA_TYPE, "not what the header says")
    if media_type != PDF and _is_binary(head):
        raise PageFailed(PageFailure.MEDIA_TYPE, "binary")


def _is_binary(head: bytes | bytearray) -> bool:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return False
    binary_bytes = len(head) - len(head.translate(None, _BINARY))
    return b"\0" in head or binary_bytes > _MAX_BINARY_SHARE * len(head)


def check_status(status: int, headers: Mapping[str, str]) -> None:
    """Raises PageFailed(CHALLENGE) or PageFailed(STATUS) for all but 200."""
    if status in _CHALLENGE_STATUSES or any(name in headers for name in _CHALLENGE_HEADERS):
        raise PageFailed(PageFailure.CHALLENGE, str(status))
    if status != 200:
        raise PageFailed(PageFailure.STATUS, str(status))


def check_not_challenge(body: bytes, media_type: str) -> None:
    """Some walls answer 200. Raises PageFailed(CHALLENGE)."""
    if media_type not in HTML_TYPES or len(body) > _MAX_CHALLENGE_BYTES:
        return
    lowered = body.lower()
    if any(mark in lowered for mark in _CHALLENGE_MARKS):
        raise PageFailed(PageFailure.CHALLENGE, "by its words")

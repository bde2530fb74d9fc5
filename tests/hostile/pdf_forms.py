"""PDFs, whole ones and ones built to cost more than they should, written by hand."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence


def pdf(
    streams: Sequence[bytes], *, filters: str = "/FlateDecode", title: str = "", resources: str = ""
) -> bytes:
    """One page for each content stream, compressed already as `filters` says."""
    n_pages = len(streams)
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(n_pages))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {n_pages} /Kids [{kids}] >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for n, stream in enumerate(streams):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * n} 0 R"
            f" /Resources << /Font << /F1 3 0 R >> {resources} >> >>".encode()
        )
        head = f"<< /Length {len(stream)} {f'/Filter {filters}' if filters else ''} >>".encode()
        objects.append(head + b"\nstream\n" + stream + b"\nendstream")
    objects.append(f"<< /Title ({title}) >>".encode())
    return _file(objects)


def _file(objects: Sequence[bytes]) -> bytes:
    """The last object is the file's information."""
    body, offsets = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n" % number + content + b"\nendobj\n"
    entries = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    table = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + entries
    trailer = b"trailer << /Size %d /Root 1 0 R /Info %d 0 R >>\n" % (len(objects) + 1, len(objects))
    return body + table + trailer + b"startxref\n%d\n%%%%EOF\n" % len(body)


def written(lines: Sequence[str]) -> bytes:
    """A page's content stream: lines from the top, 14 points apart."""
    shown = "".join(f"({line}) Tj 0 -14 Td\n" for line in lines)
    return zlib.compress(f"BT /F1 12 Tf 72 720 Td\n{shown}ET".encode("latin-1"))


def _bomb(megabytes: int) -> bytes:
    return zlib.compress(b" " * (megabytes * 1_000_000), 9)


def _operators(megabytes: int) -> bytes:
    return zlib.compress(b"0 0 m 1 1 l S\n" * (megabytes * 1_000_000 // 14), 9)


def _letters(count: int) -> bytes:
    return zlib.compress(b"BT /F1 1 Tf " + b"(a) Tj 1 0 Td " * count + b"ET", 9)


PDF_FORMS: dict[str, Callable[[], bytes]] = {
    # pypdf 7.1 as it comes: 5 s and 408 MB; 5.3 s; 13.5 s and 3 GB; more than 30 s
    "1 KB, twice compressed": lambda: pdf([zlib.compress(_bomb(400))], filters="[/FlateDecode /FlateDecode]"),
    "10 MB of operators": lambda: pdf([_operators(10)]),
    "50 pages of 60 MB": lambda: pdf([_bomb(60)] * 50),
    "2,000 pages": lambda: pdf([_letters(2_000)] * 2_000),
    "a page of 2 million letters": lambda: pdf([_letters(2_000_000)]),
    "a form that draws itself": lambda: pdf(
        [zlib.compress(b"/X Do " * 5_000)], resources="/XObject << /X 5 0 R >>"
    ),
    "pages in a circle": lambda: _file(
        [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Count 9 /Kids [2 0 R 2 0 R] >>", b"<< >>"]
    ),
    "a billion pages, it says": lambda: _file(
        [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Count 1000000000 /Kids [] >>", b"<< >>"]
    ),
    "an xref that points at itself": lambda: (
        b"%PDF-1.7\nxref\n0 1\n0000000000 65535 f \ntrailer << /Size 1 /Prev 9 >>\nstartxref\n9\n%%EOF"
    ),
    "arrays in arrays": lambda: _file([b"[" * 200_000, b"<< >>"]),
    "cut in the middle": lambda: pdf([written(["Half a file."])])[:300],
    "only a header": lambda: b"%PDF-1.7",
    "not a PDF": lambda: b"<html>" * 1_000,
    "nothing": lambda: b"",
}

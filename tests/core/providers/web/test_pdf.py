"""What of a PDF is read."""

from __future__ import annotations

from core.providers.web.pdf import PdfLimits, joined_pages, pdf_page, read_pdf, shaped
from core.types import Page, PageKind
from tests.hostile.pdf_forms import pdf, written

_URL = "https://lights.example/report.pdf"
_LINES = [
    "The lamp was changed again in that year, and the keepers wrote",
    "down from how many miles it could be seen, in which weather it",
    "had been lit, and by whom.",
    "Nobody read what they wrote until the archive was opened, long",
    "after the last of them had gone ashore.",
]


def test_lines_become_paragraphs_and_sentences_are_whole() -> None:
    page = read_pdf(pdf([written(_LINES)], title="Lamps"), _URL)
    assert page == Page(
        url=_URL, title="Lamps", text=f"{' '.join(_LINES[:3])}\n\n{' '.join(_LINES[3:])}", kind=PageKind.PDF
    )


def test_a_hyphenated_word_is_made_whole_and_a_compound_keeps_its_hyphen() -> None:
    assert shaped("The light-\nhouse stood on a well-known rock by the sea of Kara-\nBogaz.") == (
        "The lighthouse stood on a well-known rock by the sea of Kara- Bogaz."
    )


def test_list_items_stay_apart() -> None:
    assert (
        shaped("Kinds of lenses:\n• first order, for the open sea\n• sixth order, for harbours").count("\n\n")
        == 2
    )


def test_a_sentence_over_a_page_break_stays_one() -> None:
    assert joined_pages(["A lamp that was", "changed again.", "Nobody read it."]) == (
        "A lamp that was changed again.\n\nNobody read it."
    )


def test_without_a_title_or_with_a_programs_the_first_line_is_it() -> None:
    assert pdf_page(_URL, ["Annual report\n\nOf lamps."]).title == "Annual report"
    assert (
        read_pdf(pdf([written(["Annual report"])], title="Microsoft Word - draft.doc"), _URL).title
        == "Annual report"
    )


def test_no_more_pages_are_read_than_allowed() -> None:
    pages = [written([f"This is page {n} of the report."]) for n in range(5)]
    text = read_pdf(pdf(pages), _URL, limits=PdfLimits(pages=2)).text
    assert "page 1" in text
    assert "page 2" not in text


def test_no_more_characters_are_read_than_allowed() -> None:
    pages = [written(["A line of the report."] * 40)] * 5
    assert len(read_pdf(pdf(pages), _URL, limits=PdfLimits(chars=1_000)).text) <= 1_010


def test_after_the_time_is_up_no_page_is_begun() -> None:
    assert read_pdf(pdf([written(_LINES)]), _URL, limits=PdfLimits(seconds=-1)).text == ""


def test_each_page_is_handed_over_as_soon_as_it_is_read() -> None:
    drafts: list[Page] = []
    whole = read_pdf(pdf([written(["One."]), written(["Two."])]), _URL, on_draft=drafts.append)
    assert [draft.text for draft in drafts] == ["One.", "Two."]
    assert pdf_page(_URL, [draft.text for draft in drafts]) == whole


def test_a_page_that_one_library_garbles_is_read_by_the_other() -> None:
    spaced = (
        "BT /F1 12 Tf 72 700 Td "
        + "".join(f"[({letter})] TJ 7 0 Td " for letter in "lighthouse keepers")
        + "ET"
    )
    text = read_pdf(pdf([spaced.encode()], filters=""), _URL).text
    assert "lighthouse" in text.replace(" ", "")


def test_a_file_with_a_broken_table_of_offsets_is_read() -> None:
    whole = pdf([written(["Read me anyway."])])
    assert read_pdf(whole.replace(b"startxref\n", b"startxref\n9"), _URL).text == "Read me anyway."

"""Marks in canonical text, as an adapter shows them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adapters.marks import replace_marks, settled, without_half_mark

TEXT = "One.[^1] Two,[^2][^1] and `code[^3]`.\n\n```\nx[^4]\n```\nThree.[^12]"


def test_each_mark_is_shown_with_its_number_and_how_often_it_was_used() -> None:
    shown = replace_marks("One.[^1] Two.[^2][^1]", lambda number, use: f"<{number}:{use}>")
    assert shown == "One.<1:0> Two.<2:0><1:1>"


def test_what_looks_like_a_mark_in_code_is_left_alone() -> None:
    assert "`code[^3]`" in replace_marks(TEXT, lambda number, _use: f"[{number}]")
    assert "x[^4]\n" in replace_marks(TEXT, lambda number, _use: f"[{number}]")


def test_only_prose_is_changed_by_the_prose_rule() -> None:
    shown = replace_marks("a.[^1] `a`", lambda _number, _use: "a", prose=str.upper)
    assert shown == "A.a `a`"


@given(st.text(alphabet="ab`\n[]^12 .", max_size=80).filter(lambda text: "[^" not in text))
def test_text_without_marks_stays_as_it_is(text: str) -> None:
    assert replace_marks(text, lambda _number, _use: "") == text


@given(st.integers(min_value=0, max_value=len(TEXT)))
def test_no_draft_shows_half_a_mark_wherever_it_is_cut(n_chars: int) -> None:
    draft = TEXT[:n_chars].replace("code[^3]", "").replace("x[^4]", "")
    shown = replace_marks(without_half_mark(draft), lambda number, _use: f"<{number}>")
    assert not shown.endswith(("[", "[^", "[^1", "[^12"))


@given(st.text(alphabet="ab`~\n[]^12 .\\", max_size=80), st.data())
def test_what_is_settled_stays_when_the_text_grows(text: str, data: st.DataObject) -> None:
    n_chars = data.draw(st.integers(min_value=0, max_value=len(text)))
    assert text.startswith(settled(text))
    assert settled(text).startswith(settled(text[:n_chars]))


def test_half_a_mark_or_half_of_some_code_is_not_settled() -> None:
    assert [settled(TEXT[:n_chars]) for n_chars in (4, 6, 8)] == ["One.", "One.", "One.[^1]"]
    assert settled("So `co") == "So "
    assert settled("So `code` ") == "So `code` "
    assert settled("```\na[") == "```\na["

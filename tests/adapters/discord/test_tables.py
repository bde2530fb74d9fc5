"""Tables for an app that has none."""

from __future__ import annotations

from adapters.discord.tables import MAX_BLOCK_CHARS, may_become_table, table_lines

HEAD = ["| Name | Price |", "|---|---:|"]


def test_a_narrow_table_is_aligned_in_a_code_block() -> None:
    assert table_lines([*HEAD, "| **A** `b` | 12 |", "| Longer name | 3 |"]) == [
        "```",
        "Name         Price",
        "-----------  -----",
        "A b          12",
        "Longer name  3",
        "```",
    ]


def test_wide_signs_take_two_columns_and_combining_ones_none() -> None:
    lines = table_lines([*HEAD, "| 電暖器 | 1 |", "| e\u0301e\u0301 | 2 |", "| 👍 | 3 |"])
    assert lines[3:6] == ["電暖器  1", "e\u0301e\u0301      2", "👍      3"]


def test_marks_follow_a_code_block_each_once() -> None:
    first, second = "[[1]](https://a.example/x)", "[[2]](<https://b.example/y>)"
    lines = table_lines([*HEAD, f"| A{first} | 1{second} |", f"| B | 2{first} |"])
    assert lines[3:5] == ["A[1]  1[2]", "B     2[1]"]
    assert lines[-2:] == ["```", f"{first} {second}"]


def test_a_wide_table_is_a_list() -> None:
    wide = "words " * 10
    assert table_lines(
        ["| Name | Price | Note |", "|---|---|---|", f"| A | 12[[1]](https://a.example/) | {wide} |"]
    ) == [f"- A — Price: 12[[1]](https://a.example/); Note: {wide.strip()}"]


def test_a_long_table_is_several_blocks_with_the_same_head() -> None:
    lines = table_lines([*HEAD, *(f"| Row {number} | {number} |" for number in range(200))])
    blocks = "\n".join(lines).removeprefix("```\n").removesuffix("\n```").split("\n```\n```\n")
    assert len(blocks) == 3
    assert all(block.startswith("Name     Price\n-------  -----\nRow ") for block in blocks)
    assert all(200 < len(block) + len("```\n\n```") <= MAX_BLOCK_CHARS for block in blocks)


def test_cells_that_are_missing_or_too_many_are_kept_in_order() -> None:
    assert table_lines([*HEAD, "| A |", "| B | 1 | more |"])[3:5] == ["A", "B     1      more"]


def test_an_escaped_bar_is_part_of_its_cell() -> None:
    assert table_lines([*HEAD, r"| a \| b | 1 |"])[3] == "a | b  1"


def test_a_bar_in_code_is_part_of_its_cell() -> None:
    lines = table_lines(["| `a|b` | c |", "|---|---|", f"| `x|[y](z)` | {'long ' * 20}|"])
    assert lines == [f"- `x|[y](z)` — c: {('long ' * 20).strip()}"]


def test_an_escape_that_only_discord_needs_is_not_shown_in_code() -> None:
    assert table_lines([*HEAD, "| \\[x\\] <\u200bb | 1 |"])[3] == "[x] <b  1"


def test_a_table_without_rows_shows_its_head() -> None:
    assert table_lines(HEAD) == ["```", "Name  Price", "----  -----", "```"]
    assert table_lines([f"| {'a' * 70} | b |", "|---|---|"]) == [f"- {'a' * 70}; b"]


def test_bars_may_become_a_table_until_the_second_line_says_no() -> None:
    assert may_become_table(["| a |"])
    assert may_become_table(["| a |", "|:-"])
    assert may_become_table(["| a |", "|"])
    assert not may_become_table(["| a |", "| b |"])
    assert not may_become_table(["| a |", "| b |", "| c |"])
    assert may_become_table(["| a |", "|---|", "| b |"])

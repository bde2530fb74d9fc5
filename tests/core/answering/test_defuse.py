"""No link, image or call of a model's reaches a reader; its words do."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.answering.defuse import MAX_UNIT_CHARS, Defuser, defuse
from core.answering.footnotes import MARK
from tests.hostile.readers import dangers
from tests.hostile.texts import CONTEXTS, FORMS

HARMLESS = (Path(__file__).parent / "harmless_sentences.txt").read_text(encoding="utf-8").splitlines()
MAX_HELD_CHARS = 2_048

SNIPPETS = (
    *FORMS,
    *HARMLESS[::8],
    *"`[]()<>!:/\\|*_~@#&;\n \t",
    "``",
    "```",
    "\n```\n",
    "](",
    "]:",
    "[^1]",
    "http",
    "www.",
    ".com",
    "    ",
    "> ",
    "- ",
    "\u200b",
    "\u200d",
    "\ufe0f",
    "😀",
    "。",
    "中",
)
texts = st.lists(st.sampled_from(SNIPPETS) | st.text(max_size=6), max_size=8).map("".join)


def states(pieces: list[str]) -> list[str]:
    """What a reader sees after each piece, and in the end."""
    defuser = Defuser()
    seen = []
    for piece in pieces:
        defuser.feed(piece)
        seen.append(defuser.text)
    defuser.finish()
    return [*seen, defuser.text]


def cut(text: str, places: list[int]) -> list[str]:
    bounds = [0, *sorted({place for place in places if place < len(text)}), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(bounds)]


def assert_harmless(text: str) -> None:
    for state in dict.fromkeys(states(list(text))):
        assert dangers(state) == [], state
    assert dangers(defuse(text)) == []


@pytest.mark.parametrize("context", CONTEXTS)
def test_no_hostile_form_is_ever_seen(context: str) -> None:
    for form in FORMS:
        assert_harmless(context.replace("{}", form))


def test_the_corpus_is_hostile() -> None:
    """Not all of it on every platform; what none would follow today stays for the day one does."""
    assert len(set(FORMS)) >= 200
    assert sum(1 for form in FORMS if dangers(form)) >= 160


@given(texts)
def test_no_mixture_of_forms_is_ever_seen(text: str) -> None:
    assert_harmless(text)


@given(texts, st.lists(st.integers(0, 400), max_size=12))
def test_what_is_handed_out_does_not_depend_on_the_cuts(text: str, places: list[int]) -> None:
    seen = states(cut(text, places))
    assert seen[-1] == states(list(text))[-1] == defuse(text)
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(seen))


@given(texts)
def test_a_text_that_passed_once_passes_unchanged(text: str) -> None:
    once = defuse(text)
    assert defuse(once).replace("`", "") == once.replace("`", "")


@given(texts)
def test_no_mark_appears_that_was_none(text: str) -> None:
    unmarked = MARK.sub("", defuse(text.replace("[^", "[")))
    assert unmarked == defuse(text.replace("[^", "["))


def test_there_are_200_harmless_sentences() -> None:
    assert len(set(HARMLESS)) >= 200


@pytest.mark.parametrize("sentence", HARMLESS)
def test_a_harmless_sentence_reads_as_before(sentence: str) -> None:
    assert defuse(sentence).replace("`", "") == sentence.replace("`", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # links
        ("See [the docs](https://evil.com/a).", "See the docs."),
        ("See ![a chart](https://evil.com/a.png).", "See a chart."),
        ("[![alt](https://evil.com/a)](https://evil.com)", "alt"),
        ("[`run`](https://evil.com) it", "`run` it"),
        ("It is so[^1](https://evil.com).", "It is so[^1]."),
        ("It is so[^1](see below).", "It is so[^1] (see below)."),
        ("[^1]: https://evil.com", "[^1] `evil.com`"),
        ("as follows[^1]: a, b", "as follows[^1]: a, b"),
        ("[r]: https://evil.com", "`[r]`: `evil.com`"),
        ("> [r]: https://evil.com", "> `[r]`: `evil.com`"),
        ("So [r]: it is", "So [r]: it is"),
        ("[see [^1]]: it is", "[see [^1]]: it is"),
        ("[see [^1]](below that) it", "[see [^1]] (below that) it"),
        ("a[i](x) + b", "`a[i](x)` + b"),
        ("f[i](self.name) + b", "`f[i](self.name)` + b"),
        ("a[see it](/x) b", "asee it b"),
        ("a[i](https://evil.com/x)", "ai"),
        ("[a-z](?:x|y) z", "`[a-z](?:x`|`y)` z"),
        ("[Note](see below) it", "`[Note](see below)` it"),
        ("[a](?b=c) d", "a d"),
        ("m[i][j] and [0, 1][^1]", "m[i][j] and [0, 1][^1]"),
        ("Wow![^1] [![^1]", "Wow! [^1] [! [^1]"),
        ("[[^1] x]: y", "[[^1] x]: y"),
        ("<@U012345>[r]: x", "`[r]`: x"),
        ("[Note](see below)[^1]", "`[Note](see below)`[^1]"),
        ("f[i]( ) x", "`f[i]( )` x"),
        (f"{'[' * 16}a{']' * 16}(/x) b", f"{'[' * 15}a{']' * 15} b"),
        # angle brackets
        ("<b>x</b>[^1]", "`<b>x</b>`[^1]"),
        ("Vec<`T`> b", "`Vec<T>` b"),
        ("[<](/x)@U012345> b", " b"),
        ("<@U012345|a `b|c` d>", "a b|c d"),
        ("<https://evil.com|click me> now", "click me now"),
        ("<evil.com|click me> now", "click me now"),
        ("<#C012345|general> <!here> <@U012345> now", "general   now"),
        ("<https://evil.com/a> now", "`evil.com` now"),
        ("<someone@evil.com> now", "`someone@evil.com` now"),
        ('<a href="https://evil.com">click</a> now', "`click</a>` now"),
        ("<div>, <b class='x'> and (List<int>).", "`<div>`, `<b class='x'>` and (`List<int>`)."),
        ("<!DOCTYPE html>, <!-- a -->", "`<!DOCTYPE html>`, `<!-- a -->`"),
        ("Map<K, List<V>>::new() or x<y", "`Map<K, List<V>>::new()` or `x<y`"),
        ("f<T>(x). **Vec<T>**, (Vec<T>) and T<A>[0]", "`f<T>(x)`. **`Vec<T>`**, (`Vec<T>`) and `T<A>`[0]"),
        ("<see [^1] b> c", "`<see` [^1] b> c"),
        ("<a|b> c", "`<a`|b> c"),
        ("a < b <= c <- d <3", "a < b <= c <- d <3"),
        ("a <", "a <"),
        ("a <b\nc> d", "a `<b`\nc> d"),
        # words
        ("https://user@evil.com:80/a?b#c, and", "`evil.com`, and"),
        ("See slack://open.", "See `open`."),
        ("https://ev%3Cil.com https:////evil.com HTTP:////evil.com", "`evil.com` `evil.com` `evil.com`"),
        ("-file:///x https:\\\\evil.any a=C:\\\\Users", "`file:` `evil.any` a=C:\\\\Users"),
        ("https://evil.com/a?_. https://evil.com/X", "`evil.com`_. `evil.com`"),
        ("evil.comX //evil.any", "evil.comX `//evil.any`"),
        ("https：／／evil．com/a &foo;", "`evil.com` &foo;"),
        ("See file:///etc/passwd.", "See `file:`."),
        ("See https://.", "See `https:`."),
        ("a=https://evil.com/x b", "a=`evil.com` b"),
        ("C:\\\\Users and x:\\\\y", "C:\\\\Users and x:\\\\y"),
        ("discord.gg/abc `discord.gg/abc`", "`discord.gg` `discord.gg`"),
        ("javascript:alert(1) runs", "`javascript:alert(1)` runs"),
        ("1.2.3.4 1.2.3.4/a 1.2.3.4:80 1.2/3 1.2.3:4", "1.2.3.4 `1.2.3.4/a` `1.2.3.4:80` 1.2/3 1.2.3:4"),
        (
            "www.any, any.word any.word/a any.word:8 any.word: 8",
            "`www.any`, any.word `any.word/a` `any.word:8` any.word: 8",
        ),
        ("a@any.word b@1.2", "`a@any.word` b@1.2"),
        ("evil.xn--p1ai evil.local", "`evil.xn--p1ai` `evil.local`"),
        ("_main.py_ __init__.py ~~main.py~~", "_`main.py`_ `__init__.py` ~~`main.py`~~"),
        ("@everyone. @Here @channels @someone", "`@everyone`. `@Here` `@channels` @someone"),
        ("编辑main.py文件。See", "编辑`main.py`文件。See"),
        ("a。com b。c。", "`a。com` b。c。"),
        ("evil．com ｈttps://evil.com/a m²", "`evil．com` ｈ`evil.com` m²"),
        ("&#104;ttps://evil.com/a &amp; &x; R&D;", "`evil.com` `&amp;` &x; R&D;"),
        ("https\\://evil.com/a evil\\.com \\*", "`evil.com` `evil.com` \\*"),
        ("wait...is it .com ...com", "wait...is it `.com` ...com"),
        # code
        ("``a ` b`` ` c", "`a  b`  c"),
        ("` a ` b", " `a`  b"),
        ("`a``b` `a` `b`", "`ab` `a` `b`"),
        ("`a\nb` c", "`a b` c"),
        ("`a|b` `a|evil.com`", "`a|b` `a`|`evil.com`"),
        ("\\\\`a` b", "\\\\ `a` b"),
        ("```py x\na\n```\nb", "```py\na\n```\nb"),
        ("```\na", "```\na\n```"),
        ("```\na\n", "```\na\n```"),
        ("```\n", ""),
        ("```\n\n```\nb", "b"),
        ("~~~\na ``` b\n~~~\nc", "```\na `` b\n```\nc"),
        ("````\n```\na\n````\n", "```\n``\na\n```\n"),
        ("- ```\n  a\n\nb\n  ```\nc", "-\n  ```\n  a\n\n  b\n  ```\nc"),
        ("> ```\n> a\nb\n> ```\nc", ">\n  ```\n  a\n  b\n  ```\nc"),
        ("     ```\n       a\n\tb\n     ```\nc", "   ```\n     a\n   b\n   ```\nc"),
        (">    ```\n>      a\n>    ```\nc", ">\n   ```\n     a\n   ```\nc"),
        (">> ```\n> > a > b\n>> ```\nc", ">>\n   ```\n   a > b\n   ```\nc"),
        ("```\na\n``` \t\nc", "```\na\n```\nc"),
        (" ```\n\n\u2007a\n \u2007\n ```\n", " ```\n \u2007a\n \u2007\n ```\n"),
        ("//evil.0", "`//evil.0`"),
        ("```\n    a ``` `\n```\nc", "```\n    a `` `\n```\nc"),
        ("1. a\n   ```\n   b\n   ```", "1. a\n   ```\n   b\n   ```"),
        ("`~~~\na", "~~\na"),
        ("`*~~~a\nb", "*~~a\nb"),
        ("a ~~~ b", "a ~~~ b"),
        # what can't be seen
        ("a\u200bb\x07c\u2028d", "abc\nd"),
        ("❤️ 👩‍💻 👍🏽 a\u200db ❤️️ 1️", "❤️ 👩‍💻 👍🏽 ab ❤️ 1"),
        ("a\u200d👩 👩\u200da 👩🏽\u200d💻 é\u200b\n\tx", "a👩 👩a 👩🏽\u200d💻 é\n\tx"),
        ("[\u200b^1] [<!x>^1] [^[1](/x)]", "[^1] [ ^1] [ ^1]"),
    ],
)
def test_what_a_reader_is_shown_for(text: str, expected: str) -> None:
    assert defuse(text) == expected
    assert states(list(text))[-1] == expected


@pytest.mark.parametrize(
    "unit", ["a", "[", "<a", "(", "[a](b", "<", "a[i]", "`", "``a`", "&", ":", "a.", "[<`a` "]
)
def test_little_is_held_back(unit: str) -> None:
    defuser = Defuser()
    text = unit * (8_000 // len(unit))
    n_dropped = text.count("`")
    for fed, character in enumerate(text, start=1):
        defuser.feed(character)
        assert fed - n_dropped - len(defuser.text) <= MAX_HELD_CHARS


def test_a_word_too_long_to_be_read_as_one_is_broken() -> None:
    word = "x" * (MAX_UNIT_CHARS - 5)
    assert_harmless(f"{word}.evil.com/path")
    assert defuse(f"{word}.evil.com") == f"{word}.evil `.com`"
    assert defuse(f"{word}`code` b") == f"{word} `code` b"
    assert defuse(word) == word


@pytest.mark.parametrize("n_spaces", range(394, 400))
def test_a_fence_ends_where_the_splitter_sees_it_end(n_spaces: int) -> None:
    text = f"```\na\n```{' ' * n_spaces}\nhttps://evil.com\n```\nhttps://evil.com\n```\nb"
    assert states(list(text))[-1] == defuse(text)
    assert dangers(defuse(text)) == []


def test_what_has_ended_is_shown_at_once() -> None:
    defuser = Defuser()
    for piece, shown in (("It ", "It "), ("i", ""), ("s ", "is "), ("<b> ", "`<b>` "), ("[a](/x) ", "a ")):
        assert defuser.feed(piece) == shown


def test_a_bracket_that_ends_inside_of_code_at_the_edge_of_what_is_held_leaves_no_half_of_it() -> None:
    prose = "Prose goes on and on here. " * 40
    bracket = "![[https://evil.example/ahttps://evil.example/ae.g. www.x.com"
    text = f"<//evil.example/a{prose}a.b/&#104; <@U1>{bracket}```>]\\@everyone]@everyone![:```"

    shown = defuse(text)

    assert shown.count("`") % 2 == 0
    assert "evil" not in shown

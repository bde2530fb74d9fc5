"""Answers for the renderers' tests: hostile ones by the handful, a long one by heart."""

from __future__ import annotations

import re
from itertools import count

from hypothesis import strategies as st

from core.answering.code_spans import CodeSplitter
from core.answering.defuse import defuse
from core.answering.footnotes import MARK
from core.types import Answer, Footnote, Outcome, PageKind

N_FOOTNOTES = 12

_TOKENS = [
    *(f"[^{number}]" for number in range(1, N_FOOTNOTES + 1)),
    *(f"said so.[^{number}]" for number in (1, 2, 12)),
    *"[]()<>`|!@#&*_\\:/",
    "```",
    "~~~",
    "](",
    "\n",
    "\n\n",
    " ",
    "[x](http://evil.example/)",
    "![x](http://evil.example/)",
    "[x]: http://evil.example/",
    "<http://evil.example/|x>",
    "https://evil.example/a",
    "<!channel>",
    "<!here|x>",
    "<@U123>",
    "<@!123456789012345678>",
    "<#C1|x>",
    "<:emoji:123>",
    "<t:123:R>",
    "@everyone",
    "@here",
    "@someone",
    "&lt;!channel&gt;",
    "discord.gg/abc",
    "`code`",
    "`[x](http://evil.example/) <!channel> @everyone`",
    "Amazing![^1]",
    "```python\nx = a[0](b)\n<!channel>\n```\n",
    "> quoted",
    ">>> quoted",
    "#### Heading",
    "- item",
    "| a | b |\n|---|---|\n| 1[^3] | 2 |\n",
    "|",
    "word",
    "冬でも家の中はとても暖かい。",
    "👩‍👩‍👧",
    "lorem ipsum dolor sit amet consectetur",
    "x" * 90,
]

hostile = st.lists(
    st.one_of(st.sampled_from(_TOKENS), st.sampled_from(_TOKENS), st.text(max_size=12)), max_size=40
).map("".join)
"""What a model might write, as it is."""

canonical = hostile.map(defuse)

_FILLER = "The committee met in the old town hall and, after a long debate, agreed on nothing at all. "
long_canonical = st.lists(
    st.one_of(hostile, st.integers(1, 8).map(_FILLER.__mul__), st.just("\n\n")), min_size=4, max_size=20
).map(lambda parts: defuse("".join(parts)))
"""Of some thousand characters."""


def footnotes_of(text: str) -> tuple[Footnote, ...]:
    """As a writer has them once it has written this much: a link for each mark."""
    uses = [0] * (N_FOOTNOTES + 1)
    for run in prose_runs(text):
        for mark in MARK.finditer(run):
            if 0 < int(mark[1]) <= N_FOOTNOTES:
                uses[int(mark[1])] += 1
    return tuple(
        Footnote(
            number=number,
            title=f"Title [{number}](http://evil.example/) | `of` <!channel> @everyone ||\u202e\n page",
            url=f"https://site{number}.example/page",
            host=f"site{number}.example",
            kind=PageKind.HTML,
            published="2026-02-11",
            links=tuple(hostile_link(number, use) for use in range(uses[number])),
        )
        for number in range(1, N_FOOTNOTES + 1)
    )


def hostile_link(number: int, use: int) -> str:
    return f"https://site{number}.example/page_(a)|<b> c`d`?x=1&y=[2]#:~:text=use%20{use}"


def encoded_link(number: int, use: int) -> str:
    return f"https://site{number}.example/page_%28a%29%7C%3Cb%3E%20c%60d%60?x=1&y=%5B2%5D#:~:text=use%20{use}"


def is_of_footnote(url: str) -> bool:
    return re.fullmatch(r"https://site\d+\.example/page(_%28a%29[!-~]*)?", url) is not None


def answer_of(text: str) -> Answer:
    return Answer(outcome=Outcome.ANSWERED, text=text, footnotes=footnotes_of(text))


def prose_runs(text: str) -> list[str]:
    splitter = CodeSplitter()
    return [run.text for run in (*splitter.feed(text), *splitter.finish()) if not run.code]


def numbered_marks(text: str) -> list[tuple[int, int]]:
    """Number and use of each mark, in order."""
    uses = {number: count() for number in range(1000)}
    numbers = (int(mark[1]) for run in prose_runs(text) for mark in MARK.finditer(run))
    return [(number, next(uses[number])) for number in numbers]


def solid(text: str) -> str:
    """Without white space, which pages may lose."""
    return "".join(text.split())


def long_answer() -> Answer:
    """30 kB with headings, lists, code, narrow and wide tables, and 12 footnotes."""
    sections = [_section(number) for number in range(1, 41)]
    return answer_of(defuse("\n\n".join(sections)[:30_000]))


def _section(number: int) -> str:
    first, second = number % N_FOOTNOTES + 1, (number * 5) % N_FOOTNOTES + 1
    return f"""## Part {number}: heating with a pump

Heat pumps move heat instead of making it, which is why one unit of power becomes three of warmth.[^{first}]
In cold weather they move less, yet *enough* for most houses built since 1990![^{second}][^{first}] Few know.

- **Price**: about {number},000 euros, installed.[^{second}]
- **Noise**: 35 dB at three metres, as `loudness(distance=3)` has it.

| Model | Power | Price |
|---|---:|---:|
| AX-{number} | {number} kW | 9,{number:03} |
| 電暖器 | 2 kW | 99[^{first}] |

| What to compare before anybody signs anything | What it means for the house in question |
|---|---|
| Seasonal coefficient of performance | How much heat a year's power becomes[^{second}] |

```python
def warmth(power: float, factor: float = 3.{number}) -> float:
    return power * factor if power < {number} else 0.0  # <!channel>
```"""

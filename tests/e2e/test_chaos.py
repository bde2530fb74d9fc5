"""What `make chaos` shows, and that it would notice if a reply were not as it should be."""

import asyncio
import shutil
import sys
from dataclasses import replace

import pytest

from benchmarks.chaos import Scene, differences
from core.types import Answer, Footnote, Notice, NoticeKind, Outcome, PageKind

SCENE = Scene(said="The model dies.", asks="?", notices=frozenset({NoticeKind.CUT_BY_FAILURE}))
NOTE = Footnote(number=1, title="T", url="https://example.org/", host="example.org", kind=PageKind.HTML)
GOOD = Answer(
    outcome=Outcome.ANSWERED,
    text="So it is[^1].",
    footnotes=(NOTE,),
    notices=(Notice(kind=NoticeKind.CUT_BY_FAILURE),),
)


async def test_each_thing_is_broken_before_the_watchers_eyes_and_each_reply_is_as_it_should_be() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.chaos", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    shown = output.decode()

    assert process.returncode == 0, shown
    scenes = 6 if shutil.which("redis-server") else 5
    assert shown.count("━━ ") == shown.count("As it should be.") == shown.count("\nSources\n") == scenes
    assert ("SKIPPED" in shown) is (scenes == 5)
    for broken in ("Serper is dead", "out of credit", "dies in mid-sentence", "The model refuses"):
        assert broken in shown


def test_a_reply_as_it_should_be_differs_in_nothing() -> None:
    assert differences(SCENE, GOOD) == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (replace(GOOD, notices=()), "it did not say cut_by_failure"),
        (replace(GOOD, outcome=Outcome.FAILED), "it ended as failed, not answered"),
        (replace(GOOD, footnotes=()), "it has no footnotes"),
        (replace(GOOD, notices=(*GOOD.notices, Notice(kind=NoticeKind.BUG))), "it said bug"),
    ],
)
def test_any_other_reply_is_told_apart(answer: Answer, said: str) -> None:
    assert differences(SCENE, answer) == [said]

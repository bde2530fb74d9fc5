"""What every Library promises, on the fake, the one in memory and LanceDB."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
import pytest

from core.ports import Library
from core.providers.storage.lance import LanceLibrary
from core.providers.storage.memory import MemoryLibrary
from core.types import Passage, Vectors
from tests.fakes import FakeLibrary


@pytest.fixture(params=["fake", "memory", "lance"])
async def library(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Library]:
    if request.param == "fake":
        yield FakeLibrary()
    elif request.param == "memory":
        yield MemoryLibrary()
    else:
        lance = LanceLibrary(tmp_path / "library")
        yield lance
        await lance.aclose()


def passages(*texts: str, title: str = "") -> list[Passage]:
    return [
        Passage(url=f"https://{index}.example/", index=0, text=text, title=title)
        for index, text in enumerate(texts)
    ]


def unit(*rows: tuple[float, ...]) -> Vectors:
    vectors = np.array(rows, dtype=np.float32)
    normal: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normal


async def test_scores_come_in_the_order_of_the_passages_and_are_0_without_a_shared_word(
    library: Library,
) -> None:
    scores = await library.lexical_scores(
        "Where do otters sleep?", passages("bread rises", "otters sleep afloat", "otters eat")
    )
    assert scores[0] == 0
    assert scores[1] > scores[2] > 0


async def test_a_rare_word_counts_more_than_one_that_every_passage_has(library: Library) -> None:
    scores = await library.lexical_scores(
        "otter kelp", passages("otter swims there", "otter likes kelp", "otter eats clams", "kelp grows tall")
    )
    assert scores[1] > scores[3] > scores[0] > 0


async def test_the_statistics_are_those_of_the_passages_given_alone(library: Library) -> None:
    asked = passages("otter swims there", "otter likes kelp")
    before = await library.lexical_scores("otter kelp", asked)
    await library.lexical_scores("otter kelp", passages(*["kelp kelp kelp forest"] * 50))
    assert await library.lexical_scores("otter kelp", asked) == pytest.approx(before)


async def test_words_of_the_title_count(library: Library) -> None:
    titled = passages("They sleep afloat.", title="Otters")
    assert (await library.lexical_scores("otters", titled))[0] > 0


async def test_questions_at_once_do_not_see_each_other(library: Library) -> None:
    sets = [passages(*(f"word{number} text", f"text word{number} word{number}")) for number in range(20)]
    alone = [await library.lexical_scores(f"word{n} text", texts) for n, texts in enumerate(sets)]
    together = await asyncio.gather(
        *(library.lexical_scores(f"word{n} text", texts) for n, texts in enumerate(sets))
    )
    for one, other in zip(alone, together, strict=True):
        assert other == pytest.approx(one)


@pytest.mark.parametrize("question", ["", "   ", '"open', 'AND (x:y) {"match": 1} ~^* \\', "\ud800", "?!"])
async def test_no_question_is_query_syntax(library: Library, question: str) -> None:
    assert list(await library.lexical_scores(question, passages("otters", "kelp"))) == [0, 0]


async def test_no_passages_have_no_scores(library: Library) -> None:
    assert list(await library.lexical_scores("otters", [])) == []
    assert list(await library.dense_scores(unit((1, 0)), np.zeros((0, 2), dtype=np.float32))) == []


async def test_dense_scores_are_cosines_in_the_order_of_the_rows(library: Library) -> None:
    question, rows = unit((1.0, 1.0, 0.0)), unit((0, 0, 1), (1, 1, 0), (-1, -1, 0), (1, 0, 0))
    scores = await library.dense_scores(question, rows)
    assert list(scores) == pytest.approx([0, 1, -1, 2**-0.5], abs=1e-5)


async def test_vectors_of_another_size_may_follow(library: Library) -> None:
    for size in (3, 8):
        eye = np.eye(size, dtype=np.float32)
        assert list(await library.dense_scores(eye[:1], eye)) == pytest.approx([1] + [0] * (size - 1))

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from structlog.testing import capture_logs

from core.ranking.fusion import FEWEST_EMBEDDED, NORMALLY_EMBEDDED
from core.ranking.ranking import CROWD, PASSAGES_PER_PAGE, Ranking
from core.types import Passage, Vectors
from tests.fakes import FakeEmbedder, FakeLibrary


@dataclass
class CountingEmbedder(FakeEmbedder):
    """batches: how many texts each call brought. gate: closed, nothing is embedded."""

    batches: list[int] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        await self.gate.wait()
        self.batches.append(len(texts))
        return await super().embed(texts)


@dataclass
class RememberingEmbedder(FakeEmbedder):
    texts: list[str] = field(default_factory=list)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.texts += texts
        await asyncio.sleep(0)  # as a thread's work would take
        return await super().embed(texts)


def ranking(
    *,
    embedder: FakeEmbedder | None = None,
    library: FakeLibrary | None = None,
    fallback: FakeLibrary | None = None,
) -> Ranking:
    return Ranking(
        library=library or FakeLibrary(),
        fallback=fallback or FakeLibrary(),
        embedder=embedder or FakeEmbedder(),
    )


def passages(*texts: str, url: str = "") -> list[Passage]:
    return [
        Passage(url=url or f"https://{index}.example/", index=index, text=text, title="")
        for index, text in enumerate(texts)
    ]


FILLER = [f"passage number {number} about bread" for number in range(100)]


async def test_the_passage_that_answers_comes_first_and_none_is_lost() -> None:
    result = await ranking().rank("where do otters sleep", passages(*FILLER, "otters sleep afloat", url="u"))
    assert result.passages[0].passage.text == "otters sleep afloat"
    assert len(result.passages) == len(FILLER) + 1
    assert sorted(item.passage.index for item in result.passages) == list(range(len(FILLER) + 1))
    assert [item.score for item in result.passages] == sorted(
        (item.score for item in result.passages), reverse=True
    )
    assert result.embedded == NORMALLY_EMBEDDED
    assert not result.library_failed


async def test_without_an_embedder_the_words_decide() -> None:
    with capture_logs() as logs:
        result = await ranking(embedder=FakeEmbedder(fails=True)).rank(
            "otters", passages("bread", "otters sleep", "kelp")
        )
    assert [item.passage.index for item in result.passages] == [1, 0, 2]
    assert result.embedded == 0
    assert {entry["event"] for entry in logs} == {"embedding.skipped"}


async def test_when_the_library_fails_the_fallback_ranks_alike_and_says_so() -> None:
    candidates = passages(*FILLER, "otters sleep afloat")
    whole = await ranking().rank("where do otters sleep", candidates)
    with capture_logs() as logs:
        result = await ranking(library=FakeLibrary(fails=True)).rank("where do otters sleep", candidates)
    assert result.passages == whole.passages
    assert result.library_failed
    assert [entry["event"] for entry in logs] == ["library.bypassed"]


async def test_no_passages_are_ranked_without_asking_anybody() -> None:
    broken = ranking(embedder=FakeEmbedder(fails=True), library=FakeLibrary(fails=True))
    with capture_logs() as logs:
        assert (await broken.rank("otters", [])).passages == ()
    assert logs == []


async def test_a_crowd_of_questions_embeds_less_for_each() -> None:
    embedder = CountingEmbedder()
    ranks = ranking(embedder=embedder)
    candidates = passages(*FILLER)
    async with asyncio.TaskGroup() as tasks:
        results = [tasks.create_task(ranks.rank("bread", candidates)) for _ in range(CROWD + 1)]
        await asyncio.sleep(0)
        embedder.gate.set()
    counts = [task.result().embedded for task in results]
    assert counts == [NORMALLY_EMBEDDED] * (CROWD - 1) + [FEWEST_EMBEDDED] * 2
    assert (await ranks.rank("bread", candidates)).embedded == NORMALLY_EMBEDDED


async def test_the_far_end_of_a_boundless_page_is_not_looked_at() -> None:
    result = await ranking().rank("otters", passages(*["bread"] * PASSAGES_PER_PAGE, "otters", url="u"))
    assert len(result.passages) == PASSAGES_PER_PAGE


async def test_cancelling_a_question_frees_its_place() -> None:
    embedder = CountingEmbedder()
    ranks = ranking(embedder=embedder)
    waiting = [asyncio.create_task(ranks.rank("bread", passages("bread"))) for _ in range(CROWD)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    assert all(task.cancelled() for task in waiting)
    embedder.gate.set()
    assert (await ranks.rank("bread", passages(*FILLER))).embedded == NORMALLY_EMBEDDED


async def test_what_was_anticipated_is_what_ranking_embeds() -> None:
    embedder = RememberingEmbedder()
    ranks = ranking(embedder=embedder)
    page = passages(*FILLER, "otters sleep afloat", url="u")
    await ranks.anticipate("where do otters sleep", page)
    anticipated = set(embedder.texts)
    assert {"where do otters sleep", "otters sleep afloat"} <= anticipated
    embedder.texts.clear()
    await ranks.rank("where do otters sleep", page)
    assert anticipated <= set(embedder.texts)


async def test_in_a_crowd_nothing_is_anticipated() -> None:
    embedder = RememberingEmbedder()
    ranks = ranking(embedder=embedder)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(CROWD):
            tasks.create_task(ranks.rank("bread", passages("bread")))
        await asyncio.sleep(0)
        await ranks.anticipate("otters", passages("otters"))
    assert "otters" not in embedder.texts


async def test_question_and_passages_are_embedded_in_one_call_so_that_one_model_does_both() -> None:
    embedder = CountingEmbedder()
    embedder.gate.set()
    await ranking(embedder=embedder).rank("bread", passages(*FILLER))
    assert embedder.batches == [1 + NORMALLY_EMBEDDED]

from core.providers.storage.memory import MemoryLibrary
from core.types import Passage


async def test_chinese_and_japanese_are_matched_by_pairs_of_characters() -> None:
    passages = [
        Passage(url="u", index=index, text=text, title="")
        for index, text in enumerate(["京都は古い町です。", "東京は日本の首都です。", "The capital."])
    ]
    scores = await MemoryLibrary().lexical_scores("日本の首都はどこですか", passages)
    assert scores[1] > scores[0]
    assert scores[2] == 0


async def test_a_plural_finds_the_singular() -> None:
    (score,) = await MemoryLibrary().lexical_scores(
        "otters", [Passage(url="u", index=0, text="An otter.", title="")]
    )
    assert score > 0

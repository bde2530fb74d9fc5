"""Scores in plain Python: what answers when LanceDB can't."""

from __future__ import annotations

import asyncio
import math
import re
from collections import Counter
from collections.abc import Sequence

from core.types import Passage, Vectors

# The usual parameters, and LanceDB's.
K1 = 1.2
B = 0.75

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_CJK}]+|[^\W{_CJK}]+")
_IN_CJK = re.compile(rf"[{_CJK}]")


class MemoryLibrary:
    async def lexical_scores(self, question: str, passages: Sequence[Passage]) -> Sequence[float]:
        return await asyncio.to_thread(_bm25, question, [passage.embedded_text for passage in passages])

    async def dense_scores(self, question: Vectors, passages: Vectors) -> Sequence[float]:
        scores: list[float] = (passages @ question[0]).tolist()
        return scores


def _bm25(question: str, texts: Sequence[str]) -> list[float]:
    counts = [Counter(_words(text)) for text in texts]
    lengths = [count.total() for count in counts]
    mean_length = max(1.0, sum(lengths) / max(1, len(lengths)))
    scores = [0.0] * len(texts)
    for word in set(_words(question)):
        holders = [index for index, count in enumerate(counts) if word in count]
        rarity = math.log(1 + (len(texts) - len(holders) + 0.5) / (len(holders) + 0.5))
        for index in holders:
            frequency = counts[index][word]
            length_penalty = 1 - B + B * lengths[index] / mean_length
            scores[index] += rarity * frequency * (K1 + 1) / (frequency + K1 * length_penalty)
    return scores


def _words(text: str) -> list[str]:
    """Lower case, an English plural's s dropped; Chinese and Japanese as pairs of characters."""
    words: list[str] = []
    for word in _WORD.findall(text.casefold()):
        if _IN_CJK.match(word):
            words.extend(word[start : start + 2] for start in range(max(1, len(word) - 1)))
        else:
            words.append(word[:-1] if len(word) > 3 and word.endswith("s") else word)
    return words

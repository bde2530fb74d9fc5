"""The words of a text that carry its meaning, for comparing sentences without a model."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

CJK: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
"""Kana, Han and Hangul, as a range for a character class: scripts read here by characters, not by spaces."""

_TOKEN = re.compile(rf"\d+(?:[.,]\d+)*|[{CJK}]+|[^\W\d_{CJK}]+(?:['’][^\W\d_]+)*")
_CJK_RUN = re.compile(rf"[{CJK}]+")
_NUMBER_SHARE: Final = 2.0

_FUNCTION_WORDS = """
    a about after all also an and any are as at be been before being but by can could did do does
    for from had has have he her him his how i if in into is it its just may me more most my no not
    of on one or our out over she should so some such than that the their them then there these they
    this those to under up us was we were what when where which while who whom whose why will with
    would you your
"""
FUNCTION_WORDS: Final = frozenset(_FUNCTION_WORDS.split())
"""English words that say nothing alone. Other languages' fall to their low idf."""


def words(text: str) -> list[str]:
    """Lower-cased content words in order: numbers without thousands separators, plurals cut, CJK as pairs."""
    found: list[str] = []
    for token in _TOKEN.findall(text.lower()):
        if token[0].isdigit():
            found.append(token.replace(",", ""))
        elif _CJK_RUN.match(token):
            found.extend(token[i : i + 2] for i in range(max(1, len(token) - 1)))
        elif token not in FUNCTION_WORDS:
            found.append(_stem(token))
    return found


def _stem(token: str) -> str:
    token = token.removesuffix("'s").removesuffix("’s")
    if len(token) > 4 and token.endswith("ies"):
        return token[:-3] + "y"
    if len(token) > 3 and token.endswith("s") and not token.endswith("ss"):
        return token[:-1]
    return token


def word_weights(texts: Iterable[Iterable[str]]) -> dict[str, float]:
    """Inverse document frequency of each word over `texts`, given as their words; numbers count double."""
    documents = [set(text) for text in texts]
    counts = Counter(word for document in documents for word in document)
    return {word: weight(word, count, len(documents)) for word, count in counts.items()}


def weight(word: str, count: int, total: int) -> float:
    """Of a word that `count` of `total` texts hold: above 0, and greatest where none does."""
    share = _NUMBER_SHARE if word[0].isdigit() else 1.0
    return share * math.log(1 + (total + 0.5) / (count + 0.5))


def recall(wanted: Mapping[str, float], found: frozenset[str]) -> float:
    """The share of the wanted words' weight that was found, 0 to 1; 0 if nothing was wanted."""
    total = sum(wanted.values())
    return sum(worth for word, worth in wanted.items() if word in found) / total if total else 0.0

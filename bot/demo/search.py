"""A search engine over the demo web."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from bot.demo.catalogue import DemoPage
from bot.demo.web import DemoWeb
from core.types import SearchHit

QUESTIONS = (
    "How well do heat pumps work at -20 °C, and what do they cost to run?",
    "My sourdough starter smells of acetone. How often should I feed it?",
    "How do I cancel an asyncio task in Python without losing its clean-up?",
)
"""Offered to whoever tries the demo; several pages answer each.

Where nobody can choose, the first is asked.
"""

_STOP_WORDS = re.compile(
    "an|and|are|as|at|be|by|can|do|does|for|from|how|in|is|it|its|me|my|of|on|or|should|so|that|the|they|"
    "this|to|what|when|where|which|who|why|well|will|with|without|work|you|your"
)
# Okapi BM25's usual constants.
SATURATION = 1.2
LENGTH_WEIGHT = 0.75

_TOKEN = re.compile(r"[぀-ヿ一-鿿]|[^\W_]{2,}")


class DemoSearch:
    """Ranks the pages by BM25 over their titles and summaries.

    The pages that hang, are missing, are forbidden or are far too large are found like any other.
    """

    name = "Demo web"

    def __init__(self, web: DemoWeb) -> None:
        self._web = web
        self._words = {page: _words(f"{page.title} {page.summary}") for page in web.pages}
        self._mean_length = sum(map(len, self._words.values())) / len(self._words)

    async def search(self, query: str, *, limit: int) -> Sequence[SearchHit]:
        wanted = set(_words(query))
        scores = {page: self._score(wanted, Counter(words)) for page, words in self._words.items()}
        ranked = sorted((page for page in scores if scores[page] > 0), key=lambda page: -scores[page])
        return [self._hit(page) for page in ranked[:limit]]

    def _score(self, wanted: set[str], counts: Counter[str]) -> float:
        norm = SATURATION * (1 - LENGTH_WEIGHT + LENGTH_WEIGHT * counts.total() / self._mean_length)
        return sum(
            self._rarity(word) * counts[word] * (SATURATION + 1) / (counts[word] + norm)
            for word in wanted
            if counts[word]
        )

    def _rarity(self, word: str) -> float:
        holders = sum(word in words for words in self._words.values())
        return math.log(1 + (len(self._words) - holders + 0.5) / (holders + 0.5))

    def _hit(self, page: DemoPage) -> SearchHit:
        return SearchHit(
            url=self._web.base_url + page.path,
            title=page.title,
            snippet=page.summary,
            provider=self.name,
            published=page.published,
        )


def _words(text: str) -> list[str]:
    """Lower case, in singular as far as a final "s" tells, no single letters.

    Chinese and Japanese come character by character.
    """
    return [_singular(word) for word in _TOKEN.findall(text.lower()) if not _STOP_WORDS.fullmatch(word)]


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word

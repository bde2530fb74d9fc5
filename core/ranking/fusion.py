"""How lexical and dense scores become one order, and which passages are worth a vector or a place."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from core.types import RankedPassage

Scores = npt.NDArray[np.float64]

DENSE_SHARE = 0.6
"""Of a fused score: .6 did better than .5 on three sets (docs/adr/0003-ranking-through-lancedb.md)."""

FEEDBACK_SHARE = 0.2
"""How far the question's vector moves towards the best passage found, whose words are those of an answer."""

FEWEST_EMBEDDED = 16
NORMALLY_EMBEDDED = 32
MOST_EMBEDDED = 64
"""Of a question's passages, best lexical score first: less than .01 nDCG@10 below embedding all of 200."""

EMBEDDING_S = 0.004
"""One passage of 128 tokens on two cores."""

DUPLICATE_OVERLAP = 0.8
"""Of their words, from which two passages say the same: agency copy with another lead, not one subject."""


def embed_budget(spare_s: float) -> int:
    """How many passages to embed when so much time can be spent on it."""
    return int(min(max(spare_s / EMBEDDING_S, FEWEST_EMBEDDED), MOST_EMBEDDED))


def choose_embedded(lexical: Sequence[float], urls: Sequence[str], *, limit: int) -> list[int]:
    """Indices of the passages to embed: the best of each page, then the best of the rest, at most `limit`.

    A page that shares no word with the question may still answer it, so each one gets a vector.
    """
    order = best_first(lexical)
    best_of_page = {urls[index]: index for index in reversed(order)}
    firsts = [index for index in order if best_of_page[urls[index]] == index]
    taken = set(firsts)
    return [*firsts, *(index for index in order if index not in taken)][:limit]


def fuse(lexical: Sequence[float], dense: Sequence[float], embedded: Sequence[int]) -> Scores:
    """0 to 1. dense: of the passages at the indices `embedded`, in that order; the others get none."""
    fused = (1 - DENSE_SHARE) * _min_max(np.asarray(lexical, dtype=np.float64))
    fused[list(embedded)] += DENSE_SHARE * _min_max(np.asarray(dense, dtype=np.float64))
    return fused


def with_feedback(dense: Sequence[float], likeness: Sequence[float]) -> list[float]:
    """Dense scores for a question moved towards the best passage. likeness: their cosines to that one."""
    return [
        (1 - FEEDBACK_SHARE) * score + FEEDBACK_SHARE * like
        for score, like in zip(dense, likeness, strict=True)
    ]


def best_first(scores: Sequence[float] | Scores) -> list[int]:
    """Indices by falling score, equal ones in their order."""
    order: list[int] = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable").tolist()
    return order


def select(ranked: Sequence[RankedPassage], *, k: int = 10, per_page: int = 3) -> tuple[RankedPassage, ...]:
    """At most `k` for the prompt, best first, nothing said twice.

    A page gets more than `per_page` only where the others can't fill `k`.
    """
    distinct = list(_without_duplicates(ranked))
    counts: Counter[str] = Counter()
    within: list[int] = []
    beyond: list[int] = []
    for place, candidate in enumerate(distinct):
        counts[candidate.passage.url] += 1
        (within if counts[candidate.passage.url] <= per_page else beyond).append(place)
    return tuple(distinct[place] for place in sorted([*within, *beyond][:k]))


def _without_duplicates(ranked: Sequence[RankedPassage]) -> Iterator[RankedPassage]:
    kept: list[frozenset[str]] = []
    for candidate in ranked:
        words = frozenset(re.findall(r"\w+", candidate.passage.text.casefold()))
        if not any(_overlap(words, other) >= DUPLICATE_OVERLAP for other in kept):
            kept.append(words)
            yield candidate


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard index; two without words are the same."""
    return len(one & other) / max(1, len(one | other)) if one or other else 1.0


def _min_max(scores: Scores) -> Scores:
    """Lowest to 0, highest to 1; all to 0 where they are equal and say nothing."""
    if scores.size == 0 or np.ptp(scores) == 0:
        return np.zeros_like(scores)
    normal: Scores = (scores - scores.min()) / np.ptp(scores)
    return normal

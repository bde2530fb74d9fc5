"""Fits the weights of the extractive answer's features: run it, copy what it prints into extractive.py.

A question's excerpts compete with each other only, so what is fitted is a conditional logit: the share of
exp(score) that falls to excerpts with the answer in them. Scores are from 5-fold cross-validation.

    python -m benchmarks.fit_extractive [extract_dev.jsonl]
"""

from __future__ import annotations

import asyncio
import json
import re
import string
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize  # type: ignore[import-untyped] # publishes no types
from scipy.special import logsumexp  # type: ignore[import-untyped] # publishes no types

from core.answering.extractive import Comparison, Excerpt, excerpts, pick_best
from core.ports import Embedder
from core.providers.embedding.local import LocalEmbedder
from core.types import Passage

DATA = Path("../shared/eval/grounding/extract_dev.jsonl")
FOLDS = 5
L2 = 1.0

Row = Mapping[str, Any]
"""question, answers (wordings of each), passages (title, text)."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Excerpts of one question, their features [n, 7], and which of them hold the answer."""

    excerpts: Sequence[Excerpt]
    features: Floats
    holds: npt.NDArray[np.bool_]
    answers: Sequence[Sequence[str]]


def main() -> None:
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    if not data.exists():
        sys.exit(f"{data} is not there: nothing to fit.")
    rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    cases = asyncio.run(_read_cases(rows))
    _print_scores(cases, _cross_validated(cases))
    print("WEIGHTS =", tuple(round(float(weight), 2) for weight in _fit(cases)))


async def _read_cases(rows: Sequence[Row]) -> list[Case]:
    with tempfile.TemporaryDirectory() as cache:
        embedder = LocalEmbedder(cache_dir=Path(cache))
        return [await _read_case(embedder, row) for row in rows]


async def _read_case(embedder: Embedder, row: Row) -> Case:
    passages = [
        Passage(url=str(place), index=0, text=passage["text"], title=passage["title"])
        for place, passage in enumerate(row["passages"])
    ]
    question = str(row["question"])
    found = excerpts(question, await Comparison(question, embedder).read(passages))
    answers = [list(group) for group in row["answers"]]
    return Case(
        excerpts=found,
        features=np.array([excerpt.features for excerpt in found]),
        holds=np.array([_share_held(excerpt.text, answers) > 0 for excerpt in found]),
        answers=answers,
    )


def _share_held(text: str, answers: Sequence[Sequence[str]]) -> float:
    """The share of answers of which one wording stands in the text, articles and punctuation aside."""
    padded = f" {_normal(text)} "
    return float(np.mean([any(f" {_normal(word)} " in padded for word in wordings) for wordings in answers]))


def _normal(text: str) -> str:
    spaced = "".join(" " if char in string.punctuation else char for char in text.lower())
    return " ".join(re.sub(r"\b(?:a|an|the)\b", " ", spaced).split())


def _fit(cases: Sequence[Case]) -> Floats:
    fitting = [case for case in cases if len(case.excerpts) and case.holds.any()]
    spread = np.concatenate([case.features for case in fitting]).std(axis=0) + 1e-9

    def loss(weights: Floats) -> tuple[float, Floats]:
        total, gradient = L2 / 2 * float(weights @ weights), L2 * weights
        for case in fitting:
            features = case.features / spread
            scores = features @ weights
            right = scores[case.holds]
            total += float(logsumexp(scores) - logsumexp(right))
            expected = features.T @ np.exp(scores - logsumexp(scores))
            gradient = gradient + expected - features[case.holds].T @ np.exp(right - logsumexp(right))
        return total, gradient

    best = minimize(loss, np.zeros(len(spread)), jac=True, method="L-BFGS-B")
    return np.asarray(best.x / spread)


def _cross_validated(cases: Sequence[Case]) -> list[Floats]:
    """For each case the weights fitted without its fold."""
    by_fold = [
        _fit([case for place, case in enumerate(cases) if place % FOLDS != fold]) for fold in range(FOLDS)
    ]
    return [by_fold[place % FOLDS] for place in range(len(cases))]


def _print_scores(cases: Sequence[Case], weights: Sequence[Floats]) -> None:
    shown = [
        [excerpt.text for excerpt in pick_best(case.excerpts, (case.features @ fitted).tolist())]
        for case, fitted in zip(cases, weights, strict=True)
    ]
    for limit in (1, 3):
        held = [
            _share_held(" . ".join(texts[:limit]), case.answers)
            for texts, case in zip(shown, cases, strict=True)
        ]
        print(f"answer in the best {limit}: {np.mean(held):.3f} of {len(cases)} questions")


if __name__ == "__main__":
    main()

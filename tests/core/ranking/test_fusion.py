from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ranking.fusion import (
    FEWEST_EMBEDDED,
    MOST_EMBEDDED,
    NORMALLY_EMBEDDED,
    best_first,
    choose_embedded,
    embed_budget,
    fuse,
    select,
    with_feedback,
)
from core.types import Passage, RankedPassage

scores = st.lists(st.integers(0, 400).map(lambda eighths: eighths / 8), min_size=1, max_size=60)


def ranked(*texts: str, urls: str = "") -> list[RankedPassage]:
    """Falling scores; urls: one letter a passage, else a page for each."""
    return [
        RankedPassage(
            passage=Passage(url=urls[place] if urls else str(place), index=place, text=text, title=""),
            score=1 - place / 100,
        )
        for place, text in enumerate(texts)
    ]


@given(scores, st.data())
def test_fused_scores_lie_between_0_and_1_and_keep_equal_passages_in_order(
    lexical: list[float], data: st.DataObject
) -> None:
    embedded = data.draw(st.lists(st.integers(0, len(lexical) - 1), unique=True))
    dense = data.draw(st.lists(st.floats(-1, 1), min_size=len(embedded), max_size=len(embedded)))
    fused = fuse(lexical, dense, embedded)
    assert len(fused) == len(lexical)
    assert fused.min() >= 0
    assert fused.max() <= 1 + 1e-9
    order = best_first(fused)
    assert sorted(order) == list(range(len(lexical)))
    assert all(fused[a] > fused[b] or (fused[a] == fused[b] and a < b) for a, b in pairwise(order))


@given(scores)
def test_without_vectors_the_order_is_the_lexical_one(lexical: list[float]) -> None:
    assert best_first(fuse(lexical, (), ())) == best_first(lexical)


def test_a_passage_that_is_near_beats_one_that_only_shares_words() -> None:
    assert best_first(fuse([9.0, 8.0, 0.0], [0.1, 0.9, 0.2], [0, 1, 2])) == [1, 0, 2]


@given(scores, st.integers(1, 70), st.data())
def test_each_page_has_a_vector_as_far_as_the_limit_goes(
    lexical: list[float], limit: int, data: st.DataObject
) -> None:
    urls = data.draw(st.lists(st.sampled_from("abcdef"), min_size=len(lexical), max_size=len(lexical)))
    chosen = choose_embedded(lexical, urls, limit=limit)
    assert len(chosen) == len(set(chosen)) == min(limit, len(lexical))
    assert len({urls[index] for index in chosen}) == min(limit, len(set(urls)))
    assert best_first(lexical)[0] in chosen


def test_beyond_one_for_each_page_the_best_get_the_vectors() -> None:
    assert choose_embedded([5, 4, 3, 2, 1], ["a", "a", "a", "b", "b"], limit=3) == [0, 3, 1]


def test_the_budget_follows_the_time_within_its_bounds() -> None:
    assert embed_budget(0) == FEWEST_EMBEDDED
    assert embed_budget(0.13) == pytest.approx(NORMALLY_EMBEDDED, abs=1)
    assert embed_budget(60) == MOST_EMBEDDED


def test_feedback_raises_what_is_like_the_best_passage() -> None:
    dense = with_feedback([0.9, 0.5, 0.5], [1.0, 0.8, 0.1])
    assert dense[0] > dense[1] > dense[2]


def test_nothing_is_said_twice_in_a_prompt() -> None:
    copies = ranked(
        "Otters sleep afloat in kelp, holding hands.",
        "OTTERS sleep afloat in kelp; holding hands!",
        "Bread rises.",
    )
    assert [place.passage.index for place in select(copies)] == [0, 2]


def test_one_page_does_not_crowd_out_the_others_but_fills_what_they_leave() -> None:
    candidates = ranked("one", "two", "three", "four", "five", "six", urls="aaaabb")
    assert [place.passage.index for place in select(candidates, k=4, per_page=2)] == [0, 1, 4, 5]
    assert [place.passage.index for place in select(candidates, k=5, per_page=2)] == [0, 1, 2, 4, 5]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.text("xyz ", max_size=6)), max_size=25), st.integers(1, 12)
)
def test_a_selection_keeps_the_order_and_is_never_longer_than_k(pages: list[tuple[str, str]], k: int) -> None:
    candidates = ranked(*(text for _, text in pages), urls="".join(url for url, _ in pages))
    chosen = [place.passage.index for place in select(candidates, k=k)]
    assert chosen == sorted(chosen)
    assert len(chosen) <= k
    assert bool(chosen) == bool(pages)

"""Promises of the time limits."""

import inspect
from collections.abc import Callable

import pytest

from bot.limits import NORMAL, Limits
from bot.settings import SEARCH_ENGINES
from core.answering.writing import FALLBACK_S, WORDS_S
from core.asking.planning import Planning
from core.ranking.ranking import EMBEDDING_LIMIT_S, LIBRARY_LIMIT_S
from core.searching.search import Search
from core.service import QuestionService


def test_scaling_changes_every_time_and_nothing_else() -> None:
    scaled = Limits().scaled(0.5)

    assert scaled.question_s == NORMAL.question_s / 2
    assert scaled.fetch.total_s == NORMAL.fetch.total_s / 2
    assert scaled.reading.cap_s == NORMAL.reading.cap_s / 2
    assert scaled.fetch.max_redirects == NORMAL.fetch.max_redirects
    assert scaled.reading.max_started == NORMAL.reading.max_started
    assert scaled.scaled(2) == NORMAL


def test_what_stands_in_for_something_that_fails_still_has_time() -> None:
    assert NORMAL.engine_attempt_s < NORMAL.engine_s
    assert NORMAL.embedding_attempt_s < NORMAL.embedding_s < EMBEDDING_LIMIT_S
    assert NORMAL.first_token_s <= NORMAL.all_models_s / 2
    # A compared extractive answer by the local model, after an API that never answered.
    assert NORMAL.embedding_s < FALLBACK_S - WORDS_S


def test_a_question_whose_every_stage_takes_all_its_time_ends_with_an_answer_in_its_minute() -> None:
    engines = len(SEARCH_ENGINES) + 1  # the library is asked like one
    searching_s = NORMAL.query_s + engines * NORMAL.engine_s
    ranking_s = 3 * LIBRARY_LIMIT_S + EMBEDDING_LIMIT_S
    assert searching_s + NORMAL.reading.asked_s + ranking_s + FALLBACK_S < NORMAL.question_s


@pytest.mark.parametrize(
    ("made", "argument", "limit_s"),
    [
        (QuestionService, "question_s", NORMAL.question_s),
        (QuestionService, "final_draw_s", NORMAL.final_draw_s),
        (Planning, "limit_s", NORMAL.query_s),
        (Search, "provider_s", NORMAL.engine_s),
    ],
)
def test_the_bot_runs_with_the_limits_that_each_stage_was_tested_with(
    made: Callable[..., object], argument: str, limit_s: float
) -> None:
    assert inspect.signature(made).parameters[argument].default == limit_s

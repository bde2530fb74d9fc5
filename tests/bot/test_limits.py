"""Promises of the time limits."""

import inspect
from collections.abc import Callable

import pytest

from bot.limits import NORMAL, Limits
from core.asking.planning import Planning
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

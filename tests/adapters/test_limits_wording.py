"""How it is said what is left."""

import pytest

from adapters import wording
from core.asking.limits import DAY_S, HOUR_S, MINUTE_S, Allowance
from core.types import Quota, QuotaScope, QuotaState


def state(scope: QuotaScope, left: int, window_s: int, next_in_s: float = 0) -> QuotaState:
    quota = Quota(scope=scope, key="k", limit=5, window_s=window_s)
    return QuotaState(quota=quota, left=left, next_in_s=next_in_s)


def test_each_limit_is_a_line_of_its_own() -> None:
    allowance = Allowance(
        states=(
            state(QuotaScope.ASKER, 1, MINUTE_S),
            state(QuotaScope.CHANNEL, 0, HOUR_S, 1_200),
            state(QuotaScope.WORKSPACE, 3, DAY_S),
        ),
        budget_left=0.375,
    )
    assert wording.limits_text(allowance).splitlines() == [
        "- You can ask 1 more question now, of 5 within a minute.",
        "- This channel can ask again in 20 minutes; the limit is 5 within an hour.",
        "- This workspace can ask 3 more questions now, of 5 within a day.",
        "- The language model's budget for today: 37 % left.",
    ]


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (1.0, "The language model's budget for today: 100 % left."),
        (0.004, "The language model's budget for today: less than 1 % left."),
        (0.0, "Today's budget for the language model is used up until midnight UTC."),
    ],
)
def test_the_models_budget_is_said_as_a_share(left: float, said: str) -> None:
    assert wording.limits_text(Allowance(budget_left=left)).splitlines()[1] == f"- {said}"


def test_where_nothing_is_limited_that_is_said() -> None:
    assert wording.limits_text(Allowance()) == "- You can ask as much as you like: no limit is set."
    assert "you are an admin" in wording.limits_text(Allowance(exempt=True))

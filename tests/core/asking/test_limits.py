from datetime import UTC, datetime

import pytest

from core.asking.limits import Admission, Allowance, QuotaRules
from core.errors import EmptyQuestion, QuestionTooLong, RateLimited
from core.types import AskerId, Question, QuotaScope
from tests.fakes import FakeClock, FakeRateLimiter

ALL = QuotaRules(per_minute=5, per_day=20, channel_per_hour=10, workspace_per_day=30)
ANN, BOB = AskerId("test:T1:ann"), AskerId("test:T1:bob")


def question(
    text: str = "why?", asker: AskerId = ANN, channel: str = "test:C1", workspace: str = "test:T1"
) -> Question:
    return Question(
        id="q1",
        text=text,
        asker=asker,
        platform="test",
        asked_at=datetime(2026, 1, 1, tzinfo=UTC),
        channel=channel,
        workspace=workspace,
    )


def admission(rules: QuotaRules = ALL, **given: object) -> tuple[Admission, FakeRateLimiter]:
    limiter = FakeRateLimiter(clock=FakeClock())
    arguments = {"max_question_chars": 1_000, "rules": rules, **given}
    return Admission(limiter, **arguments), limiter  # type: ignore[arg-type]  # each test gives what it needs


@pytest.mark.parametrize("text", ["", "   \n", "???", "🤔🤔", "\u200b"])
async def test_text_without_a_word_is_no_question_and_costs_nothing(text: str) -> None:
    admitting, limiter = admission()

    with pytest.raises(EmptyQuestion):
        await admitting.admit(question(text))

    assert limiter.hits == []


async def test_a_question_of_exactly_the_limit_is_admitted_and_one_more_is_not() -> None:
    admitting, _ = admission()

    await admitting.admit(question(" " + "a" * 1_000 + "\n"))
    with pytest.raises(QuestionTooLong, match=r"1,001 characters; I can take 1,000"):
        await admitting.admit(question("a" * 1_001))


@pytest.mark.parametrize("text", ["東京の人口は？", "ما هي عاصمة فرنسا؟", "2+2"])
async def test_questions_in_any_script_are_admitted(text: str) -> None:
    admitting, _ = admission()
    await admitting.admit(question(text))


@pytest.mark.parametrize(
    ("retry_after_s", "spoken"),
    [
        (0.2, "a second"),
        (12.1, "13 seconds"),
        (90, "90 seconds"),
        (121, "3 minutes"),
        (5_400, "90 minutes"),
        (5_401, "2 hours"),
        (86_400, "24 hours"),
    ],
)
async def test_who_asks_too_often_is_told_when_to_come_back(retry_after_s: float, spoken: str) -> None:
    limiter = FakeRateLimiter(refuses_for_s=retry_after_s)

    with pytest.raises(RateLimited, match=f"again in {spoken}") as refusal:
        await Admission(limiter, max_question_chars=100, rules=ALL).admit(question())

    assert refusal.value.retry_after_s == retry_after_s


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (QuotaRules(per_minute=1), "You have asked as many questions as you can within a minute."),
        (QuotaRules(per_day=1), "You have asked as many questions as you can within a day."),
        (
            QuotaRules(channel_per_hour=1),
            "This channel has asked as many questions as it can within an hour.",
        ),
        (
            QuotaRules(workspace_per_day=1),
            "This workspace has asked as many questions as it can within a day.",
        ),
    ],
)
async def test_a_refusal_says_whose_limit_it_was(rules: QuotaRules, said: str) -> None:
    admitting, _ = admission(rules)
    await admitting.admit(question())
    with pytest.raises(RateLimited) as refusal:
        await admitting.admit(question())
    assert str(refusal.value).startswith(said)


async def test_a_channels_limit_is_for_all_in_it_and_for_no_other_channel() -> None:
    admitting, _ = admission(QuotaRules(channel_per_hour=1))
    await admitting.admit(question(asker=ANN))
    with pytest.raises(RateLimited, match="This channel"):
        await admitting.admit(question(asker=BOB))
    await admitting.admit(question(asker=BOB, channel="test:C2"))


async def test_where_there_is_no_channel_or_workspace_only_the_askers_own_limits_hold() -> None:
    admitting, limiter = admission()
    await admitting.admit(question(channel="", workspace=""))
    assert {hit.scope for hit, _ in limiter.hits} == {QuotaScope.ASKER}


async def test_a_limit_of_zero_is_none() -> None:
    admitting, limiter = admission(QuotaRules())
    for _ in range(50):
        await admitting.admit(question())
    assert limiter.hits == []
    assert await admitting.left(ANN, "test:C1", "test:T1") == Allowance()


async def test_an_admin_asks_without_limit_and_uses_up_nobody_elses() -> None:
    admitting, limiter = admission(exempt=[ANN])
    for _ in range(50):
        await admitting.admit(question(asker=ANN))
    assert limiter.hits == []
    assert await admitting.left(ANN, "test:C1", "test:T1") == Allowance(exempt=True)


async def test_what_is_left_is_told_for_each_limit_without_counting() -> None:
    async def budget_left() -> float | None:
        return 0.37

    admitting, _ = admission(budget_left=budget_left)
    for _ in range(3):
        await admitting.admit(question())
    for _ in range(3):
        allowance = await admitting.left(ANN, "test:C1", "test:T1")
    assert [state.left for state in allowance.states] == [2, 17, 7, 27]
    assert allowance.budget_left == 0.37
    others = await admitting.left(BOB, "test:C1", "test:T1")
    assert [state.left for state in others.states] == [5, 20, 7, 27]

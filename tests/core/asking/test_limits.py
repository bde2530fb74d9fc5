from datetime import UTC, datetime

import pytest

from core.asking.limits import Admission
from core.errors import EmptyQuestion, QuestionTooLong, RateLimited
from core.types import AskerId, Question
from tests.fakes import FakeRateLimiter


def question(text: str) -> Question:
    return Question(
        id="q1",
        text=text,
        asker=AskerId("test:ann"),
        platform="test",
        asked_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize("text", ["", "   \n", "???", "🤔🤔", "\u200b"])
async def test_text_without_a_word_is_no_question_and_costs_nothing(text: str) -> None:
    limiter = FakeRateLimiter()

    with pytest.raises(EmptyQuestion):
        await Admission(limiter, max_question_chars=100).admit(question(text))

    assert limiter.counts == {}


async def test_a_question_of_exactly_the_limit_is_admitted_and_one_more_is_not() -> None:
    admission = Admission(FakeRateLimiter(), max_question_chars=1_000)

    await admission.admit(question(" " + "a" * 1_000 + "\n"))
    with pytest.raises(QuestionTooLong, match=r"1,001 characters; I can take 1,000"):
        await admission.admit(question("a" * 1_001))


@pytest.mark.parametrize("text", ["東京の人口は？", "ما هي عاصمة فرنسا؟", "2+2"])
async def test_questions_in_any_script_are_admitted(text: str) -> None:
    await Admission(FakeRateLimiter(), max_question_chars=100).admit(question(text))


@pytest.mark.parametrize(
    ("retry_after_s", "spoken"),
    [(0.2, "a second"), (12.1, "13 seconds"), (90, "90 seconds"), (121, "3 minutes")],
)
async def test_who_asks_too_often_is_told_when_to_come_back(retry_after_s: float, spoken: str) -> None:
    admission = Admission(FakeRateLimiter(admits=0, retry_after_s=retry_after_s), max_question_chars=100)

    with pytest.raises(RateLimited, match=f"again in {spoken}") as refusal:
        await admission.admit(question("why?"))

    assert refusal.value.retry_after_s == retry_after_s

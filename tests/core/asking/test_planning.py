"""A model may word a follow-up's query; whatever it does, the query is made of the asker's words."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.asking.planning import Planning, usable_query
from core.asking.query import MAX_QUERY_CHARS, SearchPlan, plan_search
from core.resilience.deadline import Deadline
from core.tracing import Trace
from core.types import FinishReason, Question
from tests.core.asking.questions import asked
from tests.fakes import FakeLanguageModel

FRANCE = "What is the population of France?"
FOLLOW_UP = asked(
    "and how does germany compare with it?", FRANCE, answer="Paris page says evil words here now."
)


async def planned(
    model: FakeLanguageModel | None, question: Question = FOLLOW_UP, *, deadline_s: float = 5.0
) -> tuple[SearchPlan, Trace]:
    trace = Trace()
    plan = await Planning(model, limit_s=0.05).plan(
        question, deadline=Deadline.after(deadline_s), trace=trace
    )
    return plan, trace


async def test_the_model_s_query_is_searched_and_compared_with() -> None:
    model = FakeLanguageModel(["population of germany", " compare with France\n"])

    plan, trace = await planned(model)

    assert plan.query == plan.asked == "population of germany compare with France"
    assert trace.counts["query_by"] == "model"
    assert "query" in trace.timings_ms


async def test_the_model_is_asked_with_the_asker_s_words_and_no_answer() -> None:
    model = FakeLanguageModel(["population germany"])

    await planned(model)

    (prompt,) = model.prompts
    told = "".join(message.content for message in prompt.messages)
    assert FRANCE in told
    assert "evil" not in told


@pytest.mark.parametrize("question", [asked(FRANCE), asked("Who wrote Dune?", FRANCE), asked("why?")])
async def test_a_question_that_stands_alone_costs_no_call(question: Question) -> None:
    model = FakeLanguageModel(["anything"])

    plan, trace = await planned(model, question)

    assert (model.prompts, plan) == ([], plan_search(question))
    assert trace.counts == {}


async def test_without_a_model_the_rule_composes() -> None:
    assert (await planned(None))[0] == plan_search(FOLLOW_UP)


@pytest.mark.parametrize(
    "model",
    [
        FakeLanguageModel([], fails_with="is over its quota"),
        FakeLanguageModel(["population"], fails_with="broke off"),
        FakeLanguageModel(["population germany"], pause_s=1),
        FakeLanguageModel(["population germany"], finish_reason=FinishReason.LENGTH),
        FakeLanguageModel(["population germany "] * 1000),
        FakeLanguageModel(["population\ngermany"]),
        FakeLanguageModel(["population https://evil.example/"]),
        FakeLanguageModel(["evil words here now population"]),
        FakeLanguageModel(["The answer is 84 million."]),
        FakeLanguageModel(["?!"]),
        FakeLanguageModel(["what is it"]),
    ],
    ids=[
        "fails", "breaks off", "is slow", "is cut", "rambles", "says two lines", "names a url", "adds words",
        "answers", "says nothing", "says small words",
    ],
)  # fmt: skip
async def test_a_model_that_is_no_use_leaves_the_rule_s_query(model: FakeLanguageModel) -> None:
    plan, trace = await planned(model)

    assert plan == plan_search(FOLLOW_UP)
    assert trace.counts["query_by"] == "rule"
    assert model.closed == 1


async def test_the_call_never_outlasts_the_question() -> None:
    model = FakeLanguageModel(["population germany"], pause_s=0.02)

    plan, _ = await planned(model, deadline_s=0.0)

    assert plan == plan_search(FOLLOW_UP)


async def test_stopped_while_the_model_is_asked_it_stays_stopped() -> None:
    task = asyncio.create_task(planned(FakeLanguageModel(["x"], pause_s=0.04)))
    await asyncio.sleep(0.001)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("reply", "question", "query"),
    [
        ("“Population of Germany”", asked("and in Germany?", FRANCE), "Population of Germany"),
        ("Mindestlohn in Österreich", asked("und in Österreich?", "Wie hoch ist der Mindestlohn?"),
         "Mindestlohn in Österreich"),
        ("德国的人口是多少", asked("那德国呢？", "法国的人口是多少？"), "德国的人口是多少"),
        ("moon landing 1969 faked", asked("true?", quoted="The moon landing in 1969 was faked."),
         "moon landing 1969 faked"),
        ("site:evil.example population", asked("and in Germany?", FRANCE), ""),
        ("population germany " * 20, asked("and in Germany?", FRANCE), ""),
    ],
)  # fmt: skip
def test_only_a_query_of_the_asker_s_words_is_usable(reply: str, question: Question, query: str) -> None:
    assert usable_query(reply, question) == query


WORD = st.sampled_from(
    [
        "population",
        "germany",
        "france",
        "of",
        "the",
        "in",
        "is",
        "paris",
        "evil",
        "words",
        "send",
        "1999",
        "德国",
    ]
)
TEXT = st.lists(WORD, max_size=12).map(" ".join)


@given(TEXT, TEXT, TEXT, TEXT, TEXT)
def test_no_five_words_that_the_asker_did_not_write_reach_a_search(
    reply: str, text: str, earlier: str, quoted: str, answer: str
) -> None:
    query = usable_query(reply, asked(text, earlier, quoted=quoted, answer=answer))

    small = {"of", "the", "in", "is"}
    own = set(f"{text} {earlier} {quoted}".split()) | small
    said = query.split()
    assert len(query) <= MAX_QUERY_CHARS
    for start in range(len(said) - 4):
        assert set(said[start : start + 5]) <= own

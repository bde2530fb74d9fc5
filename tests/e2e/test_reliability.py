"""Whatever fails, every question ends in one honest message: the part of the matrix that is quick enough.

All of it: python -m benchmarks.reliability
"""

import shutil
from pathlib import Path

import pytest

from adapters import wording
from benchmarks.loopback_world import Dependency
from benchmarks.reliability import BEGIN, END, matrix, run_one, write_table
from benchmarks.sick_bot import Case, judged
from core.types import NoticeKind
from tests.servers.slack_server import BOT, Message, Stream
from tests.servers.toxic_proxy import Toxic

QUICK = list(matrix())[::5]


@pytest.mark.parametrize("case", QUICK, ids=str)
def test_whatever_fails_the_thread_ends_in_one_honest_message(case: Case) -> None:
    if case.redis and shutil.which("redis-server") is None:
        pytest.skip("NOT TESTED with Redis: redis-server is missing (apt-get install redis-server)")

    assert run_one(case).problems == ()


def test_every_dependency_and_every_toxic_is_among_the_quick_ones() -> None:
    assert {case.dependency for case in QUICK} == set(Dependency)
    assert {case.toxic for case in QUICK} == set(Toxic)
    assert {case.redis for case in QUICK} == {True, False}


def test_the_matrix_has_six_dependencies_eight_toxics_and_two_of_each() -> None:
    cases = list(matrix())

    assert len(cases) == len(set(cases)) == 96
    assert {(case.dependency, case.toxic) for case in cases} == {
        (dependency, toxic) for dependency in Dependency for toxic in Toxic
    }


# --- the judge itself ---


def reply(text: str = "", stream: Stream | None = None, button: str = "") -> Message:
    blocks: list[dict[str, object]] = [{"type": "markdown", "text": text}]
    if button:
        element = {"type": "button", "action_id": "b", "value": "", "text": {"text": button}}
        blocks.append({"type": "actions", "elements": [element]})
    return Message(channel="C1", ts="2", user=BOT, blocks=blocks, stream=stream)


def streamed(**how: object) -> Message:
    stream = Stream(mode="chunks", pieces=[HONEST])
    for name, value in how.items():
        setattr(stream, name, value)
    return reply(stream=stream)


def problems_of(*messages: Message, share: float = 0.5) -> tuple[str, ...]:
    case = Case(dependency=Dependency.SEARCH, toxic=Toxic.RESET, redis=False)
    return judged(case, messages, share=share).problems


REASON = wording.NOTICES[NoticeKind.SEARCH_FAILED].replace("{detail}", " (Serper could not be reached)")
HONEST = f"Heat pumps work.\n{wording.SOURCES}\n{REASON}"
AT_WORK = {"status": "in_progress", "title": "Searching the web…"}


def test_an_answer_that_says_what_failed_is_honest_and_so_is_a_reason_alone() -> None:
    assert problems_of(reply(HONEST)) == ()
    assert problems_of(streamed(state="stopped")) == ()
    assert problems_of(reply(REASON)) == ()


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([], "0 messages"),
        ([reply(HONEST), reply(HONEST)], "2 messages"),
        ([reply(f"Heat pumps work.\n{wording.SOURCES}")], "says nothing of what failed"),
        ([reply("Heat pumps work.")], "neither an answer nor a reason"),
        ([reply(wording.NOTICES[NoticeKind.BUG])], "blamed on a bug"),
        ([reply(f"{HONEST}\nReading pages: 3 of 12")], "progress text"),
        ([reply(HONEST, button=wording.STOP)], "a Stop button"),
        ([streamed(state="open")], "an open stream"),
        ([streamed(state="stopped", tasks={"searching": AT_WORK})], "a task in progress"),
    ],
)
def test_what_is_no_honest_end_is_found(messages: list[Message], problem: str) -> None:
    assert problem in problems_of(*messages)


def test_an_answer_after_its_deadline_is_none() -> None:
    assert problems_of(reply(HONEST), share=1.3) == ("longer than its deadline",)


def test_the_table_takes_the_place_of_the_last_one_and_leaves_the_words_around_it(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}old\n{END}after\n")

    write_table("new\n", page)
    write_table("newer\n", page)

    assert page.read_text() == f"before\n{BEGIN}newer\n{END}after\n"

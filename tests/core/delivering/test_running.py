import asyncio
from contextlib import suppress

from structlog.testing import capture_logs

from core.delivering.running import RunningAnswers
from core.types import AskerId

ANN = AskerId("test:ann")


async def work(log: list[str], name: str, *, until: asyncio.Event | None = None) -> None:
    try:
        await (until or asyncio.Event()).wait()
        log.append(f"{name} finished")
    except asyncio.CancelledError:
        log.append(f"{name} cancelled")
        raise


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_running_answer_is_known_with_its_asker_and_forgotten_when_it_ends() -> None:
    running, log, done = RunningAnswers(), list[str](), asyncio.Event()
    running.start("a", ANN, work(log, "a", until=done))
    assert (running.asker_of("a"), len(running)) == (ANN, 1)

    done.set()
    await settle()

    assert (running.asker_of("a"), len(running), log) == (None, 0, ["a finished"])


async def test_stop_ends_the_one_it_names_and_says_whether_there_was_one() -> None:
    running, log = RunningAnswers(), list[str]()
    running.start("a", ANN, work(log, "a"))
    running.start("b", ANN, work(log, "b"))
    await settle()

    assert running.stop("a")
    await settle()

    assert log == ["a cancelled"]
    assert not running.stop("a")
    assert running.asker_of("b") == ANN
    await running.drain(finish_s=0, mark_s=1, interrupt=lambda: None)


async def test_a_failure_is_logged_and_leaves_the_others_alone() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    running, log, done = RunningAnswers(), list[str](), asyncio.Event()
    with capture_logs() as logs:
        running.start("a", ANN, fail())
        running.start("b", ANN, work(log, "b", until=done))
        await settle()
        done.set()
        await settle()

    assert [entry["event"] for entry in logs] == ["answer.failed"]
    assert log == ["b finished"]


async def test_draining_lets_answers_finish_then_interrupts_the_rest() -> None:
    running, log, done = RunningAnswers(), list[str](), asyncio.Event()
    running.start("quick", ANN, work(log, "quick", until=done))
    running.start("slow", ANN, work(log, "slow"))
    await settle()
    done.set()

    await running.drain(finish_s=0.02, mark_s=1, interrupt=lambda: log.append("interrupting"))

    assert log == ["quick finished", "interrupting", "slow cancelled"]
    assert len(running) == 0


async def test_what_does_not_end_in_time_is_broken_off_however_often_it_goes_on() -> None:
    async def stubborn() -> None:
        for _ in range(3):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)

    running = RunningAnswers()
    for name in ("a", "b"):
        running.start(name, ANN, stubborn())
    await settle()

    with capture_logs() as logs:
        await running.drain(finish_s=0, mark_s=0.01, interrupt=lambda: None)

    assert len(running) == 0
    assert [(entry["event"], entry["count"]) for entry in logs] == [("answers.unmarked", 2)]


async def test_an_answer_can_tell_the_end_of_its_process_from_a_stop() -> None:
    running, known = RunningAnswers(), list[bool]()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            known.append(running.is_draining)

    running.start("stopped", ANN, work())
    running.start("interrupted", ANN, work())
    await settle()
    running.stop("stopped")
    await settle()
    await running.drain(finish_s=0, mark_s=1, interrupt=lambda: None)

    assert known == [False, True]

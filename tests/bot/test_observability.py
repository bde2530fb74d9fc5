import asyncio
import io
import logging
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.observability import MAX_LINE_BYTES, configure_logging
from bot.settings import load_settings

CANARY = "canary-3f9a-secret"

Configure = Callable[..., io.StringIO]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def logging_undone() -> Iterator[None]:
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook)
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:], (sys.excepthook, threading.excepthook) = handlers, hooks
        root.setLevel(level)
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()


def configured(*, stream: io.StringIO | None = None, **environ: str) -> io.StringIO:
    """Logging with a secret that is set, onto a stream to look at."""
    stream = stream or io.StringIO()
    configure_logging(load_settings({"SERPER_API_KEY": CANARY, **environ}, env_file=None), stream=stream)
    return stream


@pytest.fixture
def configure() -> Iterator[Configure]:
    with logging_undone():
        yield configured


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in stream.getvalue().removesuffix("\n").split("\n") if line]


def test_structlog_and_logging_write_the_same_form(configure: Configure) -> None:
    stream = configure()
    structlog.get_logger("core.one").info("page.skipped", reason="status")
    logging.getLogger("library.two").warning("gave up on %s", "it")
    ours, theirs = lines(stream)
    assert ours.keys() - {"reason"} == theirs.keys() == {"event", "level", "logger", "timestamp"}
    assert (ours["event"], ours["level"], ours["logger"]) == ("page.skipped", "info", "core.one")
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("gave up on it", "warning", "library.two")


def test_what_was_bound_once_is_on_every_line(configure: Configure) -> None:
    stream = configure()
    with structlog.contextvars.bound_contextvars(question_id="q1"):
        structlog.get_logger().info("page.skipped")
        logging.getLogger("library").warning("hm")
    structlog.get_logger().info("bot.stopped")
    assert [line.get("question_id") for line in lines(stream)] == ["q1", "q1", None]


def test_lines_below_the_level_are_not_written(configure: Configure) -> None:
    stream = configure(LOG_LEVEL="WARNING")
    for name in ("core.one", "library.two"):
        structlog.get_logger(name).info("page.skipped")
        logging.getLogger(name).info("page skipped")
    assert lines(stream) == []


@pytest.mark.parametrize("name", ["openai._base_client", "httpx", "aiohttp.access"])
def test_libraries_that_write_the_question_are_quiet_even_at_debug(configure: Configure, name: str) -> None:
    stream = configure(LOG_LEVEL="DEBUG")
    logging.getLogger(name).info("POST with the question")
    assert lines(stream) == []


def test_a_terminal_gets_pretty_lines_and_a_pipe_gets_json(configure: Configure) -> None:
    for stream, log_format, is_json in (
        (Terminal(), "auto", False),
        (Terminal(), "json", True),
        (io.StringIO(), "auto", True),
        (io.StringIO(), "pretty", False),
    ):
        configure(stream=stream, LOG_FORMAT=log_format)
        structlog.get_logger().info("bot.started")
        assert stream.getvalue().startswith("{") == is_json


def fail_with(secret: str) -> None:
    local_copy = f"local {secret}"
    try:
        int(local_copy)
    except ValueError as error:
        error.add_note(secret)
        raise ExceptionGroup(f"group {secret}", [RuntimeError({"key": secret}), error]) from error


@pytest.mark.parametrize("log_format", ["json", "pretty"])
def test_no_secret_is_in_the_log_at_debug(configure: Configure, log_format: str) -> None:
    stream = configure(LOG_LEVEL="DEBUG", LOG_FORMAT=log_format)
    log = structlog.get_logger("core.one")
    library = logging.getLogger("library")
    event = f"event.{CANARY}"
    log.debug(event, **{f"key {CANARY}": 1})
    log.info(
        "nested", data={"deep": [{"deeper": (CANARY, {CANARY})}]}, password="hunter2", Token={"a": "hunter2"}
    )
    log.info("objects", error=ValueError(CANARY), raw=CANARY.encode(), path=Path(CANARY))
    log.info("request.sent", headers={"Authorization": "hunter2", "url": "redis://me:hunter2@host"})
    log.info("stack", stack_info=True)
    library.debug("with %s", CANARY)
    library.info("with %(key)s", {"key": CANARY})
    with warnings.catch_warnings(action="default"):
        warnings.warn(f"warned of {CANARY}", stacklevel=1)
    for report in (log.exception, library.exception):
        try:
            fail_with(CANARY)
        except ExceptionGroup:
            report("question.failed")
    written = stream.getvalue()
    assert CANARY not in written
    assert "hunter2" not in written
    assert "question.failed" in written
    assert "fail_with" in written


def test_a_traceback_has_its_frames_without_their_variables(configure: Configure) -> None:
    stream = configure()
    try:
        fail_with("something in a local variable")
    except ExceptionGroup:
        structlog.get_logger().exception("question.failed")
    (line,) = lines(stream)
    assert isinstance(line["exception"], list)
    assert line["exception"][0]["exc_type"] == "ExceptionGroup"
    assert "local_copy" not in stream.getvalue()
    assert '"locals"' not in stream.getvalue()


def test_a_crash_is_logged_like_everything_else(configure: Configure) -> None:
    stream = configure()
    error = ValueError(CANARY)
    sys.excepthook(ValueError, error, None)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    thread = threading.Thread(target=fail_with, args=[CANARY], name="search")
    thread.start()
    thread.join()
    process_line, thread_line = lines(stream)
    assert (process_line["event"], process_line["level"]) == ("process.crashed", "critical")
    assert (thread_line["event"], thread_line["thread"]) == ("thread.crashed", "search")
    assert CANARY not in stream.getvalue()


def test_a_line_that_cannot_be_written_is_said_to_be_lost(
    configure: Configure, capfd: pytest.CaptureFixture[str]
) -> None:
    stream = configure()
    logging.getLogger("library").warning("%d", CANARY)
    (line,) = lines(stream)
    assert line == {"event": "log_line.lost", "logger": "library", "level": "error"}
    assert CANARY not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "data",
    [
        {"text": "a" * 1_000_000},
        {"text": "\u0000" * 50_000},
        {"text": "€" * 50_000},
        {"items": ["a" * 500] * 5_000},
        {"items": [[["a" * 90] * 100] * 100]},
        {f"key{number}": "a" * 50 for number in range(2_000)},
    ],
    ids=["long", "escaped", "three bytes", "many", "nested", "keys"],
)
def test_no_line_is_longer_than_heroku_takes(configure: Configure, data: dict[str, object]) -> None:
    stream = configure()
    structlog.get_logger("core").info("page.skipped", **data)
    (line,) = lines(stream)
    assert line["event"] == "page.skipped"
    assert len(stream.getvalue().encode()) <= MAX_LINE_BYTES + 1


@settings(max_examples=50)
@given(data=st.dictionaries(st.text(), st.text() | st.lists(st.text())), event=st.text())
def test_any_data_becomes_one_line_of_json(data: dict[str, object], event: str) -> None:
    with logging_undone():
        stream = configured()
        structlog.get_logger("core").info("page.skipped", data=data, text=event)
        logging.getLogger("library").warning(event)
    assert len(lines(stream)) == 2


def test_a_deep_recursion_is_logged_with_the_frames_that_matter(configure: Configure) -> None:
    def recurse() -> None:
        recurse()

    stream = configure()
    try:
        recurse()
    except RecursionError:
        structlog.get_logger().exception("question.failed")
    (line,) = lines(stream)
    assert line["event"] == "question.failed"
    assert len(stream.getvalue().encode()) <= MAX_LINE_BYTES + 1


SENTRY_PROCESS = Path(__file__).parent / "sentry_process.py"


async def run_sentry_process(*arguments: str, **environ: str) -> list[dict[str, Any]]:
    """What a process of its own, because Sentry's client is one per process, would have sent."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, SENTRY_PROCESS, *arguments, stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), **environ},
    )  # fmt: skip
    async with asyncio.timeout(30):
        sent, _ = await process.communicate()
    assert process.returncode == 0
    return [orjson.loads(line) for line in sent.splitlines()]


async def test_nothing_private_goes_to_sentry() -> None:
    sent = await run_sentry_process(
        CANARY, CANARY=CANARY, SERPER_API_KEY=CANARY, SENTRY_DSN=f"https://{CANARY}@127.0.0.1:9/1"
    )
    assert CANARY not in str(sent)
    assert os.uname().nodename not in str(sent)
    allowed = {
        "event_id", "timestamp", "level", "platform", "environment", "release", "sdk", "exception", "tags",
        "message",
    }  # fmt: skip
    assert all(set(event) <= allowed for event in sent)
    assert len(sent) == 4


async def test_no_question_goes_to_sentry_though_no_setting_says_what_it_is() -> None:
    sent = await run_sentry_process(CANARY, SENTRY_DSN="https://key@127.0.0.1:9/1")
    assert len(sent) == 4
    assert CANARY not in str(sent)


async def test_bugs_go_to_sentry_once_and_expected_faults_do_not() -> None:
    sent = await run_sentry_process(CANARY, SENTRY_DSN="https://key@127.0.0.1:9/1")
    reported = [
        (event.get("tags", {}).get("event"), [error["type"] for error in event["exception"]["values"]])
        for event in sent
    ]
    assert reported == [
        ("question.failed", ["ValueError"]),
        ("library", ["KeyError"]),
        ("journal.lost", []),
        (None, ["ZeroDivisionError"]),
    ]


async def test_without_a_dsn_sentry_is_not_even_imported() -> None:
    assert await run_sentry_process("no dsn") == [{"sentry_sdk_imported": False}]

"""kill -9 at each point of a reply's life: what the next process makes of it.

Slack, on loopback, kills the bot when it calls or has called something, and the bot is started again.
Whatever the point, the thread then holds one message, which says how the question ended.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from adapters.slack.buttons import SEARCH_AGAIN
from tests.adapters.slack.drawing import bare
from tests.e2e.scaled_bot import LIMITS
from tests.servers.openai_server import openai_server
from tests.servers.slack_server import APP_TOKEN, BOT_TOKEN, LEAST_SCOPES, Message, SlackServer

QUESTION = "How well do heat pumps work at -20 °C?"
PIECES = [
    "Heat pumps ",
    "work at -20 °C ",
    "with a COP of 2.1 [1]. ",
    "They need ",
    "low flow temperatures [2]. ",
]
READING_THREADS = f"{LEAST_SCOPES},channels:history"
RESTARTED = "restarted"
ROOT = Path(__file__).parents[2]
NOTHING = asyncio.subprocess.DEVNULL

Json = dict[str, Any]


def anything(_: Json) -> bool:
    return True


def has_text(arguments: Json) -> bool:
    said = [*arguments.get("chunks", []), *arguments.get("blocks", [])]
    return any(part["type"] in {"markdown_text", "markdown"} for part in said)


def is_last(arguments: Json) -> bool:
    return SEARCH_AGAIN in json.dumps(arguments)


@dataclass(frozen=True, kw_only=True)
class Point:
    """The bot is killed `when` it calls `method` with such arguments, for the `turn`th time.

    ends: how the question ends then.
    again: a second point, at which the process that found the reply is killed, too.
    """

    name: str
    method: str
    when: Literal["before", "after"]
    ends: Literal["answered", "interrupted"]
    of: Callable[[Json], bool] = anything
    streaming: bool = True
    scopes: str = LEAST_SCOPES
    again: "Point | None" = None


POINTS = [
    Point(name="event acknowledged", method="ack", when="after", ends="answered"),
    Point(name="stream not begun", method="chat.startStream", when="before", ends="answered"),
    Point(
        name="stream begun, unnoted", method="chat.startStream", when="after", ends="answered",
        scopes=READING_THREADS,
    ),
    Point(name="stream noted", method="chat.appendStream", when="before", ends="interrupted"),
    Point(name="progress streamed", method="chat.appendStream", when="after", ends="interrupted"),
    Point(name="text streamed", method="chat.appendStream", when="after", of=has_text, ends="interrupted"),
    Point(name="answer noted, not streamed", method="chat.stopStream", when="before", ends="answered"),
    Point(name="answer streamed", method="chat.stopStream", when="after", ends="answered"),
    Point(
        name="message not posted", method="chat.postMessage", when="before", ends="answered", streaming=False
    ),
    Point(
        name="message posted, unnoted", method="chat.postMessage", when="after", ends="answered",
        streaming=False, scopes=READING_THREADS,
    ),
    Point(name="message noted", method="chat.update", when="before", ends="interrupted", streaming=False),
    Point(
        name="text edited in", method="chat.update", when="after", of=has_text, ends="interrupted",
        streaming=False,
    ),
    Point(
        name="answer noted, not edited in", method="chat.update", when="before", of=is_last, ends="answered",
        streaming=False,
    ),
    Point(
        name="answer edited in", method="chat.update", when="after", of=is_last, ends="answered",
        streaming=False,
    ),
    Point(
        name="recovery killed when it has taken the old stream away", method="chat.stopStream", when="before",
        ends="answered", again=Point(name="", method="chat.delete", when="after", ends="answered"),
    ),
    Point(
        name="recovery killed when it has posted", method="chat.stopStream", when="before", ends="answered",
        scopes=READING_THREADS,
        again=Point(name="", method="chat.postMessage", when="after", ends="answered"),
    ),
    Point(
        name="repetition killed", method="ack", when="after", ends="interrupted",
        again=Point(name="", method="chat.startStream", when="before", ends="interrupted"),
    ),
]  # fmt: skip


@dataclass
class Killer:
    """shown: all text in Slack before the call at which it struck: so much had been noted."""

    slack: SlackServer
    point: Point | None = None
    process: asyncio.subprocess.Process | None = None
    shown: str = ""
    struck: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, when: Literal["before", "after"], method: str, arguments: Json) -> bool:
        point = self.point
        if when == "before" and not self.struck.is_set():
            self.shown = "".join(
                message.markdown for message in self.slack.messages if not message.is_deleted
            )
        if not point or (when, method) != (point.when, point.method) or not point.of(arguments):
            return False
        assert self.process
        self.process.kill()
        self.point = None
        self.struck.set()
        return True


@asynccontextmanager
async def bot(
    slack: SlackServer, cache: Path, model_url: str = ""
) -> AsyncIterator[asyncio.subprocess.Process]:
    environ = {
        "PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "CACHE_DIR": str(cache),
        "SLACK_BOT_TOKEN": BOT_TOKEN, "SLACK_APP_TOKEN": APP_TOKEN, "SLACK_API_URL": f"{slack.url}/api",
    }  # fmt: skip
    if model_url:
        environ |= {"LLM_BASE_URL": model_url, "LLM_MODEL": "m", "LLM_API_KEY": "k"}
    slack.sockets.clear()
    with (cache / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.e2e.scaled_bot", cwd=ROOT, env=environ, stdin=NOTHING, stdout=log,
            stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def ended(slack: SlackServer, asked: Message, cache: Path) -> bool:
    """There is an answer, and nobody has anything left to do."""
    is_there = any(SEARCH_AGAIN in message.buttons for message in slack.thread(asked.ts))
    return is_there and not any((cache / "store" / "journal").iterdir())


async def killed(slack: SlackServer, killer: Killer, cache: Path, point: Point) -> None:
    """Until a bot was killed there."""
    killer.point, killer.struck = point, asyncio.Event()
    async with openai_server(pieces=PIECES) as model, bot(slack, cache, model.url) as killer.process:
        # What is written is shown before it is complete.
        model.ending = "stall" if point.of is has_text else "done"
        if not slack.messages:
            await slack.until(lambda: slack.sockets, limit_s=20)
            asked = slack.write(f"<@UBOT> {QUESTION}")
            await slack.deliver("events_api", slack.event("app_mention", asked), expect_ack=False)
        async with asyncio.timeout(20):
            await killer.struck.wait()


@pytest.mark.parametrize("point", POINTS, ids=[point.name for point in POINTS])
async def test_after_a_kill_the_thread_ends_in_one_message_and_no_text_is_lost(
    point: Point, cache: Path
) -> None:
    slack = SlackServer(scopes=point.scopes, rejects=set() if point.streaming else {"chat.startStream"})
    slack.at = killer = Killer(slack)
    async with slack.serving():
        await killed(slack, killer, cache, point)
        shown = killer.shown
        if point.again:
            await killed(slack, killer, cache, point.again)
        asked = slack.messages[0]
        async with bot(slack, cache):
            await slack.until(lambda: ended(slack, asked, cache), limit_s=20)
            await slack.deliver("events_api", slack.event("app_mention", asked), attempt=1)
            await asyncio.sleep(0.3)

            (reply,) = slack.thread(asked.ts)
    assert SEARCH_AGAIN in reply.buttons
    assert (RESTARTED in reply.shown) == (point.ends == "interrupted")
    assert bool(reply.markdown) == (point.ends == "answered" or bool(shown))
    assert bare(shown) in bare(reply.markdown)


async def test_a_question_that_was_never_acknowledged_is_answered_when_it_is_delivered_again(
    cache: Path,
) -> None:
    slack = SlackServer()
    async with slack.serving():
        async with bot(slack, cache) as process:
            await slack.until(lambda: slack.sockets, limit_s=20)
            asked = slack.write(f"<@UBOT> {QUESTION}")
            event = slack.event("app_mention", asked)
            process.kill()
            await slack.deliver("events_api", event, expect_ack=False)
        async with bot(slack, cache):
            await slack.until(lambda: any(not socket.closed for socket in slack.sockets), limit_s=20)
            await slack.deliver("events_api", event, attempt=1)
            await slack.until(lambda: ended(slack, asked, cache), limit_s=20)
            (reply,) = slack.thread(asked.ts)
    assert RESTARTED not in reply.shown


async def test_eight_answers_in_work_are_marked_in_time_however_many_signals_come_and_to_whom(
    cache: Path,
) -> None:
    slack = SlackServer()
    async with slack.serving(), openai_server(pieces=PIECES) as model:
        model.ending = "stall"
        async with bot(slack, cache, model.url) as process:
            await slack.until(lambda: slack.sockets, limit_s=20)
            asked = [
                await slack.mention(f"{QUESTION} {number}", channel=f"C{number}", user=f"U{number}")
                for number in range(1, 9)
            ]
            threads = [(message.ts, message.channel) for message in asked]
            await slack.until(lambda: all(shown(slack, *thread) for thread in threads), limit_s=30)

            told_s = time.monotonic()
            for _ in range(3):
                os.killpg(process.pid, signal.SIGTERM)
                await asyncio.sleep(0.05)
            async with asyncio.timeout(20):
                code = await process.wait()

    assert code == 0
    assert time.monotonic() - told_s < LIMITS.shutdown.exit_s
    for thread in threads:
        (reply,) = slack.thread(*thread)
        assert RESTARTED in reply.shown
        assert SEARCH_AGAIN in reply.buttons
        assert "Heat pumps" in reply.markdown
    assert not any((cache / "store" / "journal").iterdir())


def shown(slack: SlackServer, thread_ts: str, channel: str) -> bool:
    return any("Heat pumps" in message.markdown for message in slack.thread(thread_ts, channel))

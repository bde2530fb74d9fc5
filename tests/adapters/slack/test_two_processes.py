"""Two processes in one workspace, as while a new version starts before the old one has ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from adapters import wording
from adapters.slack.adapter import SlackAdapter, SlackConfig
from adapters.slack.pacing import RATES
from core.asking.conversations import Conversations
from core.asking.policy import Policy
from core.delivering.journal import Journal
from core.delivering.running import RunningAnswers
from core.providers.storage.redis_link import RedisLink
from core.providers.storage.redis_store import RedisStore
from core.providers.system_clock import SystemClock
from core.types import NoticeKind
from tests.adapters.slack.joined import FASTER, JOURNAL, PATIENCE
from tests.core.test_service import World
from tests.fakes import FakeLanguageModel
from tests.servers.redis_server import running_redis
from tests.servers.slack_server import APP_TOKEN, BOT, BOT_TOKEN, LIMITS, Json, Message, SlackServer

PIECES = ("The moon raises", " them [1]. The end.")


@asynccontextmanager
async def process(
    slack: SlackServer, redis_url: str, model: FakeLanguageModel
) -> AsyncIterator[RunningAnswers]:
    """A bot of its own that has joined; what it is answering."""
    clock, running = SystemClock(), RunningAnswers()
    async with RedisLink(redis_url, clock=clock, timeout_s=5).watched() as link:
        store = RedisStore(link)
        journal = Journal(store, clock, JOURNAL, on_stop=running.stop)
        adapter = SlackAdapter(
            service=World(clock=clock, model=model).service(),
            running=running,
            conversations=Conversations(clock),
            policy=Policy(),
            journal=journal,
            store=store,
            clock=clock,
            config=SlackConfig(
                bot_token=BOT_TOKEN,
                app_token=APP_TOKEN,
                api_url=f"{slack.url}/api/",
                rates={method: rate.times(FASTER) for method, rate in RATES.items()},
                patience=PATIENCE,
            ),
        )
        before = slack.connections
        tasks = [asyncio.create_task(adapter.run()), asyncio.create_task(journal.run())]
        try:
            await slack.until(lambda: slack.connections > before)
            yield running
        finally:
            await running.drain(finish_s=2.0, mark_s=1.0, interrupt=lambda: None)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


@asynccontextmanager
async def two_processes(
    directory: Path, *, is_agent: bool = False, pause_s: float = 0.0
) -> AsyncIterator[tuple[SlackServer, list[RunningAnswers]]]:
    slack = SlackServer(faster=FASTER, limits=LIMITS, is_agent=is_agent)
    model = FakeLanguageModel([f"word{n} " for n in range(400)] if pause_s else PIECES, pause_s=pause_s)
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(running_redis(directory))
        await stack.enter_async_context(slack.serving())
        running = [await stack.enter_async_context(process(slack, redis.url, model)) for _ in range(2)]
        yield slack, running


async def deliver_to_both(slack: SlackServer, *payloads: Json) -> None:
    """Each of them to each process, all at once."""
    async with asyncio.TaskGroup() as group:
        for payload in payloads:
            for _ in range(2):
                group.create_task(slack.deliver("events_api", payload))
                await asyncio.sleep(0)
                slack.sockets.reverse()


def answers(slack: SlackServer) -> int:
    return len([message for message in slack.messages if message.user == BOT])


async def test_a_question_that_both_receive_as_mention_and_as_message_is_answered_once(
    tmp_path: Path,
) -> None:
    async with two_processes(tmp_path) as (slack, running):
        for number in range(5):
            asked = slack.write(f"<@{BOT}> What raises tide {number}?")
            await deliver_to_both(slack, slack.event("app_mention", asked), slack.event("message", asked))
            await slack.until(lambda: answers(slack) and not any(map(len, running)))
        assert answers(slack) == 5


async def test_what_one_has_answered_the_other_leaves_when_it_is_delivered_again(tmp_path: Path) -> None:
    async with two_processes(tmp_path) as (slack, running):
        event = slack.event("app_mention", slack.write(f"<@{BOT}> What raises the tides?"))
        await slack.deliver("events_api", event)
        await slack.until(lambda: answers(slack) and not any(map(len, running)))
        for attempt in range(1, 4):
            slack.sockets.reverse()
            await slack.deliver("events_api", event, attempt=attempt)
        await slack.until(lambda: not any(map(len, running)))
        assert answers(slack) == 1


async def begun(slack: SlackServer) -> Message:
    """A reply with text in it; from now on the other process hears what people do."""
    asked = await slack.mention("What raises the tides?")
    await slack.until(lambda: any("word3" in reply.markdown for reply in slack.thread(asked.ts)))
    slack.sockets.reverse()
    return slack.thread(asked.ts)[0]


@pytest.mark.parametrize("is_agent", [False, True], ids=["button", "slack's own"])
async def test_a_stop_reaches_an_answer_of_the_other_process(tmp_path: Path, is_agent: bool) -> None:
    async with two_processes(tmp_path, is_agent=is_agent, pause_s=0.01) as (slack, running):
        reply = await begun(slack)
        if is_agent:
            await slack.stop_natively("C1", reply.thread_ts)
        else:
            await slack.press(reply, "stop_answer")
        await slack.until(lambda: not any(map(len, running)), limit_s=2.0)

        said = [] if is_agent else [wording.STOPPING_ELSEWHERE]
        assert [response["text"] for response in slack.responses] == said
        assert wording.NOTICES[NoticeKind.STOPPED] in slack.thread(reply.thread_ts)[-1].shown


async def test_a_stop_of_somebody_else_reaches_no_answer_of_the_other_process(tmp_path: Path) -> None:
    async with two_processes(tmp_path, pause_s=0.01) as (slack, running):
        reply = await begun(slack)
        await slack.press(reply, "stop_answer", user="U2")
        await slack.until(lambda: slack.responses)
        await asyncio.sleep(2 * JOURNAL.heartbeat_s)

        assert slack.responses[0]["text"] == wording.NOT_YOURS_TO_STOP
        assert any(map(len, running))

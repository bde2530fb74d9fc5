"""One question to a whole bot in a fake Slack, while one thing it depends on is sick; and how that ended."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from adapters import wording
from adapters.slack.adapter import SlackAdapter, SlackConfig
from adapters.slack.connection import Patience
from adapters.slack.pacing import RATES
from benchmarks.loopback_world import Dependency, LoopbackWorld, empty_cache, loopback_world
from bot.app import open_app
from bot.demo.search import QUESTIONS
from bot.limits import Limits
from core.asking.conversations import Conversations
from core.asking.policy import Policy
from core.delivering.journal import Journal
from core.delivering.running import RunningAnswers
from core.reading.reading import ReadingLimits
from core.types import NoticeKind
from tests.servers.slack_server import APP_TOKEN, BOT_TOKEN, Message, SlackServer
from tests.servers.toxic_proxy import Dose, Toxic

FACTOR: Final = 0.2
"""Of the real time limits. Less, and this machine's own slowness would pass for the sickness."""

# Pages wait for processors too, which are no faster here.
LIMITS: Final = replace(Limits().scaled(FACTOR), reading=ReadingLimits())

PATIENCE: Final = Patience(first_retry_s=0.1, max_retry_s=0.5, ping_s=1.0, watch_s=0.5, deaf_s=3.0)

CHAT_IS_SICK_S: Final = LIMITS.question_s / 4
"""It gets well again: to a platform that never does, nothing can be said."""

DOSES: Final = {Dependency.MODEL: Dose(after_bytes=2_000)}
"""The model fails in the middle of its answer, not before."""

DEADLY: Final = frozenset({Toxic.STALL, Toxic.RESET, Toxic.GARBAGE, Toxic.TOO_MANY, Toxic.FAILING})
"""The others are only slow."""

OWED: Final = {
    Dependency.SEARCH: {NoticeKind.SEARCH_FAILED, NoticeKind.SEARCH_REMEMBERED},
    Dependency.PAGE: {NoticeKind.SNIPPETS_ONLY, NoticeKind.NO_READABLE_PAGE},
    Dependency.MODEL: {NoticeKind.CUT_BY_FAILURE, NoticeKind.EXTRACTIVE_MODEL_FAILED},
}
"""What the asker must be told when the thing is dead, one of these; without the others nothing is missing."""

_PIECES: Final = tuple(f"Heat pumps work at {-degrees} °C [1]. " for degrees in range(40))


class Moment(StrEnum):
    START = "before the question"
    UNDER_WAY = "in mid-answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """redis: whether the bot has one."""

    dependency: Dependency
    toxic: Toxic
    redis: bool
    moment: Moment = Moment.START

    def __str__(self) -> str:
        return f"{self.dependency}, {self.toxic}, {self.moment}, {'with' if self.redis else 'without'} Redis"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """share: of the deadline, until nothing was in work any more. problems: why it was no honest end."""

    case: Case
    is_answer: bool
    notices: tuple[NoticeKind, ...]
    share: float
    problems: tuple[str, ...]


async def ended(case: Case, directory: Path, redis_url: str = "") -> Ending:
    """directory: an empty one. redis_url: of an empty one, where the case wants one."""
    async with loopback_world(
        redis_url=redis_url,
        embedding_api=case.dependency is Dependency.EMBEDDING,
        doses=DOSES,
    ) as world:
        world.model.pieces = _PIECES
        world.model.tokens_per_s = 200
        proxy = world.proxies[case.dependency]
        if case.moment is Moment.START and case.dependency is not Dependency.CHAT:
            proxy.toxic = case.toxic
        running = RunningAnswers()
        async with joined_bot(world, directory, running):
            began_s = asyncio.get_running_loop().time()
            if case.moment is Moment.START:
                proxy.toxic = case.toxic  # a Slack that is sick before it is joined has no question to ask
            asked = await world.slack.mention(QUESTIONS[0])
            if case.moment is Moment.UNDER_WAY:
                await world.slack.until(lambda: _is_under_way(world.slack, asked), limit_s=LIMITS.question_s)
                proxy.toxic = case.toxic
            timely = await _finished(running, world, case)
            took_s = asyncio.get_running_loop().time() - began_s
            messages = world.slack.thread(asked.ts)
    ending = judged(case, messages, share=took_s / LIMITS.question_s)
    problems = [*ending.problems]
    if "processing" in world.slack.sessions.values():
        problems.append("Slack's Stop button")
    if not timely:
        problems.append("it never ended")
    if not proxy.struck and case.toxic is not Toxic.SLOW_CLOSE:
        problems.append("the bot never met what was sick")
    return replace(ending, problems=tuple(problems))


async def _finished(running: RunningAnswers, world: LoopbackWorld, case: Case) -> bool:
    loop = asyncio.get_running_loop()
    heals = None
    if case.dependency is Dependency.CHAT:
        heals = loop.call_later(CHAT_IS_SICK_S, setattr, world.proxies[Dependency.CHAT], "toxic", None)
    try:
        await world.slack.until(lambda: not len(running), limit_s=2 * LIMITS.question_s)
    except TimeoutError:
        return False
    finally:
        if heals:
            heals.cancel()
    return True


def _is_under_way(slack: SlackServer, asked: Message) -> bool:
    """Whether the bot knows of its reply: it has called for more since that stands."""
    later = {"chat.appendStream", "chat.stopStream", "chat.update"}
    return bool(slack.thread(asked.ts)) and any(call.method in later for call in slack.calls)


@asynccontextmanager
async def joined_bot(world: LoopbackWorld, directory: Path, running: RunningAnswers) -> AsyncIterator[None]:
    """The bot, in the world's Slack, until the block ends. directory: an empty one."""
    settings = world.settings(empty_cache(directory))
    async with open_app(settings, limits=LIMITS, loopback_ports=world.page_ports) as app:
        adapter = SlackAdapter(
            service=app.service,
            running=running,
            conversations=Conversations(app.clock),
            policy=Policy(),
            journal=Journal(app.stores.lasting, app.clock),
            store=app.stores.forgiving,
            clock=app.clock,
            config=SlackConfig(
                bot_token=BOT_TOKEN,
                app_token=APP_TOKEN,
                api_url=settings.slack_api_url,
                rates={method: rate.times(1 / FACTOR) for method, rate in RATES.items()},
                patience=PATIENCE,
                call_s=10.0 * FACTOR,
                settle_s=120.0 * FACTOR,
            ),
        )
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(adapter.run())
            try:
                await world.slack.until(lambda: world.slack.sockets)
                if app.embedders.api is None:
                    await app.embedders.local.prepare()
                yield
            finally:
                listening.cancel()


def judged(case: Case, messages: Sequence[Message], *, share: float) -> Ending:
    """By what a reader sees in the end."""
    shown = "\n".join(message.shown for message in messages)
    notices = tuple(kind for kind in NoticeKind if _said(kind, shown))
    is_answer = any(wording.SOURCES in message.shown for message in messages)
    problems = [problem for message in messages for problem in _unfinished(message)]
    if len(messages) != 1:
        problems.append(f"{len(messages)} messages")
    if not is_answer and not notices:
        problems.append("neither an answer nor a reason")
    if NoticeKind.BUG in notices:
        problems.append("blamed on a bug")
    owed = OWED.get(case.dependency, set())
    if case.toxic in DEADLY and owed and not owed & set(notices):
        problems.append("says nothing of what failed")
    if share > 1 + LIMITS.final_draw_s / LIMITS.question_s and case.dependency is not Dependency.CHAT:
        problems.append("longer than its deadline")
    return Ending(
        case=case, is_answer=is_answer, notices=notices, share=share, problems=tuple(dict.fromkeys(problems))
    )


def _unfinished(message: Message) -> list[str]:
    problems = []
    if wording.STOP in (element for block in message.all_blocks for element in _button_texts(block)):
        problems.append("a Stop button")
    if message.stream:
        if message.stream.state == "open":
            problems.append("an open stream")
        if any(task["status"] == "in_progress" for task in message.stream.tasks.values()):
            problems.append("a task in progress")
    elif any(_opening(said) in message.shown for said in wording.STAGES.values()):
        problems.append("progress text")
    return problems


def _button_texts(block: dict[str, object]) -> list[str]:
    elements = block.get("elements", [])
    assert isinstance(elements, list)
    return [element["text"]["text"] for element in elements if element["type"] == "button"]


def _opening(progress: str) -> str:
    """What a progress line begins with, whether it goes on with dots or a count."""
    return progress.rstrip("…")


def _said(kind: NoticeKind, shown: str) -> bool:
    before, _, after = wording.NOTICES[kind].partition("{detail}")
    return re.search(rf"{re.escape(before)}(?: \(.*\))?{re.escape(after)}", shown) is not None

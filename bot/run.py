"""`python -m bot`: listens on every chat platform that is set up, until it is told to end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from bot.app import open_app
from bot.observability import start_sentry
from bot.platforms import ChatAdapter, any_platform, chat_adapters
from bot.settings import Settings
from core.asking.conversations import Conversations
from core.delivering.running import RunningAnswers
from core.errors import PlatformFailed, SettingsError
from core.service import QuestionService

log = structlog.get_logger(__name__)

NO_PLATFORM: Final = (
    "No chat platform is set up: set SLACK_BOT_TOKEN and SLACK_APP_TOKEN (docs/slack.md), "
    "or DISCORD_TOKEN (docs/discord.md), or both"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownLimits:
    """Heroku kills 30 s after its SIGTERM; the rest of these is for closing what is open.

    intake_s: to stop taking questions.
    finish_s: for answers in work to end by themselves.
    mark_s: for the others to be marked as interrupted.
    """

    intake_s: float = 1.0
    finish_s: float = 19.0
    mark_s: float = 5.0


async def run_bot(settings: Settings, *, demo: bool, limits: ShutdownLimits | None = None) -> bool:
    """True when it was told to end; False when no platform could be joined. Raises SettingsError."""
    if not any_platform(settings):
        raise SettingsError([NO_PLATFORM])
    start_sentry(settings)
    told_to_end = _end_signals()
    running = RunningAnswers()
    async with open_app(settings, demo=demo) as app:
        adapters = chat_adapters(settings, app=app, running=running, conversations=Conversations(app.clock))
        listening = [asyncio.create_task(_listen(adapter)) for adapter in adapters]
        try:
            await _until_over(told_to_end, listening)
            await _end_well(adapters, running, app.service, limits or ShutdownLimits())
        finally:
            for task in listening:
                task.cancel()
            await asyncio.wait(listening)
    log.info("bot.ended", told_to_end=told_to_end.is_set())
    return told_to_end.is_set()


def _end_signals() -> asyncio.Event:
    """Set by SIGTERM and SIGINT, however many of them come."""
    told_to_end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_end.set)
    return told_to_end


async def _listen(adapter: ChatAdapter) -> None:
    """One platform that can't be joined leaves the others alone."""
    try:
        await adapter.run()
    except PlatformFailed as failure:
        log.error("platform.failed", platform=adapter.name, reason=str(failure))  # noqa: TRY400 # no bug: no trace


async def _until_over(told_to_end: asyncio.Event, listening: Sequence[asyncio.Task[None]]) -> None:
    """Returns when a signal came or no platform listens any more; a bug in one of them is raised."""
    ending = asyncio.create_task(told_to_end.wait())
    waiting = set(listening)
    try:
        while waiting and not ending.done():
            done, _ = await asyncio.wait({ending, *waiting}, return_when=asyncio.FIRST_COMPLETED)
            for task in done & waiting:
                task.result()
            waiting -= done
    finally:
        ending.cancel()


async def _end_well(
    adapters: Sequence[ChatAdapter], running: RunningAnswers, service: QuestionService, limits: ShutdownLimits
) -> None:
    log.info("bot.ending", running=len(running))
    try:
        async with asyncio.timeout(limits.intake_s):
            await asyncio.gather(*(adapter.stop_intake() for adapter in adapters))
    except TimeoutError:
        log.warning("intake.not_stopped")
    await running.drain(finish_s=limits.finish_s, mark_s=limits.mark_s, interrupt=service.interrupt)

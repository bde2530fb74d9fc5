"""`python -m bot`: listens on every chat platform that is set up, until it is told to end."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from bot.app import App, open_app
from bot.memory_watch import MemoryLimits, tree_pss_mb, watch_memory
from bot.observability import start_sentry
from bot.platforms import ChatAdapter, any_platform, chat_adapters
from bot.settings import Settings
from core.asking.conversations import Conversations
from core.delivering.journal import Journal, JournalLimits
from core.delivering.recovery import Recovery, RecoveryLimits
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
    """Heroku kills 30 s after its SIGTERM.

    intake_s: to stop taking questions.
    finish_s: for answers in work to end by themselves.
    mark_s: for the others to be marked as interrupted.
    exit_s: from the signal to the end, whatever does not let itself be closed by then.
    """

    intake_s: float = 1.0
    finish_s: float = 19.0
    mark_s: float = 5.0
    exit_s: float = 27.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    shutdown: ShutdownLimits = field(default_factory=ShutdownLimits)
    journal: JournalLimits = field(default_factory=JournalLimits)
    recovery: RecoveryLimits = field(default_factory=RecoveryLimits)


async def run_bot(settings: Settings, *, demo: bool, limits: RunLimits | None = None) -> bool:
    """True when it was told to end; False when no platform could be joined. Raises SettingsError."""
    if not any_platform(settings):
        raise SettingsError([NO_PLATFORM])
    limits = limits or RunLimits()
    start_sentry(settings)
    told_to_end = _end_signals(limits.shutdown)
    running = RunningAnswers()
    async with open_app(settings, demo=demo) as app:
        journal = Journal(app.stores.lasting, app.clock, limits.journal, on_stop=running.stop)
        adapters = chat_adapters(
            settings,
            app=app,
            running=running,
            conversations=Conversations(app.clock),
            journal=journal,
        )
        recovery = Recovery(journal, app.clock, adapters, running=running, limits=limits.recovery)
        listening = [asyncio.create_task(_listen(adapter)) for adapter in adapters]
        recovering = asyncio.create_task(recovery.run())
        works = (journal.run(), _watched_memory(settings, app))
        beside = [recovering, *map(asyncio.create_task, works)]
        try:
            await _until_over(told_to_end, listening, beside)
            # What is found from now on is the next process's.
            recovering.cancel()
            await _end_well(adapters, running, app.service, limits.shutdown)
        finally:
            for task in (*listening, *beside):
                task.cancel()
            await asyncio.wait([*listening, *beside])
    log.info("bot.ended", told_to_end=told_to_end.is_set())
    return told_to_end.is_set()


def _end_signals(limits: ShutdownLimits) -> asyncio.Event:
    """Set by SIGTERM and SIGINT, however many of them come."""
    told_to_end = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        if not told_to_end.is_set():
            told_to_end.set()
            # A thread of its own: what hangs may be the loop, or a thread the interpreter waits for.
            last = threading.Timer(limits.exit_s, os._exit, [0])
            last.daemon = True
            last.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    return told_to_end


async def _watched_memory(settings: Settings, app: App) -> None:
    """Until cancelled. At its end the process is told to end as the platform would tell it."""
    granted_mb = settings.memory_granted_mb()
    if granted_mb:
        await watch_memory(
            MemoryLimits.of(granted_mb),
            line=app.line,
            clock=app.clock,
            recycle=lambda: os.kill(os.getpid(), signal.SIGTERM),
            used_mb=tree_pss_mb,
        )
    await asyncio.Event().wait()


async def _listen(adapter: ChatAdapter) -> None:
    """One platform that can't be joined leaves the others alone."""
    try:
        await adapter.run()
    except PlatformFailed as failure:
        log.error("platform.failed", platform=adapter.name, reason=str(failure))  # noqa: TRY400 # no bug: no trace


async def _until_over(
    told_to_end: asyncio.Event,
    listening: Sequence[asyncio.Task[None]],
    beside: Sequence[asyncio.Task[None]],
) -> None:
    """Returns when a signal came or no platform listens any more; a bug in any of them is raised.

    beside: what may end by itself without ending the bot.
    """
    ending = asyncio.create_task(told_to_end.wait())
    waiting, others = set(listening), set(beside)
    try:
        while waiting and not ending.done():
            done, _ = await asyncio.wait({ending, *waiting, *others}, return_when=asyncio.FIRST_COMPLETED)
            for task in done & (waiting | others):
                task.result()
            waiting -= done
            others -= done
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

"""The Discord bot in a process of its own, over fakes of everything but Discord, so that it can be killed."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import structlog

from core.ports import Store
from core.providers.storage.file_store import FileStore
from core.providers.storage.redis_link import RedisLink
from core.providers.storage.redis_store import RedisStore
from core.providers.system_clock import SystemClock
from tests.adapters.discord.harness import Bot, running, slow_model

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])  # imported once, a process begins in some milliseconds


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """server_url: Discord's. kept_in: a directory, or the URL of a Redis. words: of the model's answer."""

    server_url: str
    kept_in: str
    words: int


@dataclass
class BotProcesses:
    """One recipe's processes, of which the last ones run."""

    recipe: Recipe
    started: list[ForkServerProcess] = field(default_factory=list)

    def start(self) -> None:
        process = PROCESSES.Process(target=_run, args=(self.recipe,), daemon=True)
        process.start()
        self.started.append(process)

    def kill(self) -> None:
        """As with kill -9; returns when they are gone."""
        for process in self.started:
            process.kill()
        for process in self.started:
            process.join()
        self.started.clear()


@contextmanager
def bot_processes(recipe: Recipe) -> Iterator[BotProcesses]:
    processes = BotProcesses(recipe)
    try:
        yield processes
    finally:
        processes.kill()


@asynccontextmanager
async def opened_store(kept_in: str) -> AsyncIterator[Store]:
    clock = SystemClock()
    if kept_in.startswith("redis://"):
        async with RedisLink(kept_in, clock=clock, timeout_s=5).watched() as link:
            yield RedisStore(link)
    else:
        yield FileStore(Path(kept_in), clock)


def _run(recipe: Recipe) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    asyncio.run(_serve(recipe))


async def _serve(recipe: Recipe) -> None:
    async with opened_store(recipe.kept_in) as store:
        bot = Bot(store=store)
        bot.world.model = slow_model(recipe.words, pause_s=0.0005)
        async with running(bot, recipe.server_url) as task:
            await task

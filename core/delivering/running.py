"""The answers in work: started, stopped by a button, drained before the process ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from core.types import AskerId

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Running:
    asker: AskerId
    task: asyncio.Task[Any]


class RunningAnswers:
    """Not a task group: one that fails, of which the service has told, must not end the others."""

    def __init__(self) -> None:
        self._running: dict[str, _Running] = {}

    def start(self, key: str, asker: AskerId, work: Coroutine[Any, Any, Any]) -> None:
        """key: what a Stop names; unique over all platforms."""
        task = asyncio.get_running_loop().create_task(work)
        self._running[key] = _Running(asker, task)
        task.add_done_callback(lambda ended: self._forget(key, ended))

    def _forget(self, key: str, task: asyncio.Task[Any]) -> None:
        running = self._running.get(key)
        if running is not None and running.task is task:
            del self._running[key]
        if not task.cancelled() and task.exception():
            log.error("answer.failed", exc_info=task.exception())

    def asker_of(self, key: str) -> AskerId | None:
        """None once it has ended."""
        running = self._running.get(key)
        return running.asker if running else None

    def stop(self, key: str) -> bool:
        """Ends the work, which draws its last state; False if it has ended already."""
        running = self._running.get(key)
        return running is not None and running.task.cancel()

    def __len__(self) -> int:
        return len(self._running)

    async def drain(self, *, finish_s: float, mark_s: float, interrupt: Callable[[], None]) -> None:
        """Let them finish for a while; then interrupt the rest, and wait until that is drawn.

        interrupt: called before the rest are cancelled, so that they know why.
        """
        await self._wait(finish_s)
        interrupt()
        for running in self._running.values():
            running.task.cancel()
        await self._wait(mark_s)

    async def _wait(self, limit_s: float) -> None:
        tasks = [running.task for running in self._running.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=limit_s)

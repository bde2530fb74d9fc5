"""The answers in work: started, stopped by a button, drained before the process ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

import structlog

from core.types import AskerId

log = structlog.get_logger(__name__)

END_S: Final = 1.0
"""For what is still cleaning up when the time for marking is over."""
_PRESSED_EVERY_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class _Running:
    asker: AskerId
    task: asyncio.Task[Any]


class RunningAnswers:
    """Not a task group: one that fails, of which the service has told, must not end the others.

    is_draining: what is cancelled from now on ends with its process, not by anybody's wish.
    """

    def __init__(self) -> None:
        self._running: dict[str, _Running] = {}
        self.is_draining = False

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
        What is not drawn after `mark_s` is broken off, within END_S.
        """
        await self._wait(finish_s)
        self.is_draining = True
        interrupt()
        self._cancel()
        await self._wait(mark_s)
        if self._running:
            log.warning("answers.unmarked", count=len(self._running))
        for _ in range(round(END_S / _PRESSED_EVERY_S)):
            # After each cancellation an answer may go on to its next last step.
            self._cancel()
            await self._wait(_PRESSED_EVERY_S)

    def _cancel(self) -> None:
        for running in self._running.values():
            running.task.cancel()

    async def _wait(self, limit_s: float) -> None:
        tasks = [running.task for running in self._running.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=limit_s)

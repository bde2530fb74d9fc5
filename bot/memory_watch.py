"""Memory near its limit: no new questions. Nearer still: an orderly end, before the platform's kill."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from core.asking.line import Line
from core.ports import Clock

log = structlog.get_logger(__name__)

_MB: Final = 1024
"""In the unit that /proc counts in, kB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryLimits:
    """In MB, of the whole process tree: on a dyno of 512 shed at 400, recycled at 480.

    every_s: between two looks.
    """

    shed_mb: float
    recycle_mb: float
    every_s: float = 5.0

    @classmethod
    def of(cls, limit_mb: int) -> MemoryLimits:
        """limit_mb: what the platform grants."""
        return cls(shed_mb=limit_mb * 400 / 512, recycle_mb=limit_mb * 480 / 512)


async def watch_memory(
    limits: MemoryLimits,
    *,
    line: Line,
    clock: Clock,
    recycle: Callable[[], None],
    used_mb: Callable[[], float],
) -> None:
    """Until cancelled. line: let nobody in while too much is used. recycle: called once, when it must end.

    used_mb: may block; it is asked in a thread.
    """
    while True:
        now_mb = await asyncio.to_thread(used_mb)
        if line.is_shedding != (now_mb >= limits.shed_mb):
            line.is_shedding = not line.is_shedding
            log.warning("memory.high" if line.is_shedding else "memory.low", used_mb=round(now_mb))
        if now_mb >= limits.recycle_mb:
            log.error("memory.exhausted", used_mb=round(now_mb))
            recycle()
            return
        await clock.sleep(limits.every_s)


def tree_pss_mb(root: int | None = None) -> float:
    """Proportional set size of a process and all below it: what they share counts once.

    root: this process by default. 0 where there is no /proc.
    """
    return sum(map(_pss_kb, process_tree(root or os.getpid()))) / _MB


def process_tree(root: int) -> list[int]:
    """It and all below it, by their ids."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it ended meanwhile
        children.setdefault(parent, []).append(int(stat.parent.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def _pss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.memory_watch import MemoryLimits, tree_pss_mb, watch_memory
from core.asking.line import Line
from core.errors import Busy
from tests.fakes import FakeClock

LIMITS = MemoryLimits.of(512)


@dataclass
class Machine:
    """Uses so many MB at each look, and has the line's state before the next noted."""

    readings: list[float]
    line: Line = field(default_factory=Line)
    shedding: list[bool] = field(default_factory=list)
    recycled: int = 0

    def used_mb(self) -> float:
        self.shedding.append(self.line.is_shedding)
        if not self.readings:
            raise asyncio.CancelledError
        return self.readings.pop(0)

    def recycle(self) -> None:
        self.recycled += 1

    async def watched(self) -> None:
        await watch_memory(
            LIMITS, line=self.line, clock=FakeClock(), recycle=self.recycle, used_mb=self.used_mb
        )


async def test_near_the_limit_nobody_new_is_let_in_until_memory_is_back() -> None:
    machine = Machine([300, 399, 401, 430, 390, 300])
    with pytest.raises(asyncio.CancelledError):
        await machine.watched()
    assert machine.shedding == [False, False, False, True, True, False, False]
    assert machine.recycled == 0


async def test_at_the_limit_the_process_is_ended_in_order_and_once() -> None:
    machine = Machine([300, 481, 500])
    await machine.watched()
    assert (machine.recycled, machine.readings) == (1, [500])
    with pytest.raises(Busy):
        machine.line.check()


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="there is no /proc here")
def test_a_process_tree_is_measured_with_what_it_shares_counted_once() -> None:
    assert 5 < tree_pss_mb() < 10_000
    assert tree_pss_mb(2**30) == 0

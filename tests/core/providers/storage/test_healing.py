"""A place that mends itself, and the works done on it."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from lancedb.db import AsyncConnection

from core.errors import LibraryFailed
from core.providers.storage import healing
from core.providers.storage.healing import HealingPlace


async def _as_it_is(connection: AsyncConnection) -> AsyncConnection:
    return connection


@dataclass
class Gated:
    """A work that ends when it may."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, _: AsyncConnection) -> str:
        self.begun.set()
        await self.may_end.wait()
        self.ended.set()
        return "ended"


async def left(place: HealingPlace[AsyncConnection], work: Gated) -> None:
    """Begins the work, and is cancelled in it."""
    caller = asyncio.create_task(place.run(work))
    await work.begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_whoever_is_cancelled_leaves_at_once_and_the_work_goes_on(tmp_path: Path) -> None:
    place, work = HealingPlace(str(tmp_path), _as_it_is), Gated()
    await left(place, work)
    assert not work.ended.is_set()
    work.may_end.set()
    async with asyncio.timeout(5):
        await work.ended.wait()
    await place.aclose()


async def test_at_the_end_what_was_begun_is_waited_for_but_not_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, work, stuck = HealingPlace(str(tmp_path), _as_it_is), Gated(), Gated()
    await left(place, work)
    asyncio.get_running_loop().call_later(0.05, work.may_end.set)
    await place.aclose()
    assert work.ended.is_set()

    monkeypatch.setattr(healing, "SETTLE_LIMIT_S", 0.05)
    await left(place, stuck)
    async with asyncio.timeout(5):
        await place.aclose()
    assert not stuck.ended.is_set()
    stuck.may_end.set()
    async with asyncio.timeout(5):
        await stuck.ended.wait()


async def test_works_that_never_end_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healing, "MAX_UNDER_WAY", 2)
    place, hang = HealingPlace(str(tmp_path), _as_it_is), Gated()
    stuck = [asyncio.create_task(place.run(hang)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(LibraryFailed, match="have not ended"):
        await place.run(hang)
    hang.may_end.set()
    assert await asyncio.gather(*stuck) == ["ended", "ended"]
    assert await place.run(hang) == "ended"
    await place.aclose()

"""A place that mends itself, and the works done on it."""

import asyncio
from pathlib import Path

import pytest
from lancedb.db import AsyncConnection

from core.errors import LibraryFailed
from core.providers.storage import healing
from core.providers.storage.healing import HealingPlace


async def _as_it_is(connection: AsyncConnection) -> AsyncConnection:
    return connection


async def test_whoever_is_cancelled_leaves_at_once_and_the_work_goes_on(tmp_path: Path) -> None:
    place = HealingPlace(str(tmp_path), _as_it_is)
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work(_: AsyncConnection) -> None:
        begun.set()
        await may_end.wait()
        ended.set()

    caller = asyncio.create_task(place.run(work))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert not ended.is_set()
    may_end.set()
    async with asyncio.timeout(5):
        await ended.wait()
    place.close()


async def test_at_the_end_what_was_begun_is_waited_for_but_not_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = HealingPlace(str(tmp_path), _as_it_is)
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work(_: AsyncConnection) -> None:
        begun.set()
        await may_end.wait()
        ended.set()

    caller = asyncio.create_task(place.run(work))
    await begun.wait()
    caller.cancel()
    asyncio.get_running_loop().call_later(0.05, may_end.set)
    await place.aclose()
    assert ended.is_set()

    monkeypatch.setattr(healing, "SETTLE_LIMIT_S", 0.05)
    may_end.clear()
    stuck = asyncio.create_task(place.run(work))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await place.aclose()
    assert not stuck.done()
    may_end.set()
    await stuck
    place.close()


async def test_works_that_never_end_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healing, "MAX_UNDER_WAY", 2)
    place = HealingPlace(str(tmp_path), _as_it_is)
    may_end = asyncio.Event()

    async def hang(_: AsyncConnection) -> str:
        await may_end.wait()
        return "ended"

    stuck = [asyncio.create_task(place.run(hang)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(LibraryFailed, match="have not ended"):
        await place.run(hang)
    may_end.set()
    assert await asyncio.gather(*stuck) == ["ended", "ended"]
    assert await place.run(hang) == "ended"
    place.close()

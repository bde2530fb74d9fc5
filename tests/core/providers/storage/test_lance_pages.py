"""The kept pages in LanceDB: age, bounds, damage, other processes."""

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from structlog.testing import capture_logs

from core.errors import LibraryFailed
from core.providers.storage import lance_pages
from core.providers.storage.lance_pages import LancePageStore, ShelfLimits
from core.reading.passages import split_page
from core.types import KeptPage, Vectors
from tests.contracts.test_page_store import page
from tests.core.providers.storage.damage import break_files
from tests.fakes import FakeClock

AT_ONCE = ShelfLimits(max_fragments=2, old_versions=timedelta(milliseconds=1))


def opened(
    directory: Path, *, clock: FakeClock | None = None, limits: ShelfLimits = AT_ONCE, model: str = "fake"
) -> LancePageStore:
    return LancePageStore(str(directory), model=model, clock=clock or FakeClock(), limits=limits)


async def keep(store: LancePageStore, *pages: KeptPage, dimensions: int = 8) -> None:
    passages = [passage for each in pages for passage in split_page(each.page)]
    row: Vectors = np.eye(dimensions, dtype=np.float32)[0]
    await store.keep(pages, passages, {passage.embedded_text: row for passage in passages})


async def names(store: LancePageStore, wanted: Sequence[str]) -> list[str]:
    kept = await store.pages([f"https://example.org/{name}" for name in wanted])
    return sorted(each.page.url.rpartition("/")[2] for each in kept)


def size_bytes(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


async def test_after_a_week_a_page_is_gone_and_what_a_person_indexed_is_not(tmp_path: Path) -> None:
    clock = FakeClock()
    store = opened(tmp_path / "library", clock=clock)
    await keep(store, page("old"), page("lasting", lasting=True))
    clock.elapsed_s = timedelta(days=7, seconds=1).total_seconds()
    await keep(store, replace(page("new"), read_at=clock.now()))

    assert await names(store, ["old", "lasting", "new"]) == ["lasting", "new"]
    assert {found.url[-3:] for found in await store.find("words", None, limit=9)} == {"ing", "new"}
    await store.maintain()
    clock.elapsed_s = 0  # so that only what was deleted is missing
    assert await names(store, ["old", "lasting", "new"]) == ["lasting", "new"]
    await store.aclose()


async def test_files_stay_bounded_however_much_is_written(tmp_path: Path) -> None:
    directory, clock = tmp_path / "library", FakeClock()
    store = opened(directory, clock=clock, limits=replace(AT_ONCE, max_fragments=5, max_bytes=150_000))
    sizes: list[int] = []
    for write in range(60):
        clock.elapsed_s += 1
        text = "\n\n".join(f"Sentence {write} {number} about otters and kelp." for number in range(100))
        await keep(store, replace(page(f"p{write}", text), read_at=clock.now()))
        await store.maintain()
        sizes.append(size_bytes(directory))
    assert max(sizes) < 900_000
    assert len(list(directory.rglob("*"))) < 150
    kept = await names(store, [f"p{write}" for write in range(60)])
    assert "p59" in kept
    assert "p0" not in kept
    await store.aclose()


async def test_writes_at_once_are_all_kept(tmp_path: Path) -> None:
    store = opened(tmp_path / "library")
    wanted = [f"p{number}" for number in range(12)]
    async with asyncio.TaskGroup() as group:
        for name in wanted:
            group.create_task(keep(store, page(name)))
            group.create_task(store.maintain())
    assert await names(store, wanted) == sorted(wanted)
    await store.aclose()


async def test_a_write_whose_caller_left_is_kept_and_keeps_others_away(tmp_path: Path) -> None:
    store = opened(tmp_path / "library")
    await store.prepare()
    for number in range(10):
        left = asyncio.create_task(keep(store, page(f"left{number}")))
        await asyncio.sleep(number / 1000)
        left.cancel()
        await keep(store, page(f"stayed{number}"))
        with suppress(asyncio.CancelledError):
            await left
    expected = sorted(f"{name}{number}" for name in ("left", "stayed") for number in range(10))
    assert await names(store, expected) == expected
    await store.aclose()


async def test_a_process_that_writes_for_too_long_is_a_failure_that_can_be_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lance_pages, "LOCK_LIMIT_S", 0.2)
    store = opened(tmp_path / "library")
    with FileLock(tmp_path / "library.lock"), pytest.raises(LibraryFailed, match="another process"):
        await keep(store, page("late"))
    await keep(store, page("late"))
    assert await names(store, ["late"]) == ["late"]
    await store.aclose()


async def test_another_model_forgets_the_vectors_and_keeps_the_words(tmp_path: Path) -> None:
    before = opened(tmp_path / "library")
    await keep(before, page("otters"))
    await before.aclose()
    after = opened(tmp_path / "library", model="other")
    assert dict(await after.vectors(["The otters\nWords about otters."])) == {}
    await keep(after, page("bread"), dimensions=4)
    assert len(await after.find("otters", np.eye(4, dtype=np.float32)[0], limit=9)) == 2
    await after.aclose()


@pytest.mark.parametrize("damage", ["emptied", "halved", "removed"])
@pytest.mark.parametrize("table", ["pages_v1", "passages_v1"])
@pytest.mark.parametrize("files", ["**/*.manifest", "data/*.lance", "**/*.txn", "**/*"])
async def test_whatever_was_cut_short_the_next_start_works(
    tmp_path: Path, files: str, table: str, damage: str
) -> None:
    directory = tmp_path / "library"
    store = opened(directory)
    await keep(store, page("otters"))
    await keep(store, page("bread"))
    await store.aclose()
    break_files(directory / f"{table}.lance", files, damage)
    store = opened(directory)
    with capture_logs():
        await keep(store, page("new"))
        await store.maintain()
        assert await names(store, ["new"]) == ["new"]
        assert len(await store.find("words about new", None, limit=9)) >= 1
    await store.aclose()


_WRITER = """
import asyncio, sys
from tests.core.providers.storage.test_lance_pages import Path, keep, opened, page
async def write():
    store = opened(Path(sys.argv[1]))
    for number in range(1000):
        await keep(store, *(page(f"p{number}-{part}") for part in range(5)))
        await store.maintain()
        print(number, flush=True)
asyncio.run(write())
"""


@pytest.mark.parametrize("writes", [1, 3, 6])
async def test_a_process_killed_while_it_writes_leaves_a_library_that_opens(
    tmp_path: Path, writes: int
) -> None:
    directory = tmp_path / "library"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _WRITER, str(directory), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    for _ in range(writes):
        assert await process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    with capture_logs() as logs:
        store = opened(directory)
        assert await names(store, ["p0-0"]) == ["p0-0"]
        await keep(store, page("new"))
        await store.maintain()
        assert await names(store, ["new"]) == ["new"]
        await store.aclose()
    assert "library.set_aside" not in [entry["event"] for entry in logs]


async def test_a_full_disk_is_a_failure_and_no_reason_to_throw_the_library_away(tmp_path: Path) -> None:
    store = opened(tmp_path / "library")
    await keep(store, page("otters"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with capture_logs():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        try:
            with pytest.raises(LibraryFailed):
                await keep(store, page("bread"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert await names(store, ["otters"]) == ["otters"]
    assert not await asyncio.to_thread((tmp_path / "library.broken").exists)
    await store.aclose()


async def test_a_place_that_cannot_be_written_is_a_failure_that_can_be_caught(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = opened(tmp_path / "file" / "library")
    with pytest.raises(LibraryFailed):
        await store.prepare()
    with pytest.raises(LibraryFailed):
        await keep(store, page("otters"))
    with pytest.raises(LibraryFailed):
        await store.pages(["https://example.org/otters"])


async def test_what_another_process_keeps_is_seen(tmp_path: Path) -> None:
    bot, index = opened(tmp_path / "library"), opened(tmp_path / "library")
    await keep(bot, page("otters"))
    await keep(index, page("bread", lasting=True))
    await index.maintain()
    await keep(bot, page("stone"))  # a write takes the newest version, whoever made it
    assert await names(bot, ["otters", "bread", "stone"]) == ["bread", "otters", "stone"]
    await bot.aclose()
    await index.aclose()

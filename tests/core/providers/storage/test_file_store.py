"""Files that are cut short, locked, or can't be written; processes that are killed."""

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from filelock import FileLock

from core.errors import StoreFailed
from core.providers.storage.file_store import SWEPT_EVERY_S, FileStore
from core.providers.system_clock import SystemClock
from tests.fakes import FakeClock


def files_of(directory: Path) -> list[Path]:
    return [path for path in directory.glob("*/*") if path.is_file()]


def files_outside(directory: Path, above: Path) -> list[Path]:
    everything = {path for path in above.rglob("*") if path.is_file() and path.name != ".lock"}
    return sorted(everything - set(files_of(directory)))


async def test_values_outlive_the_store_and_not_their_time(tmp_path: Path) -> None:
    clock = FakeClock()
    await FileStore(tmp_path, clock).put({"a:1": b"one"}, ttl_s=60)
    await clock.sleep(59)
    assert await FileStore(tmp_path, clock).get(["a:1"]) == [b"one"]
    await clock.sleep(2)
    assert await FileStore(tmp_path, clock).get(["a:1"]) == [None]


async def test_a_file_cut_short_anywhere_or_overwritten_is_as_good_as_none(tmp_path: Path) -> None:
    store = FileStore(tmp_path, FakeClock())
    await store.put({"a:1": b"a value of some length"}, ttl_s=60)
    (path,) = files_of(tmp_path)
    whole = path.read_bytes()
    broken = [whole[:length] for length in range(len(whole))]
    broken += [b"\0" * len(whole), whole[:-1] + b"?", b"[]\n", b"1\n", b'{"key": []}\n', b"\xff" * 50]
    for content in broken:
        path.write_bytes(content)
        assert await store.get(["a:1"]) == [None], content
        assert await store.keys("a:") == []
    assert await store.claim("a:1", b"new", ttl_s=60)
    assert await store.get(["a:1"]) == [b"new"]


async def test_a_file_under_anothers_name_is_not_taken_for_it(tmp_path: Path) -> None:
    store = FileStore(tmp_path, FakeClock())
    await store.put({"a:1": b"one"}, ttl_s=60)
    (first,) = files_of(tmp_path)
    await store.put({"a:2": b"two"}, ttl_s=60)
    (second,) = set(files_of(tmp_path)) - {first}
    second.write_bytes(first.read_bytes())
    assert await store.get(["a:1", "a:2"]) == [b"one", None]


@pytest.mark.parametrize(
    "key", ["../../etc/passwd", "..", "/etc:1", "a/b:c", "\0:1", ".:1", "C:\\x", "x" * 5_000]
)
async def test_no_key_leads_out_of_the_directory(tmp_path: Path, key: str) -> None:
    directory = tmp_path / "deep" / "store"
    store = FileStore(directory, FakeClock())
    await store.put({key: b"value"}, ttl_s=60)
    assert await store.get([key]) == [b"value"]
    assert await store.keys(key) == [key]
    assert files_outside(directory, tmp_path) == []


async def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    directory = tmp_path / "store"
    await FileStore(directory, FakeClock()).put({"a:1": b"secret"}, ttl_s=60)
    assert directory.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in files_of(directory))


async def test_a_place_that_can_t_be_written_fails_in_plain_words(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    store = FileStore(blocked, FakeClock())
    for failing in (
        store.put({"a:1": b""}, ttl_s=60),
        store.claim("a:1", b"", ttl_s=60),
        store.add("a:1", 1, ttl_s=60),
        store.get(["a:1"]),
        store.remove(["a:1"]),
    ):
        with pytest.raises(StoreFailed, match=r"^files: (File exists|Not a directory)$"):
            await failing


async def test_a_lock_that_another_process_keeps_is_not_waited_for_long(tmp_path: Path) -> None:
    store = FileStore(tmp_path, FakeClock(), lock_s=0.05)
    await store.put({"a:1": b"one"}, ttl_s=60)
    with FileLock(tmp_path / ".lock"):
        with pytest.raises(StoreFailed, match="locked"):
            await store.claim("a:2", b"", ttl_s=60)
        assert await store.get(["a:1"]) == [b"one"]
    assert await store.claim("a:2", b"", ttl_s=60)


async def test_what_is_over_broken_or_too_much_is_swept_away(tmp_path: Path) -> None:
    clock = FakeClock()
    store = FileStore(tmp_path, clock, max_bytes=250)
    await store.put({"short:1": b"x"}, ttl_s=60)
    await store.put({f"long:{number}": b"x" * 100 for number in range(4)}, ttl_s=10_000)
    await store.put({"last:1": b"x" * 100}, ttl_s=20_000)
    (tmp_path / "long" / "broken").write_bytes(b"?")
    assert len(files_of(tmp_path)) == 7
    await clock.sleep(SWEPT_EVERY_S)
    await store.remove([])
    assert len(files_of(tmp_path)) == 2
    assert await store.keys("last:") == ["last:1"]


_WRITER = textwrap.dedent("""
    import asyncio, sys
    from pathlib import Path
    from core.providers.storage.file_store import FileStore
    from core.providers.system_clock import SystemClock

    async def main():
        store = FileStore(Path(sys.argv[1]), SystemClock())
        print("ready", flush=True)
        while True:
            total = await store.add("n", 1, ttl_s=600)
            await store.put({"a:1": str(total).encode() * 20_000}, ttl_s=600)

    asyncio.run(main())
""")


def killed_while_writing(directory: Path, after_s: float) -> None:
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(directory)], stdout=subprocess.PIPE)
    with writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(after_s)
        writer.send_signal(signal.SIGKILL)


async def test_a_writer_killed_at_any_point_leaves_whole_values_and_no_lock(tmp_path: Path) -> None:
    store = FileStore(tmp_path, SystemClock())
    before = 0
    for kill in range(6):
        killed_while_writing(tmp_path, after_s=0.02 + 0.0013 * kill)
        total, value = await store.get(["n", "a:1"])
        assert total is not None
        assert int(total) > before
        if value is not None:
            number = value[: len(value) // 20_000]
            assert value == number * 20_000
            assert int(total) - int(number) in (0, 1)
        before = await store.add("n", 0, ttl_s=600)

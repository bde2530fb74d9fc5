"""A process that keeps pages for days must not grow; 250 whole questions: benchmarks/soak_library.py."""

import asyncio
import sys
from pathlib import Path

_WRITER = """
import asyncio, sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from bot.memory import keep_memory_flat
keep_memory_flat()
from tests.core.providers.storage.test_lance_pages import FakeClock, ShelfLimits, keep, opened, page

def own_kb():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon"))

async def write():
    limits = ShelfLimits(max_bytes=2_000_000, max_fragments=5, old_versions=timedelta(milliseconds=1))
    clock = FakeClock()
    store = opened(Path(sys.argv[1]), clock=clock, limits=limits)
    for number in range(161):
        clock.elapsed_s += 1
        text = "\\n\\n".join(f"Sentence {number} {line} about otters and kelp." for line in range(150))
        pages = [replace(page(f"p{number}-{part}", text), read_at=clock.now()) for part in range(5)]
        await keep(store, *pages, dimensions=384)
        await store.maintain()
        await store.find("otters", None, limit=32)
        if number in (60, 160):
            print(own_kb())
asyncio.run(write())
"""


_ALLOCATOR = """
from bot.memory import keep_memory_flat
keep_memory_flat()
import lancedb, pyarrow
print(pyarrow.default_memory_pool().backend_name)
"""


async def output(program: str, *arguments: str) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, *arguments, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    return printed.decode().splitlines()


async def test_memory_stays_flat_however_many_pages_come_and_go(tmp_path: Path) -> None:
    printed = await output(_WRITER, str(tmp_path / "library"))
    early_kb, late_kb = (int(line) for line in printed if line.isdecimal())
    # 5 MB; threads that a busy machine adds take 3 each. With caches of 16 MiB it was 30, and more each time.
    assert late_kb - early_kb < 18_000


async def test_arrow_allocates_as_all_else_does() -> None:
    assert await output(_ALLOCATOR) == ["system"]

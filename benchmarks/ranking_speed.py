"""What ranking a question's passages costs: 200 of them, 32 embedded; and embedding one question.

    python -m benchmarks.ranking_speed

Nothing is remembered from one round to the next: every passage and every question is new. On a quiet machine
with two cores 200 ms and 3.5 ms are the most it should take.
"""

from __future__ import annotations

import asyncio
import random
import re
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import platformdirs

from bot.memory import keep_memory_flat
from bot.settings import APP_NAME
from core.providers.embedding.local import LocalEmbedder
from core.providers.storage.lance import LanceLibrary
from core.providers.storage.memory import MemoryLibrary
from core.ranking.fusion import NORMALLY_EMBEDDED
from core.ranking.ranking import Ranking
from core.types import Passage

PASSAGES: Final = 200
PASSAGE_WORDS: Final = 95
PAGES: Final = 10
ROUNDS: Final = 20

_WORDS: Final = re.findall(r"[a-z]{3,}", Path(__file__).parents[1].joinpath("README.md").read_text("utf-8"))
"""As frequent as in any English text."""


async def main() -> None:
    keep_memory_flat()
    rng = random.Random(0)
    with TemporaryDirectory() as directory:
        embedder = LocalEmbedder(cache_dir=platformdirs.user_cache_path(APP_NAME))
        library = LanceLibrary(Path(directory))
        async with AsyncExitStack() as stack:
            stack.enter_context(closing(embedder))
            stack.push_async_callback(library.aclose)
            await asyncio.gather(embedder.prepare(), library.prepare())
            ranking = Ranking(library=library, fallback=MemoryLibrary(), embedder=embedder)

            async def rank() -> None:
                ranked = await ranking.rank(_text(rng, 8), _passages(rng))
                assert (ranked.embedded, ranked.library_failed) == (NORMALLY_EMBEDDED, False)

            async def embed() -> None:
                await embedder.embed([_text(rng, 8)])

            await _timed(f"{PASSAGES} passages, {NORMALLY_EMBEDDED} embedded", rank)
            await _timed("one question embedded", embed)


async def _timed(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """After one round that counts for nothing."""
    await work()
    took_ms = []
    for _ in range(ROUNDS):
        started_s = time.perf_counter()
        await work()
        took_ms.append((time.perf_counter() - started_s) * 1000)
    print(f"{name}: median {statistics.median(took_ms):.1f} ms, most {max(took_ms):.1f} ms")


def _passages(rng: random.Random) -> list[Passage]:
    return [
        Passage(
            url=f"https://example.org/{n % PAGES}", index=n // PAGES, text=_text(rng, PASSAGE_WORDS), title=""
        )
        for n in range(PASSAGES)
    ]


def _text(rng: random.Random, words: int) -> str:
    # A number, so that no two texts are the same.
    return " ".join([*rng.choices(_WORDS, k=words - 1), str(rng.randrange(10**9))])


if __name__ == "__main__":
    asyncio.run(main())

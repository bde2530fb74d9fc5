"""Questions for minutes, with hostile pages and faults among them: does anything grow?

    python -m benchmarks.soak [MINUTES]

The bot is a process of its own with one extraction child; search engine, pages and model are on loopback.
Four questions are asked at once, then everything is counted while nothing is asked, and so on. Every fifth
page is hostile: the pages that tests/hostile has. One percent of the time each of search, pages and model
fails in some way. The first third of the time is to warm up in. The exit code is 1 if after that

- the bot's own memory rose by more than MEMORY_MB, along a line fitted through all samples,
- descriptors, tasks or children were more in the last third of the rounds than in the first, or
- a question had no end, or one that blames a bug.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import orjson

from benchmarks.bot_process import bot_process, reported
from benchmarks.growth import growth, memory_mb
from benchmarks.synthetic_world import LIMITS, SyntheticWorld, question, synthetic_world
from bot.app import App, open_app
from bot.memory import keep_memory_flat
from bot.memory_watch import process_tree, tree_pss_mb
from bot.observability import configure_logging
from bot.settings import load_settings
from core.types import AnswerEvent, NoticeKind
from tests.servers.toxic_proxy import Toxic

MINUTES: Final = 2.0
AT_ONCE: Final = 4
HOSTILE_SHARE: Final = 0.2
FAULT_S: Final = 0.25
FAULT_EVERY_S: Final = 25.0
"""For each of three things, so that each fails one percent of the time."""

MEMORY_MB: Final = 20.0
"""What two minutes' samples stray by without any growth: allocators, and which page was the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Of one moment at which no question is in work.

    own_mb: the bot's memory without its libraries' files, of which the kernel counts more the more code has
    run. tree_mb: PSS, with its child.
    """

    own_mb: float
    tree_mb: float
    descriptors: int
    tasks: int
    children: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Soaked:
    """outcomes, notices: how many ended in each way, by its name."""

    samples: Sequence[Sample]
    outcomes: dict[str, int]
    notices: dict[str, int]


Pick = Callable[[Sample], float]

COUNTS: Final[Sequence[tuple[str, Pick, int]]] = (
    ("descriptors", lambda sample: sample.descriptors, 8),  # connections kept alive come and go
    ("tasks", lambda sample: sample.tasks, 0),
    ("children", lambda sample: sample.children, 0),
)
"""What is counted, and by how much it may rise."""


class Silence:
    """A ReplySurface that nobody reads."""

    async def draw(self, event: AnswerEvent) -> None:
        return None


async def be_the_bot(minutes: float, page_ports: frozenset[int]) -> None:
    """In the child: asks, and writes what came of it to standard output."""
    settings = load_settings(env_file=None)
    configure_logging(settings, stream=sys.stderr)
    loop = asyncio.get_running_loop()
    outcomes: Counter[str] = Counter()
    notices: Counter[str] = Counter()
    samples: list[Sample] = []
    async with open_app(settings, limits=LIMITS, loopback_ports=page_ports) as app:
        await app.embedders.local.prepare()
        until_s = loop.time() + minutes * 60
        number = 0
        while loop.time() < until_s:
            await _ask_some(app, range(number, number + AT_ONCE), outcomes, notices)
            number += AT_ONCE
            gc.collect()
            samples.append(await asyncio.to_thread(_sample, len(asyncio.all_tasks())))
    said = Soaked(samples=samples, outcomes=dict(outcomes), notices=dict(notices))
    sys.stdout.buffer.write(orjson.dumps(asdict(said)))


async def _ask_some(app: App, numbers: range, outcomes: Counter[str], notices: Counter[str]) -> None:
    async def ask(number: int) -> None:
        answer = await app.service.handle(question(number), Silence())
        outcomes[answer.outcome.value] += 1
        notices.update(notice.kind.value for notice in answer.notices)

    async with asyncio.TaskGroup() as group:
        for number in numbers:
            group.create_task(ask(number))


def _sample(tasks: int) -> Sample:
    return Sample(
        own_mb=memory_mb("RssAnon"),
        tree_mb=tree_pss_mb(),
        descriptors=sum(1 for _ in Path("/proc/self/fd").iterdir()),
        tasks=tasks,
        children=len(process_tree(os.getpid())) - 1,
    )


async def soak(minutes: float) -> Soaked:
    with TemporaryDirectory(prefix="relevancesearch-soak-") as directory:
        async with synthetic_world(hostile_share=HOSTILE_SHARE) as world, asyncio.TaskGroup() as group:
            sickening = group.create_task(_sicken(world))
            arguments = [str(minutes), *map(str, world.page_ports)]
            environ = world.environ(Path(directory), children=1)
            async with bot_process("benchmarks.soak", arguments, environ) as process:
                said, _ = await process.communicate()
            sickening.cancel()
    found = reported(said)
    return Soaked(**{**found, "samples": [Sample(**sample) for sample in found["samples"]]})


async def _sicken(world: SyntheticWorld) -> None:
    chance = random.Random(0)
    sick = [world.pages, [world.search], [world.model]]
    while True:
        for proxies in sick:
            await asyncio.sleep(FAULT_EVERY_S / len(sick) - FAULT_S)
            toxic = chance.choice(list(Toxic))
            for proxy in proxies:
                proxy.toxic = toxic
            await asyncio.sleep(FAULT_S)
            for proxy in proxies:
                proxy.toxic = None


def problems(found: Soaked) -> list[str]:
    samples = found.samples[len(found.samples) // 3 :]
    rose = growth([sample.own_mb for sample in samples])
    said = []
    if rose.by > MEMORY_MB:
        said.append(f"memory rose by {rose.by:.0f} MB, where {MEMORY_MB:.0f} are allowed")
    for name, pick, allowed in COUNTS:
        first, last = _ends(samples, pick)
        if last > first + allowed:
            said.append(f"{name} rose from {first:.0f} to {last:.0f}")
    if found.notices.get(NoticeKind.BUG):
        said.append("a question was blamed on a bug")
    return said


def _ends(samples: Sequence[Sample], pick: Pick) -> tuple[float, float]:
    """The medians of the first third and of the last."""
    third = max(1, len(samples) // 3)
    first, last = samples[:third], samples[-third:]
    return statistics.median(map(pick, first)), statistics.median(map(pick, last))


def report(found: Soaked) -> None:
    samples = found.samples[len(found.samples) // 3 :]
    rose = growth([sample.own_mb for sample in samples])
    asked = sum(found.outcomes.values())
    print(f"{asked} questions: {_counts(found.outcomes)}; notices: {_counts(found.notices) or 'none'}")
    print(
        f"memory of its own {samples[0].own_mb:.0f} to {samples[-1].own_mb:.0f} MB: growth after the first "
        f"third {rose.by:+.1f} MB, around which it strays by {rose.strays:.1f}, at most {rose.most:.1f}"
    )
    print(
        f"with its child and its libraries' files (PSS) {samples[0].tree_mb:.0f} to "
        f"{samples[-1].tree_mb:.0f} MB, at most {max(sample.tree_mb for sample in found.samples):.0f}"
    )
    for name, pick, _ in COUNTS:
        first, last = _ends(samples, pick)
        print(f"{name}: {first:.0f} to {last:.0f}")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))


def main() -> None:
    keep_memory_flat()
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else MINUTES
    if len(sys.argv) > 2:
        asyncio.run(be_the_bot(minutes, frozenset(map(int, sys.argv[2:]))))
        return
    found = asyncio.run(soak(minutes))
    report(found)
    wrong = problems(found)
    for problem in wrong:
        print(f"NOT FLAT: {problem}")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()

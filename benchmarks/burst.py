"""200 questions at once: who is answered, who waits, who is told to come back; and what memory it takes.

    python -m benchmarks.burst

200 people ask 200 different questions in the same moment. The bot is a process of its own, with one
extraction child as on a dyno of 512 MB and then with two; the search engine, the pages and the model, which
writes 60 tokens a second, are here, on loopback. The exit code is 1 if anybody was left without a word for a
second or without an end, or if the bot with one child took more than 450 MB (PSS of its process tree).
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import orjson

from benchmarks.bot_process import bot_process, reported
from benchmarks.synthetic_world import LIMITS, question, synthetic_world
from bot.app import App, open_app
from bot.memory import keep_memory_flat
from bot.memory_watch import tree_pss_mb
from bot.observability import configure_logging
from bot.settings import load_settings
from core.types import Answer, AnswerEvent, Outcome, Progress, Stage

QUESTIONS: Final = 200
TOLD_S: Final = 1.0
MEMORY_MB: Final = 450
SAMPLE_S: Final = 0.05

GOOD: Final = frozenset({Outcome.ANSWERED, Outcome.NOTHING_FOUND})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """told_s: until the asker saw anything; ended_s: until the last word. before: in the line, if in one."""

    outcome: Outcome
    told_s: float
    ended_s: float
    before: int | None
    notices: tuple[str, ...] = ()


@dataclass
class Recorder:
    """A ReplySurface that draws at once and remembers when."""

    began_s: float
    told_s: float | None = None
    before: int | None = None
    ended_s: float = 0.0
    drawn: list[Answer] = field(default_factory=list)

    async def draw(self, event: AnswerEvent) -> None:
        since_s = asyncio.get_running_loop().time() - self.began_s
        self.told_s = since_s if self.told_s is None else self.told_s
        if isinstance(event, Progress) and event.stage is Stage.WAITING and self.before is None:
            self.before = event.done
        if isinstance(event, Answer):
            self.drawn.append(event)
            self.ended_s = since_s


async def ask_all(app: App, count: int) -> list[Asked]:
    began_s = asyncio.get_running_loop().time()

    async def ask(number: int) -> Asked:
        recorder = Recorder(began_s=began_s)
        await app.service.handle(question(number), recorder)
        (answer,) = recorder.drawn
        return Asked(
            outcome=answer.outcome,
            told_s=recorder.told_s or 0.0,
            ended_s=recorder.ended_s,
            before=recorder.before,
            notices=tuple(notice.kind for notice in answer.notices),
        )

    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(ask(number)) for number in range(count)]
    return [task.result() for task in asking]


async def be_the_bot(page_ports: frozenset[int]) -> None:
    """In the child: asks, and writes what came of it to standard output."""
    settings = load_settings(env_file=None)
    configure_logging(settings, stream=sys.stderr)
    async with open_app(settings, limits=LIMITS, loopback_ports=page_ports) as app:
        await app.embedders.local.prepare()
        asked = await ask_all(app, QUESTIONS)
    sys.stdout.buffer.write(orjson.dumps([asdict(each) for each in asked]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    asked: Sequence[Asked]
    peak_mb: float


async def burst(children: int) -> Burst:
    with TemporaryDirectory(prefix="relevancesearch-burst-") as directory:
        async with (
            synthetic_world() as world,
            bot_process(
                "benchmarks.burst",
                [*map(str, world.page_ports)],
                world.environ(Path(directory), children=children),
            ) as process,
        ):
            assert process.stdout is not None
            reading = asyncio.ensure_future(process.stdout.read())
            peak_mb = 0.0
            while not reading.done():
                peak_mb = max(peak_mb, await asyncio.to_thread(tree_pss_mb, process.pid))
                await asyncio.wait([reading], timeout=SAMPLE_S)
            said = reported(await reading)
    asked = [Asked(**{**each, "outcome": Outcome(each["outcome"])}) for each in said]
    return Burst(asked=asked, peak_mb=peak_mb)


def problems(found: Burst, *, memory_mb: float) -> list[str]:
    asked = found.asked
    said = []
    if len(asked) != QUESTIONS:
        said.append(f"{QUESTIONS - len(asked)} questions got no end")
    if (silent := sum(each.told_s > TOLD_S for each in asked)) > 0:
        said.append(f"{silent} askers saw nothing for more than {TOLD_S:.0f} s")
    if failed := [each for each in asked if each.outcome not in {*GOOD, Outcome.BUSY}]:
        outcomes = ", ".join(sorted({each.outcome.value for each in failed}))
        said.append(f"{len(failed)} ended as {outcomes}")
    if found.peak_mb > memory_mb:
        said.append(f"{found.peak_mb:.0f} MB, where {memory_mb:.0f} are allowed")
    return said


def report(found: Burst, children: int) -> None:
    asked = found.asked
    answered = sorted(each.ended_s for each in asked if each.outcome is not Outcome.BUSY)
    at_once = [each for each in asked if each.outcome is Outcome.BUSY and each.before is None]
    in_line = [each for each in asked if each.before is not None]
    late = [each for each in in_line if each.outcome is Outcome.BUSY]
    notices = Counter(notice for each in asked for notice in each.notices)
    print(
        f"{children} extraction {'child' if children == 1 else 'children'}, {len(asked)} questions at once:"
    )
    print(f"  answered {len(answered)}, in the line {len(in_line)} of whom {len(late)} waited in vain,")
    print(f"  told to come back at once {len(at_once)}")
    print(f"  answer after {_share(answered, 0.5):.1f} s (p50), {_share(answered, 0.95):.1f} s (p95)")
    print(f"  first word after at most {max(each.told_s for each in asked):.2f} s")
    print(f"  notices: {', '.join(f'{kind} {count}' for kind, count in notices.most_common()) or 'none'}")
    print(f"  peak {found.peak_mb:.0f} MB", flush=True)


def _share(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def main() -> None:
    keep_memory_flat()
    if len(sys.argv) > 1:
        asyncio.run(be_the_bot(frozenset(map(int, sys.argv[1:]))))
        return
    wrong: list[str] = []
    for children, memory_mb in ((1, MEMORY_MB), (2, float("inf"))):
        found = asyncio.run(burst(children))
        report(found, children)
        wrong += problems(found, memory_mb=memory_mb)
    for problem in wrong:
        print(f"NOT AS PROMISED: {problem}")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()

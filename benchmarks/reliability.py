"""The fault matrix: whatever the bot depends on fails in whatever way, and every question ends honestly.

    python -m benchmarks.reliability [DEPENDENCY…]

Each run is a whole bot, from Slack's event to the last word in the thread, over real sockets and with its
time limits shortened to a fifth. Redis itself fails once before the question and once in mid-answer;
everything else fails once with a Redis beside it and once without. The table goes into docs/reliability.md;
the exit code is 1 if any run broke the rule: one message, an answer or why there is none, in time.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import structlog

from benchmarks.loopback_world import Dependency
from benchmarks.sick_bot import Case, Ending, Moment, ended
from bot.memory import keep_memory_flat
from tests.servers.redis_server import running_redis
from tests.servers.toxic_proxy import Toxic

AT_ONCE: Final = 5
"""Most of their time they wait: five keep two processors busy."""

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "reliability.md"
BEGIN: Final = "<!-- The table is written by `python -m benchmarks.reliability`. -->\n"
END: Final = "<!-- Here it ends. -->\n"


def matrix(dependencies: Sequence[Dependency] = tuple(Dependency)) -> Iterator[Case]:
    for dependency in dependencies:
        for toxic in Toxic:
            if dependency is Dependency.REDIS:
                yield from (
                    Case(dependency=dependency, toxic=toxic, redis=True, moment=when) for when in Moment
                )
                continue
            yield from (Case(dependency=dependency, toxic=toxic, redis=redis) for redis in (False, True))


def run_all(cases: Sequence[Case], *, at_once: int = AT_ONCE) -> list[Ending]:
    """In the order of the cases. Each bot has a process to itself: none is slow for another's sake."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(at_once, mp_context=spawn, initializer=_begin_quietly) as pool:
        return list(pool.map(run_one, cases))


def run_one(case: Case) -> Ending:
    with (
        TemporaryDirectory(prefix="relevancesearch-matrix-") as directory,
        _redis(Path(directory)) if case.redis else nullcontext("") as redis_url,
    ):
        return asyncio.run(ended(case, Path(directory), redis_url))


def table(endings: Sequence[Ending]) -> str:
    by_case = {(e.case.dependency, e.case.toxic, e.case.redis, e.case.moment): e for e in endings}
    rows = dict.fromkeys((e.case.dependency, e.case.toxic) for e in endings)
    lines = ["| what fails | how | without Redis | with Redis |", "|---|---|---|---|"]
    for dependency, toxic in rows:
        cells = [
            _cell(ending)
            for redis in (False, True)
            for moment in Moment
            if (ending := by_case.get((dependency, toxic, redis, moment)))
        ]
        lines.append(f"| {dependency} | {toxic} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(ending: Ending) -> str:
    said = ["answer" if ending.is_answer else "no answer", *(kind.value for kind in ending.notices)]
    when = f"{ending.case.moment}: " if ending.case.dependency is Dependency.REDIS else ""
    wrong = f" **{'; '.join(ending.problems)}**" if ending.problems else ""
    return f"{when}{', '.join(said)} ({ending.share:.0%}){wrong}"


def write_table(text: str, page: Path = PAGE) -> None:
    head, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    page.write_text(f"{head}{BEGIN}{text}{END}{tail}", encoding="utf-8")


@contextmanager
def _redis(directory: Path) -> Iterator[str]:
    """A run's own, so that none finds what another left there."""
    with running_redis(directory) as server:
        yield server.url


def redis_is_installed() -> bool:
    """Says loudly where it is not."""
    if shutil.which("redis-server"):
        return True
    print("NO redis-server HERE: the runs with Redis are LEFT OUT.", flush=True)
    return False


def _begin_quietly() -> None:
    """What fails here is meant to."""
    keep_memory_flat()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)


def report(endings: Sequence[Ending], took_s: float) -> int:
    """How many broke the rule."""
    broken = [ending for ending in endings if ending.problems]
    answered = sum(ending.is_answer for ending in endings)
    for ending in broken:
        print(f"BROKE THE RULE: {ending.case}: {'; '.join(ending.problems)}")
    longest = max(endings, key=lambda ending: ending.share)
    print(
        f"{len(endings)} runs in {took_s:.0f} s, {AT_ONCE} at a time: {answered} answered, "
        f"{len(endings) - answered} with a reason, {len(broken)} broke the rule; "
        f"longest {longest.share:.0%} of the deadline ({longest.case})"
    )
    return len(broken)


def main() -> None:
    chosen = [Dependency(name) for name in sys.argv[1:]] or list(Dependency)
    with_redis = redis_is_installed()
    cases = [case for case in matrix(chosen) if with_redis or not case.redis]
    began_s = time.monotonic()
    endings = run_all(cases)
    broken = report(endings, time.monotonic() - began_s)
    if chosen == list(Dependency) and with_redis:
        write_table(table(endings))
    else:
        print(table(endings))
    raise SystemExit(1 if broken else 0)


if __name__ == "__main__":
    main()

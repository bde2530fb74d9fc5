"""Things break one after another, and the bot answers: to be watched.

    make chaos

No key, no network: search engines, pages and the model are on loopback, and that model says the same every
time. Each scene says what is broken, shows the bot's real reply, and is then checked: by its outcome and its
notices. The exit code is 1 if any reply was another than it should be.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import structlog

from adapters.terminal import TerminalSurface
from benchmarks.loopback_world import Dependency, LoopbackWorld, empty_cache, loopback_world
from bot.app import open_app
from bot.limits import Limits
from bot.memory import keep_memory_flat
from core.ports import ReplySurface
from core.providers.system_clock import SystemClock
from core.types import Answer, AnswerEvent, AskerId, Deferred, Draft, NoticeKind, Outcome, Question
from tests.servers.redis_server import RedisServer, running_redis
from tests.servers.toxic_proxy import Dose, Toxic

LIMITS: Final = Limits().scaled(0.5)
"""Half a real bot's patience: who watches has less."""

TOKENS_PER_S: Final = 25.0
DOSES: Final = {Dependency.MODEL: Dose(after_bytes=4_000)}
WORDS: Final = (
    "Heat pumps go on heating at -20 °C [1]. They give less heat then, and take more electricity for each "
    "kilowatt-hour of it [2]. What that costs over a winter depends on how often it is so cold [1]."
)

Act = Callable[[LoopbackWorld], None]


def _nothing(_: LoopbackWorld) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """said: what is broken. outcome, notices: of the reply as it should be, all of them.

    environ: settings that differ. before: done before the question; later: when the first words stand.
    """

    said: str
    asks: str
    outcome: Outcome = Outcome.ANSWERED
    notices: frozenset[NoticeKind] = frozenset()
    environ: Mapping[str, str] = field(default_factory=dict)
    before: Act = _nothing
    later: Act = _nothing


def sick(dependency: Dependency, toxic: Toxic) -> Act:
    def act(world: LoopbackWorld) -> None:
        world.proxies[dependency].toxic = toxic

    return act


def out_of_credit(world: LoopbackWorld) -> None:
    world.search.out_of_credit = True


def heal(world: LoopbackWorld) -> None:
    for proxy in world.proxies.values():
        proxy.toxic = None
    world.search.out_of_credit = False


def scenes(searxng_url: str, redis: RedisServer | None) -> Iterator[Scene]:
    """One bot after another, with the same library; each scene begins in a world that is well."""
    yield Scene(said="Nothing is broken.", asks="How well do heat pumps work at -20 °C?")
    yield Scene(
        said="Serper is dead: it breaks off every connection. SearXNG is set up behind it.",
        asks="Which heat pumps still work at -25 °C?",
        notices=frozenset({NoticeKind.SEARCH_SKIPPED}),
        environ={"SEARCH_ORDER": "serper,searxng", "SEARXNG_URL": searxng_url},
        before=sick(Dependency.SEARCH, Toxic.RESET),
    )
    yield Scene(
        said="Both of Serper's keys are out of credit, and there is no other engine.",
        asks="What do heat pumps cost to run at -20 °C?",
        notices=frozenset({NoticeKind.SEARCH_FAILED, NoticeKind.FROM_LIBRARY}),
        environ={"SERPER_API_KEY": "first,second"},
        before=out_of_credit,
    )
    yield Scene(
        said="The model dies in mid-sentence.",
        asks="Do heat pumps still heat a house when it freezes?",
        notices=frozenset({NoticeKind.CUT_BY_FAILURE}),
        before=sick(Dependency.MODEL, Toxic.RESET),
    )
    yield Scene(
        said="The model refuses from the first word on.",
        asks="Are heat pumps any good in a cold climate?",
        notices=frozenset({NoticeKind.EXTRACTIVE_MODEL_FAILED}),
        before=sick(Dependency.MODEL, Toxic.FAILING),
    )
    if redis:
        yield Scene(
            said="Redis is killed in mid-answer.",
            asks="How much heat do heat pumps lose in the cold?",
            environ={"REDIS_URL": redis.url},
            later=lambda _: redis.kill(),
        )


async def play(scene: Scene, world: LoopbackWorld, cache: Path) -> Answer:
    """The reply, which is drawn on standard output."""
    settings = world.settings(cache, **scene.environ)
    with TerminalSurface(clock=SystemClock(), output=sys.stdout, errors=sys.stdout) as surface:
        async with open_app(settings, limits=LIMITS, loopback_ports=world.page_ports) as app:
            await app.embedders.local.prepare()
            question = Question(
                id="chaos",
                text=scene.asks,
                asker=AskerId("chaos:you"),
                platform="terminal",
                asked_at=datetime.now(UTC),
            )
            scene.before(world)
            return await app.service.handle(question, _AtFirstWords(surface, lambda: scene.later(world)))


class _AtFirstWords:
    """A ReplySurface that lets something happen once words stand on it."""

    def __init__(self, surface: ReplySurface, happens: Callable[[], None]) -> None:
        self._surface = surface
        self._happens = happens
        self._has_words = False

    async def draw(self, event: AnswerEvent) -> Deferred | None:
        deferred = await self._surface.draw(event)
        if isinstance(event, Draft) and not self._has_words:
            self._has_words = True
            self._happens()
        return deferred


def differences(scene: Scene, answer: Answer) -> list[str]:
    """In what the reply is not as it should be."""
    found = frozenset(notice.kind for notice in answer.notices)
    said = []
    if answer.outcome is not scene.outcome:
        said.append(f"it ended as {answer.outcome}, not {scene.outcome}")
    said += [f"it did not say {kind}" for kind in sorted(scene.notices - found)]
    said += [f"it said {kind}" for kind in sorted(found - scene.notices)]
    if answer.outcome is Outcome.ANSWERED and not answer.footnotes:
        said.append("it has no footnotes")
    return said


async def play_all(directory: Path, redis: RedisServer | None) -> list[str]:
    """What went otherwise than it should, of all scenes."""
    wrong = []
    cache = empty_cache(directory)
    print("The model here is a small server that always says the same; the bot is the real one.")
    async with loopback_world(doses=DOSES) as world:
        world.model.pieces = [f"{word} " for word in WORDS.split(" ")]
        world.model.tokens_per_s = TOKENS_PER_S
        for number, scene in enumerate(scenes(world.search.url, redis), 1):
            print(f"\n━━ {number}. {scene.said}\n   Asked: {scene.asks}\n", flush=True)
            differing = differences(scene, await play(scene, world, cache))
            print(
                "\n   "
                + ("NOT as it should be: " + "; ".join(differing) if differing else "As it should be.")
            )
            wrong += differing
            heal(world)
    return wrong


@contextmanager
def redis_if_installed(directory: Path) -> Iterator[RedisServer | None]:
    if shutil.which("redis-server") is None:
        print("NO redis-server HERE: the scene in which Redis is killed is SKIPPED.")
        yield None
    else:
        with running_redis(directory) as redis:
            yield redis


def main() -> None:
    keep_memory_flat()
    # The replies say what failed; that is what is to be watched.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with TemporaryDirectory(prefix="relevancesearch-chaos-") as name:
        directory = Path(name)
        with redis_if_installed(directory) as redis:
            wrong = asyncio.run(play_all(directory, redis))
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()

"""`python -m bot check`: the settings, and what each thing outside answers when it is really asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bot.app import App, open_app
from bot.settings import Settings, masked
from core.answering.models import GuardedModel
from core.errors import DependencyError, ModelFailed, SearchFailed
from core.ports import Embedder, Store
from core.providers.search.json_api import JsonSearch
from core.resilience.breaker import BreakerState, CircuitBreaker
from core.resilience.deadline import Deadline
from core.searching.engines import Engine
from core.types import Completion, Document, MessageRole, Passage, Prompt, PromptMessage

LIMIT_S: Final = 30.0
"""For each check; they run side by side."""

_DOCUMENT: Final = Document(
    url="https://example.org/",
    media_type="text/html",
    body=b"<title>Probe</title><article><p>One readable sentence is enough for this.</p></article>",
)
_PASSAGE: Final = Passage(url="https://example.org/", index=0, text="One sentence.", title="Probe")
_PROMPT: Final = Prompt(
    version="check",
    messages=(PromptMessage(role=MessageRole.USER, content="Reply with one word: ready"),),
    max_output_tokens=16,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one dependency answered."""

    name: str
    well: bool
    said: str


async def run_checks(settings: Settings, console: Console) -> bool:
    """Prints both tables; True if everything that is set up answered as it should."""
    console.print(_settings_table(settings))
    async with open_app(settings) as app:
        findings = await _findings(app)
    console.print(_findings_table(findings))
    return all(finding.well for finding in findings)


async def _findings(app: App) -> Sequence[Finding]:
    checks: list[tuple[str, Callable[[], Awaitable[str]]]] = [
        *((engine.name, lambda engine=engine: _search(engine)) for engine in app.engines),
        *_model_checks(app),
        *([("Embedding API", lambda: _embedding(api))] if (api := app.embedders.api) else []),
        ("Embedding model", lambda: _embedding(app.embedders.local)),
        ("Library", lambda: _library(app)),
        ("Redis" if app.stores.shared else "Store", lambda: _store(app.stores.lasting)),
        ("Page reader", lambda: _extraction(app)),
    ]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_finding(name, check)) for name, check in checks]
    return [task.result() for task in tasks]


async def _finding(name: str, check: Callable[[], Awaitable[str]]) -> Finding:
    started_s = time.monotonic()
    try:
        async with asyncio.timeout(LIMIT_S):
            said = await check()
    except TimeoutError:
        return Finding(name=name, well=False, said=f"did not answer within {LIMIT_S:.0f} s")
    except DependencyError as failure:
        return Finding(name=name, well=False, said=str(failure))
    return Finding(name=name, well=True, said=f"{said} ({(time.monotonic() - started_s) * 1000:.0f} ms)")


async def _search(engine: Engine) -> str:
    try:
        hits = await engine.search("weather", limit=3, deadline=Deadline.after(LIMIT_S))
    except SearchFailed as failure:
        raise SearchFailed(engine.name, f"{failure.reason}{_state(engine)}") from failure
    return f"{len(hits)} hits{_state(engine)}"


def _state(engine: Engine) -> str:
    """What is not as it should be: keys that rest, a breaker that is not closed."""
    said = []
    if isinstance(engine.provider, JsonSearch) and len(keys := engine.provider.keys) > 1 and keys.resting:
        said.append(f"{keys.resting} of {len(keys)} keys resting")
    return "".join(f", {part}" for part in said) + _breaker(engine.guard.breaker)


def _breaker(breaker: CircuitBreaker) -> str:
    """Nothing of one that is closed."""
    if breaker.state is BreakerState.CLOSED:
        return ""
    return f", circuit breaker {breaker.state.replace('_', ' ')}"


def _model_checks(app: App) -> Sequence[tuple[str, Callable[[], Awaitable[str]]]]:
    if not app.models.each:
        return [("Language model", _no_model)]
    return [("Language model", partial(_model, model)) for model in app.models.each]


async def _no_model() -> str:
    return "none is set up: answers are whole sentences from the sources; set OPENROUTER_API_KEY"


async def _model(model: GuardedModel) -> str:
    try:
        async with aclosing(model.stream(_PROMPT, Deadline.after(LIMIT_S))) as stream:
            async for piece in stream:
                if isinstance(piece, Completion):
                    return f"{piece.model} answers{_breaker(model.breaker)}"
    except ModelFailed as failure:
        raise ModelFailed(f"{model.name} {failure.reason}{_breaker(model.breaker)}") from failure
    return "no answer"


async def _embedding(embedder: Embedder) -> str:
    vectors = await embedder.embed(["One sentence."])
    return f"{embedder.model}, {vectors.shape[1]} dimensions"


async def _library(app: App) -> str:
    await app.scoring.lexical_scores("sentence", [_PASSAGE])
    await app.embedders.pages.find("sentence", None, limit=1)
    return "opens and searches"


async def _store(store: Store) -> str:
    await store.put({"check:probe": b"."}, ttl_s=LIMIT_S)
    kept = await store.get(["check:probe"])
    return "keeps and finds" if kept == [b"."] else "lost what was just put there"


async def _extraction(app: App) -> str:
    page = await app.extractor.extract(_DOCUMENT)
    return f"reads {len(page.text)} characters of a test page"


def _settings_table(settings: Settings) -> Table:
    table = Table("Setting", "Value", title="Settings", title_justify="left")
    for name, value in masked(settings):
        table.add_row(Text(name), Text(value))
    return table


def _findings_table(findings: Sequence[Finding]) -> Table:
    table = Table("", "Dependency", "Answer", title="Dependencies", title_justify="left")
    for finding in findings:
        mark = Text("✓", style="green") if finding.well else Text("✗", style="red")
        table.add_row(mark, Text(finding.name), Text(finding.said))
    return table

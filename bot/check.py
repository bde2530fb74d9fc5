"""`python -m bot check`: the settings, and what each thing outside answers when it is really asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bot.app import App, open_app
from bot.settings import Settings, masked
from core.errors import DependencyError
from core.ports import LanguageModel, SearchProvider
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
        *((provider.name, lambda provider=provider: _search(provider)) for provider in app.providers),
        ("Language model", lambda: _model(app.model)),
        ("Embedding model", lambda: _embedding(app)),
        ("Library", lambda: _library(app)),
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


async def _search(provider: SearchProvider) -> str:
    hits = await provider.search("weather", limit=3)
    return f"{len(hits)} hits"


async def _model(model: LanguageModel | None) -> str:
    if model is None:
        return "none is set up: answers are whole sentences from the sources; set OPENROUTER_API_KEY"
    async with aclosing(model.stream(_PROMPT)) as stream:
        async for piece in stream:
            if isinstance(piece, Completion):
                return f"{piece.model} answers"
    return "no answer"


async def _embedding(app: App) -> str:
    vectors = await app.embedder.embed(["One sentence."])
    return f"{app.embedder.model}, {vectors.shape[1]} dimensions"


async def _library(app: App) -> str:
    await app.scoring.lexical_scores("sentence", [_PASSAGE])
    await app.pages.find("sentence", None, limit=1)
    return "opens and searches"


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

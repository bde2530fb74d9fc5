"""Models, budget and embeddings API as the settings wire them, over the bundled web."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from bot.app import App, open_app
from bot.check import run_checks
from bot.limits import NORMAL
from bot.settings import load_settings
from core.types import Answer, AskerId, NoticeKind, Outcome, Question
from tests.fakes import FakeReplySurface
from tests.servers.openai_server import OpenAIServer, openai_server

EXPORTS = Path(__file__).parents[2] / ".cache" / "models"

pytestmark = pytest.mark.timeout(180)  # the first run exports the embedding model


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with openai_server(pieces=["Heat pumps ", "work [1]."]) as server:
        yield server


@asynccontextmanager
async def demo_app(tmp_path: Path, **environ: str) -> AsyncIterator[App]:
    (tmp_path / "cache").mkdir(parents=True, exist_ok=True)
    with_exports(tmp_path / "cache")
    settings = load_settings({"CACHE_DIR": str(tmp_path / "cache"), **environ}, env_file=None)
    async with open_app(settings, demo=True, limits=NORMAL) as app:
        yield app


def with_exports(cache: Path) -> None:
    """The model as it was exported before, so that no test waits for that."""
    for export in EXPORTS.glob("*"):
        if not (cache / export.name).exists():
            (cache / export.name).symlink_to(export)


async def ask(app: App, text: str = "Do heat pumps work below -20 °C?") -> Answer:
    question = Question(
        id="q1",
        text=text,
        asker=AskerId("test:ann"),
        platform="test",
        asked_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return await app.service.handle(question, FakeReplySurface())


def model_at(server: OpenAIServer, models: str, **more: str) -> dict[str, str]:
    return {"LLM_BASE_URL": server.url, "LLM_MODEL": models, "LLM_API_KEY": "k", **more}


async def test_the_second_model_answers_where_the_first_is_unknown(
    server: OpenAIServer, tmp_path: Path
) -> None:
    server.unknown = frozenset({"first"})
    async with demo_app(tmp_path, **model_at(server, "first, second")) as app:
        answer = await ask(app)
    assert answer.text == "Heat pumps work[^1]."
    assert answer.model == "served-model"
    assert answer.notices == ()
    assert [request.payload["model"] for request in server.requests] == ["first", "second"]


async def test_a_spent_budget_outlasts_a_restart_and_leaves_quoted_answers(
    server: OpenAIServer, tmp_path: Path
) -> None:
    environ = model_at(server, "m", LLM_TOKENS_PER_DAY="10")
    async with demo_app(tmp_path, **environ) as app:
        assert (await ask(app)).text == "Heat pumps work[^1]."
        left = await app.models.budget.left()
        assert left is not None
        assert left.tokens == 0
    async with demo_app(tmp_path, **environ) as app:
        answer = await ask(app)
    assert answer.outcome is Outcome.ANSWERED
    assert [notice.kind for notice in answer.notices] == [NoticeKind.EXTRACTIVE_BUDGET_SPENT]
    assert len(server.requests) == 1


async def test_with_an_embeddings_api_the_local_model_is_not_loaded_until_that_fails(
    server: OpenAIServer, tmp_path: Path
) -> None:
    api = {"EMBEDDING_API_URL": server.url, "EMBEDDING_API_MODEL": "e"}
    async with demo_app(tmp_path, **api) as app:
        assert (await ask(app)).footnotes
        assert server.requests
        assert app.embedders.local._runtime is None

        server.status = 500
        assert (await ask(app, "How is a sourdough starter fed?")).footnotes
        async with asyncio.timeout(60):
            while app.embedders.local._runtime is None:  # noqa: ASYNC110 # loaded beside the answer
                await asyncio.sleep(0.02)


async def test_check_asks_each_model_and_the_embeddings_api(server: OpenAIServer, tmp_path: Path) -> None:
    server.unknown = frozenset({"second"})
    environ = model_at(
        server, "first,second", EMBEDDING_API_URL=server.url, EMBEDDING_API_MODEL="e", SEARCH_ORDER="searxng",
        SEARXNG_URL="http://127.0.0.1:1", CACHE_DIR=str(tmp_path),
    )  # fmt: skip
    with_exports(tmp_path)
    console = Console(file=io.StringIO(), width=200)
    assert not await run_checks(load_settings(environ, env_file=None), console)
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    assert "served-model answers" in said
    assert "second does not know the model" in said
    assert "api:e, 16 dimensions" in said
    assert "all-MiniLM-L6-v2, 384 dimensions" in said

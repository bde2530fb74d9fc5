"""What every Embedder promises, on the fake, on the packaged model, over an API, and where that fails."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest

from core.ports import Embedder
from core.providers.embedding.api import ApiEmbedder, ApiLimits
from core.providers.embedding.local import LocalEmbedder
from core.providers.storage.memory_store import MemoryStore
from core.ranking.fallback_embedder import FallbackEmbedder
from tests.fakes import FakeClock, FakeEmbedder
from tests.servers.openai_server import openai_server

# Exported once for all runs: it takes ten seconds.
EXPORTS = Path(__file__).parents[2] / ".cache" / "models"

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(params=["fake", "local", "api", "api that sends numbers", "fallback"])
async def embedder(request: pytest.FixtureRequest) -> AsyncGenerator[Embedder]:
    if request.param == "fake":
        yield FakeEmbedder()
    elif request.param == "local":
        local = LocalEmbedder(cache_dir=EXPORTS)
        await local.prepare()
        yield local
        local.close()
    else:
        async with openai_server() as server, aclosing(api_at(server.url)) as api:
            server.numbers = "numbers" in request.param
            server.status = 503 if request.param == "fallback" else 200
            yield FallbackEmbedder(api, FakeEmbedder()) if request.param == "fallback" else api


LIMITS = ApiLimits(attempt_s=5, limit_s=5)  # on a busy machine, too


def api_at(url: str) -> ApiEmbedder:
    clock = FakeClock()
    return ApiEmbedder(
        base_url=url, api_key="k", model="m", store=MemoryStore(clock), clock=clock, limits=LIMITS
    )


async def test_a_row_for_each_text_in_order_and_of_unit_length(embedder: Embedder) -> None:
    texts = [f"otters sleep {number} times" for number in range(11)]
    vectors = await embedder.embed(texts)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(11), abs=1e-5)
    for text, row in zip(texts, vectors, strict=True):
        assert (await embedder.embed([text]))[0] == pytest.approx(row, abs=1e-5)


async def test_texts_about_the_same_are_near(embedder: Embedder) -> None:
    question, near, far = await embedder.embed(
        ["Where do otters sleep?", "Otters sleep in kelp.", "A recipe for sourdough bread"]
    )
    assert question @ near > question @ far


async def test_no_texts_have_no_rows(embedder: Embedder) -> None:
    assert len(await embedder.embed([])) == 0


@pytest.mark.parametrize("text", ["", " ", "\ud800", "\x00", "日本" * 500, "a" * 100_000, "word " * 50_000])
async def test_any_text_has_a_vector(embedder: Embedder, text: str) -> None:
    (vector,) = await embedder.embed([text])
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-4)


async def test_calls_at_once_get_their_own_rows(embedder: Embedder) -> None:
    sets = [[f"otter {number}", f"bread {number}"] for number in range(8)]
    alone = [await embedder.embed(texts) for texts in sets]
    together = await asyncio.gather(*(embedder.embed(texts) for texts in sets))
    for one, other in zip(alone, together, strict=True):
        assert other == pytest.approx(one, abs=1e-5)

"""Vectors over an API that fails in every way: unit rows in their order, or a failure with its fault."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import numpy as np
import pytest
from structlog.testing import capture_logs

from core.errors import EmbeddingFailed, Fault, StoreFailed
from core.ports import Store
from core.providers.embedding.api import MAX_CHARS, TEXTS_A_REQUEST, ApiEmbedder, ApiLimits
from core.providers.storage.memory_store import MemoryStore
from core.ranking.fallback_embedder import FallbackEmbedder
from core.ranking.ranking import Ranking
from core.resilience.breaker import BreakerLimits, BreakerState
from core.types import Passage
from tests.fakes import FakeClock, FakeEmbedder, FakeLibrary
from tests.servers.openai_server import OpenAIServer, openai_server, vector

API_KEY = "sk-embedding-canary-0123456789"
LIMITS = ApiLimits(attempt_s=5, limit_s=5)
HURRIED = ApiLimits(attempt_s=0.1, limit_s=0.15)
"""For what would else be waited for; the others are not to fail on a busy machine."""


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with openai_server() as server:
        yield server


class DeadStore(MemoryStore):
    async def get(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        raise StoreFailed("out of reach")

    async def put(self, values: Mapping[str, bytes], *, ttl_s: float) -> None:
        raise StoreFailed("out of reach")


@asynccontextmanager
async def api_at(
    url: str,
    *,
    store: Store | None = None,
    clock: FakeClock | None = None,
    min_calls: int = 10,
    limits: ApiLimits = LIMITS,
) -> AsyncIterator[ApiEmbedder]:
    clock = clock or FakeClock()
    async with AsyncExitStack() as stack:
        embedder = ApiEmbedder(
            base_url=url,
            api_key=API_KEY,
            model="some/model",
            store=store,
            clock=clock,
            limits=limits,
            breaker_limits=BreakerLimits(min_calls=min_calls),
        )
        stack.push_async_callback(embedder.aclose)
        yield embedder


def asked(server: OpenAIServer) -> list[list[str]]:
    """The texts of each request."""
    return [request.payload["input"] for request in server.requests]  # type: ignore[misc] # JSON


async def failure(server: OpenAIServer, limits: ApiLimits = LIMITS) -> EmbeddingFailed:
    async with api_at(server.url, limits=limits) as embedder:
        with pytest.raises(EmbeddingFailed) as failed:
            await embedder.embed(["otters", "bread"])
    assert API_KEY not in str(failed.value)
    return failed.value


async def test_each_text_is_asked_once_in_requests_that_servers_take(server: OpenAIServer) -> None:
    texts = [f"text {number}" for number in range(2 * TEXTS_A_REQUEST + 1)]
    async with api_at(server.url) as embedder:
        rows = await embedder.embed([*texts, texts[0]])
        await embedder.embed(texts)
        assert embedder.model == "api:some/model"
        assert list(embedder.remembered([*texts, "other"])) == texts
    assert asked(server) == [texts[:32], texts[32:64], texts[64:]]
    for text, row in zip([*texts, texts[0]], rows, strict=True):
        assert row == pytest.approx(vector(text) / np.linalg.norm(vector(text)), abs=1e-6)


async def test_the_request_names_model_and_key_and_nothing_of_the_environment(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "canary")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Leak: canary\nAuthorization: Bearer canary")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with api_at(server.url) as embedder:
        await embedder.embed(["otters", " ", "a\ud800b", "x" * 10_000])
    (request,) = server.requests
    assert request.payload == {
        "model": "some/model",
        "input": ["otters", ".", "a?b", "x" * MAX_CHARS],
        "encoding_format": "base64",
    }
    assert request.headers["Authorization"] == f"Bearer {API_KEY}"
    assert "canary" not in f"{request}".replace(API_KEY, "")
    assert not any(name.lower().startswith("x-") for name in request.headers)


@pytest.mark.parametrize(
    ("status", "fault", "requests"),
    [
        (307, Fault.REFUSED, 1),
        (400, Fault.REFUSED, 1),
        (401, Fault.KEY_REFUSED, 1),
        (402, Fault.OUT_OF_CREDIT, 1),
        (413, Fault.REFUSED, 1),
        (429, Fault.RATE_LIMITED, 1),  # it asks for more time than there is
        (500, Fault.FAILING, 1),
    ],
)
async def test_a_refusal_has_its_fault(
    server: OpenAIServer, status: int, fault: Fault, requests: int
) -> None:
    server.status, server.headers = status, {"Retry-After": "7", "Location": f"{server.url}/embeddings"}
    failed = await failure(server)
    assert failed.fault is fault
    assert failed.retry_after_s == 7
    assert len(server.requests) == requests


async def test_what_passes_is_tried_again(server: OpenAIServer) -> None:
    server.status, server.failing = 503, 2
    async with api_at(server.url) as embedder:
        assert (await embedder.embed(["otters"])).shape == (1, 16)
    assert len(server.requests) == 3


async def test_an_api_that_never_answers_is_given_up_in_time(server: OpenAIServer) -> None:
    server.silent = True
    loop = asyncio.get_running_loop()
    started = loop.time()
    failed = await failure(server, HURRIED)
    assert (failed.fault, str(failed)) == (Fault.TIMED_OUT, "did not answer in time")
    assert loop.time() - started < 0.4


async def test_a_server_that_is_not_there_could_not_be_reached() -> None:
    assert (await failure(OpenAIServer(url="http://127.0.0.1:1/v1"))).fault is Fault.UNREACHABLE


def coded(row: Sequence[float]) -> str:
    return b64encode(np.asarray(row, dtype="<f4").tobytes()).decode()


NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    "vectors",
    [
        [],
        [[1.0, 2.0]],
        [[1.0, 2.0]] * 3,
        [[1.0, 2.0], [1.0]],
        [[1.0, 2.0], [[1.0], [2.0]]],
        [[1.0, 2.0], []],
        [[], []],
        [[1.0, 2.0], [0.0, 0.0]],
        [coded([1, 2]), coded([1, NAN])],
        [coded([1, 2]), coded([1, INFINITE])],
        [coded([1, 2]), "not base64!"],
        [coded([1, 2]), "AAA="],
        [[1.0, 2.0], None],
        [[1.0, 2.0], ["a", "b"]],
        [[1.0, 2.0], {"a": 1}],
        [1.0, 2.0],
    ],
)
async def test_what_is_no_row_for_each_text_is_a_failure(server: OpenAIServer, vectors: list[object]) -> None:
    server.vectors = vectors
    failed = await failure(server)
    assert failed.fault is Fault.FAILING
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "raw", [b"{}", b"[]", b"null", b"<html>", b'{"data": [1, 2]}', b'{"data": {"a": 1}}']
)
async def test_what_is_no_answer_is_a_failure(server: OpenAIServer, raw: bytes) -> None:
    server.raw = raw
    assert (await failure(server)).fault is Fault.FAILING


async def test_vectors_of_another_length_are_a_failure_and_do_not_mix(server: OpenAIServer) -> None:
    async with api_at(server.url) as embedder:
        await embedder.embed(["otters"])
        server.vectors = [[1.0, 2.0]]
        with pytest.raises(EmbeddingFailed, match="2 numbers after some of 16"):
            await embedder.embed(["otters", "bread"])
        assert (await embedder.embed(["otters"])).shape == (1, 16)


async def test_what_a_library_kept_of_another_length_is_embedded_anew(server: OpenAIServer) -> None:
    async with api_at(server.url) as embedder:
        embedder.remember({"otters": np.full(4, 0.5, dtype=np.float32)})
        assert (await embedder.embed(["otters", "bread"])).shape == (2, 16)
        even = np.full(16, 0.25, dtype=np.float32)
        embedder.remember({"kelp": even})
        assert np.array_equal(await embedder.embed(["kelp"]), [even])


async def test_after_a_restart_the_store_knows_the_vectors_for_a_day(server: OpenAIServer) -> None:
    clock = FakeClock()
    store = MemoryStore(clock)
    async with api_at(server.url, store=store, clock=clock) as before:
        rows = await before.embed(["otters", "bread"])
    async with api_at(server.url, store=store, clock=clock) as embedder:
        await embedder.embed(["the first answer tells the length"])
        again = await embedder.embed(["otters", "bread"])
    assert again == pytest.approx(rows, abs=1e-3)
    assert np.linalg.norm(again, axis=1) == pytest.approx([1, 1], abs=1e-6)
    assert asked(server) == [["otters", "bread"], ["the first answer tells the length"]]

    clock.elapsed_s += 24 * 3600
    async with api_at(server.url, store=store, clock=clock) as embedder:
        await embedder.embed(["another first"])
        await embedder.embed(["otters"])
    assert asked(server)[-1] == ["otters"]


async def test_nonsense_in_the_store_is_asked_for_anew(server: OpenAIServer) -> None:
    store = MemoryStore(FakeClock())
    async with api_at(server.url, store=store) as embedder:
        await embedder.embed(["otters", "bread", "kelp"])
    keys = await store.keys("vector:some/model:")
    nonsense = (b"\x00", np.zeros(16, np.float16).tobytes(), np.full(16, NAN, np.float16).tobytes())
    await store.put(dict(zip(keys, nonsense, strict=True)), ttl_s=9)
    async with api_at(server.url, store=store) as embedder:
        await embedder.embed(["first"])
        assert (await embedder.embed(["otters", "bread", "kelp"])).shape == (3, 16)


@pytest.mark.parametrize("store", [None, DeadStore(FakeClock())])
async def test_without_a_store_it_embeds_all_the_same(server: OpenAIServer, store: Store | None) -> None:
    async with api_at(server.url, store=store) as embedder:
        assert (await embedder.embed(["otters"])).shape == (1, 16)
        assert (await embedder.embed(["bread"])).shape == (1, 16)


async def test_after_many_failures_it_is_left_alone_for_a_while(server: OpenAIServer) -> None:
    server.status = 500
    clock = FakeClock()
    async with api_at(server.url, clock=clock, min_calls=2) as embedder:
        for _ in range(3):
            with pytest.raises(EmbeddingFailed):
                await embedder.embed(["otters"])
        assert embedder.breaker.state is BreakerState.OPEN
        assert len(server.requests) == 2
        clock.elapsed_s += 60
        server.status = 200
        assert (await embedder.embed(["otters"])).shape == (1, 16)


PASSAGES = [
    Passage(url=f"https://{number}.example/", index=0, text=text, title="")
    for number, text in enumerate(["bread", "otters sleep in kelp", "sleep"])
]


def set_to(**changes: object) -> Callable[[OpenAIServer], None]:
    def bend(server: OpenAIServer) -> None:
        for name, value in changes.items():
            setattr(server, name, value)

    return bend


@pytest.mark.parametrize(
    "bend",
    [
        set_to(status=401),
        set_to(status=500),
        set_to(silent=True),
        set_to(raw=b"<html>"),
        set_to(vectors=[[1.0, 2.0]]),
    ],
)
@pytest.mark.parametrize("local_fails", [False, True])
async def test_when_the_api_fails_the_local_model_embeds_all_anew_and_then_words_rank(
    server: OpenAIServer, bend: Callable[[OpenAIServer], None], local_fails: bool
) -> None:
    bend(server)
    local = FakeEmbedder(fails=local_fails)
    async with api_at(server.url, limits=HURRIED if server.silent else LIMITS) as api:
        fallback = FallbackEmbedder(api, local)
        assert not fallback.wanted.is_set()
        ranking = Ranking(library=FakeLibrary(), fallback=FakeLibrary(), embedder=fallback)
        with capture_logs() as logs:
            ranked = await ranking.rank("where do otters sleep", PASSAGES)

    assert fallback.wanted.is_set()
    assert ranked.passages[0].passage.text == "otters sleep in kelp"
    assert ranked.embedded == (0 if local_fails else 3)
    assert set(local.memory) == (
        set() if local_fails else {"where do otters sleep", *(passage.embedded_text for passage in PASSAGES)}
    )
    events = [entry["event"] for entry in logs if entry["event"] != "call.retried"]
    assert events == ["embedder.skipped", *(["embedding.skipped"] if local_fails else [])]


async def test_an_api_that_fails_between_question_and_passages_never_mixes_two_models(
    server: OpenAIServer,
) -> None:
    async with api_at(server.url) as api:
        await api.embed(["where do otters sleep"])
        server.status = 500
        local = FakeEmbedder()
        ranking = Ranking(
            library=FakeLibrary(), fallback=FakeLibrary(), embedder=FallbackEmbedder(api, local)
        )
        ranked = await ranking.rank("where do otters sleep", PASSAGES)
    assert ranked.embedded == 3
    assert "where do otters sleep" in local.memory


async def test_while_the_api_answers_the_local_model_is_not_touched(server: OpenAIServer) -> None:
    local = FakeEmbedder()
    async with api_at(server.url) as api:
        fallback = FallbackEmbedder(api, local)
        await fallback.embed(["otters"])
    assert local.memory == {}
    assert not fallback.wanted.is_set()
    assert fallback.model not in {api.model, local.model}

"""The real client against a server that speaks the protocol, and misspeaks it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest

from core.errors import Fault, ModelFailed
from core.providers.openai_model import OpenAIModel, _asked_for_cost
from core.types import Completion, FinishReason, MessageRole, Prompt, PromptMessage
from tests.servers.openai_server import OpenAIServer, openai_server

API_KEY = "sk-test-canary-0123456789"
PROMPT = Prompt(
    version="1",
    messages=(
        PromptMessage(role=MessageRole.SYSTEM, content="Be brief."),
        PromptMessage(role=MessageRole.USER, content="Why?"),
    ),
    max_output_tokens=2_000,
)


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with openai_server(pieces=["Because ", "of [1]", "."]) as server:
        yield server


@asynccontextmanager
async def model_at(url: str, *, first_token_s: float = 5, gap_s: float = 5) -> AsyncIterator[OpenAIModel]:
    model = OpenAIModel(base_url=url, api_key=API_KEY, model="m", first_token_s=first_token_s, gap_s=gap_s)
    async with aclosing(model):
        yield model


async def listen(
    server: OpenAIServer, *, first_token_s: float = 5, gap_s: float = 5
) -> list[str | Completion]:
    async with model_at(server.url, first_token_s=first_token_s, gap_s=gap_s) as model:
        return [event async for event in model.stream(PROMPT)]


async def hear(model: OpenAIModel, said: list[str]) -> None:
    async for event in model.stream(PROMPT):
        assert isinstance(event, str)
        said.append(event)


async def failure(server: OpenAIServer, *, first_token_s: float = 5, gap_s: float = 5) -> tuple[str, str]:
    """What was said before it failed, and the reason."""
    said: list[str] = []
    async with model_at(server.url, first_token_s=first_token_s, gap_s=gap_s) as model:
        with pytest.raises(ModelFailed) as failed:
            await hear(model, said)
    assert API_KEY not in str(failed.value)
    return "".join(said), failed.value.reason


async def test_visible_text_then_one_completion_with_what_it_used(server: OpenAIServer) -> None:
    assert await listen(server) == [
        "Because ",
        "of [1]",
        ".",
        Completion(finish_reason=FinishReason.STOP, model="served-model", input_tokens=11, output_tokens=7),
    ]


async def test_an_api_that_counts_no_tokens_is_fine(server: OpenAIServer) -> None:
    server.usage = None
    *_, completion = await listen(server)
    assert isinstance(completion, Completion)
    assert (completion.input_tokens, completion.output_tokens) == (None, None)


@pytest.mark.parametrize(("cost", "told"), [(0.00123, 0.00123), (0, 0.0), (-1, None), (None, None)])
async def test_what_an_api_says_it_cost_is_told(
    server: OpenAIServer, cost: float | None, told: float | None
) -> None:
    server.cost = cost
    *_, completion = await listen(server)
    assert isinstance(completion, Completion)
    assert completion.cost_usd == told


def test_only_openrouter_is_asked_what_an_answer_cost() -> None:
    assert _asked_for_cost("openrouter.ai") == {"usage": {"include": True}}
    assert _asked_for_cost("api.openai.com") is None


async def test_the_request_has_the_prompt_and_no_tools(server: OpenAIServer) -> None:
    await listen(server)
    (request,) = server.requests
    assert request.payload == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 6_000,
    }
    assert request.headers["Authorization"] == f"Bearer {API_KEY}"


async def test_nothing_of_the_environment_is_in_the_request(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID", "WEBHOOK_SECRET"):
        monkeypatch.setenv(f"OPENAI_{name}", "canary")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/canary")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Leak: canary\nAuthorization: Bearer canary")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    await listen(server)
    (request,) = server.requests
    assert "canary" not in f"{request}".replace(API_KEY, "")
    assert {name.lower() for name in request.headers} <= {
        *("host", "accept", "accept-encoding", "connection", "user-agent"),
        *("content-type", "content-length", "authorization"),
    }


async def test_thoughts_are_not_shown(server: OpenAIServer) -> None:
    server.thoughts = ["Hmm. ", "The user wants"]
    said = await listen(server)
    assert "".join(event for event in said if isinstance(event, str)) == "Because of [1]."


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("content_filter", FinishReason.CONTENT_FILTER),
    ],
)
async def test_how_the_text_ended_is_told(server: OpenAIServer, said: str, meant: FinishReason) -> None:
    server.finish_reason = said
    *_, completion = await listen(server)
    assert isinstance(completion, Completion)
    assert completion.finish_reason is meant


async def test_an_endless_answer_is_cut_at_the_prompts_limit(server: OpenAIServer) -> None:
    server.pieces = ["word " * 100] * 1_000
    *pieces, completion = await listen(server)
    assert sum(len(str(piece)) for piece in pieces) <= 2_000 * 5 + 500
    assert isinstance(completion, Completion)
    assert completion.finish_reason is FinishReason.LENGTH


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (400, "bad", "refused the request"),
        (400, "context_length_exceeded", "found the request too long"),
        (401, "invalid_api_key", "refused the API key"),
        (402, "402", "is out of credit"),
        (403, "403", "denied access"),
        (404, "model_not_found", "does not know the model"),
        (429, "rate_limit_exceeded", "is over its rate limit"),
        (429, "insufficient_quota", "is over its quota"),
        (500, "server_error", "failed with status 500"),
        (504, "", "did not answer in time"),
    ],
)
async def test_a_refusal_is_said_in_plain_words_and_once(
    server: OpenAIServer, status: int, code: str, reason: str
) -> None:
    server.status, server.headers = status, {"Retry-After": "1"}
    server.error = {"message": f"Your key {API_KEY} is no good", "code": code}
    assert await failure(server) == ("", reason)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "code", "fault"),
    [
        (307, "", Fault.REFUSED),
        (400, "bad", Fault.REFUSED),
        (401, "invalid_api_key", Fault.KEY_REFUSED),
        (402, "402", Fault.OUT_OF_CREDIT),
        (403, "403", Fault.KEY_REFUSED),
        (404, "model_not_found", Fault.REFUSED),
        (408, "", Fault.TIMED_OUT),
        (429, "rate_limit_exceeded", Fault.RATE_LIMITED),
        (429, "insufficient_quota", Fault.OUT_OF_CREDIT),
        (500, "", Fault.FAILING),
        (502, "", Fault.OVERLOADED),
        (503, "", Fault.OVERLOADED),
        (504, "", Fault.OVERLOADED),
        (529, "", Fault.FAILING),
    ],
)
async def test_a_refusal_has_its_fault_and_how_long_to_wait(
    server: OpenAIServer, status: int, code: str, fault: Fault
) -> None:
    server.status, server.headers, server.error = status, {"Retry-After": "7"}, {"code": code}
    async with model_at(server.url) as model:
        with pytest.raises(ModelFailed) as failed:
            await hear(model, [])
    assert (failed.value.fault, failed.value.retry_after_s) == (fault, 7.0)


@pytest.mark.parametrize(
    ("bend", "fault"),
    [
        ({"pieces": [], "ending": "reset"}, Fault.UNREACHABLE),
        ({"pieces": [], "thoughts": ["Hmm."], "ending": "reset"}, Fault.FAILING),
        ({"ending": "reset"}, Fault.FAILING),
        ({"ending": "short"}, Fault.FAILING),
        ({"ending": "stall"}, Fault.TIMED_OUT),
        ({"raw": b"data: {not json\n\n"}, Fault.FAILING),
        ({"raw": b'data: {"error": {"message": "upstream", "code": 429}}\n\n'}, Fault.RATE_LIMITED),
        ({"pieces": [], "finish_reason": "content_filter"}, Fault.REFUSED),
        ({"pieces": []}, Fault.FAILING),
    ],
)
async def test_a_stream_that_goes_wrong_has_its_fault(
    server: OpenAIServer, bend: dict[str, object], fault: Fault
) -> None:
    for name, value in bend.items():
        setattr(server, name, value)
    async with model_at(server.url, gap_s=0.05 if bend.get("ending") == "stall" else 5) as model:
        with pytest.raises(ModelFailed) as failed:
            await hear(model, [])
    assert failed.value.fault is fault


async def test_a_redirect_is_not_followed(server: OpenAIServer) -> None:
    server.status, server.headers = 307, {"Location": f"{server.url}/chat/completions"}
    assert await failure(server) == ("", "failed with status 307")
    assert len(server.requests) == 1


async def test_a_server_that_is_not_there_could_not_be_reached() -> None:
    assert await failure(OpenAIServer(url="http://127.0.0.1:1/v1")) == ("", "could not be reached")


def resets(server: OpenAIServer) -> None:
    server.ending = "reset"


def stops_short(server: OpenAIServer) -> None:
    server.ending = "short"


def gives_up(server: OpenAIServer) -> None:
    server.finish_reason = "error"


@pytest.mark.parametrize("breaks", [resets, stops_short, gives_up])
async def test_what_was_said_before_a_break_is_kept(
    server: OpenAIServer, breaks: Callable[[OpenAIServer], None]
) -> None:
    breaks(server)
    assert await failure(server) == ("Because of [1].", "broke off in the middle of its answer")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"data: {not json\n\n", "sent something that is not an answer"),
        (b"data: \xff\xfe\n\n", "sent something that is not an answer"),
        (b'data: "a string"\n\n', "sent something that is not an answer"),
        (b'data: {"choices": ["a string"]}\n\n', "sent something that is not an answer"),
        (b'data: {"error": {"message": "upstream", "code": 429}}\n\n', "is over its rate limit"),
        (b'data: {"error": {"message": "upstream"}}\n\n', "failed with status 500"),
    ],
)
async def test_nonsense_in_the_stream_is_a_failure(server: OpenAIServer, raw: bytes, reason: str) -> None:
    server.raw = raw
    assert await failure(server) == ("Because of [1].", reason)


@pytest.mark.parametrize("pieces", [[], ["", " \n"]])
async def test_an_empty_answer_is_a_failure(server: OpenAIServer, pieces: list[str]) -> None:
    server.pieces = pieces
    assert (await failure(server))[1] == "gave no text"


async def test_thoughts_alone_are_a_failure(server: OpenAIServer) -> None:
    server.pieces, server.thoughts, server.finish_reason = [], ["Hmm."], "length"
    assert await failure(server) == ("", "gave no text")


async def test_an_answer_withheld_by_a_filter_is_a_failure(server: OpenAIServer) -> None:
    server.pieces, server.finish_reason = [], "content_filter"
    assert await failure(server) == ("", "withheld its answer")


async def test_a_first_token_that_does_not_come_is_a_failure(server: OpenAIServer) -> None:
    server.pieces, server.ending = [], "stall"
    assert await failure(server, first_token_s=0.05) == ("", "did not answer in time")


async def test_signs_of_life_without_a_token_do_not_put_off_the_first(server: OpenAIServer) -> None:
    server.pieces, server.tokens_per_s = [""] * 100, 100
    assert await failure(server, first_token_s=0.08) == ("", "did not answer in time")


async def test_thoughts_do_put_off_the_first_word(server: OpenAIServer) -> None:
    server.thoughts, server.tokens_per_s = ["Hmm. "] * 12, 40
    assert len(await listen(server, first_token_s=0.2)) == 5  # and that it thinks


async def test_a_silence_in_the_middle_is_a_failure(server: OpenAIServer) -> None:
    server.ending = "stall"
    assert await failure(server, gap_s=0.05) == ("Because of [1].", "did not answer in time")


async def test_closing_the_stream_ends_the_request(server: OpenAIServer) -> None:
    server.ending = "stall"
    async with model_at(server.url) as model:
        async with aclosing(model.stream(PROMPT)) as events:
            assert await anext(events) == "Because "
        async with asyncio.timeout(5):
            await server.disconnected.wait()


async def test_cancelling_ends_the_request(server: OpenAIServer) -> None:
    server.pieces, server.ending = [], "stall"
    async with model_at(server.url) as model:
        hearing = asyncio.create_task(hear(model, []))
        async with asyncio.timeout(5):
            while not server.requests:  # noqa: ASYNC110 # the server tells of it in no other way
                await asyncio.sleep(0.005)
            hearing.cancel()
            await server.disconnected.wait()
    assert hearing.cancelled()


def test_it_names_itself_to_openrouter_only() -> None:
    def title(url: str) -> object:
        model = OpenAIModel(base_url=url, api_key=API_KEY, model="m")
        return model._client.default_headers.get("X-Title")

    assert title("https://openrouter.ai/api/v1") == "RelevanceSearch"
    assert title("https://api.openai.com/v1") is None


async def test_a_server_that_asks_for_no_key_is_asked_without_one() -> None:
    async with openai_server(pieces=["Yes."]) as server:
        model = OpenAIModel(base_url=server.url, api_key="", model="m")
        async with aclosing(model), aclosing(model.stream(PROMPT)) as stream:
            said = [piece async for piece in stream]

    assert said[0] == "Yes."

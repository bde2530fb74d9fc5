"""What every LanguageModel keeps."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass

import pytest

from core.answering.budget import BudgetedModel, BudgetLimits, ModelBudget
from core.answering.models import ModelChain
from core.errors import ModelFailed
from core.ports import LanguageModel
from core.providers.openai_model import OpenAIModel
from core.providers.storage.memory_store import MemoryStore
from core.types import Completion, FinishReason, MessageRole, Prompt, PromptMessage
from tests.fakes import FakeClock, FakeLanguageModel
from tests.servers.openai_server import openai_server

PROMPT = Prompt(
    version="1", messages=(PromptMessage(role=MessageRole.USER, content="Why?"),), max_output_tokens=2_000
)


@dataclass(frozen=True, kw_only=True)
class Script:
    """What the model says, and whether it then breaks or goes on for ever."""

    pieces: Sequence[str]
    breaks: bool = False
    endless: bool = False


@dataclass(frozen=True, kw_only=True)
class Scripted:
    """ended: returns once the model's side knows that nobody listens any more."""

    model: LanguageModel
    ended: Callable[[], Awaitable[object]]


Setup = Callable[[Script], AbstractAsyncContextManager[Scripted]]


@asynccontextmanager
async def fake(script: Script) -> AsyncIterator[Scripted]:
    model = FakeLanguageModel(
        pieces=[*script.pieces, *(["more"] * 10_000 if script.endless else [])],
        fails_with="broke off" if script.breaks else "",
    )

    async def ended() -> None:
        assert model.closed == 1

    yield Scripted(model=model, ended=ended)


@asynccontextmanager
async def openai(script: Script) -> AsyncIterator[Scripted]:
    async with openai_server(pieces=script.pieces) as server:
        server.ending = "reset" if script.breaks else "stall" if script.endless else "done"
        async with aclosing(OpenAIModel(base_url=server.url, api_key="a-key", model="m")) as model:
            yield Scripted(model=model, ended=server.disconnected.wait)


@asynccontextmanager
async def chained(script: Script) -> AsyncIterator[Scripted]:
    """Behind one that is out of order."""
    async with openai(script) as scripted:
        broken = FakeLanguageModel(fails_with="is out of order")
        chain = ModelChain([broken, scripted.model], FakeClock())
        yield Scripted(model=chain, ended=scripted.ended)


@asynccontextmanager
async def budgeted(script: Script) -> AsyncIterator[Scripted]:
    clock = FakeClock()
    async with openai(script) as scripted:
        budget = ModelBudget(MemoryStore(clock), clock, limits=BudgetLimits(tokens_per_day=100_000))
        yield Scripted(model=BudgetedModel(scripted.model, budget), ended=scripted.ended)


@pytest.fixture(params=[fake, openai, chained, budgeted])
def setup(request: pytest.FixtureRequest) -> Setup:
    chosen: Setup = request.param
    return chosen


async def test_pieces_come_in_order_then_one_completion(setup: Setup) -> None:
    async with setup(Script(pieces=["a", "b", " c"])) as scripted:
        *pieces, completion = [event async for event in scripted.model.stream(PROMPT)]
    assert pieces == ["a", "b", " c"]
    assert isinstance(completion, Completion)
    assert completion.finish_reason is FinishReason.STOP
    assert completion.model


async def hear(model: LanguageModel, said: list[str | Completion]) -> None:
    async for event in model.stream(PROMPT):
        said.append(event)  # noqa: PERF401 # what was heard before a break counts


async def test_a_break_comes_after_what_was_said(setup: Setup) -> None:
    said: list[str | Completion] = []
    async with setup(Script(pieces=["a", "b"], breaks=True)) as scripted:
        with pytest.raises(ModelFailed) as failed:
            await hear(scripted.model, said)
    assert said == ["a", "b"]
    assert failed.value.reason


@pytest.mark.parametrize("pieces", [[], ["", "\n "]])
async def test_no_text_is_a_failure(setup: Setup, pieces: list[str]) -> None:
    async with setup(Script(pieces=pieces)) as scripted:
        with pytest.raises(ModelFailed):
            _ = [event async for event in scripted.model.stream(PROMPT)]


async def test_closing_ends_the_request(setup: Setup) -> None:
    async with setup(Script(pieces=["a"], endless=True)) as scripted:
        async with aclosing(scripted.model.stream(PROMPT)) as events:
            assert await anext(events) == "a"
        async with asyncio.timeout(1):
            await scripted.ended()


async def test_two_questions_at_once_do_not_mix(setup: Setup) -> None:
    async def listen(model: LanguageModel) -> list[str | Completion]:
        return [event async for event in model.stream(PROMPT)]

    async with setup(Script(pieces=["a", "b"])) as scripted, asyncio.TaskGroup() as tasks:
        listening = [tasks.create_task(listen(scripted.model)) for _ in range(5)]
    assert all(task.result()[:-1] == ["a", "b"] for task in listening)


async def test_a_model_has_a_name(setup: Setup) -> None:
    async with setup(Script(pieces=["a"])) as scripted:
        assert scripted.model.name

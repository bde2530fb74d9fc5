"""Of several models the first that answers; a reader never gets the words of two."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from core.answering.models import ChainLimits, ModelChain
from core.errors import Fault, ModelFailed
from core.providers.openai_model import OpenAIModel
from core.resilience.breaker import BreakerLimits, BreakerState
from core.types import Completion, FinishReason, MessageRole, Prompt, PromptMessage
from tests.fakes import FakeClock, FakeLanguageModel
from tests.servers.openai_server import OpenAIServer, openai_server

PROMPT = Prompt(
    version="1", messages=(PromptMessage(role=MessageRole.USER, content="Why?"),), max_output_tokens=2_000
)
HURRIED = ChainLimits(first_token_s=0.5)
"""For what would else be waited for; the others are not to fail on a busy machine."""


@dataclass
class ScriptedModel:
    """Plays its script: a list for each call, the last one again and again.

    In a list: pieces, waits in seconds (of the clock, if there is one), and failures.
    """

    script: Sequence[Sequence[str | float | ModelFailed]]
    name: str = "scripted"
    calls: int = 0
    closed: int = 0
    clock: FakeClock | None = None

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Completion]:
        steps = self.script[min(self.calls, len(self.script) - 1)]
        self.calls += 1
        try:
            for step in steps:
                if isinstance(step, ModelFailed):
                    raise step
                if isinstance(step, str):
                    yield step
                elif self.clock:
                    self.clock.elapsed_s += step
                else:
                    await asyncio.sleep(step)
            yield Completion(finish_reason=FinishReason.STOP, model=self.name)
        finally:
            self.closed += 1


def failure(fault: Fault, retry_after_s: float | None = None) -> ModelFailed:
    return ModelFailed(f"failed: {fault}", fault=fault, retry_after_s=retry_after_s)


def failing(fault: Fault, name: str = "first") -> ScriptedModel:
    return ScriptedModel([[failure(fault)]], name=name)


def answering(name: str = "second") -> ScriptedModel:
    return ScriptedModel([["Because."]], name=name)


async def said(chain: ModelChain) -> list[str | Completion]:
    async with aclosing(chain.stream(PROMPT)) as stream:
        return [piece async for piece in stream]


async def failed(chain: ModelChain) -> tuple[str, ModelFailed]:
    """The text until then, and with what it ended."""
    heard: list[str] = []

    async def hear() -> None:
        async for piece in chain.stream(PROMPT):
            heard.append(str(piece))  # noqa: PERF401 # what was heard before a break counts

    with pytest.raises(ModelFailed) as caught:
        await hear()
    return "".join(heard), caught.value


def chain_of(*models: ScriptedModel | FakeLanguageModel, limits: ChainLimits | None = None) -> ModelChain:
    return ModelChain(models, FakeClock(), limits=limits)


@asynccontextmanager
async def two_servers(limits: ChainLimits) -> AsyncIterator[tuple[OpenAIServer, OpenAIServer, ModelChain]]:
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(openai_server(pieces=["Be", "cause."])) for _ in range(2)]
        models = [OpenAIModel(base_url=server.url, api_key="k", model="m", gap_s=0.2) for server in servers]
        for model in models:
            stack.push_async_callback(model.aclose)
        servers[1].model = "the-other"
        yield servers[0], servers[1], ModelChain(models, FakeClock(), limits=limits)


def status(number: int) -> Callable[[OpenAIServer], None]:
    def bend(server: OpenAIServer) -> None:
        server.status, server.error = number, {"message": "no"}

    return bend


def set_to(**changes: object) -> Callable[[OpenAIServer], None]:
    def bend(server: OpenAIServer) -> None:
        for name, value in changes.items():
            setattr(server, name, value)

    return bend


HANGING = (set_to(silent=True), set_to(pieces=[], ending="stall"))


@pytest.mark.parametrize(
    "bend",
    [
        *(status(number) for number in (307, 400, 401, 402, 403, 404, 408, 429, 500, 502, 503, 504)),
        set_to(pieces=[], ending="reset"),
        set_to(pieces=[], ending="short"),
        *HANGING,
        set_to(pieces=[], raw=b"data: {not json\n\n"),
        set_to(pieces=[], raw=b'data: {"error": {"message": "upstream", "code": 502}}\n\n'),
        set_to(pieces=["", " \n"]),
        set_to(pieces=[], thoughts=["Hmm."]),
        set_to(pieces=[], thoughts=["Hmm."], ending="reset"),
        set_to(pieces=[], thoughts=["Hmm."], ending="stall"),
        set_to(pieces=[], finish_reason="content_filter"),
    ],
)
async def test_whatever_befalls_the_first_before_its_first_word_the_second_answers(
    bend: Callable[[OpenAIServer], None],
) -> None:
    async with two_servers(HURRIED if bend in HANGING else ChainLimits()) as (first, second, chain):
        bend(first)
        *pieces, completion = await said(chain)

    assert pieces == ["Be", "cause."]
    assert isinstance(completion, Completion)
    assert completion.model == "the-other"
    assert 1 <= len(first.requests) <= 3
    assert len(second.requests) == 1


@pytest.mark.parametrize("ending", ["reset", "short", "stall"])
async def test_a_model_that_dies_after_its_first_word_is_not_followed_by_another(ending: str) -> None:
    async with two_servers(ChainLimits()) as (first, second, chain):
        set_to(ending=ending)(first)
        text, death = await failed(chain)

    assert text == "Because."
    assert death.model == "m"
    assert (len(first.requests), len(second.requests)) == (1, 0)


async def test_when_none_can_answer_each_is_named_with_its_reason() -> None:
    with capture_logs() as logs:
        text, end = await failed(chain_of(failing(Fault.OUT_OF_CREDIT), failing(Fault.KEY_REFUSED, "second")))

    assert text == ""
    assert f"{end.model} {end}" == "first failed: out_of_credit; second failed: key_refused"
    assert [(entry["event"], entry["model"]) for entry in logs] == [
        ("model.skipped", "first"),
        ("model.skipped", "second"),
    ]


@pytest.mark.parametrize("fault", list(Fault))
async def test_only_what_may_pass_is_tried_again_and_three_times_at_most(fault: Fault) -> None:
    model = failing(fault)
    await said(chain_of(model, answering()))
    assert model.calls == (3 if fault.may_pass else 1)


async def test_a_model_that_recovers_is_not_left_for_another() -> None:
    first = ScriptedModel([[failure(Fault.OVERLOADED)], ["Here."]], name="first")
    other = answering()
    assert (await said(chain_of(first, other)))[0] == "Here."
    assert other.calls == 0


@pytest.mark.parametrize(("retry_after_s", "calls"), [(0.05, 3), (5.0, 1)])
async def test_a_wait_that_was_asked_for_is_kept_if_it_fits_else_the_next_is_asked_at_once(
    retry_after_s: float, calls: int
) -> None:
    first = ScriptedModel([[failure(Fault.RATE_LIMITED, retry_after_s)]], name="first")
    clock = FakeClock()
    chain = ModelChain([first, answering()], clock, limits=ChainLimits(first_token_s=2.0))
    await said(chain)
    assert first.calls == calls
    assert all(slept >= retry_after_s for slept in clock.slept_s)


async def test_the_first_tokens_limit_covers_all_attempts_of_a_model() -> None:
    slow = ScriptedModel([[failure(Fault.OVERLOADED)], [10.0, "late"]], name="slow")
    loop = asyncio.get_running_loop()
    started = loop.time()
    await said(chain_of(slow, answering(), limits=ChainLimits(first_token_s=0.26)))
    assert 0.25 <= loop.time() - started < 0.5
    assert slow.calls == slow.closed == 2


async def test_many_silent_models_leave_time_for_the_last() -> None:
    silent = [ScriptedModel([[10.0]], name=f"silent {number}") for number in range(9)]
    loop = asyncio.get_running_loop()
    started = loop.time()
    pieces = await said(chain_of(*silent, answering(), limits=ChainLimits(first_token_s=0.5, all_s=0.25)))
    assert pieces[0] == "Because."
    assert loop.time() - started < 0.4
    assert [model.calls for model in silent] == [1] * 9


async def test_a_model_that_thought_for_too_long_leaves_the_next_its_share() -> None:
    thinking = ScriptedModel([["", 0.12, failure(Fault.FAILING)]], name="thinking")
    second = ScriptedModel([[0.01, "Because."]], name="second")
    assert (await said(chain_of(thinking, second, limits=ChainLimits(all_s=0.1))))[0] == "Because."


async def test_a_model_that_thinks_may_take_longer_than_its_first_token() -> None:
    thinking = ScriptedModel([["", 0.2, "Thought."]], name="thinking")
    assert (await said(chain_of(thinking, limits=ChainLimits(first_token_s=0.1))))[0] == "Thought."


async def test_white_space_before_the_first_word_is_nobodys_word() -> None:
    first = ScriptedModel([[" ", "\n", failure(Fault.FAILING)]], name="first")
    assert (await said(chain_of(first, answering())))[0] == "Because."


OPENS_SOON = BreakerLimits(min_calls=2, window_calls=4)


async def open_breaker(clock: FakeClock, *models: ScriptedModel) -> ModelChain:
    chain = ModelChain(models, clock, breaker_limits=OPENS_SOON)
    for _ in range(2):
        await said(chain)
    assert chain.members[0].breaker.state is BreakerState.OPEN
    return chain


async def test_a_model_whose_breaker_is_open_is_skipped_without_being_asked_and_tried_again_later() -> None:
    clock = FakeClock()
    first = failing(Fault.FAILING)
    chain = await open_breaker(clock, first, answering())
    calls = first.calls

    with capture_logs() as logs:
        await said(chain)
    assert first.calls == calls
    assert "too often" in next(entry["reason"] for entry in logs if entry["event"] == "model.skipped")

    clock.elapsed_s += 60
    first.script = [["Back."]]
    assert (await said(chain))[0] == "Back."


async def test_silence_speaks_against_a_model() -> None:
    chain = ModelChain(
        [ScriptedModel([[10.0]]), answering()],
        FakeClock(),
        limits=ChainLimits(first_token_s=0.02),
        breaker_limits=OPENS_SOON,
    )
    for _ in range(2):
        await said(chain)
    assert chain.members[0].breaker.state is BreakerState.OPEN


async def test_silence_says_nothing_about_a_model_for_which_the_line_left_no_time() -> None:
    model = ScriptedModel([["Well", 0.09], [10.0]])
    limits = ChainLimits(first_token_s=0.12, streams=1)
    chain = ModelChain([model], FakeClock(), limits=limits, breaker_limits=BreakerLimits(min_calls=1))
    async with aclosing(chain.stream(PROMPT)) as holder:
        await anext(holder)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(failed(chain))
            assert isinstance(await anext(holder), Completion)
            await holder.aclose()
    silence = waiting.result()[1]
    assert (silence.reason, silence.fault) == ("did not answer in time", Fault.TIMED_OUT)
    assert (model.calls, chain.members[0].breaker.state) == (2, BreakerState.CLOSED)


async def test_streams_that_die_midway_open_the_breaker() -> None:
    dying = ScriptedModel([["Bec", failure(Fault.UNREACHABLE)]], name="first")
    chain = ModelChain([dying, answering()], FakeClock(), breaker_limits=OPENS_SOON)
    for _ in range(2):
        if chain.members[0].breaker.state is BreakerState.CLOSED:
            await failed(chain)
    assert chain.members[0].breaker.state is BreakerState.OPEN


async def test_stopped_streams_say_nothing_about_a_model() -> None:
    chain = ModelChain([ScriptedModel([["Bec", 10.0]]), answering()], FakeClock(), breaker_limits=OPENS_SOON)
    silent = ModelChain([ScriptedModel([[10.0]]), answering()], FakeClock(), breaker_limits=OPENS_SOON)
    for one in (chain, silent):
        for _ in range(5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.005):
                    await said(one)
        assert one.members[0].breaker.state is BreakerState.CLOSED


async def test_slow_is_who_is_slow_to_begin_not_who_writes_for_long() -> None:
    clock = FakeClock()
    long = ScriptedModel([["Once", 50.0, " upon"]], clock=clock)
    late = ScriptedModel([[25.0, "Well"]], clock=clock)
    for model, state in ((long, BreakerState.CLOSED), (late, BreakerState.OPEN)):
        chain = ModelChain([model], clock, breaker_limits=OPENS_SOON)
        for _ in range(2):
            await said(chain)
        assert chain.members[0].breaker.state is state


@dataclass
class CrowdedModel:
    """How many streams of it are open, and the most there were."""

    name: str = "crowded"
    open: int = 0
    most: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Completion]:
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            yield "Well"
            await self.gate.wait()
            yield Completion(finish_reason=FinishReason.STOP, model=self.name)
        finally:
            self.open -= 1


async def test_no_more_streams_at_once_than_places_and_each_place_is_given_back() -> None:
    model = CrowdedModel()
    chain = ModelChain([model], FakeClock(), limits=ChainLimits(streams=3))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(said(chain)) for _ in range(10)]
        await asyncio.sleep(0.01)
        assert model.open == 3
        tasks[0].cancel()
        tasks[9].cancel()
        await asyncio.sleep(0.01)
        assert model.open == 3
        model.gate.set()
    assert (model.most, model.open) == (3, 0)
    assert sum(task.cancelled() for task in tasks) == 2


async def test_waiting_for_a_place_counts_against_the_first_token() -> None:
    model = CrowdedModel()
    chain = ModelChain([model], FakeClock(), limits=ChainLimits(streams=1, first_token_s=0.05))
    async with aclosing(chain.stream(PROMPT)) as holder:
        await anext(holder)
        text, failure = await failed(chain)
    assert (text, failure.fault) == ("", Fault.OVERLOADED)
    model.gate.set()
    assert (await said(chain))[0] == "Well"


async def test_closing_a_chain_closes_the_model_it_is_at() -> None:
    first, second = failing(Fault.FAILING), ScriptedModel([["Well", 10.0]], name="second")
    async with aclosing(chain_of(first, second).stream(PROMPT)) as stream:
        assert await anext(stream) == "Well"
    assert second.closed == 1

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from core.errors import Fault, SearchFailed
from core.providers.search.keys import MAX_REST_S, RESTS_S, KeyRing
from tests.fakes import FakeClock

KEYS = ["canary-key-one", "canary-key-two", "canary-key-three"]
ONE, TWO, THREE = KEYS


@dataclass
class Engine:
    """Refuses some keys, and says which were tried."""

    faults: Mapping[str, Fault] = field(default_factory=dict)
    retry_after_s: float | None = None
    tried: list[str] = field(default_factory=list)

    async def ask(self, key: str) -> str:
        self.tried.append(key)
        if fault := self.faults.get(key):
            raise SearchFailed("Some", f"said {fault}", fault=fault, retry_after_s=self.retry_after_s)
        return f"served {key}"


async def failure(ring: KeyRing, ask: Callable[[str], Awaitable[str]]) -> SearchFailed:
    with capture_logs(), pytest.raises(SearchFailed) as caught:
        await ring.serve(ask)
    return caught.value


async def served(ring: KeyRing, engine: Engine) -> str:
    with capture_logs():
        return await ring.serve(engine.ask)


async def test_one_key_serves_until_it_is_refused() -> None:
    engine, ring = Engine(), KeyRing("Some", KEYS, FakeClock())
    assert [await served(ring, engine) for _ in range(3)] == [f"served {ONE}"] * 3


@pytest.mark.parametrize("fault", RESTS_S)
async def test_a_refused_key_gives_way_to_the_next_within_the_same_search(fault: Fault) -> None:
    engine, ring = Engine(faults={ONE: fault}), KeyRing("Some", KEYS, FakeClock())
    assert await served(ring, engine) == f"served {TWO}"
    assert await served(ring, engine) == f"served {TWO}"
    assert engine.tried == [ONE, TWO, TWO]
    assert (ring.resting, len(ring)) == (1, 3)


@pytest.mark.parametrize(("fault", "rest_s"), RESTS_S.items())
async def test_a_key_rests_for_its_fault_s_time_and_then_serves_again(fault: Fault, rest_s: float) -> None:
    clock = FakeClock()
    engine, ring = Engine(faults={ONE: fault}), KeyRing("Some", [ONE], clock)
    assert (await failure(ring, engine.ask)).retry_after_s == rest_s
    engine.faults = {}
    clock.elapsed_s = rest_s - 1
    assert (await failure(ring, engine.ask)).retry_after_s == 1
    clock.elapsed_s = rest_s
    assert await served(ring, engine) == f"served {ONE}"
    assert len(engine.tried) == 2


async def test_a_key_that_is_back_waits_until_the_one_that_serves_is_refused() -> None:
    clock = FakeClock()
    engine, ring = Engine(faults={ONE: Fault.RATE_LIMITED}), KeyRing("Some", KEYS, clock)
    assert await served(ring, engine) == f"served {TWO}"
    clock.elapsed_s, engine.faults = 61, {}
    assert await served(ring, engine) == f"served {TWO}"
    engine.faults = {TWO: Fault.OUT_OF_CREDIT, THREE: Fault.OUT_OF_CREDIT}
    assert await served(ring, engine) == f"served {ONE}"


@pytest.mark.parametrize(("asked_s", "rest_s"), [(0.0, 0.0), (7.5, 7.5), (1e300, MAX_REST_S)])
async def test_after_too_many_searches_the_engine_says_how_long(asked_s: float, rest_s: float) -> None:
    engine = Engine(faults={ONE: Fault.RATE_LIMITED}, retry_after_s=asked_s)
    assert (await failure(KeyRing("Some", [ONE], FakeClock()), engine.ask)).retry_after_s == rest_s


async def test_when_all_rest_nothing_is_asked_and_the_first_to_be_back_tells_why() -> None:
    engine = Engine(faults={ONE: Fault.KEY_REFUSED, TWO: Fault.RATE_LIMITED, THREE: Fault.OUT_OF_CREDIT})
    ring = KeyRing("Some", KEYS, FakeClock())
    first = await failure(ring, engine.ask)
    second = await failure(ring, engine.ask)
    assert engine.tried == KEYS
    assert str(first) == str(second) == "Some is over its rate limit"
    assert (second.fault, second.retry_after_s) == (Fault.RATE_LIMITED, 60)
    assert ring.resting == 3


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault not in RESTS_S])
async def test_what_another_key_would_not_mend_rests_none(fault: Fault) -> None:
    engine, ring = Engine(faults=dict.fromkeys(KEYS, fault)), KeyRing("Some", KEYS, FakeClock())
    assert (await failure(ring, engine.ask)).fault is fault
    assert engine.tried == [ONE]
    assert ring.resting == 0


async def test_a_key_that_another_search_sent_to_rest_meanwhile_is_passed_over() -> None:
    engine = Engine(faults={ONE: Fault.RATE_LIMITED, TWO: Fault.RATE_LIMITED})
    ring = KeyRing("Some", KEYS, FakeClock())

    async def ask_while_another_does(key: str) -> str:
        if key == ONE:
            assert await ring.serve(engine.ask) == f"served {THREE}"
        return await engine.ask(key)

    with capture_logs():
        assert await ring.serve(ask_while_another_does) == f"served {THREE}"
    assert engine.tried == [ONE, TWO, THREE, ONE, THREE]


async def test_the_longer_of_two_rests_counts() -> None:
    ring = KeyRing("Some", [ONE], FakeClock())

    async def refused_for_good_then_for_a_minute(key: str) -> str:
        refused = Engine(faults={key: Fault.KEY_REFUSED})
        assert (await failure(ring, refused.ask)).retry_after_s == RESTS_S[Fault.KEY_REFUSED]
        raise SearchFailed("Some", "is over its rate limit", fault=Fault.RATE_LIMITED)

    assert (await failure(ring, refused_for_good_then_for_a_minute)).fault is Fault.KEY_REFUSED


async def test_the_log_names_a_key_by_its_place_alone() -> None:
    engine = Engine(faults={TWO: Fault.KEY_REFUSED, ONE: Fault.OUT_OF_CREDIT})
    ring = KeyRing("Some", KEYS, FakeClock())
    with capture_logs() as lines:
        await ring.serve(engine.ask)
    assert [(line["event"], line["provider"], line["key"], line["rest_s"]) for line in lines] == [
        ("key.rested", "Some", 1, 3600), ("key.rested", "Some", 2, 86400),
    ]  # fmt: skip
    assert "canary" not in f"{lines}{ring!r}"


@given(
    st.lists(
        st.tuples(st.dictionaries(st.sampled_from(KEYS), st.sampled_from(Fault)), st.floats(0, 4000)),
        max_size=12,
    )
)
async def test_no_key_is_tried_twice_in_a_search_nor_while_it_rests(
    searches: list[tuple[dict[str, Fault], float]],
) -> None:
    clock = FakeClock()
    ring = KeyRing("Some", KEYS, clock)
    rests_until_s = dict.fromkeys(KEYS, 0.0)
    for faults, pause_s in searches:
        engine = Engine(faults=faults)
        with suppress(SearchFailed):
            await served(ring, engine)
        assert len(set(engine.tried)) == len(engine.tried)
        for key in engine.tried:
            assert rests_until_s[key] <= clock.elapsed_s
            rests_until_s[key] = clock.elapsed_s + RESTS_S.get(faults.get(key, Fault.REFUSED), 0)
        clock.elapsed_s += pause_s

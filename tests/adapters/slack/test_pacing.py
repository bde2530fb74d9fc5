"""Slack's rates are never exceeded, and everybody gets a turn."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.slack.pacing import RATES, NotYet, Pacer, Rate, within
from adapters.slack.reply import MAX_OPEN_STREAMS
from tests.adapters.slack.joined import Setting
from tests.core.test_service import World
from tests.fakes import FakeClock
from tests.servers.slack_server import BOT, LIMITS, SlackServer

LANE = "chat.update"
N_ANSWERS = 20
FASTER = 20.0
PIECES = [f"word{n} " for n in range(40)]


def taken(pacer: Pacer, key: str, *, urgent: bool = False) -> float:
    """0 for a turn, else how long to wait for it."""
    try:
        pacer.take(LANE, key, urgent=urgent)
    except NotYet as wait:
        return wait.after_s
    return 0.0


def emptied(clock: FakeClock, rate: Rate) -> Pacer:
    pacer = Pacer(clock, {LANE: rate})
    for number in range(rate.burst):
        assert taken(pacer, f"first{number}") == 0
    return pacer


@given(st.lists(st.floats(0, 30), max_size=200))
def test_no_minute_ever_has_more_than_slack_allows(gaps_s: list[float]) -> None:
    clock = FakeClock()
    pacer = Pacer(clock)
    turns_s: list[float] = []
    for gap_s in gaps_s:
        clock.elapsed_s += gap_s
        while taken(pacer, "one") == 0:
            turns_s.append(clock.elapsed_s)

    for start_s in turns_s:
        assert sum(start_s <= at_s < start_s + 60 for at_s in turns_s) <= LIMITS[LANE]


def test_a_turn_is_there_when_it_was_promised() -> None:
    clock = FakeClock()
    pacer = emptied(clock, within(50, burst=5))
    for key in ("a", "b", "c"):
        clock.elapsed_s += taken(pacer, key)
        assert taken(pacer, key) == 0


def test_turns_are_taken_in_the_order_in_which_they_were_asked_for() -> None:
    clock = FakeClock()
    pacer = emptied(clock, Rate(per_s=1, burst=5))
    waits_s = [taken(pacer, key) for key in "abc"]
    clock.elapsed_s += waits_s[0]

    assert waits_s == sorted(waits_s)
    assert taken(pacer, "c") > 0
    assert taken(pacer, "a") == 0


def test_a_final_state_goes_before_frames_even_if_it_comes_later() -> None:
    clock = FakeClock()
    pacer = emptied(clock, Rate(per_s=1, burst=5))
    taken(pacer, "frame")
    clock.elapsed_s += taken(pacer, "final", urgent=True)

    assert taken(pacer, "frame") > 0
    assert taken(pacer, "final", urgent=True) == 0


def test_whoever_does_not_come_back_loses_the_place() -> None:
    clock = FakeClock()
    pacer = emptied(clock, Rate(per_s=1, burst=5))
    taken(pacer, "gone")
    clock.elapsed_s += 10
    for number in range(5):
        assert taken(pacer, f"next{number}") == 0


def test_a_pause_that_slack_asks_for_is_kept_by_all() -> None:
    clock = FakeClock()
    pacer = Pacer(clock)
    pacer.hold(LANE, 7.5)

    assert not pacer.is_free(LANE)
    assert taken(pacer, "a") == 7.5
    clock.elapsed_s += 7.5
    assert taken(pacer, "a") == 0


def test_channels_do_not_wait_for_each_other_and_are_forgotten_when_idle() -> None:
    clock = FakeClock()
    pacer = Pacer(clock)
    for number in range(1_000):
        for _ in range(RATES["chat.postMessage"].burst):
            pacer.take(f"chat.postMessage:C{number}", "a")
        clock.elapsed_s += 1

    assert len(pacer._lanes) <= 201


@pytest.mark.timeout(60)
async def test_twenty_answers_at_once_all_complete_without_a_429_and_none_starves() -> None:
    slack = SlackServer(faster=FASTER, limits=LIMITS, is_agent=True)
    setting = Setting(slack=slack, pieces=PIECES, pause_s=0.06, faster=FASTER, world=World(question_s=30))
    async with setting.joined() as bot:
        asked = [slack.write(f"<@{BOT}> What raises the tides? {n}", user=f"U{n}") for n in range(N_ANSWERS)]
        async with asyncio.TaskGroup() as group:
            for message in asked:
                group.create_task(slack.deliver("events_api", slack.event("app_mention", message)))
        await slack.until(lambda: len(bot.running) == N_ANSWERS)
        await slack.until(lambda: not len(bot.running), limit_s=30)

        for message in asked:
            (reply,) = slack.thread(message.ts)
            assert reply.markdown.split() == [piece.strip() for piece in PIECES]
            assert "search_again" in reply.buttons
        assert not [call for call in slack.calls if call.error]
        streams = [message for message in slack.messages if message.stream]
        assert 0 < len(streams) <= MAX_OPEN_STREAMS
        n_edited = N_ANSWERS - len(streams)
        for method, n_sharing in (("chat.appendStream", len(streams)), ("chat.update", n_edited)):
            fair_s = n_sharing / (RATES[method].per_s * FASTER)
            assert _longest_gap_s(slack, method) <= 2 * fair_s


def _longest_gap_s(slack: SlackServer, method: str) -> float:
    frames: dict[str, list[float]] = defaultdict(list)
    for call in slack.called(method):
        frames[call.arguments["ts"]].append(call.at_s)
    return max(later - earlier for at_s in frames.values() for earlier, later in pairwise(at_s))

"""A reply against a board in memory: whatever is drawn, the messages end up whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from adapters.discord.boards import Shown
from adapters.discord.faults import UNKNOWN_MESSAGE, DrawRefused
from adapters.discord.opening import Asked
from adapters.discord.pace import Pace
from adapters.discord.reply import Reply
from adapters.discord.views import Buttons
from core.delivering.delivery import Delivery
from core.delivering.journal import Journal, Journaled, ReplyRecord
from core.delivering.recovery import last_word
from core.providers.storage.memory_store import MemoryStore
from core.types import Answer, Deferred, Draft, Footnote, Outcome, PageKind, Progress, Stage
from tests.fakes import FakeClock

NOTE = Footnote(
    number=1,
    title="Tides",
    url="https://a.example/",
    host="a.example",
    kind=PageKind.HTML,
    links=("https://a.example/",),
)


class Killed(BaseException):
    """The process is: nothing of it runs any more."""


@dataclass
class MemoryBoard:
    """Keeps messages as Discord would. refusals: how the next requests end; None takes them.

    dies_at: the process is killed at that request, counted from 0; dies_after: once it has taken effect.
    """

    pace_key: str = "channels/1"
    keeps_previews_out: bool = True
    refusals: list[DrawRefused | None] = field(default_factory=list)
    messages: dict[int, Shown] = field(default_factory=dict)
    edits_at_s: list[float] = field(default_factory=list)
    clock: FakeClock = field(default_factory=FakeClock)
    dies_at: int = -1
    dies_after: bool = False
    nonces: dict[str, int] = field(default_factory=dict)
    n_requests: int = 0

    async def post(self, shown: Shown, *, nonce: str) -> int:
        with self._request():
            assert len(nonce) <= 25
            known = self.nonces.setdefault(nonce, len(self.nonces) + 1)
            self.messages.setdefault(known, shown)
        return known

    async def edit(self, message_id: int, shown: Shown) -> None:
        self.edits_at_s.append(self.clock.monotonic())
        with self._request():
            assert message_id in self.messages
            self.messages[message_id] = shown

    async def find(self, nonce: str) -> int | None:
        return await self.post(Shown(text="…"), nonce=nonce)

    async def remove(self, message_id: int) -> None:
        with self._request():
            if self.messages.pop(message_id, None) is None:
                raise DrawRefused("unknown message", lost=True, code=UNKNOWN_MESSAGE)

    def place(self) -> Mapping[str, JsonValue]:
        return {"channel": 1}

    @contextmanager
    def _request(self) -> Iterator[None]:
        is_last = self.n_requests == self.dies_at
        self.n_requests += 1
        if is_last and not self.dies_after:
            raise Killed
        self._maybe_refuse()
        yield
        if is_last:
            raise Killed

    def _maybe_refuse(self) -> None:
        if self.refusals and (refusal := self.refusals.pop(0)):
            raise refusal

    @property
    def texts(self) -> list[str]:
        return [shown.text for shown in list(self.messages.values())[1:]]


def reply_on(board: MemoryBoard, *, left: Mapping[str, JsonValue] | None = None) -> Reply:
    return Reply(
        board,
        asked=Asked(text="Why?"),
        question_id="a" * 16,
        pace=Pace(min_gap_s=1),
        clock=board.clock,
        left=left,
    )


def answer_of(kinds: Sequence[str], chars: int) -> str:
    """Paragraphs of these kinds in turn, in which every word is another."""
    numbers = iter(range(1_000_000))
    makers = {
        "prose": lambda: " ".join(f"w{next(numbers)}" for _ in range(60)) + "[^1].",
        "code": lambda: "```python\n" + "\n".join(f"print(w{next(numbers)})" for _ in range(60)) + "\n```",
        "list": lambda: "\n".join(f"- w{next(numbers)} w{next(numbers)}[^1]" for _ in range(40)),
        "table": lambda: (
            "| a | b |\n|---|---|\n"
            + "\n".join(f"| w{next(numbers)} | w{next(numbers)} |" for _ in range(20))
        ),
    }
    blocks: list[str] = []
    while sum(map(len, blocks)) < chars:
        blocks.append(makers[kinds[len(blocks) % len(kinds)]]())
    return "\n\n".join(blocks)


def words(text: str) -> list[str]:
    return re.findall(r"\bw\d+", text)


@settings(deadline=None, max_examples=8)
@given(
    st.permutations(["prose", "code", "list", "table"]),
    st.lists(st.floats(0, 1), max_size=8).map(sorted),
)
async def test_however_a_long_answer_grows_its_messages_hold_it_whole(
    kinds: list[str], cuts: list[float]
) -> None:
    text = answer_of(kinds, 30_000)
    board = MemoryBoard()
    reply = reply_on(board)
    for cut in cuts:
        await reply.draw(Draft(text=text[: int(cut * len(text))].rstrip("[^1"), footnotes=(NOTE,)))
    await reply.draw(Answer(outcome=Outcome.ANSWERED, text=text, footnotes=(NOTE,)))

    assert words("\n".join(board.texts)) == words(text)
    assert all(0 < len(shown) <= 2_000 for shown in board.texts)
    assert all(len(re.findall("^```", shown, re.MULTILINE)) % 2 == 0 for shown in board.texts)
    assert board.messages[1].buttons is Buttons.DONE


async def test_each_draw_makes_one_request_and_edits_keep_their_distance() -> None:
    board = MemoryBoard()
    reply = reply_on(board)
    delivery = Delivery(reply, board.clock)
    async with delivery.drawing():
        for length in range(1, 200):
            delivery.show(Draft(text="word " * length))
            await board.clock.sleep(0.1)

    gaps = [later - earlier for earlier, later in zip(board.edits_at_s, board.edits_at_s[1:], strict=False)]
    assert len(gaps) > 5
    assert min(gaps) >= 0.99


async def test_the_first_draw_shows_the_question_with_what_is_being_done_and_stop() -> None:
    board = MemoryBoard()
    await reply_on(board).draw(Progress(stage=Stage.READING, done=3, total=8))

    assert list(board.messages.values()) == [
        Shown(text="> Why?\n-# Reading pages: 3 of 8", buttons=Buttons.RUNNING)
    ]


async def test_an_edit_that_comes_too_soon_is_put_off_and_not_lost() -> None:
    board = MemoryBoard()
    reply = reply_on(board)
    await reply.draw(Progress(stage=Stage.SEARCHING))
    assert await reply.draw(Progress(stage=Stage.READING)) is None
    assert await reply.draw(Progress(stage=Stage.RANKING)) == Deferred(after_s=1)
    await board.clock.sleep(1)
    assert await reply.draw(Progress(stage=Stage.WRITING)) is None

    assert board.messages[1].text.endswith("-# Writing the answer…")


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from([None, DrawRefused("503")]), max_size=12))
async def test_whatever_is_refused_for_a_while_the_last_state_lands(
    refusals: list[DrawRefused | None],
) -> None:
    board = MemoryBoard(refusals=[*refusals])
    reply = reply_on(board)
    answer = Answer(outcome=Outcome.ANSWERED, text=answer_of(["prose"], 5_000), footnotes=(NOTE,))
    delivery = Delivery(reply, board.clock)
    async with delivery.drawing():
        for length in (10, 2_500):
            delivery.show(Draft(text=answer.text[:length]))
            await board.clock.sleep(0.1)
    await delivery.finish(answer)

    assert words("\n".join(board.texts)) == words(answer.text)
    assert board.messages[1] == Shown(text="> Why?", buttons=Buttons.DONE)


async def test_what_the_service_gave_up_on_is_landed_later() -> None:
    board = MemoryBoard()
    reply = reply_on(board)
    board.refusals = [DrawRefused("503")] * 6
    answer = Answer(outcome=Outcome.ANSWERED, text="w1")
    try:
        await reply.draw(answer)
    except DrawRefused:
        await reply.land()

    assert board.texts == ["w1"]


async def test_a_place_that_stays_away_is_given_up_on() -> None:
    board = MemoryBoard(refusals=[DrawRefused("503")] * 1_000)
    reply = reply_on(board)
    try:
        await reply.draw(Answer(outcome=Outcome.ANSWERED, text="w1"))
    except DrawRefused:
        await reply.land()

    assert 180 <= board.clock.elapsed_s < 240


@settings(deadline=None, max_examples=60)
@given(
    dies_at=st.integers(0, 14),
    dies_after=st.booleans(),
    second_dies_at=st.integers(0, 8),
    cuts=st.lists(st.floats(0, 1), min_size=1, max_size=6).map(sorted),
)
async def test_wherever_processes_are_killed_the_next_one_leaves_one_whole_reply(
    dies_at: int, dies_after: bool, second_dies_at: int, cuts: list[float]
) -> None:
    board = MemoryBoard(dies_at=dies_at, dies_after=dies_after)
    store = MemoryStore(board.clock)
    text = answer_of(["prose", "list"], 6_000)
    answer = Answer(outcome=Outcome.ANSWERED, text=text, footnotes=(NOTE,))
    record = ReplyRecord(key="discord:1", platform="discord", ask={}, begun_at=board.clock.now())
    journal = Journal(store, board.clock)
    await journal.begin(record)
    drafts = [Draft(text=text[: int(cut * len(text))].rstrip("[^1"), footnotes=(NOTE,)) for cut in cuts]
    with suppress(Killed):
        await drawn(Journaled(reply_on(board), journal, record), board, [*drafts, answer])

    for dies_next_at in (second_dies_at, -1):
        board.dies_at = board.n_requests + dies_next_at if dies_next_at >= 0 else -1
        await board.clock.sleep(31)
        journal = Journal(store, board.clock)
        (record,) = await journal.abandoned("discord")
        answer = last_word(record)
        with suppress(Killed):
            await drawn(Journaled(reply_on(board, left=record.place), journal, record), board, [answer])

    assert board.messages[min(board.messages)] == Shown(text="> Why?", buttons=Buttons.DONE)
    assert words("\n".join(board.texts)) == words(answer.text)
    assert all("I was restarted" not in shown for shown in board.texts[:-1])


async def drawn(surface: Journaled, board: MemoryBoard, events: Sequence[Draft | Answer]) -> None:
    for event in events:
        while deferred := await surface.draw(event):
            await board.clock.sleep(deferred.after_s)

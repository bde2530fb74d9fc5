"""Places for questions in work, and the line before them."""

import asyncio
from contextlib import AsyncExitStack, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.asking.line import Line
from core.errors import Busy


def unmoved(_before: int, _waiting: int) -> None:
    """For those who need not know."""


async def test_as_many_as_there_are_places_get_one_at_once() -> None:
    line = Line(places=2, max_waiting=0)
    async with line.place(unmoved), line.place(unmoved):
        with pytest.raises(Busy, match="ask again"):
            line.check()
        with pytest.raises(Busy):
            await line.place(unmoved).__aenter__()
    line.check()


async def test_who_waits_is_told_their_place_as_the_line_moves() -> None:
    line = Line(places=1, max_waiting=2, max_wait_s=5)
    told: dict[str, list[tuple[int, int]]] = {"first": [], "second": []}
    done: list[str] = []

    async def wait(name: str) -> None:
        async with line.place(lambda before, waiting: told[name].append((before, waiting))):
            done.append(name)

    async with asyncio.TaskGroup() as group, line.place(unmoved):
        group.create_task(wait("first"))
        await asyncio.sleep(0)
        group.create_task(wait("second"))
        await asyncio.sleep(0)
        assert line.is_full
    assert done == ["first", "second"]
    assert told == {"first": [(0, 1), (0, 2)], "second": [(1, 2), (0, 1)]}


async def test_nobody_waits_longer_than_they_were_promised() -> None:
    line = Line(places=1, max_waiting=1, max_wait_s=0.01)
    async with line.place(unmoved):
        with pytest.raises(Busy):
            await line.place(unmoved).__aenter__()
        assert not line.is_full
    async with line.place(unmoved):
        pass


@given(
    st.lists(st.tuples(st.sampled_from(["join", "leave", "cancel"]), st.integers(0, 9)), max_size=40),
    st.integers(1, 3),
    st.integers(0, 3),
)
def test_no_place_is_lost_or_given_twice_in_any_order_of_joining_leaving_and_giving_up(
    steps: list[tuple[str, int]], places: int, max_waiting: int
) -> None:
    asyncio.run(_played(steps, places, max_waiting))


async def _played(steps: list[tuple[str, int]], places: int, max_waiting: int) -> None:
    line = Line(places=places, max_waiting=max_waiting, max_wait_s=60)
    inside: dict[asyncio.Task[None], asyncio.Event] = {}
    entered: set[asyncio.Task[None]] = set()

    async def one(leave: asyncio.Event) -> None:
        task = asyncio.current_task()
        assert task
        with suppress(Busy):
            async with line.place(unmoved):
                entered.add(task)
                assert len(entered) <= places
                try:
                    await leave.wait()
                finally:
                    entered.discard(task)

    async with AsyncExitStack() as stack:
        group = await stack.enter_async_context(asyncio.TaskGroup())
        for step, which in steps:
            tasks = list(inside)
            if step == "join":
                leave = asyncio.Event()
                inside[group.create_task(one(leave))] = leave
            elif tasks and step == "leave":
                inside[tasks[which % len(tasks)]].set()
            elif tasks:
                tasks[which % len(tasks)].cancel()
            if which % 2:
                await asyncio.sleep(0)
        for leave in inside.values():
            leave.set()
    async with AsyncExitStack() as stack:
        for _ in range(places):
            await stack.enter_async_context(line.place(unmoved))
        assert line.is_full == (max_waiting == 0)

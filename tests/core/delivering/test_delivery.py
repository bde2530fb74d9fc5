import asyncio

import pytest

from core.delivering.delivery import FIRST_RETRY_S, MAX_RETRY_S, Delivery
from core.errors import SurfaceFailed
from core.types import Answer, AnswerEvent, Deferred, Draft, Outcome
from tests.fakes import FakeClock, FakeReplySurface

ANSWER = Answer(outcome=Outcome.ANSWERED, text="all of it")


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_draft_is_drawn_while_the_work_goes_on() -> None:
    surface = FakeReplySurface()
    delivery = Delivery(surface, FakeClock())

    async with delivery.drawing():
        delivery.show(Draft(text="a"))
        await settle()
        assert surface.drawn == [Draft(text="a")]


async def test_of_drafts_that_come_together_only_the_newest_is_drawn() -> None:
    surface = FakeReplySurface()
    delivery = Delivery(surface, FakeClock())

    async with delivery.drawing():
        for text in ("a", "ab", "abc"):
            delivery.show(Draft(text=text))
        await settle()

    assert surface.drawn == [Draft(text="abc")]


async def test_a_deferred_draft_is_drawn_after_the_wait_the_surface_asked_for() -> None:
    surface, clock = FakeReplySurface(script=[Deferred(after_s=1.5)]), FakeClock()
    delivery = Delivery(surface, clock)

    async with delivery.drawing():
        delivery.show(Draft(text="a"))
        await settle()

    assert clock.slept_s == [1.5]
    assert surface.drawn == [Draft(text="a")]


async def test_a_refused_draft_harms_nothing() -> None:
    surface = FakeReplySurface(script=[SurfaceFailed("busy")])
    delivery = Delivery(surface, FakeClock())

    async with delivery.drawing():
        delivery.show(Draft(text="a"))
        await settle()
        delivery.show(Draft(text="ab"))
        await settle()

    assert surface.drawn == [Draft(text="ab")]


async def test_a_lost_surface_is_told_once_and_drawn_on_no_more() -> None:
    surface = FakeReplySurface(script=[SurfaceFailed("deleted", lost=True)])
    losses: list[bool] = []
    delivery = Delivery(surface, FakeClock(), on_lost=lambda: losses.append(True))

    async with delivery.drawing():
        for text in ("a", "ab"):
            delivery.show(Draft(text=text))
            await settle()

    assert losses == [True]
    assert await delivery.finish(ANSWER) is False
    assert surface.drawn == []


async def test_the_answer_is_tried_until_it_lands_and_ever_more_slowly() -> None:
    surface, clock = FakeReplySurface(script=[SurfaceFailed("busy")] * 6), FakeClock()
    delivery = Delivery(surface, clock)

    assert await delivery.finish(ANSWER) is True

    assert surface.drawn == [ANSWER]
    assert clock.slept_s == [FIRST_RETRY_S, 1.0, 2.0, 4.0, MAX_RETRY_S, MAX_RETRY_S]


async def test_a_draw_under_way_lands_before_the_answer() -> None:
    class SlowSurface(FakeReplySurface):
        async def draw(self, event: AnswerEvent) -> Deferred | None:
            if isinstance(event, Draft):
                await asyncio.sleep(0.02)
            return await super().draw(event)

    surface = SlowSurface()
    delivery = Delivery(surface, FakeClock())

    async with delivery.drawing():
        delivery.show(Draft(text="a"))
        await settle()
    await delivery.finish(ANSWER)

    assert surface.drawn == [Draft(text="a"), ANSWER]


async def test_a_bug_in_a_surface_is_not_hidden() -> None:
    class BrokenSurface(FakeReplySurface):
        async def draw(self, event: AnswerEvent) -> Deferred | None:
            raise ZeroDivisionError

    delivery = Delivery(BrokenSurface(), FakeClock())

    async def show_one() -> None:
        async with delivery.drawing():
            delivery.show(Draft(text="a"))
            await settle()

    with pytest.raises(ZeroDivisionError):
        await show_one()

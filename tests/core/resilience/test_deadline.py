import asyncio

import pytest

from core.resilience.deadline import Deadline


async def test_a_stage_takes_no_longer_than_the_question_has_left() -> None:
    deadline = Deadline.after(0.01)

    with pytest.raises(TimeoutError):
        async with deadline.within(60):
            await asyncio.Event().wait()

    assert deadline.remaining_s() == 0


async def test_a_stage_takes_no_longer_than_its_own_limit() -> None:
    deadline = Deadline.after(60)

    with pytest.raises(TimeoutError):
        async with deadline.within(0.01):
            await asyncio.Event().wait()

    assert deadline.remaining_s() > 50

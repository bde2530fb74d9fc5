"""What every Clock keeps."""

from datetime import timedelta

import pytest

from core.ports import Clock
from core.providers.system_clock import SystemClock
from tests.fakes import FakeClock


@pytest.fixture(params=[FakeClock, SystemClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


async def test_wall_time_has_a_time_zone(clock: Clock) -> None:
    assert clock.now().utcoffset() == timedelta(0)


async def test_both_times_move_by_what_was_slept(clock: Clock) -> None:
    started, started_s = clock.now(), clock.monotonic()
    await clock.sleep(0.02)
    assert 0.019 <= clock.monotonic() - started_s < 5
    assert 0.015 <= (clock.now() - started).total_seconds() < 5


async def test_sleeping_not_at_all_is_allowed(clock: Clock) -> None:
    before_s = clock.monotonic()
    await clock.sleep(0)
    assert clock.monotonic() >= before_s

import asyncio
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest

from core.providers.system_clock import SystemClock


def test_now_is_the_machines_time_in_utc() -> None:
    assert abs(SystemClock().now() - datetime.now(UTC)) < timedelta(seconds=5)


async def test_a_sleep_can_be_cancelled() -> None:
    started_s = monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await SystemClock().sleep(30)
    assert monotonic() - started_s < 5

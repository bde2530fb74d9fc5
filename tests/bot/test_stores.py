"""Which store stands behind which settings."""

import subprocess
import sys
from pathlib import Path

import pytest

from bot.settings import Settings, load_settings
from bot.stores import NO_REDIS, open_stores
from core.errors import StoreFailed
from core.providers.system_clock import SystemClock
from core.types import Quota, QuotaScope
from tests.servers.redis_server import running_redis

PER_MINUTE = Quota(scope=QuotaScope.ASKER, key="ann", limit=4, window_s=60)


def settings(tmp_path: Path, **environ: str) -> Settings:
    return load_settings({"CACHE_DIR": str(tmp_path), **environ}, env_file=None)


async def test_without_redis_values_outlive_the_process_in_files(tmp_path: Path) -> None:
    async with open_stores(settings(tmp_path), SystemClock()) as stores:
        await stores.forgiving.put({"a:1": b"one"}, ttl_s=60)
    async with open_stores(settings(tmp_path), SystemClock()) as stores:
        assert list(await stores.lasting.get(["a:1"])) == [b"one"]


async def test_where_files_can_t_be_written_memory_stands_in_for_what_may_be_forgotten(
    tmp_path: Path,
) -> None:
    (tmp_path / "store").write_bytes(b"no directory")
    async with open_stores(settings(tmp_path), SystemClock()) as stores:
        assert await stores.forgiving.claim("a:1", b"", ttl_s=60)
        assert not await stores.forgiving.claim("a:1", b"", ttl_s=60)
        with pytest.raises(StoreFailed):
            await stores.lasting.claim("a:1", b"", ttl_s=60)


async def test_with_redis_processes_share_values_and_limits(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        both = settings(tmp_path, REDIS_URL=server.url)
        async with (
            open_stores(both, SystemClock()) as one,
            open_stores(both, SystemClock()) as other,
        ):
            assert await one.forgiving.claim("a:1", b"", ttl_s=60)
            assert not await other.forgiving.claim("a:1", b"", ttl_s=60)
            hits = [await stores.rate_limiter.hit([PER_MINUTE]) for stores in (one, other) * 4]
    assert hits.count(None) == 4


async def test_while_redis_is_gone_each_process_keeps_its_share_of_the_limits(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        url = server.url
    async with open_stores(settings(tmp_path, REDIS_URL=url, PROCESSES="2"), SystemClock()) as stores:
        hits = [await stores.rate_limiter.hit([PER_MINUTE]) for _ in range(8)]
        assert await stores.forgiving.claim("a:1", b"", ttl_s=60)
        assert stores.shared is not None
        with pytest.raises(StoreFailed):  # what others can't see need not be put by here
            await stores.shared.put({"a:2": b""}, ttl_s=60)
    assert hits.count(None) == 2


_WITHOUT_REDIS = """
import asyncio, sys
sys.modules["redis"] = None
from bot.settings import load_settings
from bot.stores import open_stores
from core.errors import SettingsError
from core.providers.system_clock import SystemClock

async def main(**environ):
    async with open_stores(load_settings(environ, env_file=None), SystemClock()):
        print("opened")

asyncio.run(main(CACHE_DIR=sys.argv[1]))
try:
    asyncio.run(main(CACHE_DIR=sys.argv[1], REDIS_URL="redis://127.0.0.1"))
except SettingsError as error:
    print(error)
"""


def test_the_redis_package_is_wanted_only_where_there_is_a_redis_and_then_named(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _WITHOUT_REDIS, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.stdout.splitlines() == ["opened", NO_REDIS], done.stderr

"""How often may be asked, counted in a Redis for all processes."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio import Redis

from core.errors import StoreFailed
from core.ports import RateLimiter
from core.providers.rate_limiter import quota_name, refusing
from core.providers.storage.redis_link import PREFIX, RedisLink
from core.types import Quota, QuotaState

_LOOK_AND_COUNT: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local states, admitted = {}, true
for i, key in ipairs(KEYS) do
  local limit, window = tonumber(ARGV[2 * i + 1]), ARGV[2 * i + 2] * 1000000
  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now - window))
  local over, wait = redis.call('ZCARD', key) - limit, 0
  if over >= 0 then
    -- Whose leaving makes a place: the oldest, unless the limit was lowered meanwhile.
    wait = redis.call('ZRANGE', key, over, over, 'WITHSCORES')[2] + window - now
    over, admitted = 0, false
  end
  states[2 * i - 1], states[2 * i] = -over, wait
end
if admitted and ARGV[1] == 'count' then
  for i, key in ipairs(KEYS) do
    redis.call('ZADD', key, string.format('%.0f', now), ARGV[2])
    redis.call('EXPIRE', key, ARGV[2 * i + 2])
  end
end
return states
"""
"""KEYS: one sorted set per quota, its scores the moments of questions, in microseconds of Redis's own clock.

ARGV: "count" or "look", a name for this question, then each quota's limit and window in seconds. Returns
for each quota how many are left (before this one) and how many microseconds until the next."""


class RedisRateLimiter:
    """All quotas in one step, whoever else counts. While Redis is gone, `local` answers instead."""

    def __init__(self, link: RedisLink, local: RateLimiter) -> None:
        self._link = link
        self._local = local

    async def hit(self, quotas: Sequence[Quota]) -> QuotaState | None:
        try:
            return refusing(await self._states("count", quotas))
        except StoreFailed:
            return await self._local.hit(quotas)

    async def states(self, quotas: Sequence[Quota]) -> Sequence[QuotaState]:
        try:
            return await self._states("look", quotas)
        except StoreFailed:
            return await self._local.states(quotas)

    async def _states(self, what: str, quotas: Sequence[Quota]) -> list[QuotaState]:
        async def evaluate(redis: Redis) -> list[int]:
            keys = [f"{PREFIX}quota:{quota.window_s}:{quota_name(quota)}" for quota in quotas]
            figures = [figure for quota in quotas for figure in (quota.limit, quota.window_s)]
            arguments: list[Any] = [what, uuid.uuid4().hex, *figures]
            numbers: list[int] = await redis.register_script(_LOOK_AND_COUNT)(keys, arguments)
            return [int(number) for number in numbers]

        numbers = await self._link.run(evaluate) if quotas else []
        return [
            QuotaState(quota=quota, left=left, next_in_s=wait_us / 1_000_000)
            for quota, left, wait_us in zip(quotas, numbers[::2], numbers[1::2], strict=True)
        ]


__all__ = ["RedisRateLimiter"]

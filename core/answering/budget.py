"""What the language model may use in a day (UTC), and a model that keeps to it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final

import structlog

from core.errors import Fault, ModelFailed, StoreFailed
from core.ports import Clock, LanguageModel, Store
from core.types import Completion, Prompt

log = structlog.get_logger(__name__)

_KEPT_S: Final = 48 * 3600.0
"""How long a day's totals stay: longer than the day, wherever in it they began."""

_BYTES_PER_TOKEN: Final = 4
"""Of UTF-8: about right for English, too few bytes for most other scripts, so that more is reserved."""

_SETTLE_LIMIT_S: Final = 1.0
"""Of a question that was stopped, too. What is not settled stays counted as reserved."""

_AT_WORK: Final = frozenset({Fault.TIMED_OUT, Fault.FAILING})
"""Faults after which a model may have read the prompt, and be paid for it, though it gave no text."""


class BudgetSpent(ModelFailed):
    """Nothing is left of today's."""

    def __init__(self) -> None:
        super().__init__("has used up today's budget", fault=Fault.REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPrices:
    """US dollars per million tokens."""

    input_usd: float
    output_usd: float


ASSUMED_PRICES: Final = ModelPrices(input_usd=3.0, output_usd=15.0)
"""Of a large model: reserved where only the API knows the price, and tells it afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLimits:
    """0 is none. prices: for what the API states no cost of."""

    tokens_per_day: int = 0
    usd_per_day: float = 0.0
    prices: ModelPrices = ASSUMED_PRICES


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """Input and output together; in millionths of a US dollar, rounded up."""

    tokens: int
    microusd: int


NOTHING: Final = Spend(tokens=0, microusd=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLeft:
    """Of today's; None where there is no such limit. What is being written counts as reserved."""

    tokens: int | None
    usd: float | None
    renewed_at: datetime


class _Unit(StrEnum):
    TOKENS = "tokens"
    MICROUSD = "microusd"

    def of(self, spend: Spend) -> int:
        return spend.tokens if self is _Unit.TOKENS else spend.microusd


class _Total:
    """One of a day's totals: the store's, and this process's own count while that is out of reach."""

    def __init__(self, store: Store, day: date, unit: _Unit, limit: int) -> None:
        self.unit = unit
        self.limit = limit
        self._store = store
        self._key = f"budget:{day.isoformat()}:{unit}"
        self._known = 0
        self._owed = 0
        """Counted here, not yet there."""
        self._on_the_way = 0

    async def add(self, amount: int) -> int:
        """The total after it."""
        sent, self._owed = self._owed + amount, 0
        # What may not arrive is counted in any case: rather twice than given back twice.
        charged = max(0, sent)
        self._on_the_way += charged
        arrived = False
        try:
            self._known = await self._store.add(self._key, sent, ttl_s=_KEPT_S)
            arrived = True
        except StoreFailed as failure:
            log.warning("budget.counted_here", reason=str(failure))
        finally:
            self._on_the_way -= charged
            self._owed += 0 if arrived else charged
        return self._known + self._owed + (0 if arrived else self._on_the_way)


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a call may use, counted as used until it is settled."""

    totals: Sequence[_Total]
    reserved: Spend

    async def settle(self, used: Spend) -> None:
        """Count what it used in place of what was reserved."""
        for total in self.totals:
            await total.add(total.unit.of(used) - total.unit.of(self.reserved))


class ModelBudget:
    """Shared by all processes that have the same store.

    While anything is left a call may begin; what it may use is reserved before it does. So a day ends
    at most one call above its limit, however many run at once. Where the store fails, counting goes on
    here from the last known total: neither without limit, nor without an answer.
    """

    def __init__(self, store: Store, clock: Clock, *, limits: BudgetLimits) -> None:
        microusd = math.ceil(limits.usd_per_day * 1_000_000)
        per_day = {_Unit.TOKENS: limits.tokens_per_day, _Unit.MICROUSD: microusd}
        self.prices = limits.prices
        self._limits = {unit: limit for unit, limit in per_day.items() if limit}
        self._store = store
        self._clock = clock
        self._day: date | None = None
        self._totals: Sequence[_Total] = ()

    async def reserve(self, estimate: Spend) -> Reservation:
        """Raises BudgetSpent."""
        reservation = Reservation(self._today(), estimate)
        before = [
            await total.add(total.unit.of(estimate)) - total.unit.of(estimate) for total in reservation.totals
        ]
        if any(sum_ >= total.limit for sum_, total in zip(before, reservation.totals, strict=True)):
            await reservation.settle(NOTHING)
            log.warning("budget.spent", day=str(self._day))
            raise BudgetSpent
        return reservation

    async def left(self) -> BudgetLeft | None:
        """None where there is no limit."""
        if not self._limits:
            return None
        left = {total.unit: max(0, total.limit - await total.add(0)) for total in self._today()}
        microusd = left.get(_Unit.MICROUSD)
        return BudgetLeft(
            tokens=left.get(_Unit.TOKENS),
            usd=None if microusd is None else microusd / 1_000_000,
            renewed_at=datetime.combine(self._utc_day() + timedelta(days=1), time(), UTC),
        )

    def _today(self) -> Sequence[_Total]:
        day = self._utc_day()
        if day != self._day:
            self._day = day
            self._totals = [_Total(self._store, day, unit, limit) for unit, limit in self._limits.items()]
        return self._totals

    def _utc_day(self) -> date:
        return self._clock.now().astimezone(UTC).date()


class BudgetedModel:
    """A LanguageModel that raises BudgetSpent where a day's budget is used up."""

    def __init__(self, model: LanguageModel, budget: ModelBudget) -> None:
        self._model = model
        self._budget = budget

    @property
    def name(self) -> str:
        return self._model.name

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Completion]:
        meter = _Meter(prompt, self._budget.prices)
        reservation = await self._budget.reserve(meter.at_most)
        try:
            async with aclosing(self._model.stream(prompt)) as pieces:
                async for piece in pieces:
                    meter.hear(piece)
                    yield piece
        except ModelFailed as failure:
            meter.fail(failure.fault)
            raise
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_SETTLE_LIMIT_S):
                    await reservation.settle(meter.used)


class _Meter:
    """What one stream uses, as far as can be told."""

    def __init__(self, prompt: Prompt, prices: ModelPrices) -> None:
        self._prices = prices
        self._input_tokens = _tokens(sum(_bytes(message.content) for message in prompt.messages))
        self._max_output_tokens = prompt.max_output_tokens
        self._said_bytes = 0
        self._completion: Completion | None = None
        self._never_ran = False

    def hear(self, piece: str | Completion) -> None:
        if isinstance(piece, Completion):
            self._completion = piece
        else:
            self._said_bytes += _bytes(piece)

    def fail(self, fault: Fault) -> None:
        self._never_ran = not self._said_bytes and fault not in _AT_WORK

    @property
    def at_most(self) -> Spend:
        return self._spend(self._input_tokens, self._max_output_tokens, None)

    @property
    def used(self) -> Spend:
        """By the characters, where the stream didn't come to its end or its API doesn't count."""
        if self._never_ran:
            return NOTHING
        told = self._completion
        input_tokens = told.input_tokens if told else None
        output_tokens = told.output_tokens if told else None
        return self._spend(
            self._input_tokens if input_tokens is None else input_tokens,
            _tokens(self._said_bytes) if output_tokens is None else output_tokens,
            told.cost_usd if told else None,
        )

    def _spend(self, input_tokens: int, output_tokens: int, cost_usd: float | None) -> Spend:
        priced = input_tokens * self._prices.input_usd + output_tokens * self._prices.output_usd
        microusd = priced if cost_usd is None else cost_usd * 1_000_000
        return Spend(tokens=input_tokens + output_tokens, microusd=math.ceil(microusd))


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _tokens(text_bytes: int) -> int:
    return math.ceil(text_bytes / _BYTES_PER_TOKEN)


__all__ = [
    "ASSUMED_PRICES",
    "BudgetLeft",
    "BudgetLimits",
    "BudgetSpent",
    "BudgetedModel",
    "ModelBudget",
    "ModelPrices",
    "Reservation",
    "Spend",
]

"""The language models and the embedder that are set up, behind what keeps them within their limits."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bot.limits import Limits
from bot.settings import Settings
from core.answering.budget import ASSUMED_PRICES, BudgetedModel, BudgetLimits, ModelBudget, ModelPrices
from core.answering.models import ChainLimits, GuardedModel, ModelChain
from core.ports import Clock, LanguageModel, RememberingEmbedder, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """model: what questions are answered with, None where none is set up. each: those behind it, in order."""

    model: LanguageModel | None
    each: Sequence[GuardedModel]
    budget: ModelBudget


def open_models(
    settings: Settings, limits: Limits, clock: Clock, store: Store, stack: AsyncExitStack
) -> Models:
    """store: one that fails rather than falls back, or a day's spending would begin anew elsewhere."""
    budget = ModelBudget(store, clock, limits=_budget_limits(settings))
    if not settings.model_configured:
        return Models(model=None, each=(), budget=budget)
    from core.providers.openai_model import OpenAIModel

    models = [
        OpenAIModel(
            base_url=settings.llm_base_url,
            api_key=settings.model_api_key.get_secret_value(),
            model=name,
            first_token_s=limits.first_token_s,
            gap_s=limits.gap_s,
        )
        for name in settings.llm_models
    ]
    for model in models:
        stack.push_async_callback(model.aclose)
    chain_limits = ChainLimits(first_token_s=limits.first_token_s, all_s=limits.all_models_s)
    chain = ModelChain(models, clock, limits=chain_limits)
    return Models(model=BudgetedModel(chain, budget), each=chain.members, budget=budget)


def open_embedding_api(
    settings: Settings, limits: Limits, clock: Clock, store: Store, stack: AsyncExitStack
) -> RememberingEmbedder | None:
    """None where none is set up. store: used if it is a Redis; alone, a process has the library's vectors."""
    if not settings.embedding_api_url:
        return None
    from core.providers.embedding.api import ApiEmbedder, ApiLimits

    embedder = ApiEmbedder(
        base_url=settings.embedding_api_url,
        api_key=settings.embedding_api_key.get_secret_value(),
        model=settings.embedding_api_model,
        store=store if settings.redis_url.get_secret_value() else None,
        clock=clock,
        limits=ApiLimits(attempt_s=limits.embedding_attempt_s, limit_s=limits.embedding_s),
    )
    stack.push_async_callback(embedder.aclose)
    return embedder


def _budget_limits(settings: Settings) -> BudgetLimits:
    prices = settings.model_prices
    return BudgetLimits(
        tokens_per_day=settings.llm_tokens_per_day,
        usd_per_day=settings.llm_usd_per_day,
        prices=ModelPrices(input_usd=prices[0], output_usd=prices[1]) if prices else ASSUMED_PRICES,
    )

"""What compares questions with passages: an API's model where one is set up, else the local one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass

from bot.limits import Limits
from bot.models import open_embedding_api
from bot.settings import Settings
from core.ports import Clock, Embedder, RememberingEmbedder, Store
from core.providers.embedding.local import LocalEmbedder
from core.providers.storage.lance_pages import LancePageStore
from core.ranking.fallback_embedder import FallbackEmbedder
from core.ranking.recalling import RecallingEmbedder


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedders:
    """api: None where none is set up. pages: the library, whose vectors are of the first of the two.

    recalling: that first one, but the library is asked before it.
    in_turn: that, and the local one behind it. comparing: those as one, for what one call compares.
    local_wanted: set once the local one has to be loaded.
    """

    local: LocalEmbedder
    api: RememberingEmbedder | None
    pages: LancePageStore
    recalling: RecallingEmbedder
    in_turn: Sequence[Embedder]
    comparing: Embedder
    local_wanted: asyncio.Event


def local_embedder(settings: Settings) -> LocalEmbedder:
    return LocalEmbedder(cache_dir=settings.cache_dir, model=settings.embedding_model or None)


def open_embedders(
    settings: Settings, limits: Limits, clock: Clock, store: Store, stack: AsyncExitStack
) -> Embedders:
    local = stack.enter_context(closing(local_embedder(settings)))
    api = open_embedding_api(settings, limits, clock, store, stack)
    first = api or local
    pages = LancePageStore(settings.library_uri, model=first.model, clock=clock)
    stack.push_async_callback(pages.aclose)
    recalling = RecallingEmbedder(first, pages)
    comparing: Embedder = recalling
    wanted = asyncio.Event()
    if api:
        comparing = fallback = FallbackEmbedder(recalling, local)
        wanted = fallback.wanted
    else:
        wanted.set()
    return Embedders(
        local=local,
        api=api,
        pages=pages,
        recalling=recalling,
        in_turn=(recalling, local) if api else (recalling,),
        comparing=comparing,
        local_wanted=wanted,
    )

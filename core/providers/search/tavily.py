"""Tavily (https://tavily.com): search made for language models, with longer excerpts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from core.errors import Fault
from core.providers.search.json_api import ApiReply, ApiRequest, HitFields, JsonObject
from core.providers.search.refusals import Refusal

MAX_RESULTS: Final = 20
MAX_QUERY_CHARS: Final = 400
"""More of either is a 400."""

_LIMITS_OF_THE_PLAN: Final = frozenset({432, 433})
"""Tavily's own: the plan's searches are used up; what was set for pay-as-you-go is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tavily:
    url: str = "https://api.tavily.com"
    name: ClassVar[str] = "Tavily"
    fields: ClassVar[HitFields] = HitFields(
        url="url", title="title", snippet=("content",), published=("published_date",), html=True
    )

    def request(self, query: str, *, limit: int, key: str) -> ApiRequest:
        return ApiRequest(
            method="POST",
            url=f"{self.url}/search",
            headers={"Authorization": f"Bearer {key}"},
            payload={
                "query": query[:MAX_QUERY_CHARS],
                "max_results": min(limit, MAX_RESULTS),
                "search_depth": "basic",  # one credit; "advanced" costs two, and seconds
            },
        )

    def results(self, said: JsonObject) -> object:
        return said.get("results")

    def refusal(self, reply: ApiReply) -> Refusal | None:
        return Refusal(fault=Fault.OUT_OF_CREDIT) if reply.status in _LIMITS_OF_THE_PLAN else None


__all__ = ["Tavily"]

"""SearXNG (https://docs.searxng.org): an operator's own instance, which asks many engines; without a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from core.errors import Fault
from core.providers.search.json_api import ApiReply, ApiRequest, HitFields, JsonObject
from core.providers.search.refusals import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class SearXNG:
    url: str
    name: ClassVar[str] = "SearXNG"
    fields: ClassVar[HitFields] = HitFields(
        url="url", title="title", snippet=("content",), published=("publishedDate",)
    )

    def request(self, query: str, *, limit: int, key: str) -> ApiRequest:
        return ApiRequest(url=f"{self.url}/search", params={"q": query, "format": "json"})

    def results(self, said: JsonObject) -> object:
        return said.get("results")

    def refusal(self, reply: ApiReply) -> Refusal | None:
        if reply.status == 403:
            reason = "serves no JSON: add json to search.formats in its settings"
            return Refusal(fault=Fault.REFUSED, reason=reason)
        if reply.said.get("results") == [] and reply.said.get("unresponsive_engines"):
            return Refusal(fault=Fault.FAILING, reason="could not reach its engines")
        return None


__all__ = ["SearXNG"]

"""SerpApi (https://serpapi.com): the results of Google or of Bing, which has no API of its own any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from core.errors import Fault
from core.providers.search.json_api import ApiReply, ApiRequest, HitFields, JsonObject, object_in
from core.providers.search.refusals import Refusal

SerpApiEngine = Literal["google", "bing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SerpApi:
    """Takes its key in the URL and nowhere else."""

    url: str = "https://serpapi.com"
    engine: SerpApiEngine = "google"
    name: ClassVar[str] = "SerpApi"
    fields: ClassVar[HitFields] = HitFields(
        url="link", title="title", snippet=("snippet",), published=("date",)
    )

    def request(self, query: str, *, limit: int, key: str) -> ApiRequest:
        count = "num" if self.engine == "google" else "count"
        return ApiRequest(
            url=f"{self.url}/search.json",
            params={"engine": self.engine, "q": query, count: str(limit), "api_key": key},
        )

    def results(self, said: JsonObject) -> object:
        if "organic_results" not in said and object_in(said, "search_metadata").get("status") == "Success":
            return []  # with an "error" that says that the engine found nothing
        return said.get("organic_results")

    def refusal(self, reply: ApiReply) -> Refusal | None:
        # 429 stands for an hour's throughput as well as for a month's searches.
        if reply.status == 429 and "run out" in str(reply.said.get("error", "")):
            return Refusal(fault=Fault.OUT_OF_CREDIT)
        if reply.status == 200 and object_in(reply.said, "search_metadata").get("status") == "Error":
            return Refusal(fault=Fault.FAILING)
        return None


__all__ = ["SerpApi", "SerpApiEngine"]

"""Serper (https://serper.dev): Google's results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from core.errors import Fault
from core.providers.search.json_api import ApiReply, ApiRequest, HitFields, JsonObject
from core.providers.search.refusals import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Serper:
    url: str = "https://google.serper.dev"
    name: ClassVar[str] = "Serper"
    fields: ClassVar[HitFields] = HitFields(
        url="link", title="title", snippet=("snippet",), published=("date",)
    )

    def request(self, query: str, *, limit: int, key: str) -> ApiRequest:
        return ApiRequest(
            method="POST",
            url=f"{self.url}/search",
            headers={"X-API-KEY": key},
            payload={"q": query, "num": limit},
        )

    def results(self, said: JsonObject) -> object:
        return said.get("organic")

    def refusal(self, reply: ApiReply) -> Refusal | None:
        # 400 "Not enough credits" stands where HTTP has 402.
        message = str(reply.said.get("message", "")).lower()
        if reply.status >= 400 and ("credit" in message or "quota" in message):
            return Refusal(fault=Fault.OUT_OF_CREDIT)
        return None


__all__ = ["Serper"]

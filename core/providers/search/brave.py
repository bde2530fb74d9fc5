"""Brave Search (https://brave.com/search/api): an index of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from core.errors import Fault
from core.providers.search.json_api import ApiReply, ApiRequest, HitFields, JsonObject, object_in
from core.providers.search.refusals import Refusal

MAX_RESULTS: Final = 20
MAX_QUERY_CHARS: Final = 400
MAX_QUERY_WORDS: Final = 50
"""More of any of them is a 422."""

_FAULTS: Final[Mapping[object, Fault]] = {
    "SUBSCRIPTION_TOKEN_INVALID": Fault.KEY_REFUSED,  # with status 422
    "QUOTA_LIMITED": Fault.OUT_OF_CREDIT,  # with status 429, the month's
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Brave:
    url: str = "https://api.search.brave.com"
    name: ClassVar[str] = "Brave"
    fields: ClassVar[HitFields] = HitFields(
        url="url",
        title="title",
        snippet=("description", "extra_snippets"),
        published=("page_age", "age"),
        html=True,
    )

    def request(self, query: str, *, limit: int, key: str) -> ApiRequest:
        words = " ".join(query.split()[:MAX_QUERY_WORDS])[:MAX_QUERY_CHARS]
        return ApiRequest(
            url=f"{self.url}/res/v1/web/search",
            headers={"X-Subscription-Token": key},
            params={"q": words, "count": str(min(limit, MAX_RESULTS)), "text_decorations": "false"},
        )

    def results(self, said: JsonObject) -> object:
        if "web" not in said and said.get("type") == "search":
            return []  # a kind of result of which there is none is left out
        return object_in(said, "web").get("results")

    def refusal(self, reply: ApiReply) -> Refusal | None:
        code = object_in(reply.said, "error").get("code")
        if isinstance(code, str) and code in _FAULTS:
            return Refusal(fault=_FAULTS[code])
        if reply.status == 429 and (wait_s := _next_window_s(reply.headers)) is not None:
            return Refusal(fault=Fault.RATE_LIMITED, retry_after_s=wait_s)
        return None


def _next_window_s(headers: Mapping[str, str]) -> float | None:
    """Until every used-up window begins anew: by the second, by the month ("0, 1850" left, in "1, 86400" s).

    None where the headers don't say. The plans differ by how many searches a second they have, from 1.
    """
    left, resets = (
        [int(part) for part in re.findall(r"\d{1,9}", headers.get(name, ""), re.ASCII)]
        for name in ("x-ratelimit-remaining", "x-ratelimit-reset")
    )
    used_up = [reset for remaining, reset in zip(left, resets, strict=False) if not remaining]
    return float(max(used_up)) if used_up else None


__all__ = ["Brave"]

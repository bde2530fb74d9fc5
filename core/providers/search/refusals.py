"""What an engine's refusal means, in faults and in plain words: pure, the same for every engine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from core.errors import Fault, SearchFailed

UNREADABLE: Final = "answered in a form that could not be read"

_REASONS: Final[Mapping[Fault, str]] = {
    Fault.UNREACHABLE: "could not be reached",
    Fault.TIMED_OUT: "did not answer in time",
    Fault.OVERLOADED: "is failing",
    Fault.FAILING: "is failing",
    Fault.RATE_LIMITED: "is over its rate limit",
    Fault.OUT_OF_CREDIT: "is over its quota",
    Fault.KEY_REFUSED: "refused the API key",
    Fault.REFUSED: "refused the search",
}
_FAULTS: Final[Mapping[int, Fault]] = {
    401: Fault.KEY_REFUSED,
    402: Fault.OUT_OF_CREDIT,
    403: Fault.KEY_REFUSED,
    429: Fault.RATE_LIMITED,
    502: Fault.OVERLOADED,
    503: Fault.OVERLOADED,
    504: Fault.OVERLOADED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """reason: plain words for the asker, the fault's own if empty.

    retry_after_s: how long the engine asked to be left alone.
    """

    fault: Fault
    reason: str = ""
    retry_after_s: float | None = None

    def failure(self, provider: str) -> SearchFailed:
        reason = self.reason or _REASONS[self.fault]
        return SearchFailed(provider, reason, fault=self.fault, retry_after_s=self.retry_after_s)


def refusal_of(status: int, *, retry_after_s: float | None = None) -> Refusal:
    """What any status but 200 means by HTTP alone."""
    if status in _FAULTS or status >= 500:
        return Refusal(fault=_FAULTS.get(status, Fault.FAILING), retry_after_s=retry_after_s)
    fault = Fault.REFUSED if status >= 400 else Fault.FAILING
    return Refusal(fault=fault, reason=f"answered with status {status}")


def retry_after_s(header: str, *, now: datetime) -> float | None:
    """Of a Retry-After header (RFC 9110, 10.2.3): seconds, or a date counted from `now`; None if neither."""
    if re.fullmatch(r"\d+(\.\d+)?", header, re.ASCII):
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())


__all__ = ["UNREADABLE", "Refusal", "refusal_of", "retry_after_s"]

"""Which kept pages have had their time. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

FRESH = timedelta(hours=1)
"""A page read within it is not fetched again: most change less often, and news are not asked for twice
an hour by one team."""

TIME_TO_LIVE = timedelta(days=7)
"""Of what strangers published: long enough to help out when no search engine answers."""

ROOM_AFTER_TRIMMING = 0.8
"""Share of the limit that is filled once it was passed, so that not every write passes it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShelfRow:
    """What ageing looks at. size: in any unit, the same for all rows."""

    url: str
    read_at: datetime
    size: int
    lasting: bool


def expired(rows: Sequence[ShelfRow], now: datetime, ttl: timedelta) -> list[str]:
    """URLs of the pages that are older than `ttl`."""
    return [row.url for row in rows if not row.lasting and row.read_at < now - ttl]


def surplus(rows: Sequence[ShelfRow], *, total_bytes: int, max_bytes: int) -> list[str]:
    """URLs of the oldest pages without which those that age would fit into `max_bytes` again.

    total_bytes: of all rows; shared out among them by size.
    """
    bytes_per_size = total_bytes / max(1, sum(row.size for row in rows))
    ageing = sorted((row for row in rows if not row.lasting), key=lambda row: row.read_at)
    ageing_bytes = bytes_per_size * sum(row.size for row in ageing)
    if ageing_bytes <= max_bytes:
        return []
    excess = ageing_bytes - ROOM_AFTER_TRIMMING * max_bytes
    found: list[str] = []
    for row in ageing:
        if excess <= 0:
            break
        excess -= row.size * bytes_per_size
        found.append(row.url)
    return found

"""What Discord's refusals mean for a reply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import aiohttp
import discord

from adapters import wording
from core.errors import SurfaceFailed

OLD_MESSAGE: Final = 30046
"""Too many edits to a message older than an hour."""
INVALID_FORM: Final = 50035
THREAD_EXISTS: Final = 160004
ACKNOWLEDGED: Final = 40060
"""An interaction, by another process."""
UNKNOWN_MESSAGE: Final = 10008

NETWORK_FAULTS: Final = (aiohttp.ClientError, OSError, TimeoutError)

_ADVICE: Final[Mapping[int, str]] = {
    50001: wording.missing_permission("View Channel"),
    50013: wording.missing_permission("Send Messages"),
    50083: wording.THREAD_CLOSED,  # archived
    160005: wording.THREAD_CLOSED,  # locked
}


class DrawRefused(SurfaceFailed):
    """code: Discord's; None where it was in no state to say why, so that the same may succeed later.

    advice: a sentence for the asker; empty where none helps.
    """

    def __init__(
        self, message: str, *, lost: bool = False, code: int | None = None, advice: str = ""
    ) -> None:
        super().__init__(message, lost=lost)
        self.code = code
        self.advice = advice

    @property
    def is_final(self) -> bool:
        """The same would be refused again."""
        return self.lost or self.code is not None


class Disconnected(DrawRefused):
    """The connection that the reply came by is no more; another one may reach its place."""


@contextmanager
def faults_named() -> Iterator[None]:
    """Raises DrawRefused for whatever discord.py raises when a request fails."""
    try:
        yield
    except discord.HTTPException as fault:
        raise DrawRefused(
            f"HTTP {fault.status}, code {fault.code}: {fault.text}",
            lost=fault.status in {401, 403, 404} or fault.code in _ADVICE,
            code=None if fault.status >= 500 else fault.code,
            advice=_ADVICE.get(fault.code, ""),
        ) from fault
    except discord.RateLimited as fault:
        raise DrawRefused(f"rate limited for {fault.retry_after:.0f} s") from fault
    except NETWORK_FAULTS as fault:
        raise DrawRefused(f"no answer: {type(fault).__name__}") from fault
    except RuntimeError as fault:
        # aiohttp's for a closed session.
        if "closed" not in str(fault):
            raise
        raise Disconnected("the connection was closed") from fault
    except KeyError as fault:
        # discord.py takes "retry_after" for granted in every 429.
        raise DrawRefused("rate limited without a time", code=OLD_MESSAGE) from fault

"""The faults a caller can meet.

BotError
├── QuestionError            the asker can mend it; the message is written for them
│   ├── EmptyQuestion
│   ├── QuestionTooLong
│   └── RateLimited
├── DependencyError          something outside failed; the message is for logs
│   ├── SearchFailed         one provider
│   ├── SearchUnavailable    all of them
│   ├── PageFailed           one page: not fetched or not readable
│   │   └── UrlRefused       by the guard (core.reading.urls)
│   ├── EmbeddingFailed
│   ├── ModelFailed
│   ├── LibraryFailed
│   ├── SurfaceFailed        the chat platform refused a draw
│   └── PlatformFailed       the chat platform refused the bot
└── SettingsError            start-up
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum


class BotError(Exception):
    """Any fault this project names."""


class QuestionError(BotError):
    """The asker can mend it: `str(error)` is one plain sentence for them."""


class EmptyQuestion(QuestionError):
    pass


class QuestionTooLong(QuestionError):
    pass


class RateLimited(QuestionError):
    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DependencyError(BotError):
    """Something outside failed: `str(error)` says what, without secrets or URLs that hold them."""


class SearchFailed(DependencyError):
    """One provider failed. reason: plain words for the asker ("is over its quota")."""

    def __init__(self, provider: str, reason: str) -> None:
        super().__init__(f"{provider} {reason}")
        self.provider = provider
        self.reason = reason


class SearchUnavailable(DependencyError):
    """Every configured provider failed. failures: one per provider, in the order tried."""

    def __init__(self, failures: Sequence[SearchFailed]) -> None:
        super().__init__("; ".join(str(failure) for failure in failures))
        self.failures = tuple(failures)


class PageFailure(StrEnum):
    """Why a page was left out: for logs and counts; askers see one text for all of them."""

    BLOCKED = "blocked"
    """The guard refused the address."""
    ROBOTS = "robots"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    STATUS = "status"
    CHALLENGE = "challenge"
    """403, 429 or a page that asks to prove one is human."""
    TOO_LARGE = "too_large"
    MEDIA_TYPE = "media_type"
    ENCODING = "encoding"
    UNREADABLE = "unreadable"
    """The extractor failed, was killed, or found no text."""


class PageFailed(DependencyError):
    def __init__(self, reason: PageFailure, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason


class EmbeddingFailed(DependencyError):
    pass


class ModelFailed(DependencyError):
    """reason: plain words for the asker ("refused the API key")."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class LibraryFailed(DependencyError):
    pass


class SurfaceFailed(DependencyError):
    """lost: nothing can be drawn there any more (deleted, forbidden); trying again is useless."""

    def __init__(self, message: str, *, lost: bool = False) -> None:
        super().__init__(message)
        self.lost = lost


class PlatformFailed(DependencyError):
    """A chat platform can't be joined until a person mends something; the message names it and the fix."""


class SettingsError(BotError):
    """problems: one line per bad variable, each naming it and the fix."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)

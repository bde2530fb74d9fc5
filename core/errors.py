"""The faults a caller can meet.

BotError
├── QuestionError            the asker can mend it; the message is written for them
│   ├── EmptyQuestion
│   ├── QuestionTooLong
│   ├── RateLimited
│   └── Busy
├── DependencyError          something outside failed; the message is for logs
│   ├── CircuitOpen          it failed so often that it is left alone for a while
│   ├── SearchFailed         one provider
│   ├── SearchUnavailable    all of them
│   ├── PageFailed           one page: not fetched or not readable
│   │   └── UrlRefused       by the guard (core.reading.urls)
│   ├── EmbeddingFailed
│   ├── ModelFailed
│   │   └── BudgetSpent       for today (core.answering.budget)
│   ├── LibraryFailed
│   ├── StoreFailed
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


class Busy(QuestionError):
    """Every place is taken, and so is every place in the line."""


class Fault(StrEnum):
    """In which way something outside failed: decides whether to try again, and what to think of it."""

    UNREACHABLE = "unreachable"
    """No connection, or one that broke before an answer began."""
    TIMED_OUT = "timed_out"
    OVERLOADED = "overloaded"
    """502, 503, 504."""
    FAILING = "failing"
    """Any other 5xx, or an answer that can't be read."""
    RATE_LIMITED = "rate_limited"
    """429."""
    OUT_OF_CREDIT = "out_of_credit"
    """402, and what providers say in its place."""
    KEY_REFUSED = "key_refused"
    """401, 403."""
    REFUSED = "refused"
    """Any other 4xx: this call is at fault, and would be again."""

    @property
    def may_pass(self) -> bool:
        """The same call may succeed a moment later."""
        return self in {Fault.UNREACHABLE, Fault.TIMED_OUT, Fault.OVERLOADED, Fault.RATE_LIMITED}

    @property
    def is_outage(self) -> bool:
        """Speaks against the service, not against the caller."""
        return self in {Fault.UNREACHABLE, Fault.TIMED_OUT, Fault.OVERLOADED, Fault.FAILING}

    @property
    def is_the_keys(self) -> bool:
        """Another key may be served."""
        return self in {Fault.RATE_LIMITED, Fault.OUT_OF_CREDIT, Fault.KEY_REFUSED}


class DependencyError(BotError):
    """Something outside failed: `str(error)` says what, without secrets or URLs that hold them.

    retry_after_s: how long it asked to be left alone; None where it did not say.
    """

    def __init__(
        self, message: str = "", *, fault: Fault = Fault.FAILING, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.fault = fault
        self.retry_after_s = retry_after_s


class CircuitOpen(DependencyError):
    """name: of what is left alone, for `retry_after_s` more seconds."""

    def __init__(self, name: str, *, retry_after_s: float) -> None:
        super().__init__(f"{name} has failed too often", fault=Fault.REFUSED, retry_after_s=retry_after_s)
        self.name = name


class SearchFailed(DependencyError):
    """One provider failed. reason: plain words for the asker ("is over its quota")."""

    def __init__(
        self,
        provider: str,
        reason: str,
        *,
        fault: Fault = Fault.FAILING,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{provider} {reason}", fault=fault, retry_after_s=retry_after_s)
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
    """reason: plain words for the asker ("refused the API key").

    model: which of several it was; empty where only the one that was asked can be meant.
    """

    def __init__(
        self,
        reason: str,
        *,
        model: str = "",
        fault: Fault = Fault.FAILING,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(reason, fault=fault, retry_after_s=retry_after_s)
        self.reason = reason
        self.model = model


class LibraryFailed(DependencyError):
    pass


class StoreFailed(DependencyError):
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

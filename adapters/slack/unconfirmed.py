"""New messages of a reply that Slack may have taken, though its word for it was lost.

Nobody knows whether such a message stands. Before anything else is posted the thread is read, where the
scopes allow it: what stands there goes on as part of the reply. Where it can't be read, nothing is shown any
more but the answer, which is posted all the same, a few times, with a pause before the last.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import structlog

from adapters.slack.orphans import Standing, standing
from adapters.slack.pacing import NotYet
from adapters.slack.stream import Recipient
from adapters.slack.web import RATE_LIMITED, CallRefused, CallUnanswered
from adapters.slack.workspace import Workspace

log = structlog.get_logger(__name__)

MAX_UNCONFIRMED: Final = 3
"""So many messages of a reply may stand without anybody's knowing of them."""

PAUSE_S: Final = 20.0
"""Before the last of them, so that all three don't go into one short disturbance."""

LOOK_S: Final = 2.0
"""Between two readings of a thread."""


class NeverConfirmed(Exception):
    """As many were posted as may be, and nobody can look whether one of them stands."""


class Unconfirmed:
    """count: of the calls for a new message that were not answered, since the thread was last read."""

    def __init__(self, workspace: Workspace, recipient: Recipient, key: str) -> None:
        self._workspace = workspace
        self._recipient = recipient
        self._key = key
        self._is_unreadable = False
        self._last_s = workspace.clock.monotonic()
        self.count = 0

    @property
    def may_be_found(self) -> bool:
        return self.count > 0 and not self._is_unreadable

    @contextmanager
    def posting(self) -> Iterator[None]:
        """Around a call that makes a message. Raises NotYet and NeverConfirmed before it."""
        self._check()
        # Before the call: where that is cancelled, nobody knows either.
        self.count += 1
        self._last_s = self._workspace.clock.monotonic()
        try:
            yield
        except CallUnanswered as failure:
            self.count -= not failure.was_sent
            raise
        except (CallRefused, NotYet):
            self.count -= 1
            raise
        self.count -= 1

    def _check(self) -> None:
        if self.count >= MAX_UNCONFIRMED and self._is_unreadable:
            raise NeverConfirmed
        waited_s = self._workspace.clock.monotonic() - self._last_s
        is_last = self.count == MAX_UNCONFIRMED - 1
        if self.count >= MAX_UNCONFIRMED or (is_last and waited_s < PAUSE_S):
            raise NotYet(LOOK_S)

    async def found(self, *, known: Collection[str]) -> Sequence[Standing]:
        """What stands in the thread for the reply beside `known`; nothing where it can't be read."""
        if self._is_unreadable:
            return ()
        try:
            found = await standing(self._workspace, self._recipient, self._key, known=known)
        except CallUnanswered as failure:
            log.info("slack.thread_unread", detail=str(failure))
            return ()
        except CallRefused as refusal:
            log.info("slack.thread_unread", detail=str(refusal))
            self._is_unreadable = refusal.code not in RATE_LIMITED
            return ()
        log.info("slack.unconfirmed_found", unanswered=self.count, standing=len(found))
        self.count = 0
        return found

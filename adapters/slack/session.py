"""Slack's own sign that an agent is at work in a thread, with a stop button beside it."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from adapters.slack.pacing import NotYet
from adapters.slack.web import CallRefused, CallUnanswered, PacedCalls
from adapters.slack.workspace import Workspace

log = structlog.get_logger(__name__)

METHOD: Final = "agents.sessions.setStatus"
END_S: Final = 30.0
"""How long its end is tried: Slack forgets a session that nobody ends."""

_RETRY_S: Final = 0.5
"""Until an end that was not answered is said again."""

_NO_STOP_BUTTON: Final = "missing_agent_session_stopped_event_subscription"
"""Slack's warning that the sign would be shown without the button."""


class Session:
    """A thread has one; of two answers at once in a thread, the second does without.

    may_be_open: another process may have begun it.
    """

    def __init__(
        self,
        calls: PacedCalls,
        workspace: Workspace,
        *,
        channel: str,
        thread_ts: str,
        may_be_open: bool = False,
    ) -> None:
        self._calls = calls
        self._abilities = workspace.abilities
        self._clock = workspace.clock
        self._place = (channel, thread_ts)
        self._may_be_open = may_be_open

    async def begin(self) -> bool:
        """Whether Slack shows its stop button from now on. Raises CallUnanswered, then NotYet: call again."""
        is_tried_again = self._may_be_open
        is_anothers = self._place in self._abilities.open_sessions and not is_tried_again
        if not self._abilities.sessions or is_anothers:
            return False
        # Before the call: where that is cancelled, or not answered, nobody knows.
        self._may_be_open = True
        self._abilities.open_sessions.add(self._place)
        try:
            warning = await self._set("processing")
        except NotYet:
            if is_tried_again:
                raise
            self._forget()
            return False
        except CallRefused as refusal:
            log.info("slack.session_refused", code=refusal.code)
            self._forget()
            self._abilities.sessions = False
            return False
        self._abilities.sessions = warning != _NO_STOP_BUTTON
        return self._abilities.sessions

    async def end(self) -> None:
        """Never fails."""
        if not self._may_be_open:
            return
        try:
            async with asyncio.timeout(END_S):
                await self._set_in_turn("active")
        except (CallRefused, TimeoutError) as failure:
            log.info("slack.session_left_open", detail=str(failure))
        finally:
            self._forget()

    def _forget(self) -> None:
        self._may_be_open = False
        self._abilities.open_sessions.discard(self._place)

    async def _set_in_turn(self, status: str) -> None:
        while True:
            try:
                await self._set(status)
            except NotYet as wait:
                await self._clock.sleep(wait.after_s)
            except CallUnanswered:
                await self._clock.sleep(_RETRY_S)
            else:
                return

    async def _set(self, status: str) -> str:
        """Slack's warning, if it has one."""
        channel, thread_ts = self._place
        response = await self._calls.call(METHOD, channel_id=channel, thread_ts=thread_ts, status=status)
        return str(response.get("warning") or "")

"""One reply in a thread: as Slack's own stream while that works, as edited messages where it does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import structlog
from pydantic import JsonValue

from adapters import wording
from adapters.marks import runs
from adapters.slack.buttons import ending_blocks, stop_block
from adapters.slack.edits import Edits
from adapters.slack.pacing import RATES, NotYet
from adapters.slack.render import (
    Block,
    SlackMessage,
    draft_messages,
    final_messages,
    progress_text,
    sources_blocks,
)
from adapters.slack.session import Session
from adapters.slack.stream import Recipient, Stream, StreamLost, reopened
from adapters.slack.unconfirmed import LOOK_S, NeverConfirmed, Unconfirmed
from adapters.slack.web import CallRefused, CallUnanswered, PacedCalls
from adapters.slack.workspace import Workspace
from core.answering.footnotes import MARK
from core.errors import SurfaceFailed
from core.types import Answer, AnswerEvent, Deferred, Draft, Footnote, Progress, Stage

log = structlog.get_logger(__name__)

MAX_OPEN_STREAMS: Final = RATES["chat.stopStream"].burst
"""They might all end at once."""

_NEVER_STREAMS: Final = frozenset({"unknown_method", "missing_scope", "not_allowed_token_type"})
"""Refusals that hold for the whole workspace."""

_QUIET_S: Final = 5.0
"""Until the next draft where nobody knows what stands; the answer doesn't wait for it."""

LOST: Final = frozenset(
    {
        "account_inactive",
        "cannot_reply_to_message",
        "channel_not_found",
        "invalid_auth",
        "is_archived",
        "message_not_found",
        "missing_scope",
        "no_permission",
        "not_authed",
        "not_in_channel",
        "restricted_action",
        "restricted_action_non_threadable_channel",
        "restricted_action_read_only_channel",
        "restricted_action_thread_only_channel",
        "thread_not_found",
        "token_expired",
        "token_revoked",
    }
)
"""Nothing can be written there any more."""


class SlackReply:
    """A core.delivering.journal.PlacedSurface.

    key: of the running answer, for its buttons.
    place: what a process that is gone has posted of it; such a reply is drawn to its end and no more.
    refusal: why it was lost, in Slack's words; empty while it is not.
    """

    def __init__(
        self,
        workspace: Workspace,
        recipient: Recipient,
        *,
        key: str,
        place: Mapping[str, JsonValue] | None = None,
    ) -> None:
        self._workspace = workspace
        self._abilities = workspace.abilities
        self._recipient = recipient
        self._key = key
        self._calls = PacedCalls(workspace.web, workspace.pacer, key=key)
        self._unconfirmed = Unconfirmed(workspace, recipient, key)
        self._edits = Edits(
            self._calls,
            self._abilities,
            recipient=recipient,
            key=key,
            unconfirmed=self._unconfirmed,
            changed=self._changed,
        )
        self._session = Session(
            self._calls,
            workspace,
            channel=recipient.channel,
            thread_ts=recipient.thread_ts,
            may_be_open=place is not None,
        )
        self._tell: Callable[[], Awaitable[None]] | None = None
        self._stream: Stream | None = None
        self._has_begun = False
        self._is_leaving = False
        self._left = ""
        self._told = ""
        self._is_reopened = place is not None
        self.refusal = ""
        self.undrawn: Answer | None = None
        """The answer, from the first attempt to draw it until it stands."""
        if place is not None:
            self._resume(place)

    def place(self) -> Mapping[str, JsonValue]:
        """stream: of the message that is one; left: of one that was left, and told: what it has said.

        unconfirmed: how many there may be beside it.
        """
        return {
            "stream": self._stream.ts if self._stream else "",
            "left": self._left,
            "told": self._told,
            "unconfirmed": self._unconfirmed.count,
            **self._edits.place(),
        }

    def on_placed(self, tell: Callable[[], Awaitable[None]]) -> None:
        self._tell = tell

    async def _changed(self) -> None:
        if self._tell:
            await self._tell()

    def _resume(self, place: Mapping[str, JsonValue]) -> None:
        self._has_begun = True
        self._left = str(place.get("left") or "")
        self._told = str(place.get("told") or "")
        if isinstance(count := place.get("unconfirmed"), int):
            self._unconfirmed.count = count
        self._edits.resume(place)
        if ts := place.get("stream"):
            self._leave_behind(str(ts))

    def _leave_behind(self, ts: str) -> None:
        """A stream of which nobody knows what it holds: it is taken away with the next draw."""
        self._is_leaving = True
        self._stream = self._new_stream()
        self._stream.resume(ts)
        self._abilities.open_streams += 1

    def _new_stream(self) -> Stream:
        return Stream(self._calls, self._workspace.clock, self._recipient, self._key)

    async def draw(self, event: AnswerEvent) -> Deferred | None:
        if isinstance(event, Answer):
            self.undrawn = event
        try:
            await self._draw(event)
        except NotYet as wait:
            return Deferred(after_s=wait.after_s)
        except CallUnanswered as failure:
            raise SurfaceFailed(str(failure)) from None
        except NeverConfirmed:
            self.undrawn = None
            log.error("answer.unconfirmed")  # noqa: TRY400 # where it was raised says nothing
            raise SurfaceFailed("Slack confirms no message", lost=True) from None
        except CallRefused as refusal:
            lost = refusal.code in LOST
            self.refusal = refusal.code if lost else ""
            raise SurfaceFailed(str(refusal), lost=lost) from None
        if isinstance(event, Answer):
            self.undrawn = None
            if self._is_reopened:
                await self.close()
        return None

    async def _draw(self, event: AnswerEvent) -> None:
        if not self._has_begun:
            if not isinstance(event, Answer):
                await self._open_stream(event)
            self._has_begun = True
        if self._unconfirmed.count:
            await self._adopt()
        if self._unconfirmed.count and not isinstance(event, Answer):
            raise NotYet(_QUIET_S)
        if self._stream and not self._is_leaving and await self._streamed(self._stream, event):
            return
        if self._stream:
            await self._stream.leave()
            self._left, self._told = self._stream.ts, self._stream.told
            self._close_stream()
            await self._changed()
        await self._edits.show(self._messages(event), urgent=isinstance(event, Answer))
        if self._unconfirmed.may_be_found:
            # The answer stands; what may stand beside it is looked for until the thread could be read.
            raise NotYet(LOOK_S)

    async def _adopt(self) -> None:
        """What Slack took without a word goes on as part of the reply, but for streams."""
        stream = self._stream.ts if self._stream else ""
        found = await self._unconfirmed.found(known={stream, self._left, *self._edits.known()})
        streams = [each.ts for each in found if not each.is_posted]
        if streams and self._stream is None:
            self._leave_behind(streams.pop())
        self._edits.adopt([each.ts for each in found if each.is_posted], surplus=streams)
        if found:
            await self._changed()

    async def _open_stream(self, event: Progress | Draft) -> None:
        """Not where it would have to wait for its start or its end: an edited message starts at once."""
        pacer = self._workspace.pacer
        free = pacer.is_free("chat.startStream") and pacer.is_free("chat.stopStream")
        if not (self._abilities.streaming and free and self._abilities.open_streams < MAX_OPEN_STREAMS):
            return
        # Before anything is awaited, so that twenty at once don't all see the last free one.
        self._abilities.open_streams += 1
        try:
            self._stream = await self._started(event)
        finally:
            if self._stream is None:
                self._abilities.open_streams -= 1
        if self._stream:
            await self._changed()

    async def _started(self, event: Progress | Draft) -> Stream | None:
        """Raises CallUnanswered and NotYet where Slack does not even say whether it shows its own sign."""
        has_stop = await self._session.begin()
        if not has_stop and self._abilities.sessions:
            # A stream keeps every block it was given, and so a Stop of ours would outlive the answer. Where
            # Slack never has one of its own it does, and says when pressed that the answer has ended.
            return None
        stop = [] if has_stop else [stop_block(self._key)]
        stream = self._new_stream()
        progress = event if isinstance(event, Progress) else Progress(stage=Stage.WRITING)
        try:
            with self._unconfirmed.posting():
                await stream.start(progress, stop)
        except CallRefused as refusal:
            log.info("slack.stream_refused", code=refusal.code)
            self._abilities.streaming = refusal.code not in _NEVER_STREAMS
        except (CallUnanswered, NotYet) as failure:
            log.info("slack.stream_refused", code=str(failure))
        else:
            return stream
        return None

    async def close(self) -> None:
        """Nothing will be drawn any more. Never fails."""
        if self._stream:
            self._close_stream()
        await self._session.end()

    def _close_stream(self) -> None:
        self._stream = None
        self._abilities.open_streams -= 1

    async def _streamed(self, stream: Stream, event: AnswerEvent) -> bool:
        """Whether the stream took it; else it is left for good."""
        try:
            if isinstance(event, Answer):
                await stream.finish(event, [*sources_blocks(event), *self._ending()])
                self._close_stream()
            else:
                await stream.show(event)
        except StreamLost as loss:
            log.info("slack.stream_left", code=loss.code)
            self._is_leaving = True
            return False
        return True

    def _ending(self) -> list[Block]:
        return ending_blocks(self._key, native_feedback=self._abilities.native_feedback)

    def _messages(self, event: AnswerEvent) -> list[SlackMessage]:
        """What has to stand in the thread, after what the stream has told."""
        if isinstance(event, Progress):
            return [_with_blocks(_section(progress_text(event)), [stop_block(self._key)])]
        text, footnotes = rest_of(event.text, event.footnotes, self._told)
        if isinstance(event, Draft):
            messages = draft_messages(replace(event, text=text, footnotes=footnotes))
            waiting = _section(wording.STAGES[Stage.WRITING])
            return _on_last(messages or [waiting], [stop_block(self._key)])
        rest = replace(event, text=text, footnotes=footnotes)
        if self._told and not text.strip():
            closing = SlackMessage(text=wording.SOURCES, blocks=tuple(sources_blocks(event)))
            return [_with_blocks(closing, self._ending())]
        return _on_last(final_messages(rest), self._ending())


def rest_of(text: str, footnotes: Sequence[Footnote], told: str) -> tuple[str, tuple[Footnote, ...]]:
    """What a reader of `told` has not read yet, with the footnotes as its marks count them.

    Everything, where `text` does not go on from `told`.
    """
    if not told or not text.startswith(told):
        return text, tuple(footnotes)
    uses = Counter(int(digits) for run in runs(told) if not run.code for digits in MARK.findall(run.text))
    left = tuple(
        replace(note, quotes=note.quotes[uses[note.number] :], links=note.links[uses[note.number] :])
        for note in footnotes
    )
    rest = text[len(told) :]
    return (reopened(told) + rest if rest.strip() else ""), left


def _section(text: str) -> SlackMessage:
    return SlackMessage(text=text, blocks=({"type": "section", "text": {"type": "mrkdwn", "text": text}},))


def _on_last(messages: Sequence[SlackMessage], blocks: Sequence[Block]) -> list[SlackMessage]:
    *earlier, last = messages
    return [*earlier, _with_blocks(last, blocks)]


def _with_blocks(message: SlackMessage, blocks: Sequence[Block]) -> SlackMessage:
    return SlackMessage(text=message.text, blocks=(*message.blocks, *blocks))

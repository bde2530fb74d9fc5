"""One answer in Slack from what was taken to its last word, in the journal all the while."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, replace
from typing import Final

import structlog

from adapters import wording
from adapters.marks import replace_marks
from adapters.slack.asks import Ask
from adapters.slack.parents import post_parent
from adapters.slack.reply import SlackReply
from adapters.slack.stream import Recipient
from adapters.slack.taken import Recent, Taken
from adapters.slack.telling import Tell
from adapters.slack.threads import read_thread
from adapters.slack.web import CallRefused, CallUnanswered
from adapters.slack.workspace import Workspace
from core.asking.conversations import Conversations
from core.delivering.delivery import Delivery
from core.delivering.journal import Journal, Journaled, ReplyRecord
from core.delivering.running import RunningAnswers
from core.errors import QuestionError
from core.service import QuestionService
from core.types import Answer, Outcome, Question, Turn

log = structlog.get_logger(__name__)

_NOT_A_MEMBER: Final = frozenset({"not_in_channel", "channel_not_found"})
_DELETED: Final = frozenset({"message_not_found"})
"""Whoever took the reply away needs no explanation."""

_Asked = tuple[Taken, Question, ReplyRecord]


class _Unanswerable(Exception):
    """`str()` of it is for the asker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """settle_s: how long the last state is tried when Slack does not take it in time."""

    service: QuestionService
    conversations: Conversations
    workspace: Workspace
    journal: Journal
    recent: Recent
    running: RunningAnswers
    settle_s: float

    async def answer(self, taken: Taken, record: ReplyRecord, tell: Tell) -> None:
        """record: held by the journal; it ends with the reply, or is left to whoever finds it."""
        try:
            asked = await self._asked(taken, record, tell)
            if asked is None or await self._draw(*asked, tell):
                await self.journal.end(record.key)
        finally:
            self.journal.leave(record.key)

    def hint(self, refusal: str) -> str:
        """What the asker can do where Slack lets the bot write nothing. refusal: in Slack's words."""
        if refusal in _NOT_A_MEMBER:
            return wording.invitation(f"@{self.workspace.me.name}")
        return wording.CHANNEL_CLOSED

    async def _asked(self, taken: Taken, record: ReplyRecord, tell: Tell) -> _Asked | None:
        """Ready to be answered; None where the asker was told why it won't be."""
        try:
            if not taken.ask.ts:
                taken = await self._under_parent(taken, record)
                record = replace(record, ask=taken.as_json())
            question = taken.question or await self._question(taken, tell)
            # What is asked again was admitted when it was asked first.
            if record.attempt == 1:
                await self.service.admit(question)
        except _Unanswerable as reason:
            await tell(str(reason))
        except QuestionError as refusal:
            await tell(str(refusal))
        except asyncio.CancelledError:
            # Whoever stops what has not begun wants nothing in the thread; an end of the process is no wish.
            if not self.running.is_draining:
                await self.journal.end(record.key)
            raise
        else:
            return replace(taken, question=question), question, record
        return None

    async def _under_parent(self, taken: Taken, record: ReplyRecord) -> Taken:
        """A command gets a message to answer under. Raises _Unanswerable."""
        try:
            ts = await post_parent(self.workspace, taken.ask)
        except CallRefused as refusal:
            log.info("slack.command_unanswerable", code=refusal.code)
            raise _Unanswerable(self.hint(refusal.code)) from None
        except CallUnanswered as failure:
            log.warning("slack.command_unanswerable", detail=str(failure))
            raise _Unanswerable(wording.TRY_AGAIN) from None
        taken = replace(taken, ask=replace(taken.ask, ts=ts, thread_ts=ts))
        await self.journal.note(replace(record, ask=taken.as_json()))
        return taken

    async def _question(self, taken: Taken, tell: Tell) -> Question:
        ask = taken.ask
        thread = await read_thread(self.workspace.web, self.conversations, ask, self.workspace.me)
        if thread.is_unread:
            await tell(wording.QUOTED_UNREAD)
        if ask.has_files:
            await tell(wording.FILES_UNREAD)
        if thread.quoted:
            ask = ask.about(thread.quoted)
        return Question(
            id=new_id(),
            text=ask.text,
            asker=ask.asker,
            platform="slack",
            asked_at=self.workspace.clock.now(),
            thread=thread.turns,
            quoted=ask.quoted,
            channel=ask.channel_key,
            workspace=ask.workspace_key,
        )

    async def _draw(self, taken: Taken, question: Question, record: ReplyRecord, tell: Tell) -> bool:
        """Whether the reply has ended, in whatever way."""
        await self.recent.keep(taken)
        reply = SlackReply(self.workspace, recipient(taken.ask), key=taken.key)
        surface = Journaled(reply, self.journal, record)
        try:
            answer = await self.service.answer(question, surface)
            if answer.outcome is Outcome.ANSWERED:
                turn = Turn(question=question.text, answer=_unmarked(answer))
                self.conversations.remember(taken.ask.thread_key, turn)
        finally:
            has_ended = await self._settled(reply, surface)
            await reply.close()
            if has_ended:
                await self.journal.end(record.key)
        if reply.refusal and reply.refusal not in _DELETED:
            await tell(self.hint(reply.refusal))
        return has_ended

    async def _settled(self, reply: SlackReply, surface: Journaled) -> bool:
        """The service has given up on the last draw; a thread is never left with half an answer for that."""
        if reply.undrawn is None or reply.refusal:
            return True
        try:
            async with asyncio.timeout(self.settle_s):
                await Delivery(surface, self.workspace.clock).finish(reply.undrawn)
        except TimeoutError:
            pass
        has_ended = reply.undrawn is None or bool(reply.refusal)
        if not has_ended:
            log.error("answer.undelivered", settle_s=self.settle_s)
        return has_ended


def recipient(ask: Ask) -> Recipient:
    return Recipient(
        channel=ask.channel,
        thread_ts=ask.thread_ts,
        asked_ts=ask.ts,
        user=ask.user,
        team=ask.user_team,
    )


def _unmarked(answer: Answer) -> str:
    return replace_marks(answer.text, lambda _number, _use: "")


def new_id() -> str:
    return uuid.uuid4().hex[:12]


__all__ = ["Answers", "new_id", "recipient"]

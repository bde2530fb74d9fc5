"""Between Slack and the service: who asks is let in, answered, and may steer the answer."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import structlog

from adapters import wording
from adapters.marks import replace_marks
from adapters.slack.asks import Ask, asker_id
from adapters.slack.reply import SlackReply
from adapters.slack.stream import Recipient
from adapters.slack.threads import read_thread
from adapters.slack.workspace import Workspace
from core.asking.conversations import KEPT_S, MAX_THREADS, Conversations
from core.asking.policy import Policy
from core.delivering.delivery import Delivery
from core.delivering.running import RunningAnswers
from core.ports import Clock
from core.service import QuestionService
from core.types import Answer, AskerId, Outcome, Question, Turn

log = structlog.get_logger(__name__)

Tell = Callable[[str], Awaitable[None]]
"""Says one sentence to whoever asked, and to nobody else; never fails."""

_NOT_A_MEMBER: Final = frozenset({"not_in_channel", "channel_not_found"})
_DELETED: Final = frozenset({"message_not_found"})
"""Whoever took the reply away needs no explanation."""


@dataclass(frozen=True, slots=True)
class _Taken:
    ask: Ask
    question: Question


class _Recent:
    """What can be searched again: no more, and no longer, than a conversation is remembered."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._taken: OrderedDict[str, _Taken] = OrderedDict()

    def keep(self, key: str, taken: _Taken) -> None:
        self._taken[key] = taken
        while len(self._taken) > MAX_THREADS:
            self._taken.popitem(last=False)

    def get(self, key: str) -> _Taken | None:
        oldest_at = self._clock.now() - timedelta(seconds=KEPT_S)
        while self._taken and next(iter(self._taken.values())).question.asked_at < oldest_at:
            self._taken.popitem(last=False)
        return self._taken.get(key)


class Desk:
    """settle_s: how long the last state of an answer is tried when Slack does not take it in time."""

    def __init__(
        self,
        *,
        service: QuestionService,
        running: RunningAnswers,
        conversations: Conversations,
        policy: Policy,
        workspace: Workspace,
        settle_s: float,
    ) -> None:
        self._service = service
        self._running = running
        self._conversations = conversations
        self._policy = policy
        self._workspace = workspace
        self._me = workspace.me
        self._clock = workspace.clock
        self._settle_s = settle_s
        self._asks: dict[str, Ask] = {}
        self._recent = _Recent(workspace.clock)
        self._verdicts: Counter[str] = Counter()

    def may_ask(self, ask: Ask) -> bool:
        return self._policy.may_ask(ask.place(self._me))

    def hint(self, refusal: str) -> str:
        """What the asker can do where Slack lets the bot write nothing. refusal: in Slack's words."""
        if refusal in _NOT_A_MEMBER:
            return wording.invitation(f"@{self._me.name}")
        return wording.CHANNEL_CLOSED

    def take(self, ask: Ask, tell: Tell) -> None:
        """Starts the answer, and returns at once."""
        self._start(ask.key, ask, self._read_and_answer(ask, tell))

    def stop(self, key: str, who: AskerId) -> str:
        """What to say to whoever pressed Stop; empty where the reply itself says it."""
        asked_by = self._running.asker_of(key)
        if asked_by is None:
            return wording.STOPPED_ALREADY
        if not self._policy.may_steer(who, asked_by=asked_by):
            return wording.NOT_YOURS_TO_STOP
        return "" if self._running.stop(key) else wording.STOPPED_ALREADY

    def stop_thread(self, channel: str, thread_ts: str, user: str) -> None:
        """Slack's own stop button, which names the thread only."""
        for key, ask in list(self._asks.items()):
            who = ask.asker if ask.user == user else asker_id(ask.team, user)
            if (ask.channel, ask.thread_ts) == (channel, thread_ts):
                self.stop(key, who)

    def withdraw(self, channel: str, ts: str) -> None:
        """The message that asked is gone, and with it the wish for an answer."""
        for key, ask in list(self._asks.items()):
            if (ask.channel, ask.ts) == (channel, ts):
                self._running.stop(key)

    def again(self, key: str, who: AskerId, tell: Tell) -> str:
        """What to say to whoever pressed "Search again"; empty where the new reply says it."""
        taken = self._recent.get(key)
        if taken is None:
            return wording.NO_LONGER_KNOWN
        if not self._policy.may_steer(who, asked_by=taken.ask.asker):
            return wording.NOT_YOURS_TO_REPEAT
        new_key = f"{key}+"
        if self._running.asker_of(new_key) is None:
            question = replace(taken.question, id=_new_id(), asked_at=self._clock.now())
            self._start(new_key, taken.ask, self._answer(new_key, taken.ask, question, tell))
        return ""

    def hear(self, verdict: str) -> str:
        """Feedback; what to say for it."""
        self._verdicts[verdict] += 1
        log.info("feedback.given", platform="slack", verdict=verdict, so_far=dict(self._verdicts))
        return wording.THANKS

    def _start(self, key: str, ask: Ask, work: Awaitable[None]) -> None:
        self._asks[key] = ask
        self._running.start(key, ask.asker, self._tracked(key, work))

    async def _tracked(self, key: str, work: Awaitable[None]) -> None:
        try:
            await work
        finally:
            self._asks.pop(key, None)

    async def _read_and_answer(self, ask: Ask, tell: Tell) -> None:
        thread = await read_thread(self._workspace.web, self._conversations, ask, self._me)
        if thread.is_unread:
            await tell(wording.QUOTED_UNREAD)
        if ask.has_files:
            await tell(wording.FILES_UNREAD)
        if thread.quoted:
            ask = ask.about(thread.quoted)
        question = Question(
            id=_new_id(),
            text=ask.text,
            asker=ask.asker,
            platform="slack",
            asked_at=self._clock.now(),
            thread=thread.turns,
            quoted=ask.quoted,
        )
        await self._answer(ask.key, ask, question, tell)

    async def _answer(self, key: str, ask: Ask, question: Question, tell: Tell) -> None:
        self._recent.keep(key, _Taken(ask, question))
        reply = self._reply(key, ask)
        try:
            answer = await self._service.handle(question, reply)
            if answer.outcome is Outcome.ANSWERED:
                self._conversations.remember(
                    ask.thread_key, Turn(question=question.text, answer=_unmarked(answer))
                )
        finally:
            await self._settle(reply)
            await reply.close()
        if reply.refusal and reply.refusal not in _DELETED:
            await tell(self.hint(reply.refusal))

    def _reply(self, key: str, ask: Ask) -> SlackReply:
        recipient = Recipient(channel=ask.channel, thread_ts=ask.thread_ts, user=ask.user, team=ask.user_team)
        return SlackReply(self._workspace, recipient, key=key)

    async def _settle(self, reply: SlackReply) -> None:
        """The service has given up on the last draw; a thread is never left with half an answer for that."""
        if reply.undrawn is None or reply.refusal:
            return
        try:
            async with asyncio.timeout(self._settle_s):
                await Delivery(reply, self._clock).finish(reply.undrawn)
        except TimeoutError:
            log.warning("slack.answer_undelivered", settle_s=self._settle_s)


def _unmarked(answer: Answer) -> str:
    return replace_marks(answer.text, lambda _number, _use: "")


def _new_id() -> str:
    return uuid.uuid4().hex[:12]

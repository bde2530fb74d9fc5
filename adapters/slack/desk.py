"""Between Slack and the service: who asks is let in, answered, and may steer the answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from adapters import wording
from adapters.slack.answers import Answers, new_id
from adapters.slack.asks import Ask, Identity, Payload, asker_id
from adapters.slack.orphans import tidy
from adapters.slack.taken import PLATFORM, Taken, taken_of
from adapters.slack.telling import Tell
from core.asking.policy import Policy
from core.delivering.journal import ReplyRecord
from core.types import AskerId

log = structlog.get_logger(__name__)


class Desk:
    def __init__(self, answers: Answers, policy: Policy) -> None:
        self._answers = answers
        self._policy = policy
        self._running = answers.running
        self._journal = answers.journal
        self._me: Identity = answers.workspace.me
        self._clock = answers.workspace.clock
        self._asks: dict[str, Ask] = {}
        self._verdicts: Counter[str] = Counter()

    def may_ask(self, ask: Ask) -> bool:
        return self._policy.may_ask(ask.place(self._me))

    async def limits(self, ask: Ask) -> str:
        """What whoever asks here may still ask, in words for them."""
        service = self._answers.service
        return wording.limits_text(await service.left(ask.asker, ask.channel_key, ask.workspace_key))

    async def begin(self, taken: Taken) -> ReplyRecord | None:
        """From now on it is answered, whatever becomes of this process; None where it is already.

        Whoever begins it takes or forgets it.
        """
        record = taken.record(self._clock)
        return record if await self._journal.begin(record) else None

    async def forget(self, record: ReplyRecord) -> None:
        await self._journal.end(record.key)

    def take(self, taken: Taken, record: ReplyRecord, tell: Tell) -> None:
        """Starts the answer, and returns at once."""
        self._asks[taken.key] = taken.ask
        work = self._answers.answer(taken, record, tell)
        self._running.start(taken.key, taken.ask.asker, self._tracked(taken.key, work))

    async def _tracked(self, key: str, work: Awaitable[None]) -> None:
        try:
            await work
        finally:
            self._asks.pop(key, None)

    async def stop(self, key: str, who: AskerId, pressed: Payload) -> str:
        """What to say to whoever pressed Stop; empty where the reply itself says it.

        pressed: the message with the button. Where nobody works on its answer, it was left over.
        """
        if self._running.asker_of(key) is not None:
            return self._stop(key, who)
        if await self._journal.knows(key):
            return await self._stop_elsewhere(lambda taken: taken.key == key, lambda _ask: who)
        await tidy(self._answers.workspace, key, pressed)
        return wording.STOPPED_ALREADY

    def _stop(self, key: str, who: AskerId) -> str:
        asked_by = self._running.asker_of(key)
        if asked_by is None:
            return wording.STOPPED_ALREADY
        if not self._policy.may_steer(who, asked_by=asked_by):
            return wording.NOT_YOURS_TO_STOP
        return "" if self._running.stop(key) else wording.STOPPED_ALREADY

    async def _stop_elsewhere(
        self, is_meant: Callable[[Taken], bool], who_of: Callable[[Ask], AskerId]
    ) -> str:
        """Asks the process that answers to end it; what to say to whoever wants that."""
        said = wording.STOPPED_ALREADY
        for taken in filter(None, map(taken_of, await self._journal.elsewhere(PLATFORM))):
            if not is_meant(taken):
                continue
            if self._policy.may_steer(who_of(taken.ask), asked_by=taken.ask.asker):
                await self._journal.ask_to_stop(taken.key)
                said = wording.STOPPING_ELSEWHERE
            else:
                said = wording.NOT_YOURS_TO_STOP
        return said

    async def stop_thread(self, channel: str, thread_ts: str, user: str) -> None:
        """Slack's own stop button, which names the thread only."""

        def who_of(ask: Ask) -> AskerId:
            return ask.asker if ask.user == user else asker_id(ask.team, user)

        def is_there(ask: Ask) -> bool:
            return (ask.channel, ask.thread_ts) == (channel, thread_ts)

        for key, ask in list(self._asks.items()):
            if is_there(ask):
                self._stop(key, who_of(ask))
        await self._stop_elsewhere(lambda taken: is_there(taken.ask), who_of)

    def withdraw(self, channel: str, ts: str) -> None:
        """The message that asked is gone, and with it the wish for an answer."""
        for key, ask in list(self._asks.items()):
            if (ask.channel, ask.ts) == (channel, ts):
                self._running.stop(key)

    async def again(self, key: str, who: AskerId, tell: Tell) -> str:
        """What to say to whoever pressed "Search again"; empty where the new reply says it."""
        taken = await self._answers.recent.get(key)
        if taken is None:
            return wording.NO_LONGER_KNOWN
        if not self._policy.may_steer(who, asked_by=taken.ask.asker):
            return wording.NOT_YOURS_TO_REPEAT
        question = taken.question
        if question is not None:
            question = replace(question, id=new_id(), asked_at=self._clock.now())
        again = replace(taken, key=f"{key}+", question=question)
        if record := await self.begin(again):
            self.take(again, record, tell)
        return ""

    def hear(self, verdict: str) -> str:
        """Feedback; what to say for it."""
        self._verdicts[verdict] += 1
        log.info("feedback.given", platform="slack", verdict=verdict, so_far=dict(self._verdicts))
        return wording.THANKS

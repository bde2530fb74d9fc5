"""One answer in Discord from what was taken to its last word, in the journal all the while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final

import discord
import structlog
from pydantic import JsonValue

from adapters.discord.askers import Asker, Person, asker_id, channel_key, tell, workspace_key
from adapters.discord.asks import PLATFORM, Ask, without_token
from adapters.discord.boards import Board, ChannelBoard, PrivateBoard, Venue
from adapters.discord.faults import DrawRefused
from adapters.discord.pace import Pace
from adapters.discord.reply import Reply
from adapters.marks import replace_marks
from core.asking.conversations import Conversations
from core.asking.limits import Allowance
from core.delivering.journal import Journal, Journaled, ReplyRecord
from core.delivering.running import RunningAnswers
from core.ports import Clock
from core.service import QuestionService
from core.types import Answer, AskerId, Outcome, Question, Turn

log = structlog.get_logger(__name__)

PLACE_RETRIES_S: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Between the tries to open a place for a reply, where Discord is in trouble."""

OpenVenue = Callable[[], Awaitable[Venue]]
"""Raises DrawRefused where there is no place for a reply."""


class Answers:
    def __init__(
        self,
        *,
        service: QuestionService,
        running: RunningAnswers,
        conversations: Conversations,
        journal: Journal,
        clock: Clock,
        pace: Pace,
    ) -> None:
        self._service = service
        self._running = running
        self._conversations = conversations
        self._journal = journal
        self._clock = clock
        self._pace = pace

    async def stop_elsewhere(self, key: str) -> bool:
        """Asks another process to end that answer; False where none knows it."""
        if not await self._journal.knows(key):
            return False
        await self._journal.ask_to_stop(key)
        return True

    async def take(self, ask: Ask) -> ReplyRecord | None:
        """Begins and counts it; to be called before anything is done about it.

        None where it is begun already, here or elsewhere. Raises QuestionError, whose message is for the
        asker alone.
        """
        record = ask.record(self._clock.now())
        if not await self._journal.begin(record):
            return None
        is_admitted = False
        try:
            await self._service.admit(self._question(ask, ()))
            is_admitted = True
        finally:
            if not is_admitted:
                await self.end(record)
        return record

    async def left(self, asker: Asker) -> Allowance:
        """What they may still ask where they are."""
        place = asker.place
        channel = channel_key(place.workspace, place.channel)
        return await self._service.left(asker.id, channel, workspace_key(place.workspace))

    async def end(self, record: ReplyRecord) -> None:
        """There is nothing left to do about it."""
        await self._journal.end(record.key)

    def leave(self, record: ReplyRecord) -> None:
        """For another process, or a better moment."""
        self._journal.leave(record.key)

    def in_channel(self, record: ReplyRecord, ask: Ask, person: Person, open_venue: OpenVenue) -> None:
        """Starts it. record: as begun, or taken over."""
        self._start(record, ask, self._in_channel(record, ask, person, open_venue))

    def in_private(self, record: ReplyRecord, ask: Ask, interaction: discord.Interaction[Any]) -> None:
        """Starts it. interaction: which has been deferred."""
        reply = self.reply(private_board(ask, interaction), ask, left=_left(record))
        self._start(record, ask, self._draw(record, self._question(ask, ()), reply))

    def _start(self, record: ReplyRecord, ask: Ask, work: Coroutine[Any, Any, Any]) -> None:
        asker = _asker(ask)
        self._running.start(record.key, asker, self._left_at_last(record, work))

    async def _left_at_last(self, record: ReplyRecord, work: Coroutine[Any, Any, Any]) -> None:
        try:
            await work
        finally:
            self.leave(record)

    async def _in_channel(self, record: ReplyRecord, ask: Ask, person: Person, open_venue: OpenVenue) -> None:
        try:
            venue = await self.placed(open_venue)
        except DrawRefused as refused:
            log.warning("reply.unplaced", detail=str(refused))
            await tell(person, refused.advice)
            if refused.is_final:
                await self.end(record)
            return
        if ask.token:
            record = without_token(record, ask)
            await self._journal.note(record)
        key = thread_key(venue.channel.id)
        asked_here = venue.channel.id == ask.channel_id
        turns = self._conversations.turns(key) or (ask.turns if asked_here else ())
        question = self._question(ask, turns)
        reply = self.reply(channel_board(ask, venue), ask, opening_id=venue.opening_id, left=_left(record))
        answer = await self._draw(record, question, reply)
        if answer.outcome is Outcome.ANSWERED:
            self._conversations.remember(key, _turn(question, answer))
        await tell(person, reply.advice)

    async def placed(self, open_venue: OpenVenue) -> Venue:
        """Opened, if need be after some tries. Raises DrawRefused."""
        for retry_s in PLACE_RETRIES_S:
            try:
                return await open_venue()
            except DrawRefused as refused:
                if refused.is_final:
                    raise
                log.warning("place.refused", detail=str(refused), retry_s=retry_s)
            await self._clock.sleep(retry_s)
        return await open_venue()

    async def _draw(self, record: ReplyRecord, question: Question, reply: Reply) -> Answer:
        try:
            return await self._service.answer(question, Journaled(reply, self._journal, record))
        finally:
            await reply.land()
            if reply.is_over:
                await self.end(record)

    def reply(
        self,
        board: Board,
        ask: Ask,
        *,
        opening_id: int | None = None,
        left: Mapping[str, JsonValue] | None = None,
    ) -> Reply:
        """left, opening_id: as of `Reply`."""
        return Reply(
            board,
            asked=ask.asked,
            question_id=ask.question_id,
            pace=self._pace,
            clock=self._clock,
            opening_id=opening_id,
            left=left,
        )

    def _question(self, ask: Ask, turns: tuple[Turn, ...]) -> Question:
        guild = str(ask.guild_id or "")
        return Question(
            id=ask.question_id,
            text=ask.asked.text,
            asker=_asker(ask),
            platform=PLATFORM,
            asked_at=self._clock.now(),
            thread=turns,
            quoted=ask.asked.quoted,
            channel=channel_key(guild, str(ask.parent_id)),
            workspace=workspace_key(guild),
        )


def channel_board(ask: Ask, venue: Venue) -> ChannelBoard:
    return ChannelBoard(venue, asker=str(ask.user_id), question=ask.question_id)


def private_board(
    ask: Ask, interaction: discord.Interaction[Any], *, original_id: int | None = None
) -> PrivateBoard:
    return PrivateBoard(
        interaction, asker=str(ask.user_id), question=ask.question_id, original_id=original_id
    )


def thread_key(channel_id: int) -> str:
    """As conversations are kept."""
    return f"{PLATFORM}:{channel_id}"


def _left(record: ReplyRecord) -> Mapping[str, JsonValue] | None:
    return record.place if record.attempt > 1 else None


def _asker(ask: Ask) -> AskerId:
    return asker_id(str(ask.guild_id or ""), str(ask.user_id))


def _turn(question: Question, answer: Answer) -> Turn:
    return Turn(question=question.text, answer=replace_marks(answer.text, lambda _number, _use: ""))

"""Between Discord and the service: who asks is let in, answered, and may steer the answer."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import discord
import structlog

from adapters import wording
from adapters.discord.answers import Answers, thread_key
from adapters.discord.askers import (
    Asker,
    asker_id,
    asker_of,
    parent_id,
    presser,
    tell,
    tell_beside,
    whisper,
)
from adapters.discord.asks import PLATFORM, TOKEN_LIVES_S, Ask, Token, running_key
from adapters.discord.boards import Venue
from adapters.discord.faults import NETWORK_FAULTS
from adapters.discord.opening import Asked, read_opening
from adapters.discord.venues import missing_permission, venue_for_command, venue_for_message
from core.asking.commands import CommandKind, parse_command
from core.asking.conversations import Conversations
from core.asking.policy import Policy
from core.asking.seen import Seen
from core.delivering.journal import ReplyRecord
from core.delivering.running import RunningAnswers
from core.errors import QuestionError
from core.ports import Clock
from core.types import Turn

log = structlog.get_logger(__name__)


class Desk:
    def __init__(
        self,
        *,
        answers: Answers,
        running: RunningAnswers,
        conversations: Conversations,
        policy: Policy,
        seen: Seen,
        clock: Clock,
    ) -> None:
        self._answers = answers
        self._running = running
        self._conversations = conversations
        self._policy = policy
        self._clock = clock
        self._seen = seen
        self._open = True

    def close(self) -> None:
        """Nothing new is taken; what runs goes on."""
        self._open = False

    async def is_first(self, event: discord.Interaction[Any] | discord.Message) -> bool:
        """False for an event that was delivered before, here or to another process: RESUME replays them."""
        return await self._seen.first(f"{PLATFORM}:{event.id}")

    def knows_thread(self, channel_id: int) -> bool:
        """Whether there are earlier turns."""
        return bool(self._turns(channel_id))

    def _turns(self, channel_id: int) -> tuple[Turn, ...]:
        return self._conversations.turns(thread_key(channel_id))

    def refusal(self, asker: Asker) -> str:
        """Why this person may not ask here and now, as a sentence; empty if they may."""
        if not self._open:
            return wording.RESTARTING
        return "" if self._policy.may_ask(asker.place) else wording.NOT_ALLOWED_HERE

    async def refuse_by_message(self, asker: Asker, sentence: str) -> None:
        """To them alone; once in a while, whatever they do."""
        if await self._seen.first(f"{PLATFORM}:refused:{asker.id}:{asker.place.channel}"):
            self._note(asker, tell(asker.user, sentence))

    def _note(self, asker: Asker, telling: Any) -> None:
        self._running.start(f"{PLATFORM}:note:{uuid.uuid4().hex}", asker.id, telling)

    async def _command(self, asked: Asked, asker: Asker) -> str:
        """The reply to a word that is no question; empty for a question."""
        match parse_command(asked.text).kind:
            case CommandKind.HELP:
                return wording.HELP
            case CommandKind.LIMITS:
                return wording.limits_text(await self._answers.left(asker))
            case CommandKind.ASK:
                return ""

    async def answer_message(self, message: discord.Message, asked: Asked) -> None:
        """Starts the answer, or tells its author why there is none."""
        asker = asker_of(message.author, message.channel, message.guild.id if message.guild else None)
        if said := await self._command(asked, asker):
            self._note(asker, tell_beside(message, said, self._clock))
            return
        ask = Ask(
            event_id=message.id,
            asked=asked,
            user_id=message.author.id,
            guild_id=message.guild.id if message.guild else 0,
            channel_id=message.channel.id,
            parent_id=parent_id(message.channel),
            message_id=message.id,
            turns=self._turns(message.channel.id),
        )
        try:
            record = await self._answers.take(ask)
        except QuestionError as refusal:
            self._note(asker, tell_beside(message, str(refusal), self._clock))
            return
        if record:
            self._answers.in_channel(record, ask, message.author, lambda: venue_for_message(message, asked))

    # What commands and buttons do. Each answers its interaction within the three seconds Discord gives.

    async def search(self, interaction: discord.Interaction[Any], asked: Asked, *, private: bool) -> None:
        if said := await self._instead(interaction, asked, private=private):
            await whisper(interaction, said)
            return
        ask = self._ask(interaction, asked, has_response=True, private=private)
        record = await self._taken(interaction, ask)
        if record is None or not await self._deferred(interaction, record, ask):
            return
        if private:
            self._answers.in_private(record, ask, interaction)
        else:
            channel, permissions = interaction.channel, interaction.app_permissions
            self._answers.in_channel(
                record,
                ask,
                interaction.user,
                lambda: venue_for_command(interaction, channel, permissions, asked),
            )

    async def _instead(self, interaction: discord.Interaction[Any], asked: Asked, *, private: bool) -> str:
        """What is said in the place of an answer; empty where there is to be one."""
        asker = presser(interaction)
        said = await self._command(asked, asker) or self.refusal(asker)
        permission = missing_permission(interaction.channel, interaction.app_permissions)
        if not (said or private) and permission:
            said = wording.missing_permission(permission)
        return said or ("" if asked.text else wording.FILES_UNREAD)

    def _ask(
        self, interaction: discord.Interaction[Any], asked: Asked, *, has_response: bool, private: bool
    ) -> Ask:
        """has_response: the interaction's own response becomes part of the reply."""
        channel_id = interaction.channel_id or 0
        token = Token(
            application_id=interaction.application_id,
            value=interaction.token,
            until=self._clock.now() + timedelta(seconds=TOKEN_LIVES_S),
        )
        return Ask(
            event_id=interaction.id,
            asked=asked,
            user_id=interaction.user.id,
            guild_id=interaction.guild_id or 0,
            channel_id=channel_id,
            parent_id=parent_id(interaction.channel) if interaction.channel else channel_id,
            token=token if has_response else None,
            private=private,
            turns=() if private else self._turns(channel_id),
        )

    async def _taken(self, interaction: discord.Interaction[Any], ask: Ask) -> ReplyRecord | None:
        try:
            return await self._answers.take(ask)
        except QuestionError as refusal:
            await whisper(interaction, str(refusal))
        return None

    async def _deferred(self, interaction: discord.Interaction[Any], record: ReplyRecord, ask: Ask) -> bool:
        """False where Discord takes no response to it: it was too late, or another process has responded."""
        thinking = ask.token is not None
        try:
            await interaction.response.defer(ephemeral=ask.private, thinking=thinking)
        except discord.HTTPException as fault:
            log.warning("interaction.refused", status=fault.status, code=fault.code)
            await self._answers.end(record)
            return False
        except NETWORK_FAULTS as fault:
            # Discord may have taken it all the same, and shows that somebody is thinking.
            log.warning("interaction.unanswered", fault=type(fault).__name__)
        return True

    async def stop(self, interaction: discord.Interaction[Any], *, asker: str, question: str) -> None:
        who = presser(interaction)
        key = running_key(question)
        asked_by = self._running.asker_of(key)
        if asked_by is None:
            await whisper(interaction, await self._stopped_elsewhere(key, who, asker))
        elif not self._policy.may_steer(who.id, asked_by=asked_by):
            await whisper(interaction, wording.NOT_YOURS_TO_STOP)
        else:
            self._running.stop(key)
            log.info("answer.stopped", by_asker=asker == str(who.user.id))
            await interaction.response.defer()

    async def _stopped_elsewhere(self, key: str, who: Asker, asker: str) -> str:
        """What to say of an answer that is not in work in this process."""
        if not self._policy.may_steer(who.id, asked_by=asker_id(who.place.workspace, asker)):
            return wording.NOT_YOURS_TO_STOP
        elsewhere = await self._answers.stop_elsewhere(key)
        return wording.STOPPING_ELSEWHERE if elsewhere else wording.STOPPED_ALREADY

    async def search_again(self, interaction: discord.Interaction[Any], *, asker: str) -> None:
        who = presser(interaction)
        message = interaction.message
        asked = read_opening(message.content) if message else None
        refusal = self.refusal(who)
        if not self._policy.may_steer(who.id, asked_by=asker_id(who.place.workspace, asker)):
            refusal = wording.NOT_YOURS_TO_REPEAT
        if refusal or asked is None or message is None:
            await whisper(interaction, refusal or wording.NO_LONGER_KNOWN)
            return
        private = message.flags.ephemeral
        ask = self._ask(interaction, asked, has_response=private, private=private)
        record = await self._taken(interaction, ask)
        if record is None or not await self._deferred(interaction, record, ask):
            return
        if private:
            self._answers.in_private(record, ask, interaction)
        else:
            venue = Venue(channel=interaction.channel)
            self._answers.in_channel(record, ask, interaction.user, lambda: _at_once(venue))

    async def take_feedback(
        self, interaction: discord.Interaction[Any], *, question: str, helpful: bool
    ) -> None:
        log.info("feedback.given", question_id=question, helpful=helpful, platform=PLATFORM)
        await whisper(interaction, wording.THANKS)


async def _at_once(venue: Venue) -> Venue:
    return venue

"""Between Discord and the service: who asks is let in, answered, and may steer the answer."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import discord
import structlog

from adapters import wording
from adapters.discord.boards import ChannelBoard, PrivateBoard, Venue
from adapters.discord.faults import DrawRefused, faults_named
from adapters.discord.opening import Asked, read_opening
from adapters.discord.pace import Pace
from adapters.discord.reply import Reply
from adapters.discord.venues import missing_permission, venue_for_command
from adapters.marks import replace_marks
from core.asking.conversations import Conversations
from core.asking.policy import Place, Policy
from core.asking.seen import Seen
from core.delivering.running import RunningAnswers
from core.ports import Clock
from core.service import QuestionService
from core.types import Answer, AskerId, Outcome, Question, Turn

log = structlog.get_logger(__name__)

PLATFORM: Final = "discord"
PLACE_RETRIES_S: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Between the tries to open a place for a reply, where Discord is in trouble."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Somebody who does something, and where."""

    user: discord.User | discord.Member
    place: Place

    @property
    def id(self) -> AskerId:
        return _asker_id(self.place.workspace, str(self.user.id))


def _asker_id(guild: str, user: str) -> AskerId:
    """guild: empty in a direct message."""
    return AskerId(f"{PLATFORM}:{guild}:{user}")


def asker_of(user: discord.User | discord.Member, channel: Any, guild_id: int | None) -> Asker:
    parent_id = channel.parent_id if isinstance(channel, discord.Thread) else channel.id
    place = Place(
        workspace=str(guild_id or ""),
        channel=str(parent_id),
        roles=frozenset(str(role.id) for role in getattr(user, "roles", ())),
    )
    return Asker(user=user, place=place)


def thread_key(channel_id: int) -> str:
    """As conversations are kept."""
    return f"{PLATFORM}:{channel_id}"


class Desk:
    def __init__(
        self,
        *,
        service: QuestionService,
        running: RunningAnswers,
        conversations: Conversations,
        policy: Policy,
        clock: Clock,
        pace: Pace,
    ) -> None:
        self._service = service
        self._running = running
        self._conversations = conversations
        self._policy = policy
        self._clock = clock
        self._pace = pace
        self._seen = Seen(clock)
        self._open = True

    def close(self) -> None:
        """Nothing new is taken; what runs goes on."""
        self._open = False

    def is_first(self, event: discord.Interaction[Any] | discord.Message) -> bool:
        """False for an event that was delivered before: RESUME replays them."""
        return self._seen.first(f"{PLATFORM}:{event.id}")

    def knows_thread(self, channel_id: int) -> bool:
        """Whether there are earlier turns."""
        return bool(self._conversations.turns(thread_key(channel_id)))

    def refusal(self, asker: Asker) -> str:
        """Why this person may not ask here and now, as a sentence; empty if they may."""
        if not self._open:
            return wording.RESTARTING
        return "" if self._policy.may_ask(asker.place) else wording.NOT_ALLOWED_HERE

    def refuse_by_message(self, asker: Asker, sentence: str) -> None:
        """To them alone; once in a while, whatever they do."""
        if self._seen.first(f"{PLATFORM}:refused:{asker.id}:{asker.place.channel}"):
            self._running.start(f"{PLATFORM}:note:{uuid.uuid4().hex}", asker.id, tell(asker.user, sentence))

    def answer(self, asked: Asked, asker: Asker, open_venue: Callable[[], Awaitable[Venue]]) -> None:
        """Starts an answer in a channel. open_venue: raises DrawRefused where there is no place for it."""
        question_id = _new_id()
        self._start(question_id, asker, self._answer_in_channel(question_id, asked, asker, open_venue))

    def _start(self, question_id: str, asker: Asker, work: Any) -> None:
        self._running.start(_running_key(question_id), asker.id, work)

    async def _answer_in_channel(
        self, question_id: str, asked: Asked, asker: Asker, open_venue: Callable[[], Awaitable[Venue]]
    ) -> None:
        try:
            venue = await self._placed(open_venue)
        except DrawRefused as refused:
            log.warning("reply.unplaced", detail=str(refused))
            await tell(asker.user, refused.advice)
            return
        board = ChannelBoard(venue, asker=str(asker.user.id), question=question_id)
        reply = self._reply(board, asked, question_id, opening_id=venue.opening_id)
        key = thread_key(venue.channel.id)
        await self._handle(
            self._question(question_id, asked, asker, self._conversations.turns(key)), reply, key
        )
        await tell(asker.user, reply.advice)

    async def _placed(self, open_venue: Callable[[], Awaitable[Venue]]) -> Venue:
        for retry_s in PLACE_RETRIES_S:
            try:
                return await open_venue()
            except DrawRefused as refused:
                if refused.lost or refused.code is not None:
                    raise
                log.warning("place.refused", detail=str(refused), retry_s=retry_s)
            await self._clock.sleep(retry_s)
        return await open_venue()

    def _reply(self, board: Any, asked: Asked, question_id: str, *, opening_id: int | None = None) -> Reply:
        return Reply(
            board,
            asked=asked,
            question_id=question_id,
            pace=self._pace,
            clock=self._clock,
            opening_id=opening_id,
        )

    def _question(
        self, question_id: str, asked: Asked, asker: Asker, turns: tuple[Turn, ...] = ()
    ) -> Question:
        return Question(
            id=question_id,
            text=asked.text,
            asker=asker.id,
            platform=PLATFORM,
            asked_at=self._clock.now(),
            thread=turns,
            quoted=asked.quoted,
        )

    async def _handle(self, question: Question, reply: Reply, key: str = "") -> None:
        """key: of the conversation that the answer goes into; empty for none."""
        try:
            answer = await self._service.handle(question, reply)
        finally:
            await reply.land()
        if key and answer.outcome is Outcome.ANSWERED:
            self._conversations.remember(key, _turn(question, answer))

    # What commands and buttons do. Each answers its interaction within the three seconds Discord gives.

    async def search(self, interaction: discord.Interaction[Any], asked: Asked, *, private: bool) -> None:
        asker = _presser(interaction)
        refusal = self.refusal(asker)
        permission = missing_permission(interaction.channel, interaction.app_permissions)
        if not (refusal or private) and permission:
            refusal = wording.missing_permission(permission)
        if not asked.text:
            refusal = refusal or wording.FILES_UNREAD
        if refusal:
            await whisper(interaction, refusal)
            return
        await interaction.response.defer(ephemeral=private, thinking=True)
        if private:
            self._answer_privately(interaction, asked, asker)
        else:
            self.answer(asked, asker, lambda: venue_for_command(interaction, asked))

    def _answer_privately(self, interaction: discord.Interaction[Any], asked: Asked, asker: Asker) -> None:
        question_id = _new_id()
        board = PrivateBoard(interaction, asker=str(asker.user.id), question=question_id)
        reply = self._reply(board, asked, question_id)
        self._start(question_id, asker, self._handle(self._question(question_id, asked, asker), reply))

    async def stop(self, interaction: discord.Interaction[Any], *, asker: str, question: str) -> None:
        presser = _presser(interaction)
        key = _running_key(question)
        asked_by = self._running.asker_of(key)
        if asked_by is None:
            await whisper(interaction, wording.STOPPED_ALREADY)
        elif not self._policy.may_steer(presser.id, asked_by=asked_by):
            await whisper(interaction, wording.NOT_YOURS_TO_STOP)
        else:
            self._running.stop(key)
            log.info("answer.stopped", by_asker=asker == str(presser.user.id))
            await interaction.response.defer()

    async def search_again(self, interaction: discord.Interaction[Any], *, asker: str) -> None:
        presser = _presser(interaction)
        message = interaction.message
        asked = read_opening(message.content) if message else None
        refusal = self.refusal(presser)
        if not self._policy.may_steer(presser.id, asked_by=_asker_id(presser.place.workspace, asker)):
            refusal = wording.NOT_YOURS_TO_REPEAT
        if refusal or asked is None or message is None:
            await whisper(interaction, refusal or wording.NO_LONGER_KNOWN)
        elif message.flags.ephemeral:
            await interaction.response.defer(ephemeral=True, thinking=True)
            self._answer_privately(interaction, asked, presser)
        else:
            await interaction.response.defer()
            venue = Venue(channel=interaction.channel)
            self.answer(asked, presser, lambda: _at_once(venue))

    async def take_feedback(
        self, interaction: discord.Interaction[Any], *, question: str, helpful: bool
    ) -> None:
        log.info("feedback.given", question_id=question, helpful=helpful, platform=PLATFORM)
        await whisper(interaction, wording.THANKS)


async def tell(user: discord.User | discord.Member, sentence: str) -> None:
    """A direct message, where they take one."""
    if not sentence:
        return
    try:
        with faults_named():
            await user.send(sentence, suppress_embeds=True)
    except DrawRefused as refused:
        log.info("note.undelivered", detail=str(refused))


async def whisper(interaction: discord.Interaction[Any], sentence: str) -> None:
    """To whoever pressed or typed, and nobody else. Raises discord.HTTPException."""
    await interaction.response.send_message(sentence, ephemeral=True, suppress_embeds=True)


async def _at_once(venue: Venue) -> Venue:
    return venue


def _presser(interaction: discord.Interaction[Any]) -> Asker:
    return asker_of(interaction.user, interaction.channel, interaction.guild_id)


def _new_id() -> str:
    return uuid.uuid4().hex[:12]


def _running_key(question_id: str) -> str:
    return f"{PLATFORM}:{question_id}"


def _turn(question: Question, answer: Answer) -> Turn:
    return Turn(question=question.text, answer=replace_marks(answer.text, lambda _number, _use: ""))

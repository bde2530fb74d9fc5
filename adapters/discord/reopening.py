"""Replies that a killed process left in Discord: opened again, or asked again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import discord
import structlog
from pydantic import JsonValue

from adapters.discord.answers import Answers, channel_board, private_board
from adapters.discord.askers import Absent
from adapters.discord.asks import Ask, ask_of
from adapters.discord.boards import PrivateBoard, Venue
from adapters.discord.faults import Disconnected, DrawRefused, faults_named
from adapters.discord.reply import Reply
from adapters.discord.venues import venue_for_command, venue_for_message
from core.delivering.journal import ReplyRecord
from core.ports import Clock

log = structlog.get_logger(__name__)


class Reopening:
    def __init__(self, answers: Answers, clock: Clock) -> None:
        self._answers = answers
        self._clock = clock
        self._client: discord.Client | None = None
        self._joined = asyncio.Event()

    def joined(self, client: discord.Client) -> None:
        """client: logged in and told of its guilds, in place of any earlier one."""
        self._client = client
        self._joined.set()

    async def opened(self) -> None:
        await self._joined.wait()

    async def reopen(self, record: ReplyRecord) -> Reply | None:
        """Raises DrawRefused where Discord is in trouble."""
        ask = ask_of(record)
        if ask is None:
            return None
        if ask.private:
            private = self._private_board(ask, record.place)
            return self._answers.reply(private, ask, left=record.place) if private else None
        try:
            venue = await self._venue_left(ask, record.place)
        except DrawRefused as refused:
            if not refused.is_final:
                raise
            log.info("reply.unplaced", detail=str(refused))
            return None
        board = channel_board(ask, venue)
        return self._answers.reply(board, ask, opening_id=venue.opening_id, left=record.place)

    async def repeat(self, record: ReplyRecord) -> None:
        ask = ask_of(record)
        interaction = self._interaction(ask) if ask else None
        if ask is None or (ask.private and interaction is None):
            await self._answers.end(record)
        elif ask.private and interaction is not None:
            self._answers.in_private(record, ask, interaction)
        else:
            person = Absent(self._connected(), ask.user_id)
            self._answers.in_channel(record, ask, person, lambda: self._venue(ask))

    def _private_board(self, ask: Ask, place: Mapping[str, JsonValue]) -> PrivateBoard | None:
        interaction = self._interaction(ask)
        if interaction is None:
            return None
        match place.get("messages"):
            case [int(original_id), *_]:
                return private_board(ask, interaction, original_id=original_id)
        return private_board(ask, interaction)

    async def _venue_left(self, ask: Ask, place: Mapping[str, JsonValue]) -> Venue:
        match place.get("channel"):
            case int(channel_id):
                messageable = self._connected().get_partial_messageable(
                    channel_id, guild_id=ask.guild_id or None
                )
                return Venue(channel=messageable)
        return await self._answers.placed(lambda: self._venue(ask))

    async def _venue(self, ask: Ask) -> Venue:
        """The same as the first time, as far as it got. Raises DrawRefused."""
        client = self._connected()
        with faults_named():
            channel: Any = client.get_channel(ask.channel_id) or await client.fetch_channel(ask.channel_id)
        if ask.message_id:
            return await venue_for_message(channel.get_partial_message(ask.message_id), ask.asked)
        if interaction := self._interaction(ask):
            permissions = _permissions(channel)
            try:
                return await venue_for_command(interaction, channel, permissions, ask.asked)
            except DrawRefused as refused:
                if not refused.lost:
                    raise
                # The command was never responded to, which Discord has told the asker by now.
                log.info("interaction.gone", detail=str(refused))
        return Venue(channel=channel)

    def _interaction(self, ask: Ask) -> discord.Interaction[Any] | None:
        """As far as it takes to answer it; None where it can't be answered any more."""
        token = ask.token
        if token is None or token.until <= self._clock.now():
            return None
        data: Any = {
            "id": ask.event_id,
            "type": discord.InteractionType.application_command.value,
            "application_id": token.application_id,
            "token": token.value,
            "version": 1,
            "attachment_size_limit": 0,
        }
        state = self._connected()._connection  # noqa: SLF001 # discord.py has no other way to such an object
        return discord.Interaction(data=data, state=state)

    def _connected(self) -> discord.Client:
        if self._client is None:
            raise Disconnected("never connected")
        return self._client


def _permissions(channel: Any) -> discord.Permissions:
    """The bot's."""
    guild = getattr(channel, "guild", None)
    return channel.permissions_for(guild.me) if guild else discord.Permissions.none()

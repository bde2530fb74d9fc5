"""Whoever does something in Discord, and how they are told what concerns nobody else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

import discord
import structlog

from adapters.discord.asks import PLATFORM
from adapters.discord.faults import DrawRefused, faults_named
from core.asking.policy import Place
from core.ports import Clock
from core.types import AskerId

log = structlog.get_logger(__name__)

NOTE_STAYS_S: Final = 30.0
"""In the channel, where somebody takes no direct messages."""


class Person(Protocol):
    async def send(self, content: str, *, suppress_embeds: bool) -> object:
        """A direct message. Raises discord.HTTPException."""


@dataclass(frozen=True, slots=True)
class Absent:
    """Somebody known by id alone: looked up when there is something to tell."""

    client: discord.Client
    id: int

    async def send(self, content: str, *, suppress_embeds: bool) -> object:
        user = await self.client.fetch_user(self.id)
        return await user.send(content, suppress_embeds=suppress_embeds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Somebody who does something, and where."""

    user: discord.User | discord.Member
    place: Place

    @property
    def id(self) -> AskerId:
        return asker_id(self.place.workspace, str(self.user.id))


def channel_key(guild: str, parent: str) -> str:
    """As limits count. guild: empty in a direct message. parent: as `parent_id`."""
    return f"{PLATFORM}:{guild}:{parent}"


def workspace_key(guild: str) -> str:
    """As limits count; empty in a direct message."""
    return f"{PLATFORM}:{guild}" if guild else ""


def asker_id(guild: str, user: str) -> AskerId:
    """guild: empty in a direct message."""
    return AskerId(f"{PLATFORM}:{guild}:{user}")


def asker_of(user: discord.User | discord.Member, channel: Any, guild_id: int | None) -> Asker:
    place = Place(
        workspace=str(guild_id or ""),
        channel=str(parent_id(channel)),
        roles=frozenset(str(role.id) for role in getattr(user, "roles", ())),
    )
    return Asker(user=user, place=place)


def presser(interaction: discord.Interaction[Any]) -> Asker:
    return asker_of(interaction.user, interaction.channel, interaction.guild_id)


def parent_id(channel: Any) -> int:
    """Of the channel that lists and limits count: of a thread, the one it is in."""
    return int(channel.parent_id if isinstance(channel, discord.Thread) else channel.id)


async def tell(person: Person, sentence: str) -> bool:
    """A direct message, where they take one; whether they have it now."""
    if not sentence:
        return True
    try:
        with faults_named():
            await person.send(sentence, suppress_embeds=True)
    except DrawRefused as refused:
        log.info("note.undelivered", detail=str(refused))
        return False
    return True


async def tell_beside(message: discord.Message, sentence: str, clock: Clock) -> None:
    """To its author alone if they take direct messages; else under the message, for a moment."""
    if await tell(message.author, sentence):
        return
    try:
        with faults_named():
            note = await message.reply(sentence, suppress_embeds=True)
        try:
            await clock.sleep(NOTE_STAYS_S)
        finally:
            with faults_named():
                await note.delete()
    except DrawRefused as refused:
        log.info("note.undelivered", detail=str(refused))


async def whisper(interaction: discord.Interaction[Any], sentence: str) -> None:
    """To whoever pressed or typed, and nobody else. Raises discord.HTTPException."""
    await interaction.response.send_message(sentence, ephemeral=True, suppress_embeds=True)

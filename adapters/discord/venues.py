"""Where a reply may go: a new thread if possible, else in place; else which permission is missing."""

from __future__ import annotations

from typing import Any

import discord
import structlog

from adapters import wording
from adapters.discord.boards import Venue
from adapters.discord.faults import THREAD_EXISTS, DrawRefused, faults_named
from adapters.discord.opening import Asked, opening_text, thread_name

log = structlog.get_logger(__name__)

_THREADED = {discord.ChannelType.text, discord.ChannelType.news}
"""Channels in which a message can get a thread."""


def missing_permission(channel: Any, permissions: discord.Permissions) -> str:
    """What keeps every reply out of a channel, as Discord's settings call it; empty if nothing does."""
    if isinstance(channel, discord.DMChannel):
        return ""
    if not permissions.view_channel:
        return "View Channel"
    if isinstance(channel, discord.Thread):
        return "" if permissions.send_messages_in_threads else "Send Messages in Threads"
    return "" if permissions.send_messages or _may_open_thread(channel, permissions) else "Send Messages"


def _may_open_thread(channel: Any, permissions: discord.Permissions) -> bool:
    return (
        getattr(channel, "type", None) in _THREADED
        and permissions.create_public_threads
        and permissions.send_messages_in_threads
    )


async def venue_for_message(message: discord.Message | discord.PartialMessage, asked: Asked) -> Venue:
    """In a channel a thread under the message, elsewhere a reply to it. Raises DrawRefused."""
    channel = message.channel
    in_place = Venue(channel=channel, reference=message.to_reference(fail_if_not_exists=False))
    if message.guild is None:
        return in_place
    permissions = channel.permissions_for(message.guild.me)
    _require(channel, permissions)
    if asked.text and _may_open_thread(channel, permissions):
        return await _opened(message, asked) or in_place
    return in_place


async def venue_for_command(
    interaction: discord.Interaction[Any], channel: Any, permissions: discord.Permissions, asked: Asked
) -> Venue:
    """The deferred response shows the question; in a channel it gets a thread. Raises DrawRefused.

    channel: where the command was used. permissions: the bot's there.
    """
    with faults_named():
        response = await interaction.edit_original_response(content=opening_text(asked))
    in_place = Venue(channel=channel, opening_id=response.id)
    if isinstance(channel, discord.TextChannel) and _may_open_thread(channel, permissions):
        return await _opened(channel.get_partial_message(response.id), asked) or in_place
    return in_place


def _require(channel: Any, permissions: discord.Permissions) -> None:
    if permission := missing_permission(channel, permissions):
        raise DrawRefused(f"lacks {permission}", lost=True, advice=wording.missing_permission(permission))


async def _opened(message: discord.Message | discord.PartialMessage, asked: Asked) -> Venue | None:
    """A thread under the message; None where Discord allows none after all. Raises DrawRefused."""
    try:
        with faults_named():
            return Venue(channel=await message.create_thread(name=thread_name(asked.text)))
    except DrawRefused as refused:
        if refused.code is None:
            raise
        if refused.code == THREAD_EXISTS:
            return await _existing(message)
        log.warning("thread.refused", detail=str(refused))
        return None


async def _existing(message: discord.Message | discord.PartialMessage) -> Venue | None:
    """The thread that a message has, archived or not. Raises DrawRefused."""
    thread = message.guild.get_thread(message.id) if message.guild else None
    with faults_named():
        return Venue(channel=thread or await message.fetch_thread())

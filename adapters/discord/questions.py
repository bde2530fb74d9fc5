"""Which messages are questions to the bot, and what they ask."""

from __future__ import annotations

import re
from typing import Any

import discord

from adapters import wording
from adapters.discord.faults import DrawRefused, faults_named
from adapters.discord.opening import Asked

MENTIONS_ONLY = "[mentions only]"
"""In a channel's topic: what is said in its threads is a question only where the bot is mentioned."""

_EMOJI = re.compile(r"<a?(:\w+:)\d+>")
_WRITTEN = {discord.MessageType.default, discord.MessageType.reply}


def is_question(message: discord.Message, me: discord.ClientUser, *, reads_all: bool) -> bool:
    """reads_all: whether Discord hands over messages that don't mention the bot."""
    if message.author.bot or message.webhook_id or message.type not in _WRITTEN:
        return False
    if message.guild is None or me in message.mentions:
        return True
    replied_to = _resolved(message)
    if replied_to is not None:
        return reads_all and replied_to.author == me
    # Whoever mentions somebody else talks to them.
    return reads_all and not message.mentions and _follows_up(message.channel, me)


def _follows_up(channel: Any, me: discord.ClientUser) -> bool:
    """Whether the bot opened this thread, in a channel that has not switched follow-ups off."""
    if not isinstance(channel, discord.Thread) or channel.owner_id != me.id:
        return False
    topic = getattr(channel.parent, "topic", None) or ""
    return MENTIONS_ONLY not in topic.casefold()


async def read_question(message: discord.Message, me: discord.ClientUser, *, in_thread: bool) -> Asked:
    """What a message asks; the message it replies to goes with it, or is itself the question.

    in_thread: the bot knows what was said here before; its own words need not be quoted again.
    """
    text = plain_text(message, me)
    quoted, note = "", wording.FILES_UNREAD if message.attachments else ""
    replied_to = await _replied_to(message)
    if replied_to is not None and not (in_thread and replied_to.author == me):
        quoted = replied_to.content.strip()
        note = note if quoted else wording.QUOTED_UNREAD
    if not text:
        text, quoted = quoted, ""
    return Asked(text=text, quoted=quoted, note=note)


def plain_text(message: discord.Message, me: discord.ClientUser | None) -> str:
    """The words, without the bot's mention; other people and emoji by name."""
    text = re.sub(rf"<@!?{me.id}>", " ", message.content) if me else message.content
    for user in message.mentions:
        text = re.sub(rf"<@!?{user.id}>", f"@{user.display_name}", text)
    return _EMOJI.sub(r"\1", text).strip()


def _resolved(message: discord.Message) -> discord.Message | None:
    reference = message.reference
    resolved = reference.resolved if reference and message.type is discord.MessageType.reply else None
    return resolved if isinstance(resolved, discord.Message) else None


async def _replied_to(message: discord.Message) -> discord.Message | None:
    """None where there is none, or it is gone or hidden."""
    if resolved := _resolved(message):
        return resolved
    reference = message.reference
    if message.type is not discord.MessageType.reply or not reference or not reference.message_id:
        return None
    try:
        with faults_named():
            return await message.channel.fetch_message(reference.message_id)
    except DrawRefused:
        return None

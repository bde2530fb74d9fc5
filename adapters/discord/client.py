"""The connection: what Discord tells goes to the desk."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import discord
import structlog
from discord import app_commands

from adapters.discord.askers import asker_of
from adapters.discord.commands import add_commands, sync_if_changed
from adapters.discord.desk import Desk
from adapters.discord.pace import Pace
from adapters.discord.questions import is_question, read_question
from adapters.discord.views import BUTTONS

log = structlog.get_logger(__name__)

MAX_RATE_LIMIT_S = 30.0
"""A request that would have to wait longer is refused at once; the newest state is drawn later instead."""


def least_intents(*, message_content: bool) -> discord.Intents:
    """Guilds for channels, threads and permissions; messages to be mentioned in."""
    intents = discord.Intents.none()
    intents.guilds = intents.guild_messages = intents.dm_messages = True
    intents.message_content = message_content
    return intents


class Tree(app_commands.CommandTree["BotClient"]):
    async def interaction_check(self, interaction: discord.Interaction[BotClient], /) -> bool:
        return await self.client.desk.is_first(interaction)

    async def on_error(
        self, interaction: discord.Interaction[BotClient], error: app_commands.AppCommandError, /
    ) -> None:
        log.error("command.failed", exc_info=error)


class BotClient(discord.AutoShardedClient):
    """desk: where questions and presses of buttons go. joined: told each time it is connected."""

    def __init__(
        self,
        desk: Desk,
        *,
        pace: Pace,
        message_content: bool,
        joined: Callable[[discord.Client], None],
    ) -> None:
        super().__init__(
            intents=least_intents(message_content=message_content),
            allowed_mentions=discord.AllowedMentions.none(),
            # Nothing is kept that is not used: no messages, no members but the bot itself.
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            max_ratelimit_timeout=MAX_RATE_LIMIT_S,
            http_trace=pace.trace(),
        )
        self.desk = desk
        self._joined = joined
        self.was_ready = False
        self.tree = Tree(
            self,
            allowed_contexts=app_commands.AppCommandContext(guild=True, dm_channel=True),
            allowed_installs=app_commands.AppInstallationType(guild=True, user=False),
        )
        add_commands(self.tree, desk)
        self.add_dynamic_items(*BUTTONS)

    async def setup_hook(self) -> None:
        try:
            await sync_if_changed(self.tree)
        except discord.HTTPException as fault:
            log.warning("discord.commands_unsynced", status=fault.status, code=fault.code)

    async def on_ready(self) -> None:
        self.was_ready = True
        self._joined(self)
        log.info("discord.connected", guilds=len(self.guilds), shards=self.shard_count)

    async def on_shard_disconnect(self, shard_id: int) -> None:
        log.info("discord.disconnected", shard=shard_id)

    async def on_shard_resumed(self, shard_id: int) -> None:
        log.info("discord.resumed", shard=shard_id)

    async def on_message(self, message: discord.Message) -> None:
        me = self.user
        reads_all = self.intents.message_content
        if me is None or not is_question(message, me, reads_all=reads_all):
            return
        if not await self.desk.is_first(message):
            return
        asker = asker_of(message.author, message.channel, message.guild.id if message.guild else None)
        if refusal := self.desk.refusal(asker):
            await self.desk.refuse_by_message(asker, refusal)
            return
        asked = await read_question(message, me, in_thread=self.desk.knows_thread(message.channel.id))
        await self.desk.answer_message(message, asked)

    async def on_error(self, event_method: str, /, *_args: Any, **_kwargs: Any) -> None:
        # Called from within discord.py's own `except`; the next event is none the worse for it.
        log.error("event.failed", handler=event_method, exc_info=sys.exception())

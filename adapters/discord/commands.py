"""The slash command and the menu entry; told to Discord only when they have changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import discord
import structlog
from discord import app_commands

from adapters import wording
from adapters.discord.opening import Asked
from adapters.discord.questions import plain_text

log = structlog.get_logger(__name__)


class Searching(Protocol):
    async def search(self, interaction: discord.Interaction[Any], asked: Asked, *, private: bool) -> None: ...


def add_commands(tree: app_commands.CommandTree[Any], desk: Searching) -> None:
    async def search(interaction: discord.Interaction[Any], question: str, private: bool = False) -> None:
        await desk.search(interaction, Asked(text=question), private=private)

    async def answer_this(interaction: discord.Interaction[Any], message: discord.Message) -> None:
        await desk.search(
            interaction, Asked(text=plain_text(message, interaction.client.user)), private=False
        )

    described = app_commands.describe(
        question=wording.DISCORD_QUESTION_OPTION, private=wording.DISCORD_PRIVATE_OPTION
    )
    tree.add_command(
        app_commands.Command(name="search", description=wording.DISCORD_COMMAND, callback=described(search))
    )
    tree.add_command(app_commands.ContextMenu(name=wording.ANSWER_THIS, callback=answer_this))


async def sync_if_changed(tree: app_commands.CommandTree[Any]) -> None:
    """Compares with what Discord has: there are only so many syncs a day. Raises discord.HTTPException."""
    local = [command.to_dict(tree) for command in tree.get_commands()]
    # As it came: discord.py's own objects lose some of the contexts on their way.
    remote = await tree.client.http.get_global_commands(tree.client.application_id or 0)
    if _comparable(local) == _comparable(remote):
        return
    synced = await tree.sync()
    log.info("discord.commands_synced", commands=len(synced))


_COMPARED = {
    "type", "name", "description", "options", "contexts", "integration_types", "nsfw",
    "default_member_permissions", "required", "choices", "min_length", "max_length", "min_value", "max_value",
}  # fmt: skip


def _comparable(commands: Sequence[Mapping[str, Any]]) -> list[Any]:
    """In one order, without ids, and without what is empty: Discord leaves that out or fills it in."""
    return sorted((_compared(command) for command in commands), key=repr)


def _compared(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {key: _compared(item) for key, item in value.items() if key in _COMPARED}
        return {key: kept[key] for key in sorted(kept) if kept[key] not in (None, "", [], False)}
    if isinstance(value, list):
        items = [_compared(item) for item in value]
        return sorted(items) if all(isinstance(item, int) for item in items) else items
    return value

"""The buttons under a reply's first message.

They work after a restart: who asked stands in the custom_id, what was asked in the message itself.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Any, Protocol, Self, cast

import discord

from adapters import wording

_KEY = r"(?P<asker>[0-9]{1,20}):(?P<question>[0-9a-f]{1,32})"


class Buttons(Enum):
    NONE = auto()
    RUNNING = auto()
    DONE = auto()


class Steering(Protocol):
    """Who does what a button says. asker: the Discord user id of whoever asked."""

    async def is_first(self, interaction: discord.Interaction[Any]) -> bool:
        """False for an event that was delivered before."""

    async def stop(self, interaction: discord.Interaction[Any], *, asker: str, question: str) -> None: ...

    async def search_again(self, interaction: discord.Interaction[Any], *, asker: str) -> None: ...

    async def take_feedback(
        self, interaction: discord.Interaction[Any], *, question: str, helpful: bool
    ) -> None: ...


def view_of(buttons: Buttons, *, asker: str, question: str) -> discord.ui.View | None:
    key = f"{asker}:{question}"
    items: dict[Buttons, list[discord.ui.DynamicItem[Any]]] = {
        Buttons.NONE: [],
        Buttons.RUNNING: [StopButton(key)],
        Buttons.DONE: [AgainButton(key), HelpfulButton(key), UnhelpfulButton(key)],
    }
    if not items[buttons]:
        return None
    view = discord.ui.View(timeout=None)
    for item in items[buttons]:
        view.add_item(item)
    return view


class _Pressed:
    """What the four buttons share: how they are read from a custom_id."""

    prefix: str
    label: str
    style = discord.ButtonStyle.secondary

    def __init__(self, key: str) -> None:
        button: discord.ui.Button[Any] = discord.ui.Button(
            style=self.style, label=self.label, custom_id=f"{self.prefix}:{key}"
        )
        super().__init__(button)  # type: ignore[call-arg] # of DynamicItem, which comes next in line
        self.asker, self.question = key.split(":")

    @classmethod
    async def from_custom_id(
        cls, _interaction: discord.Interaction[Any], _item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(f"{match['asker']}:{match['question']}")

    async def interaction_check(self, interaction: discord.Interaction[Any], /) -> bool:
        return await _steering(interaction).is_first(interaction)


def _steering(interaction: discord.Interaction[Any]) -> Steering:
    return cast("Steering", interaction.client.desk)


class StopButton(_Pressed, discord.ui.DynamicItem[discord.ui.Button[Any]], template=f"stop:{_KEY}"):
    prefix = "stop"
    label = wording.STOP
    style = discord.ButtonStyle.danger

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        await _steering(interaction).stop(interaction, asker=self.asker, question=self.question)


class AgainButton(_Pressed, discord.ui.DynamicItem[discord.ui.Button[Any]], template=f"again:{_KEY}"):
    prefix = "again"
    label = wording.SEARCH_AGAIN

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        await _steering(interaction).search_again(interaction, asker=self.asker)


class HelpfulButton(_Pressed, discord.ui.DynamicItem[discord.ui.Button[Any]], template=f"helpful:{_KEY}"):
    prefix = "helpful"
    label = wording.GOOD

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        await _steering(interaction).take_feedback(interaction, question=self.question, helpful=True)


class UnhelpfulButton(_Pressed, discord.ui.DynamicItem[discord.ui.Button[Any]], template=f"unhelpful:{_KEY}"):
    prefix = "unhelpful"
    label = wording.BAD

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        await _steering(interaction).take_feedback(interaction, question=self.question, helpful=False)


BUTTONS = (StopButton, AgainButton, HelpfulButton, UnhelpfulButton)
"""What a client has to listen for."""

"""Where messages of a reply are put: a channel, or an interaction only the asker sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import discord
from pydantic import JsonValue

from adapters.discord.faults import faults_named
from adapters.discord.views import Buttons, view_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One message as a reader sees it."""

    text: str
    buttons: Buttons = Buttons.NONE


class Board(Protocol):
    """Raises DrawRefused."""

    pace_key: str
    """As `Pace` knows it."""
    keeps_previews_out: bool
    """Whether links get no preview, whatever is edited later."""

    async def post(self, shown: Shown, *, nonce: str) -> int:
        """The new message's id. nonce: posted again with the same one, it is still one message."""

    async def edit(self, message_id: int, shown: Shown) -> None: ...

    async def find(self, nonce: str) -> int | None:
        """The message posted with this nonce a few minutes ago; None where that can't be known."""

    async def remove(self, message_id: int) -> None: ...

    def place(self) -> Mapping[str, JsonValue]:
        """What another process has to know to write there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """Where in a channel a reply goes.

    channel: anything discord.py can send to.
    reference: the message it replies to.
    opening_id: a message of the bot that is to become the reply's first.
    """

    channel: Any
    reference: discord.MessageReference | None = None
    opening_id: int | None = None


class ChannelBoard:
    """asker, question: for the buttons."""

    keeps_previews_out = True

    def __init__(self, venue: Venue, *, asker: str, question: str) -> None:
        self.pace_key = f"channels/{venue.channel.id}"
        self._channel = venue.channel
        self._reference = venue.reference
        self._key = {"asker": asker, "question": question}

    async def post(self, shown: Shown, *, nonce: str) -> int:
        arguments: dict[str, Any] = {"suppress_embeds": True, "nonce": nonce}
        if view := view_of(shown.buttons, **self._key):
            arguments["view"] = view
        if self._reference:
            arguments["reference"] = self._reference
        with faults_named():
            message = await self._channel.send(shown.text, **arguments)
        self._reference = None  # only the first message is a reply
        return int(message.id)

    async def edit(self, message_id: int, shown: Shown) -> None:
        # Not Message.edit: in discord.py 2.7.1 it clears the flag that keeps previews out.
        message = self._channel.get_partial_message(message_id)
        with faults_named():
            await message.edit(content=shown.text, view=view_of(shown.buttons, **self._key))

    async def find(self, nonce: str) -> int | None:
        # Discord says only by posting: where there is none, there is one now.
        return await self.post(Shown(text="…"), nonce=nonce)

    async def remove(self, message_id: int) -> None:
        with faults_named():
            await self._channel.get_partial_message(message_id).delete()

    def place(self) -> Mapping[str, JsonValue]:
        return {"channel": self._channel.id}


class PrivateBoard:
    """Through an interaction's token, which lives 15 minutes: far longer than an answer takes.

    The interaction has been deferred; its own response is the first message.
    original_id: of that one, where it is known already.
    """

    keeps_previews_out = False  # edits through a token can't say so

    def __init__(
        self,
        interaction: discord.Interaction[Any],
        *,
        asker: str,
        question: str,
        original_id: int | None = None,
    ) -> None:
        self.pace_key = f"webhooks/{interaction.application_id}/{interaction.token}"
        self._interaction = interaction
        self._key = {"asker": asker, "question": question}
        self._original_id = original_id

    async def post(self, shown: Shown, *, nonce: str) -> int:
        # Webhooks know no nonce.
        with faults_named():
            if self._original_id is None:
                self._original_id = (await self._edit_original(shown)).id
                return self._original_id
            message = await self._interaction.followup.send(
                shown.text, ephemeral=True, suppress_embeds=True, wait=True
            )
            return message.id

    async def edit(self, message_id: int, shown: Shown) -> None:
        with faults_named():
            if message_id == self._original_id:
                await self._edit_original(shown)
            else:
                await self._interaction.followup.edit_message(message_id, content=shown.text)

    async def _edit_original(self, shown: Shown) -> discord.InteractionMessage:
        return await self._interaction.edit_original_response(
            content=shown.text, view=view_of(shown.buttons, **self._key)
        )

    async def find(self, nonce: str) -> int | None:
        return None

    async def remove(self, message_id: int) -> None:
        with faults_named():
            await self._interaction.followup.delete_message(message_id)

    def place(self) -> Mapping[str, JsonValue]:
        return {}  # the token stands in what was asked

"""A reply as messages that are edited: posted, brought up to date, taken away."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import structlog
from pydantic import JsonValue

from adapters.pagination import paginate
from adapters.slack.orphans import metadata
from adapters.slack.pacing import NotYet
from adapters.slack.render import Block, SlackMessage
from adapters.slack.stream import Recipient
from adapters.slack.unconfirmed import Unconfirmed
from adapters.slack.web import LITERALLY, QUIETLY, CallRefused, PacedCalls
from adapters.slack.workspace import Abilities

log = structlog.get_logger(__name__)

BLOCKS_REFUSED: Final = frozenset(
    {
        "invalid_blocks",
        "invalid_blocks_format",
        "msg_blocks_too_long",
        "msg_too_long",
        "block_mismatch",
        "markdown_text_conflict",
        "messaging_processing_failed",
    }
)
_FROZEN: Final = frozenset(
    {"cant_update_message", "edit_window_closed", "message_not_owned_by_app", "streaming_state_conflict"}
)
"""The message stays as it is; a new one can be posted."""

_MAX_PLAIN_CHARS: Final = 2_900
"""Slack takes 3,000 in a section."""

_MARK_LINK = re.compile(r"\[\[(\d{1,3})\]\([^()\s]*\)\]")


class _Form(IntEnum):
    """How much of Block Kit is used: less and less, when Slack refuses blocks."""

    FULL = 0
    SECTIONS = 1
    TEXT = 2


@dataclass(slots=True)
class _Placed:
    """message: None where another process posted it, and nobody knows how it stands."""

    ts: str
    message: SlackMessage | None


class Edits:
    """Brings a thread to a wanted state call by call; called again after NotYet, it goes on where it was.

    key: of the answer. unconfirmed: counts the posts that Slack did not answer.
    changed: awaited after each change of `place()`, before anything else is called.
    """

    def __init__(
        self,
        calls: PacedCalls,
        abilities: Abilities,
        *,
        recipient: Recipient,
        key: str,
        unconfirmed: Unconfirmed,
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        self._calls = calls
        self._abilities = abilities
        self._channel = recipient.channel
        self._thread_ts = recipient.thread_ts
        self._metadata = metadata(key)
        self._unconfirmed = unconfirmed
        self._changed = changed
        self._placed: list[_Placed] = []
        self._surplus: list[str] = []
        self._form = _Form.FULL

    def place(self) -> dict[str, JsonValue]:
        return {"messages": [placed.ts for placed in self._placed], "surplus": [*self._surplus]}

    def known(self) -> list[str]:
        return [*(placed.ts for placed in self._placed), *self._surplus]

    def resume(self, place: Mapping[str, JsonValue]) -> None:
        """Goes on with what another process posted. place: as its `place()` said."""
        self._placed = [_Placed(ts, None) for ts in _strings(place.get("messages"))]
        self._surplus = _strings(place.get("surplus"))

    def adopt(self, posted: Sequence[str], *, surplus: Sequence[str]) -> None:
        """Goes on with messages that were found in the thread, which count in its order."""
        placed = [*self._placed, *(_Placed(ts, None) for ts in posted)]
        self._placed = sorted(placed, key=lambda each: each.ts)
        self._surplus += surplus

    async def show(self, messages: Sequence[SlackMessage], *, urgent: bool) -> None:
        """Raises NotYet, CallRefused, CallUnanswered, NeverConfirmed.

        New messages come before edits: the Stop that moves to the last one never disappears in between.
        """
        if self._form is not _Form.FULL:
            messages = [plain for message in messages for plain in _plain(message, self._form)]
        try:
            while len(self._placed) < len(messages):
                message = messages[len(self._placed)]
                self._placed.append(_Placed(await self._post(message, urgent=urgent), message))
                await self._changed()
            for placed, message in zip(self._placed, messages, strict=False):
                if placed.message != message:
                    await self._update(placed, message, urgent=urgent)
            await self._give_up(self._placed[len(messages) :])
            await self._delete_surplus(urgent=urgent)
        except CallRefused as refusal:
            if refusal.code not in BLOCKS_REFUSED or not self._simplify():
                raise
            log.warning("slack.blocks_refused", code=refusal.code, form=self._form.name.lower())
            raise NotYet(0) from None

    async def _give_up(self, placed: Sequence[_Placed]) -> None:
        if placed:
            self._surplus += [each.ts for each in placed]
            self._placed = [each for each in self._placed if each not in placed]
            await self._changed()

    def _simplify(self) -> bool:
        """Do without what Slack may have refused; False if there is nothing left to do without."""
        if self._abilities.native_feedback:
            self._abilities.native_feedback = False
            return True
        if self._form is _Form.TEXT:
            return False
        self._form = _Form(self._form + 1)
        return True

    async def _post(self, message: SlackMessage, *, urgent: bool) -> str:
        with self._unconfirmed.posting():
            response = await self._calls.call(
                "chat.postMessage",
                channel=self._channel,
                thread_ts=self._thread_ts,
                metadata=self._metadata,
                urgent=urgent,
                **_content(message),
                **QUIETLY,
            )
        return str(response["ts"])

    async def _update(self, placed: _Placed, message: SlackMessage, *, urgent: bool) -> None:
        try:
            await self._calls.call(
                "chat.update",
                channel=self._channel,
                ts=placed.ts,
                urgent=urgent,
                **_content(message),
                **LITERALLY,
            )
        except CallRefused as refusal:
            if refusal.code not in _FROZEN:
                raise
            # With all that stand after it: the order of the messages is that of the text.
            await self._give_up(self._placed[self._placed.index(placed) :])
            raise NotYet(0) from None
        placed.message = message

    async def _delete_surplus(self, *, urgent: bool) -> None:
        """What Slack keeps all the same, a reader sees twice; the answer stands for that."""
        while self._surplus:
            try:
                await self._calls.call(
                    "chat.delete", channel=self._channel, ts=self._surplus[-1], urgent=urgent
                )
            except CallRefused as refusal:
                log.info("slack.message_not_deleted", code=refusal.code)
            self._surplus.pop()


def _strings(values: JsonValue) -> list[str]:
    return [str(value) for value in values] if isinstance(values, list) else []


def _content(message: SlackMessage) -> dict[str, object]:
    return {"text": message.text, "blocks": list(message.blocks)}


def _plain(message: SlackMessage, form: _Form) -> Iterator[SlackMessage]:
    """All words of a message in blocks that every Slack knows, or in none, with its buttons on the last."""
    words = "\n\n".join(filter(None, map(_words, message.blocks))) or message.text
    pages = [page.text for page in paginate(_MARK_LINK.sub(r"[\1]", words), _MAX_PLAIN_CHARS)]
    buttons = tuple(block for block in message.blocks if block["type"] == "actions")
    for number, page in enumerate(pages, 1):
        section = {"type": "section", "text": {"type": "mrkdwn", "text": page}}
        blocks = (section, *(buttons if number == len(pages) else ()))
        yield SlackMessage(text=page, blocks=blocks if form is _Form.SECTIONS else ())


def _words(block: Block) -> str:
    """What the blocks of this adapter say, without their buttons."""
    text = block.get("text", "")
    notes = [element["text"] for element in block.get("elements", []) if element["type"] == "mrkdwn"]
    return "\n".join([text["text"] if isinstance(text, dict) else text, *notes]).strip()

"""One reply: messages that are brought, one request at a time, to what they should show."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from pydantic import JsonValue

from adapters import wording
from adapters.discord.boards import Board, Shown
from adapters.discord.faults import (
    INVALID_FORM,
    OLD_MESSAGE,
    UNKNOWN_MESSAGE,
    Disconnected,
    DrawRefused,
)
from adapters.discord.opening import Asked, opening_text
from adapters.discord.pace import Pace
from adapters.discord.render import draft_messages, final_messages
from adapters.discord.views import Buttons
from core.errors import SurfaceFailed
from core.ports import Clock
from core.types import Answer, AnswerEvent, Deferred, Draft, Progress, Stage

log = structlog.get_logger(__name__)

LANDING_S: Final = 180.0
"""How long the last state is tried again after the question's own time: outages of a minute are common."""
FIRST_RETRY_S: Final = 1.0
MAX_RETRY_S: Final = 15.0


@dataclass(slots=True)
class _Slot:
    """One message of the reply.

    id: None until it is posted. shown: what it showed when last heard of. posting: whether that was begun,
    here or in a process that is gone.
    nonce_suffix: sets a second message in the same place apart from the first.
    """

    id: int | None = None
    shown: Shown | None = None
    posting: bool = False
    nonce_suffix: str = ""


class Reply:
    """A PlacedSurface: the question with what is being done and the buttons, then the answer's messages.

    opening_id: a message that is to become the first.
    left: the place of a reply that another process left, which goes on here; None of a new one.
    advice: why nothing can be drawn any more, as a sentence for the asker; empty where none helps.
    """

    def __init__(
        self,
        board: Board,
        *,
        asked: Asked,
        question_id: str,
        pace: Pace,
        clock: Clock,
        opening_id: int | None = None,
        left: Mapping[str, JsonValue] | None = None,
    ) -> None:
        self._board = board
        self._asked = asked
        self._question_id = question_id
        self._pace = pace
        self._clock = clock
        self._was_left = left is not None
        self._slots = _slots_left(left or {}) or [_Slot(id=opening_id, posting=self._was_left)]
        self._next_edit_s = float("-inf")
        self._final: Answer | None = None
        self._landed = False
        self._lost = False
        self._is_cut_off = False
        self._tell: Callable[[], Awaitable[None]] | None = None
        self.advice = ""

    @property
    def is_over(self) -> bool:
        """The answer stands there, or nothing can stand there any more."""
        return self._landed or self._lost

    def place(self) -> Mapping[str, JsonValue]:
        """messages: ids in their order; None for one whose posting was begun, and may have succeeded."""
        ids = [slot.id for slot in self._slots if slot.id is not None or slot.posting]
        return {**self._board.place(), "messages": [*ids]} if any(ids) else {}

    def on_placed(self, tell: Callable[[], Awaitable[None]]) -> None:
        self._tell = tell

    async def _placed(self) -> None:
        if self._tell:
            await self._tell()

    async def draw(self, event: AnswerEvent) -> Deferred | None:
        try:
            if isinstance(event, Answer):
                self._final = event
                await self._finish(event)
                return None
            return await self._step(self._wanted(event))
        except DrawRefused as refused:
            self._lost = self._lost or refused.lost
            self._is_cut_off = self._is_cut_off or isinstance(refused, Disconnected)
            self.advice = self.advice or (refused.advice if refused.lost else "")
            raise

    async def land(self) -> None:
        """Bring the answer home if the service had to give up on it before Discord took it."""
        until_s = self._clock.monotonic() + LANDING_S
        retry_s = FIRST_RETRY_S
        while self._is_landing and self._final and self._clock.monotonic() < until_s:
            await self._clock.sleep(retry_s)
            retry_s = min(2 * retry_s, MAX_RETRY_S)
            try:
                await self.draw(self._final)
                log.info("answer.landed")
            except SurfaceFailed as failure:
                log.warning("answer.refused", detail=str(failure), lost=self._lost)

    @property
    def _is_landing(self) -> bool:
        return not (self.is_over or self._is_cut_off)

    def _wanted(self, event: Progress | Draft) -> list[Shown]:
        if isinstance(event, Progress):
            return [self._opening(wording.progress_line(event), Buttons.RUNNING)]
        pages = draft_messages(event, suppress_previews=not self._board.keeps_previews_out)
        return [self._opening(wording.STAGES[Stage.WRITING], Buttons.RUNNING), *map(_page, pages)]

    def _opening(self, progress: str, buttons: Buttons) -> Shown:
        return Shown(text=opening_text(self._asked, progress=progress), buttons=buttons)

    async def _step(self, wanted: Sequence[Shown]) -> Deferred | None:
        """One request towards what is wanted, the first that is due; Deferred while more are needed."""
        stale = self._stale(wanted)
        for index in stale:
            if self._slots[index].id is not None and self._wait_s() > 0:
                continue
            await self._bring(index, wanted[index])
            stale = self._stale(wanted)
            break
        if not stale:
            return None
        is_post = self._slots[stale[-1]].id is None
        return Deferred(after_s=0 if is_post else self._wait_s())

    def _stale(self, wanted: Sequence[Shown]) -> list[int]:
        missing = len(wanted) - len(self._slots)
        self._slots += (_Slot(posting=self._was_left) for _ in range(missing))
        return [index for index, shown in enumerate(wanted) if self._slots[index].shown != shown]

    def _wait_s(self) -> float:
        return max(0.0, self._next_edit_s - self._clock.monotonic())

    async def _finish(self, answer: Answer) -> None:
        pages = final_messages(answer, suppress_previews=not self._board.keeps_previews_out)
        wanted = [self._opening("", Buttons.DONE), *map(_page, pages)]
        stale = self._stale(wanted)
        if stale and self._slots[0].id is not None:
            # Stop gives way to Search again when there is something to search again for.
            stale.sort(key=lambda index: index or len(wanted))
        for index in stale:
            await self._insist(index, wanted[index])
        while len(self._slots) > len(wanted):
            await self._withdraw(len(self._slots) - 1)
        self._landed = True

    async def _withdraw(self, index: int) -> None:
        """A message beyond the last state: what its process had not noted yet is told nowhere else."""
        slot = self._slots[index]
        message_id = slot.id or await self._board.find(self._nonce(index))
        try:
            if message_id is not None:
                await self._board.remove(message_id)
        except DrawRefused as refused:
            if refused.code != UNKNOWN_MESSAGE:
                raise
        del self._slots[index]
        await self._placed()

    def _nonce(self, index: int) -> str:
        return f"{self._question_id}-{index}{self._slots[index].nonce_suffix}"

    async def _insist(self, index: int, shown: Shown) -> None:
        try:
            await self._bring(index, shown)
        except DrawRefused as refused:
            if refused.code == OLD_MESSAGE:
                self._slots[index] = _Slot(nonce_suffix="+")
                await self._bring(index, shown)
            elif refused.code == INVALID_FORM:
                log.warning("message.refused", index=index, detail=str(refused))
                await self._bring(index, Shown(text=wording.PART_REFUSED))
                self._slots[index].shown = shown  # as near to it as Discord lets us come
            else:
                raise

    async def _bring(self, index: int, shown: Shown) -> None:
        slot = self._slots[index]
        if slot.id is None:
            was_tried, slot.posting = slot.posting, True
            if index and not was_tried:
                # A message of which nobody knows could be neither finished nor taken away.
                await self._placed()
            slot.id = await self._board.post(shown, nonce=self._nonce(index))
            if not was_tried:
                slot.shown = shown
            await self._placed()
            if not was_tried:
                return
            # By its nonce, Discord may have given back what the first try left there, which may say less.
        await self._edit(slot, slot.id, shown)

    async def _edit(self, slot: _Slot, message_id: int, shown: Shown) -> None:
        try:
            await self._board.edit(message_id, shown)
        finally:
            # A refused edit counts as well: it came too soon, or to a server in trouble.
            self._next_edit_s = self._clock.monotonic() + self._pace.gap_s(self._board.pace_key)
        slot.shown = shown


def _page(text: str) -> Shown:
    return Shown(text=text)


def _slots_left(place: Mapping[str, JsonValue]) -> list[_Slot]:
    ids = place.get("messages")
    known = [item if isinstance(item, int) else None for item in ids] if isinstance(ids, list) else []
    return [_Slot(id=message_id, posting=True) for message_id in known]

"""A reply as one of Slack's own streams: tasks, then text that only grows, then what closes it.

A stream keeps to one mode from start to stop; this one sends everything as chunks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from adapters import wording
from adapters.marks import settled
from adapters.pagination import MIN_LIMIT_CHARS, paginate
from adapters.slack.pacing import NotYet
from adapters.slack.render import Block, live_markdown
from adapters.slack.web import CallRefused, CallUnanswered, PacedCalls
from core.ports import Clock
from core.types import Answer, Draft, Progress, Stage

log = structlog.get_logger(__name__)

MAX_STREAM_CHARS: Final = 11_500
"""Slack takes 12,000 characters of text in one stream; some stay free to close a code block."""

LIFETIME_S: Final = 240.0
"""Slack ends a stream about five minutes after its start, however much goes through it."""

_GONE: Final = "message_not_found"

_OPEN_TABLE = re.compile(r"(?:(?<=\n)|\A)(?:[ \t]*\|[^\n]*(?:\n|\Z))+\Z")
_LAST_WORD = re.compile(r"(?<!\S)\S{1,40}\Z")
"""Scripts without spaces have longer "words", which can end anywhere."""

Chunk = dict[str, Any]


class StreamLost(Exception):
    """It can't go on; what it said stands. code: why, in Slack's words or ours."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Where a reply goes, and whom Slack shows it growing to. asked_ts: nothing of it stands before that."""

    channel: str
    thread_ts: str
    asked_ts: str
    user: str
    team: str


class Stream:
    """key: of the answer, which its tasks name.

    ts: of its message, empty before the start. told: the part of the canonical text that stands in it.
    """

    def __init__(self, calls: PacedCalls, clock: Clock, recipient: Recipient, key: str) -> None:
        self._calls = calls
        self._clock = clock
        self._recipient = recipient
        self._key = key
        self.ts = ""
        self._started_s = 0.0
        self._tasks: dict[Stage, str] = {}
        self._live = ""
        self._is_sure = True
        self._is_stopped = False
        self.told = ""

    async def start(self, progress: Progress, stop: Sequence[Block]) -> None:
        """stop: a block with a button, where Slack has none of its own.

        Raises NotYet, CallRefused, CallUnanswered.
        """
        to = self._recipient
        response = await self._calls.call(
            "chat.startStream",
            channel=to.channel,
            thread_ts=to.thread_ts,
            recipient_user_id=to.user,
            recipient_team_id=to.team,
            chunks=[self._task(progress.stage, wording.progress_line(progress)), *_blocks(stop)],
        )
        self.ts = str(response["ts"])
        self._started_s = self._clock.monotonic()
        self._tasks[progress.stage] = wording.progress_line(progress)

    def resume(self, ts: str) -> None:
        """Another process's stream, of which nobody knows what it holds: it can only be left."""
        self.ts = ts
        self._is_sure = False

    async def show(self, event: Progress | Draft) -> None:
        """Raises NotYet, StreamLost, and CallRefused where the message is gone."""
        if self._clock.monotonic() - self._started_s > LIFETIME_S:
            raise StreamLost("lifetime")
        if isinstance(event, Progress):
            await self._progress(event)
        else:
            await self._grow(event)

    async def finish(self, answer: Answer, ending: Sequence[Block]) -> None:
        """Raises NotYet, StreamLost, and CallRefused where the message is gone."""
        rest = self._rest(live_markdown(answer.text, answer.footnotes, complete=True))
        chunks = [*self._finished_tasks(), *_text(rest)]
        await self._send("chat.stopStream", chunks, urgent=True, blocks=list(ending))
        self._is_stopped = True

    async def leave(self) -> None:
        """End it where it is. Raises NotYet and CallUnanswered: call again to go on.

        Where it said nothing, or nobody knows what it said, it is taken away, and nothing was told.
        """
        if not self._is_stopped:
            await self._stop_here()
            self._is_stopped = True
        if self._is_sure and self.told:
            return
        try:
            await self._calls.call("chat.delete", channel=self._recipient.channel, ts=self.ts, urgent=True)
        except CallRefused as refusal:
            # A reader may see some words twice, but none is missing.
            log.warning("slack.stream_not_deleted", code=refusal.code)
            if refusal.code != _GONE:
                return
        self.told = ""

    async def _progress(self, progress: Progress) -> None:
        title = wording.progress_line(progress)
        if self._tasks.get(progress.stage) == title:
            return
        earlier = [] if progress.stage in self._tasks else self._finished_tasks()
        await self._send("chat.appendStream", [*earlier, self._task(progress.stage, title)])
        self._tasks[progress.stage] = title

    async def _grow(self, draft: Draft) -> None:
        told = resumable(draft.text)
        if len(told) <= len(self.told):
            return
        rest = self._rest(live_markdown(told, draft.footnotes))
        chunks = [*([] if self._live else self._finished_tasks()), *_text(rest)]
        await self._send("chat.appendStream", chunks)
        self._live += rest
        self.told = told

    def _rest(self, live: str) -> str:
        """What is to be added so that the stream holds this Markdown."""
        if not live.startswith(self._live):
            raise StreamLost("changed")
        if len(live) > MAX_STREAM_CHARS:
            raise StreamLost("full")
        return live[len(self._live) :]

    def _finished_tasks(self) -> list[Chunk]:
        return [self._task(stage, said, "complete") for stage, said in self._tasks.items()]

    def _task(self, stage: Stage, title: str, status: str = "in_progress") -> Chunk:
        task_id = f"{self._key}:{stage.value}"
        return {"type": "task_update", "id": task_id, "title": title, "status": status}

    async def _send(
        self, method: str, chunks: Sequence[Chunk], *, urgent: bool = False, **arguments: object
    ) -> None:
        """Between the call and its answer nobody knows what the stream holds, also if this is cancelled."""
        if not self._is_sure:
            raise StreamLost("uncertain")
        self._is_sure = False
        try:
            await self._calls.call(
                method,
                channel=self._recipient.channel,
                ts=self.ts,
                urgent=urgent,
                **({"chunks": list(chunks)} if chunks else {}),
                **arguments,
            )
        except CallUnanswered as failure:
            raise StreamLost(str(failure)) from None
        except NotYet:
            self._is_sure = True
            raise
        except CallRefused as refusal:
            self._is_sure = True
            if refusal.code == _GONE:
                raise
            raise StreamLost(refusal.code) from None
        self._is_sure = True

    async def _stop_here(self) -> None:
        """It may be stopped already, or dead: then there is nothing to do."""
        closing = _closing_fence(self._live)
        try:
            await self._calls.call(
                "chat.stopStream",
                channel=self._recipient.channel,
                ts=self.ts,
                urgent=True,
                chunks=[*self._finished_tasks(), *_text(closing)],
            )
        except CallRefused as refusal:
            log.info("slack.stream_dead", code=refusal.code)


def is_task_of(key: str, task_id: str) -> bool:
    return task_id in {f"{key}:{stage.value}" for stage in Stage}


def resumable(text: str) -> str:
    """The part of a growing text that another message could go on after: whole words, marks, code, tables."""
    while (shorter := settled(_OPEN_TABLE.sub("", _LAST_WORD.sub("", text)))) != text:
        text = shorter
    return text


def reopened(told: str) -> str:
    """What a message has to begin with that goes on after `told`: the fence of a code block left open."""
    fence = _closing_fence(told).strip()
    return f"{fence}\n" if fence else ""


def _closing_fence(text: str) -> str:
    pages = paginate(text, max(MIN_LIMIT_CHARS, 2 * len(text)))
    return pages[-1].closing if pages else ""


def _text(text: str) -> list[Chunk]:
    return [{"type": "markdown_text", "text": text}] if text else []


def _blocks(blocks: Sequence[Block]) -> list[Chunk]:
    return [{"type": "blocks", "blocks": list(blocks)}] if blocks else []

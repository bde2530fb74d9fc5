"""The message that stands for a command in its channel: a command leaves none of its own to answer under."""

from __future__ import annotations

from adapters.slack.asks import Ask
from adapters.slack.pacing import NotYet
from adapters.slack.render import parent_text
from adapters.slack.web import QUIETLY, PacedCalls
from adapters.slack.workspace import Workspace


async def post_parent(workspace: Workspace, asked: Ask) -> str:
    """Its ts. Raises CallRefused, CallUnanswered."""
    clock = workspace.clock
    calls = PacedCalls(workspace.web, workspace.pacer, key=f"{asked.asker}:{clock.monotonic()}")
    while True:
        try:
            response = await calls.call(
                "chat.postMessage",
                channel=asked.channel,
                text=parent_text(asked.user, asked.text),
                **QUIETLY,
            )
            return str(response["ts"])
        except NotYet as wait:
            await clock.sleep(wait.after_s)


__all__ = ["post_parent"]

"""The workspace that was joined, and how it is spoken to."""

from __future__ import annotations

from dataclasses import dataclass, field

from adapters.slack.asks import Identity
from adapters.slack.pacing import Pacer
from adapters.slack.web import SlackWeb
from core.ports import Clock


@dataclass(slots=True)
class Abilities:
    """What its Slack can do: everything, until it refuses something.

    sessions: it shows a stop button of its own. open_sessions: channel and thread.
    open_streams: native streams that are running now.
    """

    streaming: bool = True
    native_feedback: bool = True
    sessions: bool = True
    open_streams: int = 0
    open_sessions: set[tuple[str, str]] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """me: who the bot is there. pacer, abilities: shared by all answers."""

    me: Identity
    web: SlackWeb
    pacer: Pacer
    clock: Clock
    abilities: Abilities = field(default_factory=Abilities)

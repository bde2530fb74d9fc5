"""Who may ask, and who may stop or repeat an answer, and where."""

from __future__ import annotations

from dataclasses import dataclass

from core.types import AskerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a question comes from.

    workspace: a Slack team or a Discord guild; empty in a Discord direct message.
    channel: of the channel, for a thread its parent's.
    roles: the asker's, where the platform has them.
    is_stranger: the asker belongs to another workspace than the one the channel is in.
    """

    workspace: str
    channel: str
    roles: frozenset[str] = frozenset()
    is_stranger: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Allow-lists by id; an empty one allows all.

    admins: may stop and repeat anybody's answer.
    """

    workspaces: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    admins: frozenset[AskerId] = frozenset()
    allow_strangers: bool = False

    def may_ask(self, place: Place) -> bool:
        if place.is_stranger and not self.allow_strangers:
            return False
        return (
            (not self.workspaces or place.workspace in self.workspaces)
            and (not self.channels or place.channel in self.channels)
            and (not self.roles or bool(place.roles & self.roles))
        )

    def may_steer(self, who: AskerId, *, asked_by: AskerId) -> bool:
        """May stop or repeat an answer."""
        return who == asked_by or who in self.admins

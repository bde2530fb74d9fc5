"""Slack's payloads as what somebody asks; nothing is called here."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from core.asking.policy import Place
from core.types import AskerId

Payload = Mapping[str, Any]

_TOKEN: Final = re.compile(r"<([^<>]*)>")
_NO_WORDS: Final = re.compile(r"<[@#!][^<>]*>|:[\w+'-]+(?:::[\w-]+)?:|&\w+;")
"""Mentions, and emoji as Slack spells them: with a skin tone, ":wave::skin-tone-2:"."""
_ASKING_SUBTYPES: Final = frozenset({None, "file_share", "thread_broadcast"})
MAX_TAKEN_CHARS: Final = 500
"""Of a chosen message, what is asked in the place of words of the asker's own; all of it is quoted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who the bot is, as auth.test says. enterprise: empty outside Enterprise Grid."""

    team: str
    user: str
    bot: str
    enterprise: str = ""
    name: str = ""

    @property
    def mention(self) -> str:
        return f"<@{self.user}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One question from Slack.

    user_team: the asker's own workspace.
    ts: of the message that asks, or that stands for it in the channel; with the channel it names the ask.
    thread_ts: of the thread to answer in.
    is_reply: it was asked inside a thread that began before.
    has_files: with the question or the quoted message came what can't be read.
    """

    team: str
    user: str
    user_team: str
    channel: str
    ts: str
    thread_ts: str
    text: str
    quoted: str = ""
    is_reply: bool = False
    is_direct: bool = False
    has_files: bool = False

    def about(self, quoted: str) -> Ask:
        """The same, asked about a message; without words of its own, it asks what the message does."""
        return replace(self, quoted=quoted, text=self.text or shortened(quoted))

    @property
    def key(self) -> str:
        return running_key(self.channel, self.ts)

    @property
    def thread_key(self) -> str:
        return f"slack:{self.team}:{self.channel}:{self.thread_ts}"

    @property
    def asker(self) -> AskerId:
        return asker_id(self.user_team, self.user)

    @property
    def channel_key(self) -> str:
        """As limits count."""
        return f"{self.workspace_key}:{self.channel}"

    @property
    def workspace_key(self) -> str:
        return f"slack:{self.team}"

    def place(self, me: Identity) -> Place:
        return Place(
            workspace=self.team,
            channel=self.channel,
            is_stranger=self.user_team not in {me.team, me.enterprise},
        )


def running_key(channel: str, ts: str) -> str:
    return f"slack:{channel}:{ts}"


def asker_id(team: str, user: str) -> AskerId:
    return AskerId(f"slack:{team}:{user}")


def from_message(body: Payload, me: Identity) -> Ask | None:
    """An app_mention or message event; None where nobody asks the bot anything."""
    event = body["event"]
    text = str(event.get("text") or "")
    is_direct = event.get("channel_type") == "im"
    if event.get("bot_id") or event.get("subtype") not in _ASKING_SUBTYPES or not event.get("user"):
        return None
    if event["user"] == me.user or not (is_direct or me.mention in text):
        return None
    thread_ts = str(event.get("thread_ts") or event["ts"])
    return Ask(
        team=me.team,
        user=event["user"],
        user_team=str(event.get("user_team") or event.get("source_team") or event.get("team") or me.team),
        channel=event["channel"],
        ts=event["ts"],
        thread_ts=thread_ts,
        text=plain_text(text.replace(me.mention, " ")),
        is_reply=thread_ts != event["ts"],
        is_direct=is_direct,
        has_files=_has_files(event),
    )


def from_shortcut(body: Payload, me: Identity) -> Ask:
    """ "Answer this": the chosen message is the question, whoever wrote it."""
    message = body["message"]
    ask = Ask(
        team=me.team,
        user=body["user"]["id"],
        user_team=_user_team(body, me),
        channel=body["channel"]["id"],
        # The message may be chosen more than once, by different people.
        ts=str(body["action_ts"]),
        thread_ts=str(message.get("thread_ts") or message["ts"]),
        text="",
        is_direct=str(body["channel"]["id"]).startswith("D"),
        has_files=_has_files(message),
    )
    return ask.about(plain_text(str(message.get("text") or "")))


def from_command(body: Payload, me: Identity, *, parent_ts: str) -> Ask:
    """parent_ts: of the message that stands for the command in its channel."""
    return Ask(
        team=me.team,
        user=body["user_id"],
        user_team=str(body.get("team_id") or me.team),
        channel=body["channel_id"],
        ts=parent_ts,
        thread_ts=parent_ts,
        text=plain_text(str(body.get("text") or "")),
        is_direct=str(body["channel_id"]).startswith("D"),
    )


def presser(body: Payload, me: Identity) -> AskerId:
    """Who pressed a button."""
    return asker_id(_user_team(body, me), body["user"]["id"])


def shortened(text: str) -> str:
    """The beginning, in whole words."""
    if len(text) <= MAX_TAKEN_CHARS:
        return text
    return text[:MAX_TAKEN_CHARS].rpartition(" ")[0] or text[:MAX_TAKEN_CHARS]


def plain_text(text: str) -> str:
    """Slack's markup as a person reads it: links by their address, mentions and channels by their name.

    Empty where there is nothing but emoji and mentions.
    """
    if not any(map(str.isalnum, _NO_WORDS.sub("", text))):
        return ""
    return " ".join(html.unescape(_TOKEN.sub(_token_text, text)).split(" ")).strip()


def _token_text(token: re.Match[str]) -> str:
    target, _, label = token[1].partition("|")
    if target.startswith(("@", "#", "!")):
        sign = "#" if target.startswith("#") else "@"
        name = label or target.lstrip("@#!").partition("^")[0]
        return sign + name.removeprefix(sign)
    return target.removeprefix("mailto:")


def _user_team(body: Payload, me: Identity) -> str:
    return str(body["user"].get("team_id") or (body.get("team") or {}).get("id") or me.team)


def _has_files(message: Payload) -> bool:
    return bool(message.get("files") or message.get("attachments"))

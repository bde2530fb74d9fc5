"""Slack's app manifest: what api.slack.com needs to know of the bot, for any name of its command."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final

from adapters import wording

COMMAND: Final = "/websearch"

MAX_COMMAND_CHARS: Final = 32
"""With the slash."""

RESERVED: Final = frozenset(
    [
        "active",
        "add_to_workspace",
        "apps",
        "archive",
        "away",
        "call",
        "collapse",
        "dm",
        "dnd",
        "expand",
        "feed",
        "feedback",
        "help",
        "invite",
        "invite_people",
        "join",
        "keys",
        "kick",
        "leave",
        "me",
        "mention",
        "msg",
        "mute",
        "open",
        "part",
        "people",
        "pro",
        "prefs",
        "priority",
        "remind",
        "remove",
        "rename",
        "search",
        "share",
        "shortcuts",
        "shrug",
        "star",
        "status",
        "topic",
        "unarchive",
        "who",
    ]
)
"""Slack's own commands: a manifest that names one is rejected whole."""

_COMMAND = re.compile(r"/[a-z0-9_-]+")

_DESCRIPTION: Final = "Answers questions from the web, with footnotes you can check"
_LONG_DESCRIPTION: Final = (
    "Ask a question in a channel, a thread or a direct message. RelevanceSearch searches the web, reads "
    "what it finds, and answers in the thread while it reads on. Each statement has a numbered footnote that "
    "leads to the sentence on the page it rests on."
)

_MANIFEST: Final = """\
# Slack app manifest: api.slack.com/apps > Create New App > From a manifest.
# `python -m bot manifest --command NAME` writes it for another name of the command.
_metadata:
  major_version: 2
  minor_version: 1
display_information:
  name: RelevanceSearch
  description: {description}
  long_description: {long_description}
  background_color: "#1a1a1a"
features:
  app_home:
    home_tab_enabled: false
    messages_tab_enabled: true
    # True would leave nobody a field to write in.
    messages_tab_read_only_enabled: false
  agent_view:
    agent_description: {description}
    suggested_prompts:
{prompts}
  bot_user:
    display_name: relevancesearch
    always_online: true
  shortcuts:
    - name: {answer_this}
      type: message
      callback_id: answer_this
      description: {shortcut}
  slash_commands:
    # Slack reserves /search for itself.
    - command: {command}
      description: {slash}
      usage_hint: "your question, or: help"
      should_escape: false
oauth_config:
  scopes:
    bot:
      - app_mentions:read
      # Asked for by agent_view.
      - assistant:write
      - chat:write
      - commands
      - im:history
    bot_optional:
      # To read the message under which the bot is mentioned, and threads again after a restart.
      - channels:history
      - groups:history
      # To answer commands in public channels without being invited.
      - chat:write.public
settings:
  event_subscriptions:
    bot_events:
      # Slack's own stop button.
      - agent_session_stopped
      - app_home_opened
      - app_mention
      - message.im
  interactivity:
    is_enabled: true
  org_deploy_enabled: false
  socket_mode_enabled: true
  token_rotation_enabled: false
"""


def slack_manifest(command: str = COMMAND) -> str:
    """YAML. command: as people type it, with its slash; see `command_problems`."""
    return _MANIFEST.format(
        description=_quoted(_DESCRIPTION),
        long_description=_quoted(_LONG_DESCRIPTION),
        prompts=_prompts(wording.PROMPTS),
        answer_this=_quoted(wording.ANSWER_THIS),
        shortcut=_quoted("Answers the question in this message, or checks what it says"),
        command=command,
        slash=_quoted("Search the web and answer with sources"),
    )


def command_problems(command: str) -> list[str]:
    """Why Slack would reject a manifest with this command, each with the fix; empty if it would not."""
    problems = []
    if not _COMMAND.fullmatch(command):
        problems.append(f"{command} must be a slash, then small letters, digits, - or _, such as {COMMAND}")
    if len(command) > MAX_COMMAND_CHARS:
        problems.append(f"{command} has {len(command)} characters; Slack takes {MAX_COMMAND_CHARS}")
    if command.removeprefix("/") in RESERVED:
        problems.append(f"{command} is a command of Slack's own; choose another, such as {COMMAND}")
    return problems


def _prompts(prompts: Sequence[tuple[str, str]]) -> str:
    return "\n".join(
        f"      - title: {_quoted(title)}\n        message: {_quoted(message)}" for title, message in prompts
    )


def _quoted(text: str) -> str:
    """JSON's strings are YAML's, too."""
    return json.dumps(text, ensure_ascii=False)

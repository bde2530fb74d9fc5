"""What Slack is told of the app, held against what Slack takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters import wording
from adapters.slack.connection import SCOPES
from adapters.slack.listener import ANSWER_THIS
from bot.manifest import COMMAND, RESERVED, command_problems, slack_manifest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def manifest() -> Any:
    return yaml.safe_load(slack_manifest())


def test_the_file_in_the_repository_is_what_is_written_for_the_default_command() -> None:
    assert (ROOT / "manifest.yml").read_text() == slack_manifest()


def test_another_command_changes_nothing_else() -> None:
    assert slack_manifest("/ask-web").replace("/ask-web", COMMAND) == slack_manifest()


def test_slacks_limits_are_kept(manifest: Any) -> None:
    shown = manifest["display_information"]
    features = manifest["features"]
    (command,) = features["slash_commands"]
    (shortcut,) = features["shortcuts"]

    assert len(shown["name"]) <= 35
    assert len(shown["description"]) <= 140
    assert 174 <= len(shown["long_description"]) <= 4_000
    assert len(features["agent_view"]["agent_description"]) <= 300
    assert 1 <= len(features["agent_view"]["suggested_prompts"]) <= 4
    assert command_problems(command["command"]) == []
    assert len(command["description"]) <= 2_000
    assert len(command["usage_hint"]) <= 1_000
    assert len(shortcut["name"]) <= 24
    assert len(shortcut["description"]) <= 150


def test_the_bot_asks_for_the_least_scopes_and_starts_with_them(manifest: Any) -> None:
    scopes = manifest["oauth_config"]["scopes"]

    assert set(scopes["bot"]) == {*SCOPES, "assistant:write"}
    assert set(scopes["bot_optional"]) == {"channels:history", "groups:history", "chat:write.public"}


def test_people_can_write_press_and_choose(manifest: Any) -> None:
    features, settings = manifest["features"], manifest["settings"]

    assert features["app_home"]["messages_tab_enabled"] is True
    assert features["app_home"]["messages_tab_read_only_enabled"] is False
    assert settings["socket_mode_enabled"] is True
    assert settings["interactivity"]["is_enabled"] is True
    assert {"app_mention", "message.im", "app_home_opened"} <= set(
        settings["event_subscriptions"]["bot_events"]
    )
    assert features["shortcuts"][0]["callback_id"] == ANSWER_THIS
    assert features["shortcuts"][0]["name"] == wording.ANSWER_THIS


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_command_of_slacks_own_is_warned_of(name: str) -> None:
    (problem,) = command_problems(f"/{name}")
    assert COMMAND in problem


@pytest.mark.parametrize("command", ["websearch", "/Web", "/web search", "/", "/wéb", "", f"/{'x' * 32}"])
def test_a_command_that_slack_would_not_take_is_warned_of(command: str) -> None:
    assert command_problems(command)


def test_the_commands_that_slack_names_first_are_known_to_be_reserved() -> None:
    assert {"search", "status", "me", "remind", "invite", "dnd", "shrug", "who", "feed", "msg"} <= RESERVED

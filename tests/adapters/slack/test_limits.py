"""Who asks "limits" is told what is left, alone."""

from __future__ import annotations

import pytest

from adapters import wording
from core.asking.limits import QuotaRules
from tests.adapters.slack.joined import Setting
from tests.core.test_service import World
from tests.servers.slack_server import BOT

RULES = QuotaRules(per_minute=5, channel_per_hour=9)
FRESH = "- You can ask 5 more questions now, of 5 within a minute.\n"
FRESH += "- This channel can ask 9 more questions now, of 9 within an hour."


def setting() -> Setting:
    return Setting(world=World(rules=RULES))


@pytest.mark.parametrize("text", ["limits", " Limit? ", "quota"])
async def test_a_command_is_told_what_is_left_and_the_channel_nothing(text: str) -> None:
    async with setting().joined() as bot:
        word = await bot.slack.command(text)

        assert word["text"] == FRESH
        assert bot.slack.messages == []
        assert bot.model.prompts == []


async def test_a_mention_is_told_alone_and_what_was_asked_counts() -> None:
    async with setting().joined() as bot:
        await bot.slack.mention("What raises the tides?")
        await bot.idle()
        await bot.slack.mention("limits")
        await bot.slack.until(lambda: bot.slack.ephemerals)

        (told,) = bot.slack.ephemerals
        assert told["user"] == "U1"
        assert told["text"] == FRESH.replace("5 more", "4 more").replace("9 more", "8 more")


async def test_a_direct_message_is_answered_in_words_and_searched_for_nowhere() -> None:
    async with setting().joined() as bot:
        await bot.slack.direct("limits")
        await bot.slack.until(lambda: [message for message in bot.slack.messages if message.user == BOT])

        (told,) = [message for message in bot.slack.messages if message.user == BOT]
        assert told.text == FRESH
        assert bot.model.prompts == []


def test_help_names_the_word() -> None:
    assert '"limits"' in wording.HELP

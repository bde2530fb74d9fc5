"""Who asks "limits" or "help" is told alone, and nothing is searched."""

import pytest

from adapters import wording
from core.asking.limits import QuotaRules
from tests.adapters.discord.harness import Bot
from tests.adapters.discord.test_scenarios import Scene, scene
from tests.core.test_service import World

FRESH = "- You can ask 5 more questions now, of 5 within a minute.\n"
FRESH += "- This channel can ask 9 more questions now, of 9 within an hour."


def bot() -> Bot:
    return Bot(world=World(rules=QuotaRules(per_minute=5, channel_per_hour=9)))


def told(at: Scene) -> list[str]:
    """By direct message."""
    return [message.content for message in at.answers(at.ann.user.dm_channel)]


async def test_a_mention_is_told_by_direct_message_and_the_channel_nothing() -> None:
    async with scene(bot()) as at:
        await at.ann.send(at.channel, f"{at.me} limits")

        assert told(at) == [FRESH]
        assert at.channel.threads == []
        assert at.answers(at.channel) == []


async def test_what_was_asked_in_a_thread_counts_for_its_channel() -> None:
    async with scene(bot()) as at:
        thread = await at.ask()
        await at.ann.send(thread, f"{at.me} And the sun?")
        await at.ann.send(at.channel, f"{at.me} limits")

        assert told(at) == [FRESH.replace("5 more", "3 more").replace("9 more", "7 more")]


@pytest.mark.parametrize(("text", "said"), [("limits", FRESH), ("Help!", wording.HELP)])
async def test_a_command_is_told_alone(text: str, said: str) -> None:
    async with scene(bot()) as at:
        result = await at.ann.slash(at.channel, "search", question=text)

        assert result.ephemeral
        assert result.response is not None
        assert result.response.content == said
        assert at.channel.threads == []

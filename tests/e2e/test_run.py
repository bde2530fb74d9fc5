"""The bot as a process on both platforms at once, over the demo web, without keys."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.adapters.discord.harness import until
from tests.e2e.test_commands import NOWHERE, processes_of_session, run, start
from tests.servers.discord_server import TOKEN as DISCORD_TOKEN
from tests.servers.discord_server import DiscordServer, discord_server
from tests.servers.openai_server import openai_server
from tests.servers.slack_server import APP_TOKEN, BOT_TOKEN, SlackServer

QUESTION = "How well do heat pumps work at -20 °C?"


@dataclass(frozen=True)
class Both:
    slack: SlackServer
    discord: DiscordServer
    process: asyncio.subprocess.Process

    async def ended(self) -> tuple[int | None, str]:
        async with asyncio.timeout(30):
            output, _ = await self.process.communicate()
        return self.process.returncode, output.decode()


def environ(slack: SlackServer, discord: DiscordServer, cache: Path) -> dict[str, str]:
    return {
        "SLACK_BOT_TOKEN": BOT_TOKEN, "SLACK_APP_TOKEN": APP_TOKEN, "SLACK_API_URL": f"{slack.url}/api",
        "DISCORD_TOKEN": DISCORD_TOKEN, "DISCORD_API_URL": f"{discord.url}/api/v10",
        "DISCORD_GATEWAY_URL": discord.url.replace("http", "ws") + "/gw",
        "HTTPS_PROXY": "", "HTTP_PROXY": "",  # Slack's SDK takes them for loopback too
        "CACHE_DIR": str(cache),
    }  # fmt: skip


@asynccontextmanager
async def bot_in_slack(cache: Path, **more: str) -> AsyncIterator[Both]:
    async with SlackServer().serving() as slack, discord_server() as discord:
        process = await start("run", "--demo", **environ(slack, discord, cache) | more)
        try:
            await until(lambda: slack.sockets, limit_s=20)
            yield Both(slack, discord, process)
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()


@asynccontextmanager
async def bot_on_both(cache: Path, **more: str) -> AsyncIterator[Both]:
    async with bot_in_slack(cache, **more) as both:
        await both.discord.ready()
        yield both


async def test_a_question_on_each_platform_is_answered_and_a_signal_ends_the_bot(cache: Path) -> None:
    async with bot_on_both(cache) as both:
        asked = await both.slack.mention(f"<@UBOT> {QUESTION}")
        await both.discord.mention(QUESTION)
        await until(
            lambda: any("Sources" in str(m.all_blocks) for m in both.slack.thread(asked.ts)), limit_s=30
        )
        await until(lambda: "Sources" in str([w.body for w in both.discord.writes()]), limit_s=30)

        both.process.send_signal(signal.SIGTERM)
        code, output = await both.ended()

    assert code == 0
    assert output.count('"event":"question.handled"') == 2
    assert QUESTION not in output
    assert processes_of_session(both.process.pid) == []


async def test_an_answer_in_work_at_the_end_is_marked_and_nothing_is_left_thinking(cache: Path) -> None:
    async with openai_server(pieces=["Heat pumps work [1]. "]) as model:
        model.ending = "stall"
        settings = {"LLM_BASE_URL": model.url, "LLM_MODEL": "m", "LLM_API_KEY": "k"}
        async with bot_on_both(cache, **settings) as both:
            asked = await both.slack.mention(f"<@UBOT> {QUESTION}")
            await until(
                lambda: any("Heat pumps work" in m.shown for m in both.slack.thread(asked.ts)), limit_s=30
            )

            for _ in range(3):
                both.process.send_signal(signal.SIGTERM)
            code, _ = await both.ended()
            shown = " ".join(f"{m.shown} {m.all_blocks}" for m in both.slack.thread(asked.ts))

    assert code == 0
    assert "Heat pumps work" in shown
    assert "restarted" in shown or "broke off" in shown


async def test_one_platform_that_refuses_the_bot_leaves_the_other_alone(cache: Path) -> None:
    async with bot_in_slack(cache, DISCORD_TOKEN="wrong") as both:
        asked = await both.slack.mention(f"<@UBOT> {QUESTION}")
        await until(
            lambda: any("Sources" in str(m.all_blocks) for m in both.slack.thread(asked.ts)), limit_s=30
        )
        both.process.send_signal(signal.SIGTERM)
        code, output = await both.ended()

    assert code == 0
    assert '"event":"platform.failed"' in output
    assert "DISCORD_TOKEN" in output


async def test_without_any_platform_the_settings_are_named() -> None:
    ended = await run()

    assert ended.code == 78
    assert "SLACK_BOT_TOKEN" in ended.errors
    assert "DISCORD_TOKEN" in ended.errors
    assert NOWHERE not in ended.output

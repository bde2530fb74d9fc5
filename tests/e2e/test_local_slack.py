"""The whole bot, as a process, in a Slack that this project did not write (https://npmjs.com/local-slack).

It has no streaming, so that answers go by edits; no membership errors, rate limits or redelivery.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from tests.e2e.test_commands import start
from tests.servers.openai_server import openai_server

URL = os.environ.get("LOCAL_SLACK_URL", "")
QUESTION = "How well do heat pumps work at -20 °C?"

pytestmark = pytest.mark.skipif(not URL, reason="needs local-slack: make e2e-slack")


@dataclass(frozen=True)
class LocalSlack:
    session: aiohttp.ClientSession

    async def do(self, what: str, **arguments: object) -> dict[str, Any]:
        async with self.session.post(f"{URL}/_control/{what}", json=arguments) as response:
            said: dict[str, Any] = await response.json()
        assert said["ok"], said
        return said

    async def messages(self, channel: str = "C1") -> list[dict[str, Any]]:
        async with self.session.get(f"{URL}/_control/messages/{channel}") as response:
            found: list[dict[str, Any]] = (await response.json())["messages"]
        return found

    async def until(
        self, holds: Callable[[list[dict[str, Any]]], bool], channel: str = "C1"
    ) -> list[dict[str, Any]]:
        for _ in range(300):
            if holds(messages := await self.messages(channel)):
                return messages
            await asyncio.sleep(0.1)
        raise AssertionError(messages)


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    """With the bot connected."""
    async with (
        openai_server(pieces=["Heat ", "pumps ", "work ", "[1]", ". "]) as model,
        aiohttp.ClientSession() as session,
    ):
        model.tokens_per_s = 20
        process = await start(
            "run", "--demo",
            SLACK_BOT_TOKEN="xoxb-test", SLACK_APP_TOKEN="xapp-test", SLACK_API_URL=f"{URL}/api",
            LLM_BASE_URL=model.url, LLM_MODEL="m", HTTPS_PROXY="", HTTP_PROXY="",
        )  # fmt: skip
        local = LocalSlack(session)
        try:
            await _connected(process)
            yield local
            process.send_signal(signal.SIGTERM)
            await process.communicate()
            assert process.returncode == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
            await local.do("reset")


async def _connected(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(30):
        while b"slack.connected" not in await process.stdout.readline():
            pass


def replies(messages: list[dict[str, Any]], ts: str) -> list[str]:
    return [str(message) for message in messages if message.get("thread_ts") == ts and message["ts"] != ts]


def is_answered(messages: list[dict[str, Any]], ts: str) -> bool:
    return any("Heat pumps work" in reply and "Sources" in reply for reply in replies(messages, ts))


async def test_a_mention_is_answered_once_in_its_thread(slack: LocalSlack) -> None:
    ts = (await slack.do("message", channel="C1", user="U1", text=f"<@U0BOT> {QUESTION}"))["message"]["ts"]

    messages = await slack.until(lambda messages: is_answered(messages, ts))

    answers = [reply for reply in replies(messages, ts) if "Heat pumps work" in reply]
    assert len(answers) == 1
    assert "127.0.0.1" in answers[0]


async def test_a_direct_message_is_answered(slack: LocalSlack) -> None:
    ts = (await slack.do("message", channel="D1", user="U1", text=QUESTION))["message"]["ts"]

    await slack.until(lambda messages: is_answered(messages, ts), "D1")


async def test_the_slash_command_posts_who_asked_what_and_answers_below(slack: LocalSlack) -> None:
    await slack.do("command", channel="C1", user="U1", command="/websearch", text=QUESTION)

    def answered(messages: list[dict[str, Any]]) -> bool:
        parents = [
            message["ts"] for message in messages if "asked" in str(message) and QUESTION in str(message)
        ]
        return any(is_answered(messages, ts) for ts in parents)

    await slack.until(answered)


async def test_search_again_answers_once_more(slack: LocalSlack) -> None:
    ts = (await slack.do("message", channel="C1", user="U1", text=f"<@U0BOT> {QUESTION}"))["message"]["ts"]
    messages = await slack.until(lambda messages: is_answered(messages, ts))
    button, message_ts = _button(messages, "search_again")

    await slack.do("interact", channel="C1", messageTs=message_ts, user="U1", action=button)

    await slack.until(
        lambda messages: sum("Heat pumps work" in reply for reply in replies(messages, ts)) == 2
    )


def _button(messages: list[dict[str, Any]], action_id: str) -> tuple[dict[str, Any], str]:
    for message in messages:
        for block in message.get("blocks") or ():
            for element in block.get("elements", ()):
                if element.get("action_id") == action_id:
                    return {**element, "block_id": block.get("block_id", "")}, message["ts"]
    raise AssertionError(f"no {action_id}")

"""Joining a workspace, and staying joined."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from core.errors import PlatformFailed
from tests.adapters.slack.joined import Setting
from tests.servers.slack_server import BOT, SlackServer

QUESTION = "What raises the tides?"


async def refusal(setting: Setting) -> str:
    with pytest.raises(PlatformFailed) as caught:
        async with setting.joined() as bot:
            await bot.task
    return str(caught.value)


async def test_a_wrong_bot_token_is_named_with_the_fix() -> None:
    said = await refusal(Setting(bot_token="xoxb-wrong"))

    assert "SLACK_BOT_TOKEN (invalid_auth)" in said
    assert "xoxb-" in said
    assert "OAuth & Permissions" in said
    assert "wrong" not in said


async def test_a_wrong_app_token_is_named_with_the_fix() -> None:
    said = await refusal(Setting(app_token="xapp-wrong"))

    assert "SLACK_APP_TOKEN (invalid_auth)" in said
    assert "connections:write" in said


@pytest.mark.parametrize("code", ["missing_scope", "not_allowed_token_type"])
async def test_an_app_token_without_its_scope_is_named(code: str) -> None:
    slack = SlackServer()
    slack.fail("apps.connections.open", code, times=9)

    assert f"SLACK_APP_TOKEN ({code})" in await refusal(Setting(slack=slack))


async def test_a_missing_scope_is_named() -> None:
    said = await refusal(Setting(slack=SlackServer(scopes="chat:write,commands,im:history")))

    assert "the scope app_mentions:read" in said
    assert "Reinstall" in said


async def test_a_stand_in_for_slack_that_names_no_scopes_is_joined() -> None:
    async with Setting(slack=SlackServer(scopes="")).joined() as bot:
        assert bot.slack.sockets


@pytest.mark.parametrize("method", ["auth.test", "apps.connections.open"])
@pytest.mark.parametrize("kind", ["drop", "internal_error", "ratelimited"])
async def test_passing_trouble_at_the_start_is_waited_out(method: str, kind: str) -> None:
    slack = SlackServer()
    slack.fail(method, kind, times=2)
    async with Setting(slack=slack).joined() as bot:
        asked = await bot.slack.mention(QUESTION)
        await bot.slack.until(lambda: bot.slack.thread(asked.ts))


async def test_a_socket_that_breaks_is_opened_again() -> None:
    async with Setting().joined() as bot:
        bot.slack.cut()
        await bot.slack.until(lambda: bot.slack.connections == 2)
        asked = await bot.slack.mention(QUESTION)
        await bot.slack.until(lambda: bot.slack.thread(asked.ts))


async def test_a_socket_that_slack_asks_to_refresh_is_opened_again() -> None:
    async with Setting().joined() as bot:
        await bot.slack.sockets[0].send_json({"type": "disconnect", "reason": "refresh_requested"})
        await bot.slack.until(lambda: bot.slack.connections == 2)
        asked = await bot.slack.mention(QUESTION)
        await bot.slack.until(lambda: bot.slack.thread(asked.ts))


async def test_a_socket_that_has_gone_deaf_is_replaced() -> None:
    slack = SlackServer(is_deaf=True)
    async with Setting(slack=slack).joined() as bot:
        await slack.until(lambda: slack.connections >= 2)
        slack.is_deaf = False
        await asyncio.sleep(0.3)
        asked = await bot.slack.mention(QUESTION)
        await bot.slack.until(lambda: bot.slack.thread(asked.ts))


async def test_where_the_sdk_gives_up_the_watchdog_connects_anew() -> None:
    slack = SlackServer()
    async with Setting(slack=slack).joined() as bot:
        # The SDK asks for a new socket once for each broken one, and waits for ever for what it is refused.
        slack.fail("apps.connections.open", "internal_error", times=4)
        with capture_logs() as logs:
            slack.cut()
            await slack.until(lambda: slack.connections >= 2)
            asked = await bot.slack.mention(QUESTION)
            await bot.slack.until(lambda: bot.slack.thread(asked.ts))

        assert not bot.task.done()
        assert [line for line in logs if line["event"] in {"slack.deaf", "slack.disconnected"}]


async def test_a_token_revoked_while_it_runs_is_logged_and_the_process_lives_on() -> None:
    pieces = [f"word{n} " for n in range(200)]
    async with Setting(pieces=pieces, pause_s=0.01).joined() as bot:
        asked = await bot.slack.mention(QUESTION)
        await bot.slack.until(lambda: bot.slack.thread(asked.ts))
        with capture_logs() as logs:
            bot.slack.bot_token = bot.slack.app_token = "another"
            await bot.idle()
            bot.slack.cut()
            await asyncio.sleep(0.6)

        assert not bot.task.done()
        assert bot.model.closed == 1
        assert any("invalid_auth" in str(line) for line in logs)


async def test_a_channel_archived_while_answering_ends_the_work_and_the_process_lives_on() -> None:
    pieces = [f"word{n} " for n in range(60)]
    async with Setting(pieces=pieces, pause_s=0.01).joined() as bot:
        asked = await bot.slack.mention(QUESTION)
        await bot.slack.until(lambda: bot.slack.thread(asked.ts))
        bot.slack.archived.add("C1")
        await bot.idle()
        assert bot.model.closed == 1

        other = await bot.slack.mention(QUESTION, channel="C2")
        await bot.slack.until(lambda: bot.slack.thread(other.ts, "C2"))


async def test_a_listener_that_fails_on_what_it_gets_is_logged_and_the_next_event_is_taken() -> None:
    async with Setting().joined() as bot:
        with capture_logs() as logs:
            broken = {"type": "message", "subtype": "message_deleted", "ts": "1.0"}
            await bot.slack.deliver("events_api", bot.slack.callback(broken))
            asked = await bot.slack.mention(QUESTION)
            await bot.slack.until(lambda: bot.slack.thread(asked.ts))

        assert [line["log_level"] for line in logs if line["event"] == "slack.listener_failed"] == ["error"]


async def test_leaving_closes_the_socket_and_every_task_of_it() -> None:
    before = asyncio.all_tasks()
    async with Setting().joined() as bot:
        message = bot.slack.write(f"<@{BOT}> {QUESTION}")
        await bot.slack.deliver("events_api", bot.slack.event("app_mention", message))
        await bot.slack.until(lambda: bot.slack.thread(message.ts))
    await asyncio.sleep(0.05)

    assert asyncio.all_tasks() <= before

"""The chat platforms that are set up, each imported only if it is."""

from __future__ import annotations

from typing import Protocol

from bot.app import App
from bot.settings import Settings
from core.asking.conversations import Conversations
from core.asking.policy import Policy
from core.asking.seen import Seen
from core.delivering.journal import Journal
from core.delivering.recovery import Reopener
from core.delivering.running import RunningAnswers
from core.types import AskerId


class ChatAdapter(Reopener, Protocol):
    """One chat platform, with the replies that were left there."""

    name: str

    async def run(self) -> None:
        """Listens until cancelled. Raises PlatformFailed when a person has to mend something first."""

    async def stop_intake(self) -> None:
        """From now on nothing new is taken; what runs goes on."""


def any_platform(settings: Settings) -> bool:
    return bool(settings.slack_bot_token.get_secret_value() or settings.discord_token.get_secret_value())


def chat_adapters(
    settings: Settings,
    *,
    app: App,
    running: RunningAnswers,
    conversations: Conversations,
    journal: Journal,
) -> list[ChatAdapter]:
    """Those that are set up."""
    adapters: list[ChatAdapter] = []
    if settings.slack_bot_token.get_secret_value():
        from adapters.slack.adapter import SlackAdapter, SlackConfig

        adapters.append(
            SlackAdapter(
                config=SlackConfig(
                    bot_token=settings.slack_bot_token.get_secret_value(),
                    app_token=settings.slack_app_token.get_secret_value(),
                    api_url=settings.slack_api_url,
                ),
                service=app.service,
                running=running,
                conversations=conversations,
                policy=_slack_policy(settings),
                journal=journal,
                store=app.stores.forgiving,
                clock=app.clock,
            )
        )
    if token := settings.discord_token.get_secret_value():
        from adapters.discord.adapter import DiscordAdapter, DiscordConfig

        adapters.append(
            DiscordAdapter(
                config=DiscordConfig(
                    token=token,
                    message_content=settings.discord_message_content,
                    api_url=settings.discord_api_url,
                    gateway_url=settings.discord_gateway_url,
                ),
                service=app.service,
                running=running,
                conversations=conversations,
                policy=_discord_policy(settings),
                seen=Seen(app.stores.forgiving, app.clock),
                journal=journal,
                clock=app.clock,
            )
        )
    return adapters


def _slack_policy(settings: Settings) -> Policy:
    return Policy(
        workspaces=settings.slack_teams,
        channels=settings.slack_channels,
        admins=frozenset(map(AskerId, settings.admins)),
        allow_strangers=settings.slack_allow_strangers,
    )


def _discord_policy(settings: Settings) -> Policy:
    return Policy(
        workspaces=settings.discord_guilds,
        channels=settings.discord_channels,
        roles=settings.discord_roles,
        admins=frozenset(map(AskerId, settings.admins)),
    )

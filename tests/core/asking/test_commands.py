"""What a person wants who calls the bot."""

import pytest

from core.asking.commands import Command, CommandKind, parse_command


@pytest.mark.parametrize("text", ["help", " Help! ", "HELP?", "/help", "--help"])
def test_help_alone_is_the_command(text: str) -> None:
    assert parse_command(text) == Command(kind=CommandKind.HELP)


@pytest.mark.parametrize("text", ["limits", " Limits? ", "limit", "QUOTA", "/limits"])
def test_limits_alone_asks_what_is_left(text: str) -> None:
    assert parse_command(text) == Command(kind=CommandKind.LIMITS)


@pytest.mark.parametrize(
    "text",
    [
        "help me choose a bike",
        "who wrote The Help",
        "what is /help",
        "helpful",
        "speed limits in France",
        "limited",
    ],
)
def test_anything_else_is_asked_as_it_was_written(text: str) -> None:
    assert parse_command(f"  {text}\n") == Command(kind=CommandKind.ASK, text=text)


def test_no_words_are_left_to_admission() -> None:
    assert parse_command("  ") == Command(kind=CommandKind.ASK)

"""The commands: `python -m bot --help`."""

from __future__ import annotations

import asyncio
import getpass
import sys
import uuid
from collections.abc import Coroutine
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Final, TypeVar

import typer
from rich.console import Console

from adapters.terminal import TerminalSurface, choose_question, exit_code
from bot.demo.search import QUESTIONS
from bot.memory import keep_memory_flat
from bot.observability import configure_logging, start_sentry
from bot.settings import Settings, load_settings
from core.errors import DependencyError, SettingsError
from core.providers.system_clock import SystemClock
from core.types import Answer, AskerId, Progress, Question, Stage

EXIT_FAILED: Final = 1
EXIT_CONFIG: Final = 78
"""EX_CONFIG of BSD's sysexits: the settings have to be mended first."""
EXIT_INTERRUPTED: Final = 130
"""128 + SIGINT, as shells have it."""

T = TypeVar("T")

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@cli.callback(invoke_without_command=True)
def default(context: typer.Context) -> None:
    """A bot that answers questions from the web. Without a command it runs, on every platform set up."""
    if context.invoked_subcommand is None:
        _run_bot(demo=False)


@cli.command()
def run(
    demo: Annotated[bool, typer.Option("--demo", help="Over the small web of `demo`, without keys.")] = False,
) -> None:
    """Listen on Slack and Discord until told to end (the default)."""
    _run_bot(demo=demo)


@cli.command()
def ask(
    question: Annotated[str, typer.Argument(help="What you want to know; URLs in it are read.")],
    library: Annotated[bool, typer.Option("--library", help="Ask only what was kept or indexed.")] = False,
) -> None:
    """Answer a question from the web, with footnotes."""
    _answer(question, library_only=library)


@cli.command()
def demo(
    question: Annotated[str, typer.Argument(help="Anything; three questions are offered otherwise.")] = "",
) -> None:
    """Answer a question from a small web that comes with the bot: no key, no network."""
    _answer(question or _offered_question(), demo=True)


@cli.command()
def index(
    places: Annotated[
        list[str], typer.Argument(help="Files, folders (HTML, Markdown, text, PDF) and web addresses.")
    ],
    forget: Annotated[bool, typer.Option("--forget", help="Take them out instead.")] = False,
) -> None:
    """Put documents into the library, to stay there: answers can rest on them."""
    from bot.indexing import forget_places, index_places

    work = forget_places if forget else index_places
    all_well = _run(work(_settings(), places, Console()))
    raise typer.Exit(0 if all_well else EXIT_FAILED)


@cli.command()
def manifest(
    command: Annotated[str, typer.Option(help="The slash command's name; Slack keeps some to itself.")] = "",
) -> None:
    """Print Slack's app manifest, for the command's default name or another."""
    from bot.manifest import COMMAND, command_problems, slack_manifest

    name = "/" + command.removeprefix("/") if command else COMMAND
    problems = command_problems(name)
    _complain(*problems)
    typer.echo(slack_manifest(name), nl=False)
    raise typer.Exit(EXIT_FAILED if problems else 0)


@cli.command()
def check() -> None:
    """Show the settings, and what each dependency answers."""
    from bot.check import run_checks

    all_well = _run(run_checks(_settings(), Console()))
    raise typer.Exit(0 if all_well else EXIT_FAILED)


@cli.command()
def prepare() -> None:
    """Export the embedding model, once and ahead of time: it takes some seconds and a gigabyte."""
    from bot.app import prepare_embedding

    _run(prepare_embedding(_settings()))


def main() -> None:
    keep_memory_flat()
    cli(prog_name="python -m bot")


def _answer(text: str, *, demo: bool = False, library_only: bool = False) -> None:
    answer = _run(_answer_in_terminal(_settings(), text, demo=demo, library_only=library_only))
    raise typer.Exit(exit_code(answer))


async def _answer_in_terminal(
    settings: Settings, text: str, *, demo: bool = False, library_only: bool = False
) -> Answer:
    start_sentry(settings)
    clock = SystemClock()
    question = Question(
        id=uuid.uuid4().hex[:12],
        text=text,
        asker=AskerId(f"terminal:{getpass.getuser()}"),
        platform="terminal",
        asked_at=clock.now().astimezone(),
    )
    with (
        TerminalSurface(clock=clock, output=sys.stdout, errors=sys.stderr) as surface,
        TemporaryDirectory(prefix="relevancesearch-") as scratch,
    ):
        if demo:  # its addresses mean nothing once it has ended
            settings = settings.model_copy(update={"library_uri": f"{scratch}/library"})
        # A word to the asker before the imports below, which take a second.
        await surface.draw(Progress(stage=Stage.SEARCHING))
        from bot.app import open_app

        async with open_app(settings, demo=demo, library_only=library_only) as app:
            if app.embedders.api is None and not await app.embedders.local.is_exported():
                _complain("Exporting the embedding model. This happens once and takes about ten seconds.")
                await app.embedders.local.prepare()
            return await app.service.handle(question, surface)


def _offered_question() -> str:
    """The first where nobody can choose."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return QUESTIONS[0]
    try:
        return choose_question(QUESTIONS, console=Console())
    except (EOFError, KeyboardInterrupt):
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _run_bot(*, demo: bool) -> None:
    from bot.run import run_bot

    settings = _loaded_settings()
    configure_logging(settings)
    try:
        told_to_end = asyncio.run(run_bot(settings, demo=demo))
    except SettingsError as error:
        _complain(*error.problems)
        raise typer.Exit(EXIT_CONFIG) from None
    raise typer.Exit(0 if told_to_end else EXIT_FAILED)


def _settings() -> Settings:
    """The settings, with logging set up by them: to standard error, for standard output is the answer's."""
    settings = _loaded_settings()
    # Whoever sits before the screen reads what went wrong in the reply itself.
    quieter = {} if "log_level" in settings.model_fields_set else {"log_level": "ERROR"}
    configure_logging(settings.model_copy(update=quieter), stream=sys.stderr)
    return settings


def _loaded_settings() -> Settings:
    try:
        return load_settings()
    except SettingsError as error:
        _complain(*error.problems)
        raise typer.Exit(EXIT_CONFIG) from None


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except DependencyError as failure:
        _complain(str(failure))
        raise typer.Exit(EXIT_FAILED) from None


def _complain(*lines: str) -> None:
    for line in lines:
        typer.echo(line, err=True)


if __name__ == "__main__":
    main()

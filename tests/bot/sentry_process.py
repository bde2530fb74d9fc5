"""Run by test_observability: fails in every way with a secret at hand, and prints what Sentry would get."""

import asyncio
import logging
import os
import sys
from typing import TYPE_CHECKING, NoReturn

import orjson
import structlog

from bot.observability import configure_logging, start_sentry
from bot.settings import load_settings
from core.errors import SearchFailed

if TYPE_CHECKING:
    from sentry_sdk.envelope import Envelope

SECRET = sys.argv[1]


def fail(error: Exception) -> NoReturn:
    raise error


async def crash() -> None:
    await asyncio.sleep(0)
    raise ZeroDivisionError(SECRET)


async def fail_in_every_way() -> None:
    log, library = structlog.get_logger("core.service"), logging.getLogger("library")
    question = f"what is {SECRET}"
    log.info("question.asked", text=question)
    try:
        fail(ValueError(question))
    except ValueError:
        log.exception("question.failed", text=question)
    try:
        fail(KeyError(question))
    except KeyError:
        library.exception("failed with %s", question)
    log.error("journal.lost", text=question)
    try:
        fail(SearchFailed("Serper", question))
    except SearchFailed:
        log.exception("search.failed")
    await asyncio.gather(asyncio.create_task(crash()), return_exceptions=True)


async def main() -> None:
    settings = load_settings(os.environ, env_file=None)
    configure_logging(settings, stream=sys.stderr)
    if not settings.sentry_dsn.get_secret_value():
        start_sentry(settings)
        print(orjson.dumps({"sentry_sdk_imported": "sentry_sdk" in sys.modules}).decode())  # noqa: T201 - its output
        return

    from sentry_sdk.transport import Transport

    class PrintingTransport(Transport):
        def capture_envelope(self, envelope: "Envelope") -> None:
            for item in envelope.items:
                print(item.get_bytes().decode())  # noqa: T201 - its output

    start_sentry(settings, transport=PrintingTransport)
    await fail_in_every_way()


if __name__ == "__main__":
    asyncio.run(main())

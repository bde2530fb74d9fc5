"""The bot as a process of its own, so that what is measured is the bot alone."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson


@asynccontextmanager
async def bot_process(
    module: str, arguments: Sequence[str], environ: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m module`, its standard output piped; killed if it is still there at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **environ},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def reported(said: bytes) -> Any:
    """What it wrote at its end, as JSON. Without that there is nothing to go on with."""
    if not said:
        raise SystemExit("The bot ended without a report; its own words stand above.")
    return orjson.loads(said)

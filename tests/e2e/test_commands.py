"""The commands as a person runs them: whole processes."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.search_api_server import search_api_server

NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody listens


@dataclass(frozen=True)
class Ended:
    code: int
    output: str
    errors: str


async def start(*arguments: str, **environ: str) -> asyncio.subprocess.Process:
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LD_LIBRARY_PATH"}}
    # What would leave the machine ends at a closed port.
    proxies = {"HTTPS_PROXY": NOWHERE, "HTTP_PROXY": NOWHERE, "NO_PROXY": "127.0.0.1"}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=kept | proxies | environ, start_new_session=True,
        # A job in a shell's background has SIGINT ignored, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


async def run(*arguments: str, **environ: str) -> Ended:
    process = await start(*arguments, **environ)
    output, errors = await process.communicate()
    return Ended(process.returncode or 0, output.decode(), errors.decode())


def processes_of_session(session: int) -> Sequence[str]:
    """Command lines of what still runs of a process's session."""
    found: list[str] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append((stat.parent / "cmdline").read_text())
        except OSError:
            continue  # it ended meanwhile
    return found


async def test_the_demo_answers_its_first_question_into_a_pipe() -> None:
    demo = await run("demo")

    assert demo.code == 0
    assert "[1]" in demo.output
    assert "Sources" in demo.output
    assert "http://127.0.0.1:" in demo.output
    assert "Reading pages" in demo.errors
    assert "in all" in demo.errors
    assert "\x1b" not in demo.output + demo.errors


async def test_the_demo_takes_a_question_of_one_s_own() -> None:
    demo = await run("demo", "How often should I feed a sourdough starter?")

    assert demo.code == 0
    assert "starter" in demo.output


async def test_without_a_network_each_engine_is_named_with_its_reason() -> None:
    ask = await run("ask", "What is the capital of France?", SERPER_API_KEY="key-key-key", SERPER_URL=NOWHERE)

    assert ask.code == 4
    assert "Serper could not be reached; DuckDuckGo could not be reached" in ask.errors
    assert "bot check" in ask.errors


@pytest.mark.parametrize("question", ["", "??", "a" * 1001])
async def test_what_is_no_question_gets_one_sentence_and_a_code_of_its_own(question: str) -> None:
    ask = await run("ask", question)

    assert ask.code == 5
    assert ask.output == ""
    assert "question" in ask.errors


async def test_every_bad_setting_is_named_at_once_without_its_value() -> None:
    ask = await run(
        "ask", "why?",
        LLM_BASE_URL="no url", QUESTIONS_PER_MINUTE="many", OPENROUTER_API_KEY="secret-one",
        LLM_API_KEY="secret-two",
    )  # fmt: skip

    assert ask.code == 78
    for name in ("LLM_BASE_URL", "QUESTIONS_PER_MINUTE", "LLM_API_KEY"):
        assert name in ask.errors
    assert "secret-" not in ask.errors


async def test_ctrl_c_stops_within_a_second_and_leaves_no_child() -> None:
    async with search_api_server() as server:
        server.delay_s = 60
        process = await start("ask", "why?", SERPER_API_KEY="key-key-key", SERPER_URL=server.url)
        await server.asked.wait()

        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(5):  # a machine under load is no reason to fail; hanging is
            _, errors = await process.communicate()

    assert process.returncode == 130
    assert b"Stopped" in errors
    assert processes_of_session(process.pid) == []


async def test_check_shows_settings_without_secrets_and_what_does_not_answer() -> None:
    check = await run("check", SERPER_API_KEY="key-key-key", SERPER_URL=NOWHERE, COLUMNS="200")

    assert check.code == 1
    assert "key-key-key" not in check.output
    assert "Serper could not be reached" in check.output
    assert "opens and searches" in check.output


async def test_the_bot_s_process_never_imports_torch() -> None:
    script = (
        "import asyncio, sys\n"
        "from bot.__main__ import _answer_in_terminal, _settings\n"
        "asyncio.run(_answer_in_terminal(_settings(), 'How do heat pumps work?', demo=True))\n"
        "print([name for name in sys.modules if name in ('torch', 'sentence_transformers')])\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    output, _ = await process.communicate()

    assert output.decode().splitlines()[-1] == "[]"

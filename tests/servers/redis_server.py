"""A real redis-server on a loopback port of its own, that can be killed, hung and made a replica."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_START_S = 10.0


@dataclass
class RedisServer:
    """directory: where it writes, which is only its log. password: empty for none."""

    program: str
    directory: Path
    port: int
    password: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        login = f":{self.password}@" if self.password else ""
        return f"redis://{login}127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Empty, on the port it had before."""
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        arguments += ["--save", "", "--logfile", str(self.directory / "redis.log")]
        if self.password:
            arguments += ["--requirepass", self.password]
        self.process = subprocess.Popen([self.program, *arguments])
        give_up_at = time.monotonic() + _START_S
        while self.say("PING")[:1] not in (b"+", b"-"):
            assert self.process.poll() is None, (self.directory / "redis.log").read_text()
            assert time.monotonic() < give_up_at, "redis-server does not answer"
            time.sleep(0.01)

    def kill(self) -> None:
        """As with kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def hang(self) -> None:
        """It still takes connections, and answers nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def say(self, *commands: str) -> bytes:
        """What it answers to some lines of commands; empty where it is not there."""
        lines = [f"AUTH {self.password}", *commands] if self.password else list(commands)
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall("".join(f"{line}\r\n" for line in lines).encode())
                connection.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: connection.recv(65_536), b""))
        except OSError:
            return b""


@contextmanager
def running_redis(directory: Path, *, password: str = "") -> Iterator[RedisServer]:
    """Skips the test where there is no redis-server."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("NOT TESTED with Redis: redis-server is missing (apt-get install redis-server)")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    server = RedisServer(program=program, directory=directory, port=port, password=password)
    try:
        server.start()
        yield server
    finally:
        server.kill()

"""The guard in the fetcher: no socket but to an address that was judged, for every request and hop."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
from hypothesis import given
from hypothesis import strategies as st

from core.errors import PageFailed, PageFailure
from core.providers.web.connector import AddressBudget, GuardedConnector, open_socket
from core.providers.web.fetcher import WebFetcher, _translated
from core.providers.web.resolver import GuardedResolver, SystemLookUp
from core.reading.urls import AddressPolicy, UrlRefused
from tests.core.reading.test_urls import CASES, cases, may_connect
from tests.fakes import FakeClock
from tests.hostile.fetching import QUICK, StubLookUp, loopback_fetcher
from tests.hostile.web_server import HostileServer, hostile_server, once, redirect, respond

PAGE = respond(b"<p>Plovers")


async def failure_of(fetcher: WebFetcher, url: str) -> PageFailure:
    with pytest.raises(PageFailed) as raised:
        await fetcher.fetch(url)
    return raised.value.reason


def named(server: HostileServer, path: str) -> str:
    return f"http://site.example:{server.port}{path}"


# Names


async def test_a_name_is_looked_up_once_for_each_hop() -> None:
    look_up = StubLookUp({"site.example": [["127.0.0.1"]], "other.example": [["127.0.0.1"]]})
    async with hostile_server({"/page": PAGE}) as server:
        server.behaviours["/start"] = redirect(f"http://other.example:{server.port}/page")
        async with loopback_fetcher(server, look_up=look_up) as fetcher:
            await fetcher.fetch(named(server, "/start"))
    assert look_up.asked == ["site.example", "other.example"]


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1", "10.0.0.1"],
        ["10.0.0.1", "127.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["not an address"],
        ["127.0.0.1"] * 17,
    ],
)
async def test_a_name_with_one_bad_answer_is_refused(answer: Sequence[str]) -> None:
    async with hostile_server({"/page": PAGE}) as server:
        look_up = StubLookUp({"site.example": [answer]})
        async with loopback_fetcher(server, look_up=look_up) as fetcher:
            assert await failure_of(fetcher, named(server, "/page")) is PageFailure.BLOCKED
    assert server.connections == 0


async def test_a_name_that_changes_its_answer_is_judged_by_the_answer_that_is_used() -> None:
    look_up = StubLookUp({"site.example": [["127.0.0.1"], ["10.0.0.1"]]})
    close = ["Connection: close"]  # so that the second fetch needs a second look-up
    async with (
        hostile_server({"/page": respond(b"<p>Plovers", headers=close)}) as server,
        loopback_fetcher(server, look_up=look_up) as fetcher,
    ):
        await fetcher.fetch(named(server, "/page"))
        assert await failure_of(fetcher, named(server, "/page")) is PageFailure.BLOCKED
    assert (server.connections, look_up.asked) == (1, ["site.example"] * 2)


async def test_a_request_sent_again_after_a_lost_connection_is_judged_again() -> None:
    """aiohttp repeats a GET once by itself where a connection ends without an answer."""
    look_up = StubLookUp({"site.example": [["127.0.0.1"], ["10.0.0.1"]]})
    async with (
        hostile_server({"/page": PAGE, "/lost": once(b"")}) as server,
        loopback_fetcher(server, look_up=look_up) as fetcher,
    ):
        await fetcher.fetch(named(server, "/page"))
        assert await failure_of(fetcher, named(server, "/lost")) is PageFailure.BLOCKED
    assert (server.targets, server.connections) == (["/page", "/lost"], 1)
    assert look_up.asked == ["site.example"] * 2


async def test_a_name_that_does_not_resolve_cannot_be_reached() -> None:
    async with loopback_fetcher() as fetcher:
        assert await failure_of(fetcher, "http://nowhere.example/") is PageFailure.UNREACHABLE


async def test_a_name_server_that_is_silent_is_given_up() -> None:
    async def silent(_: str) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    async with loopback_fetcher(look_up=silent) as fetcher:
        assert await failure_of(fetcher, "http://slow.example/") is PageFailure.TIMEOUT


async def test_a_look_up_has_a_time_limit_of_its_own() -> None:
    async def silent(_: str) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    resolver = GuardedResolver(AddressPolicy(), silent, timeout_s=0.01)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1) as outer:
            await resolver.resolve("slow.example", 443)
    assert not outer.expired()


async def test_judged_answers_are_handed_on_as_addresses_that_need_no_look_up() -> None:
    look_up = StubLookUp({"site.example": [["1.1.1.1", "2606:4700::1111"]]})
    results = await GuardedResolver(AddressPolicy(), look_up, timeout_s=1).resolve("site.example", 443)
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    expected = [("1.1.1.1", socket.AF_INET), ("2606:4700::1111", socket.AF_INET6)]
    assert results == [
        {
            "hostname": "site.example",
            "host": host,
            "port": 443,
            "family": family,
            "proto": 0,
            "flags": numeric,
        }
        for host, family in expected
    ]


async def test_the_system_answers_for_localhost_and_the_guard_refuses_it() -> None:
    look_up = SystemLookUp()
    assert "127.0.0.1" in await look_up("localhost")
    resolver = GuardedResolver(AddressPolicy(), look_up, timeout_s=5)
    with pytest.raises(UrlRefused):
        await resolver.resolve("localhost", 80)
    await resolver.close()
    look_up.close()


async def test_a_look_up_blocks_neither_the_loop_nor_the_loops_own_threads() -> None:
    look_up = SystemLookUp()
    assert await look_up("127.0.0.1") == ["127.0.0.1"]
    assert any(thread.name.startswith("look-up") for thread in threading.enumerate())
    look_up.close()


async def test_closing_waits_for_no_look_up_and_starts_none(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    name_server_answers = threading.Event()

    def getaddrinfo(host: object, *_: object, **__: object) -> list[object]:
        asked.append(host)
        name_server_answers.wait(5)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    look_up = SystemLookUp(max_threads=1)
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(look_up("a.example"))
            waiting = tasks.create_task(look_up("b.example"))
            await asyncio.sleep(0.02)
            began_s = time.monotonic()
            look_up.close()
            assert time.monotonic() - began_s < 1
            name_server_answers.set()
    finally:
        name_server_answers.set()
    assert (running.result(), waiting.cancelled(), asked) == ([], True, ["a.example"])


# Sockets


@contextmanager
def no_sockets() -> Iterator[list[object]]:
    """Every socket somebody wants to make; nobody gets one. (Advocate's test suite does so.)"""
    wanted: list[object] = []

    def refuse(_: socket.socket, *arguments: object, **__: object) -> None:
        wanted.append(arguments)
        raise OSError("no sockets here")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "__init__", refuse)  # of every kind of socket there is
        yield wanted


@pytest.mark.skipif(not CASES.exists(), reason="the public SSRF case list is not beside this checkout")
async def test_no_denied_public_case_reaches_a_socket_and_every_allowed_one_does() -> None:
    for case in cases():
        if case.location or len(case.look_ups) > 1:
            continue

        async def look_up(_: str, answer: Sequence[str] = case.look_ups[0]) -> Sequence[str]:
            return answer

        async with loopback_fetcher(look_up=look_up) as fetcher:
            with no_sockets() as wanted:
                reason = await failure_of(fetcher, case.url)
        expected = PageFailure.UNREACHABLE if case.allowed else PageFailure.BLOCKED
        assert (reason, bool(wanted)) == (expected, case.allowed), case.url


@given(address=st.ip_addresses().map(str), port=st.sampled_from([22, 80, 443]))
def test_a_socket_is_made_for_a_public_address_only(address: str, port: int) -> None:
    with no_sockets() as wanted, pytest.raises(OSError, match=r"blocked: address|no sockets here"):
        open_socket(
            AddressPolicy(), (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
        )
    made = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    assert wanted == ([made] if may_connect(address, port) else [])


@pytest.mark.parametrize("answers", [["127.0.0.1"], ["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "fd00::1"]])
async def test_an_address_that_nobody_judged_before_is_refused_at_the_socket(answers: list[str]) -> None:
    class CarelessResolver(AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: object = 0) -> list[ResolveResult]:
            return [
                ResolveResult(hostname=host, host=answer, port=port, family=0, proto=0, flags=0)
                for answer in answers
            ]

        async def close(self) -> None: ...

    budget = AddressBudget(1_000, FakeClock().monotonic)
    connector = GuardedConnector(
        AddressPolicy(), CarelessResolver(), budget, max_connections=9, max_per_host=9
    )
    async with aiohttp.ClientSession(connector=connector) as session:
        with no_sockets() as wanted, pytest.raises(PageFailed) as raised, _translated():
            await session.get("http://site.example/")
    assert raised.value.reason is PageFailure.BLOCKED
    assert wanted == []


async def test_a_connection_to_nobody_known_is_not_used() -> None:
    budget = AddressBudget(1_000, FakeClock().monotonic)
    resolver = GuardedResolver(AddressPolicy(), StubLookUp({}), timeout_s=1)
    connector = GuardedConnector(AddressPolicy(), resolver, budget, max_connections=9, max_per_host=9)
    lost = SimpleNamespace(transport=None)  # as aiohttp's Connection is once its peer has left
    with pytest.raises(aiohttp.ServerDisconnectedError):
        connector._count(lost)  # type: ignore[arg-type]  # only a peer that leaves makes a real one so
    await connector.close()


# Surroundings


async def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with hostile_server({}) as proxy, hostile_server({"/page": PAGE}) as server:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url(""))
        monkeypatch.setenv("NO_PROXY", "")
        async with loopback_fetcher(server) as fetcher:
            await fetcher.fetch(server.url("/page"))
    assert proxy.connections == 0


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """For site.example and 127.0.0.1, signed by itself; and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed: no certificate to judge")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", "1", "-subj", "/CN=site.example", "-addext", "subjectAltName=DNS:site.example,IP:127.0.0.1",
         "-out", certificate, "-keyout", key],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


async def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: tuple[Path, Path]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    look_up = StubLookUp({"site.example": [["127.0.0.1"]]})
    async with (
        hostile_server({"/page": PAGE}, tls=context) as server,
        loopback_fetcher(server, look_up=look_up) as fetcher,
    ):
        for host in ("127.0.0.1", "site.example"):
            url = f"https://{host}:{server.port}/page"
            assert await failure_of(fetcher, url) is PageFailure.UNREACHABLE
    assert server.exchanges == []


def test_a_certificate_that_is_vouched_for_is_taken_for_the_hosts_it_names(
    certificate: tuple[Path, Path],
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.fetch_over_tls", *certificate,
         "site.example", "127.0.0.1", "other.example"],
        env={"PATH": os.environ["PATH"], "SSL_CERT_FILE": str(certificate[0])},
        cwd=Path(__file__).parents[4], capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    page, refusal = "<p>Plovers", "unreachable: ClientConnectorCertificateError"
    assert done.stdout.splitlines() == [page, page, refusal]


async def test_a_port_that_nobody_listens_on_cannot_be_reached() -> None:
    async with hostile_server({}) as server:
        pass
    async with loopback_fetcher(server) as fetcher:
        assert await failure_of(fetcher, server.url("/")) is PageFailure.UNREACHABLE


# Requests to one address in an hour


async def test_an_address_is_asked_no_more_than_its_budget_on_kept_connections_too() -> None:
    clock = FakeClock()
    limits = replace(QUICK, max_hourly_per_address=6)
    async with (
        hostile_server({"/page": PAGE}) as server,
        loopback_fetcher(server, limits=limits, monotonic=clock.monotonic) as fetcher,
    ):
        for _ in range(3):
            await fetcher.fetch(server.url("/page"))
        assert await failure_of(fetcher, server.url("/page")) is PageFailure.BLOCKED
        await clock.sleep(1_200)
        await fetcher.fetch(server.url("/page"))
        assert await failure_of(fetcher, server.url("/page")) is PageFailure.BLOCKED
    assert len(server.exchanges) == 4


async def test_an_address_has_one_budget_for_all_its_ports_and_shares_it_with_no_other() -> None:
    budget = AddressBudget(2, FakeClock().monotonic)
    resolver = GuardedResolver(AddressPolicy(), StubLookUp({}), timeout_s=1)
    connector = GuardedConnector(AddressPolicy(), resolver, budget, max_connections=9, max_per_host=9)
    connector._count(_connected_to("1.1.1.1", 80))
    connector._count(_connected_to("8.8.8.8", 80))
    with pytest.raises(UrlRefused, match=r"^blocked: address asked too often$"):
        connector._count(_connected_to("1.1.1.1", 443))
    await connector.close()


def _connected_to(address: str, port: int) -> Connection:
    """As far as counting looks: no test can have a connection to the internet."""
    transport = SimpleNamespace(get_extra_info={"peername": (address, port)}.get)
    return cast("Connection", SimpleNamespace(transport=transport))


def test_four_thousand_addresses_are_remembered_and_no_more() -> None:
    budget = AddressBudget(2, FakeClock().monotonic)
    addresses = [str(number) for number in range(4_096)]
    assert all(admitted(budget, address) for address in addresses)
    assert not any(admitted(budget, address) for address in addresses)
    assert admitted(budget, "one more")
    assert admitted(budget, addresses[0])


def admitted(budget: AddressBudget, address: str) -> bool:
    try:
        budget.spend(address)
    except UrlRefused:
        return False
    return True


@given(pauses_s=st.lists(st.floats(0, 4_000), min_size=1, max_size=60))
def test_no_hour_holds_more_requests_than_the_budget(pauses_s: list[float]) -> None:
    now_s = 0.0
    budget = AddressBudget(10, lambda: now_s)
    admitted_at_s = []
    for pause_s in pauses_s:
        now_s += pause_s
        admitted_at_s += [now_s for _ in range(7) if admitted(budget, "1.1.1.1")]
    for start_s in admitted_at_s:
        assert sum(start_s <= at_s < start_s + 3_600 for at_s in admitted_at_s) <= 10


def test_addresses_have_budgets_of_their_own_and_those_asked_longest_ago_are_forgotten() -> None:
    budget = AddressBudget(2, FakeClock().monotonic, max_addresses=2)
    assert [admitted(budget, address) for address in "abab"] == [True, True, False, False]
    assert admitted(budget, "c")
    assert not admitted(budget, "b")
    assert admitted(budget, "a")

"""The guard's rules, without a network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from core.errors import PageFailed, PageFailure
from core.reading.urls import (
    AddressPolicy,
    UrlRefused,
    _as_sent,
    check_address,
    check_answers,
    check_redirect,
    check_url,
    find_urls,
    literal_address,
)

POLICY = AddressPolicy()
CASES = Path(__file__).parents[4] / "shared" / "eval" / "ssrf_cases_dev.txt"


def is_allowed(url: str, policy: AddressPolicy = POLICY) -> bool:
    try:
        check_url(url, policy)
    except UrlRefused:
        return False
    return True


def may_connect(address: str, port: int = 443, policy: AddressPolicy = POLICY) -> bool:
    try:
        check_address(address, port, policy)
    except UrlRefused:
        return False
    return True


# The shape of a URL


@pytest.mark.parametrize(
    ("raw", "sent"),
    [
        ("http://example.org", "http://example.org"),
        ("HTTPS://Example.ORG:443/a?b=c#d", "https://example.org/a?b=c"),
        ("http://example.org:/", "http://example.org/"),
        ("http://example.org:080/", "http://example.org/"),
        ("http://example.org./x", "http://example.org/x"),
        ("http://example.org/a@b:80", "http://example.org/a@b:80"),
        ("http://example.org/?u=http://127.0.0.1/", "http://example.org/?u=http://127.0.0.1/"),
        ("http://example.org/%00%2F", "http://example.org/%00%2F"),
        ("http://bücher.example.org/", "http://xn--bcher-kva.example.org/"),
        ("http://BÜCHER.example.org/größe", "http://xn--bcher-kva.example.org/gr%C3%B6%C3%9Fe"),
        ("http://xn--bcher-kva.example.org/", "http://xn--bcher-kva.example.org/"),
        ("http://ｅｘａｍｐｌｅ。ｏｒｇ/", "http://example.org/"),
        ("http://a_b.example.org/", "http://a_b.example.org/"),
        ("http://a_.example.org/", "http://a_.example.org/"),
        ("http://_dmarc.example.org/", "http://_dmarc.example.org/"),
        ("http://127.0.0.1.example.org/", "http://127.0.0.1.example.org/"),
        ("http://0x7f.example.org/", "http://0x7f.example.org/"),
        ("http://notlocalhost.org/", "http://notlocalhost.org/"),
        ("http://internal.org/", "http://internal.org/"),
        ("http://1.1.1.1/", "http://1.1.1.1/"),
        ("http://[2606:4700:4700:0::1111]/", "http://[2606:4700:4700::1111]/"),
        (f"http://{'a' * 63}.org/", f"http://{'a' * 63}.org/"),
        (f"http://{'a.' * 125}org/", f"http://{'a.' * 125}org/"),
    ],
)
def test_a_public_web_url_is_sent_as_it_was_judged(raw: str, sent: str) -> None:
    url = check_url(raw, POLICY)
    assert str(url) == sent
    assert url.explicit_port is None


def test_2048_characters_pass_and_one_more_does_not() -> None:
    start = "http://example.org/"
    longest = start + "a" * (2_048 - len(start))
    assert is_allowed(longest)
    assert not is_allowed(longest + "a")


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "example.org",
        "//example.org/",
        "http:example.org",
        "http:/example.org",
        "http:///example.org",
        "http://",
        "http:///",
        "http://.",
        "http://./",
        "http://..",
        "ftp://example.org/",
        "ws://example.org/",
        "data:text/html,x",
        "javascript://example.org/%0aalert(1)",
        "http+unix://example.org/",
        "http://example.org:81/",
        "http://example.org:443/",
        "https://example.org:80/",
        "http://example.org:0/",
        "http://example.org:65616/",
        "http://example.org:8080/",
        "http://example.org:+80/",
        "http://example.org:٨٠/",
        "http://example.org:80:80/",
        "http://user@example.org/",
        "http://user:password@example.org/",
        "http://@example.org/",
        "http://:@example.org/",
        "http://example%2eorg/",
        "http://exam%70le.org/",
        "http://example.org\\@127.0.0.1/",
        "http://example.org/\\",
        "http://example.org/ ",
        " http://example.org/",
        "http://example.org/\t",
        "http://exam\nple.org/",
        "http://example.org/\r\nHost:x",
        "http://example.org/\x00",
        "http://example.org/\x7f",
        "http://example.org/\u00a0",
        "http://example.org/\u2028",
        "http://example.org/\u202egpj",
        "http://exam\u00adple.org/",
        "http://example.org/\ud800",
        "http://example.org\uff0f@127.0.0.1/",
        "http://example..org/",
        "http://.example.org/",
        "http://-example.org/",
        "http://example-.org/",
        "http://exa!mple.org/",
        "http://exa;mple.org/",
        "http://;example.org/",
        "http://example;.org/",
        "http://example.org,/",
        "http://xn--a.example.org/",
        "http://xn--.example.org/",
        "http://xn--localhost-.example.org/",
        "http://a\u0300\u0301\u05d0.example.org/",
        "http://i❤.example.org/",
        f"http://{'a' * 64}.org/",
        f"http://{'a.' * 125}info/",
        f"http://{'a.' * 126}org/",
        f"http://{'ü' * 60}.org/",
        f"http://{'ü.' * 126}",
        f"http://{'ü.' * 100}org/",
        "http://[::1",
        "http://::1]/",
        "http://[]/",
        "http://[1.1.1.1]/",
        "http://[example.org]/",
        "http://[v1.x]/",
        "http://[2606:4700:4700::1111%25eth0]/",
        "http://[2606:4700:4700::1111%eth0]/",
        "http://[2606:4700:4700::1.1.1.1]/",
        "http://[2606:4700:4700::1111].org/",
        "http://[2606:4700:4700::1111]x/",
    ],
)
def test_other_shapes_are_refused(raw: str) -> None:
    assert not is_allowed(raw)


@pytest.mark.parametrize(
    "host",
    [
        "1", "1.1", "1.1.1", "1.1.1.1.1", "1.1.1.1.", "01.1.1.1", "1.1.1.01", "001.1.1.1", "256.1.1.1",
        "1.1.1.256",
        "0x1.1.1.1", "0x01010101", "1.1.1.0x1", "0X1010101", "16843009", "1.1.257", "1.65793", "0b1.1.1.1",
        "example.1", "example.0x", "example.0xff", "example.0xabcde", "example.08",
        "①.1.1.1", "１.１.１.１", "1。1。1。1",
        "1.1.1.¹",
        "1.1.1.", "٠.٠.٠.١",
    ],
)  # fmt: skip
def test_a_number_that_is_no_dotted_quad_is_no_host(host: str) -> None:
    assert not is_allowed(f"http://{host}/")


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "db", "metadata", "LOCALHOST", "localhost.", "a.localhost", "printer.local", "a.b.local",
        "x.internal", "x.lan", "x.corp", "x.home", "x.mail", "x.intranet", "x.private", "x.localdomain",
        "x.home.arpa", "home.arpa", "x.onion", "x.i2p", "x.test", "x.invalid", "x.alt", "a.b.svc", "x.consul",
        "kubernetes.default", "metadata.goog", "x.metadata.goog", "metadata.tencentyun.com",
        "metadata.packet.net",
        "metadata.platformequinix.com", "api.metadata.cloud.ibm.com", "ｌocalhost", "x.ｌocal", "x.local。",
    ],
)  # fmt: skip
def test_a_name_that_is_not_public_is_refused_whatever_it_resolves_to(host: str) -> None:
    assert not is_allowed(f"http://{host}/")


@given(st.text(max_size=300))
@example("http://[::1%25]/")
@example("http://a" + "\u0660" * 200)
def test_any_text_is_allowed_or_refused(raw: str) -> None:
    is_allowed(raw)


@given(st.from_regex(r"https?://[^/?#]{0,40}[/?#]?.{0,20}", fullmatch=True))
def test_an_allowed_url_is_one_host_to_every_parser(raw: str) -> None:
    try:
        url = check_url(raw, POLICY)
    except UrlRefused:
        return
    assert urlsplit(str(url)).hostname == url.raw_host
    assert url.scheme in ("http", "https")
    assert url.port == {"http": 80, "https": 443}[url.scheme]
    assert (url.user, url.password, url.fragment) == (None, None, "")
    assert check_url(str(url), POLICY) == url


@given(st.integers(0, 2**32 - 1))
def test_an_ipv4_host_is_judged_as_the_address_it_is(number: int) -> None:
    address = str(IPv4Address(number))
    assert is_allowed(f"http://{address}/") == may_connect(address)


@given(st.integers(0, 2**128 - 1))
def test_an_ipv6_host_is_judged_as_the_address_it_is(number: int) -> None:
    address = str(IPv6Address(number))
    assert is_allowed(f"http://[{address}]/") == may_connect(address)


@pytest.mark.parametrize(("host", "port"), [("example.com", None), ("example.org", 8_080), ("", None)])
def test_a_url_is_not_sent_if_the_client_would_read_another_host_or_port_in_it(
    host: str, port: int | None
) -> None:
    with pytest.raises(UrlRefused, match=r"^blocked: parsers disagree$"):
        _as_sent("http://example.org/", host, port)
    assert str(_as_sent("http://example.org/", "example.org", None)) == "http://example.org/"


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        ("http://example.org/" + "a" * 2_048, "length"),
        ("http://example.org/ ", "characters"),
        ("ftp://example.org/", "scheme"),
        ("http://example.org:8080/", "port"),
        ("http://example.org:http/", "not a URL"),
        ("http://[::1", "not a URL"),
        ("https://example.org:443@127.0.0.1/", "user information"),
        ("http://127.0.0.1%2eexample.org/", "encoded host"),
        ("http://[fe80::1%25eth0]/", "encoded host"),
        ("http://[2606:4700::8.8.8.8]/", "embedded address"),
        ("http://", "host length"),
        (f"http://{'a.' * 127}org/", "host length"),
        (f"http://{'ü.' * 80}org/", "host length"),
        ("http://exa!mple.org/", "host name"),
        ("http://0x7f.1/", "number for a host"),
        ("http://a/", "single-label name"),
        ("http://printer.local/", "special-use name"),
        ("http://127.0.0.1/", "address"),
        ("http://[::ffff:7f00:1]/", "address"),
    ],
)
def test_each_rule_refuses_on_its_own_and_is_named_for_the_logs(raw: str, rule: str) -> None:
    with pytest.raises(UrlRefused) as raised:
        check_url(raw, POLICY)
    assert str(raised.value) == f"blocked: {rule}"


def test_a_refusal_is_a_blocked_page() -> None:
    with pytest.raises(PageFailed) as raised:
        check_url("http://127.0.0.1/", POLICY)
    assert raised.value.reason is PageFailure.BLOCKED
    assert "127" not in str(raised.value)


def test_only_a_host_that_is_an_address_is_literal() -> None:
    assert literal_address(URL("http://1.1.1.1/")) == ip_address("1.1.1.1")
    assert literal_address(URL("http://[2606:4700::1111]/")) == ip_address("2606:4700::1111")
    assert literal_address(URL("http://example.org/")) is None
    assert literal_address(URL("/relative")) is None


# Addresses

DENIED_V4 = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16",
    "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
    "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
)  # fmt: skip
DENIED_V6 = ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")


@pytest.mark.parametrize("network", [*DENIED_V4, *DENIED_V6])
def test_a_denied_network_is_denied_from_its_first_address_to_its_last(network: str) -> None:
    first, last = ip_network(network)[0], ip_network(network)[-1]
    assert not may_connect(str(first))
    assert not may_connect(str(last))


@pytest.mark.parametrize(
    "address",
    [
        "1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
        "191.255.255.255", "192.0.1.0", "192.0.1.255", "192.0.3.0", "192.88.98.255", "192.88.100.0",
        "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0",
        "203.0.112.255", "203.0.114.0", "223.255.255.255",
        "2000::", "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::",
        "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::", "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "2003::", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::",
        "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ],
)  # fmt: skip
def test_the_neighbours_of_denied_networks_are_public(address: str) -> None:
    assert may_connect(address)


@pytest.mark.parametrize(
    "address",
    [
        "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "64:ff9b:1::1", "100::1", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "4000::", "5f00::1", "fc00::1",
        "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "ff0e::1",
        "2606:4700::5efe:8.8.8.8", "2606:4700::200:5efe:8.8.8.8", "2606:4700::1111%eth0", "fe80::1%1",
        "", "example.org", "1.1.1", "01.1.1.1", "1.1.1.1 ", "[::1]", "1.1.1.1/32", "2130706433",
    ],
)  # fmt: skip
def test_what_is_no_public_address_is_denied(address: str) -> None:
    assert not may_connect(address)


@given(st.integers(0, 2**32 - 1).map(IPv4Address) | st.integers(0, 2**128 - 1).map(IPv6Address))
def test_no_address_is_public_here_that_python_calls_private(address: IPv4Address | IPv6Address) -> None:
    assert not (may_connect(str(address)) and (not address.is_global or address.is_multicast))


@pytest.mark.parametrize("port", [0, 22, 79, 81, 442, 444, 8_080, 65_535])
def test_a_public_address_is_reached_on_web_ports_only(port: int) -> None:
    assert may_connect("1.1.1.1", 80)
    assert may_connect("1.1.1.1", 443)
    assert not may_connect("1.1.1.1", port)


def test_a_loopback_port_opens_127_0_0_1_and_nothing_else() -> None:
    policy = AddressPolicy(loopback_ports=frozenset({8_123}))
    assert is_allowed("http://127.0.0.1:8123/", policy)
    assert may_connect("127.0.0.1", 8_123, policy)
    for port, address in [(8_124, "127.0.0.1"), (80, "127.0.0.1"), (8_123, "127.0.0.2"), (8_123, "1.1.1.1")]:
        assert not is_allowed(f"http://{address}:{port}/", policy)
        assert not may_connect(address, port, policy)
    assert not may_connect("::1", 8_123, policy)
    assert not is_allowed("http://localhost:8123/", policy)
    assert not is_allowed("http://127.1:8123/", policy)
    assert may_connect("1.1.1.1", 443, policy)


@pytest.mark.parametrize(
    ("addresses", "rule"),
    [
        ([], "name without an address"),
        (["1.1.1.1"] * 17, "name with too many addresses"),
        (["1.1.1.1", "example.org"], "not an address"),
        (["1.1.1.1", "10.0.0.1"], "address"),
    ],
)
def test_each_rule_about_answers_is_named_for_the_logs(addresses: Sequence[str], rule: str) -> None:
    with pytest.raises(UrlRefused) as raised:
        check_answers(addresses, 443, POLICY)
    assert str(raised.value) == f"blocked: {rule}"


def are_allowed(addresses: Sequence[str]) -> bool:
    try:
        check_answers(addresses, 443, POLICY)
    except UrlRefused:
        return False
    return True


def test_every_answer_has_to_pass() -> None:
    assert are_allowed(["1.1.1.1", "2606:4700::1111"])
    assert not are_allowed(["1.1.1.1", "10.0.0.1"])
    assert not are_allowed(["10.0.0.1", "1.1.1.1"])
    assert not are_allowed(["1.1.1.1", "::1"])
    assert not are_allowed([])


def test_sixteen_answers_are_taken_and_no_seventeenth() -> None:
    addresses = [f"1.1.1.{last}" for last in range(17)]
    assert are_allowed(addresses[:16])
    assert not are_allowed(addresses)


# Redirects


@pytest.mark.parametrize(
    ("from_url", "location", "to_url"),
    [
        ("http://example.org/a/b?c", "d", "http://example.org/a/d"),
        ("http://example.org/a/b?c", "/d?e#f", "http://example.org/d?e"),
        ("http://example.org/a/b?c", "?d", "http://example.org/a/b?d"),
        ("http://example.org/a", "//example.com/b", "http://example.com/b"),
        ("https://example.org/a", "//example.com/b", "https://example.com/b"),
        ("http://example.org/a", "https://example.org/a", "https://example.org/a"),
        ("https://example.org/a", "https://example.com/", "https://example.com/"),
        ("http://example.org/a", "http://1.1.1.1/", "http://1.1.1.1/"),
        ("https://example.org/a", "https:b", "https://example.org/b"),
    ],
)
def test_a_redirect_leads_where_a_browser_would_go(from_url: str, location: str, to_url: str) -> None:
    assert check_redirect(URL(from_url), location, POLICY) == URL(to_url)


@pytest.mark.parametrize(
    "location",
    [
        "http://example.org/",
        "http://example.com/",
        "https://127.0.0.1/",
        "//127.0.0.1/",
        "//localhost/",
        "https://example.org:8443/",
        "file:///etc/passwd",
        "data:,x",
        "https://[::1",
        "/a b",
        "\\\\example.com",
        "\thttps://example.com/",
        "https://exam\nple.com/",
        "/" + "a" * 2_048,
    ],
)
def test_a_redirect_is_refused_as_any_url_would_be_and_never_gives_up_encryption(location: str) -> None:
    with pytest.raises(UrlRefused):
        check_redirect(URL("https://example.org/start"), location, POLICY)


@pytest.mark.parametrize(
    ("location", "rule"),
    [
        ("http://example.org/", "redirect to a scheme without encryption"),
        ("https://[::1", "not a URL"),
        ("/a\tb", "characters"),
        ("///127.0.0.1/", "redirect without a host"),
        ("///example.com/", "redirect without a host"),
        ("////example.com/", "redirect without a host"),
        ("HTTPS:///example.com/", "redirect without a host"),
        ("http:///example.com/", "redirect without a host"),
        ("http:/example.com/", "host length"),
        ("javascript:alert(1)", "scheme"),
        ("gopher://127.0.0.1:80/_", "scheme"),
        ("https://example.com@127.0.0.1/", "user information"),
    ],
)
def test_each_rule_about_redirects_is_named_for_the_logs(location: str, rule: str) -> None:
    with pytest.raises(UrlRefused) as raised:
        check_redirect(URL("https://example.org/start"), location, POLICY)
    assert str(raised.value) == f"blocked: {rule}"


@given(st.text(max_size=100))
def test_any_location_is_allowed_or_refused(location: str) -> None:
    try:
        url = check_redirect(URL("https://example.org/a"), location, POLICY)
    except UrlRefused:
        return
    assert url.scheme == "https"


# URLs a person typed


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("nothing here, not even www.example.org or ftp://example.org", []),
        ("What does https://example.org/a say?", ["https://example.org/a"]),
        ("Read https://example.org/a. And http://example.com!", ["https://example.org/a", "http://example.com"]),
        ("(see https://example.org/a)", ["https://example.org/a"]),
        ("[https://example.org/a]; {https://example.org/b}", ["https://example.org/a", "https://example.org/b"]),
        ("https://example.org/Plover_(bird)", ["https://example.org/Plover_(bird)"]),
        ("(https://example.org/Plover_(bird)).", ["https://example.org/Plover_(bird)"]),
        ("https://example.org/a[1]", ["https://example.org/a[1]"]),
        ("http://[2606:4700::1111]/", ["http://[2606:4700::1111]/"]),
        ("https://example.org/a?b=c&d=%20#e", ["https://example.org/a?b=c&d=%20#e"]),
        ("<https://example.org/a|label> and <https://example.org/b>", ["https://example.org/a", "https://example.org/b"]),
        ('"https://example.org/a" `https://example.org/b`', ["https://example.org/a", "https://example.org/b"]),
        ("*https://example.org/a* _https://example.org/b_", ["https://example.org/a", "https://example.org/b"]),
        ("HTTPS://Example.org/A", ["HTTPS://Example.org/A"]),
        ("https://example.org/a https://example.org/b https://example.org/a", ["https://example.org/a", "https://example.org/b"]),
        ("「https://example.org/a」は何ですか。", ["https://example.org/a"]),
        ("见https://example.org/a，谢谢", ["https://example.org/a"]),
        ("https:// http://...", []),
        ("https://example.org/a?", ["https://example.org/a"]),
        ("https://example.org/a…", ["https://example.org/a"]),
        ("https://example.org/))))", ["https://example.org/"]),
        ("(see https://example.org/(a)y)", ["https://example.org/(a)y"]),
        ("https://example.org/(oo)", ["https://example.org/(oo)"]),
        ("https://example.org/{a}", ["https://example.org/{a}"]),
    ],
)  # fmt: skip
def test_urls_are_found_as_a_reader_would_see_them(text: str, urls: list[str]) -> None:
    assert find_urls(text) == urls


@pytest.mark.parametrize("mark", '<>"|`、。，！？；：「」『』（）【】《》')
def test_a_url_ends_at_a_mark_that_none_holds(mark: str) -> None:
    assert find_urls(f"https://example.org/a{mark}b") == ["https://example.org/a"]


@pytest.mark.parametrize("mark", ".,;:!?'*_~…’”»)]}")
def test_a_mark_at_the_end_of_a_url_is_the_sentences(mark: str) -> None:
    assert find_urls(f"https://example.org/a{mark} b") == ["https://example.org/a"]
    assert find_urls(f"https://example.org/a{mark}b") == [f"https://example.org/a{mark}b"]


@given(st.text(st.sampled_from("htps:/.()[]{}!?a <|"), max_size=200))
def test_found_urls_stand_in_the_text_each_once(text: str) -> None:
    urls = find_urls(text)
    assert len(set(urls)) == len(urls)
    assert all(url in text and url[:4].lower() == "http" for url in urls)


# The public case list, where it is at hand


@dataclass(frozen=True, kw_only=True)
class Case:
    allowed: bool
    url: str
    look_ups: list[list[str]]
    location: str
    location_answers: list[str]


def cases() -> Iterator[Case]:
    for line in CASES.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        verdict, url, dns, _layer, _origin, location, note = line.split("\t")
        if note.startswith(("loop", "meta refresh", "Alt-Svc")):
            continue  # about what is followed, not about what may be: test_fetcher.py, on real servers
        failed = dns in ("-", "NXDOMAIN", "NODATA", "TIMEOUT")
        yield Case(
            allowed=verdict == "ALLOW",
            url=_text(url),
            look_ups=[[]] if failed else [answer.split(";") for answer in dns.split("|")],
            location="" if location == "-" else _text(location),
            # The list says in words only what a redirect's target resolves to.
            location_answers=["10.0.0.1" if "private answer" in note else "93.184.216.34"],
        )


def _text(field: str) -> str:
    return str(json.loads(field.removeprefix("json:"))) if field.startswith("json:") else field


def verdict(case: Case) -> bool:
    try:
        url = check_url(case.url, POLICY)
        for addresses in case.look_ups if literal_address(url) is None else []:
            check_answers(addresses, url.port or 0, POLICY)
        if case.location:
            target = check_redirect(url, case.location, POLICY)
            check_answers(case.location_answers, target.port or 0, POLICY)
    except UrlRefused:
        return False
    return True


@pytest.mark.skipif(not CASES.exists(), reason="the public SSRF case list is not beside this checkout")
def test_every_public_case_gets_its_verdict() -> None:
    judged = list(cases())
    assert len(judged) > 200
    assert [case for case in judged if verdict(case) != case.allowed] == []

"""May this URL be fetched? Pure: nothing here resolves a name or opens a socket.

A stranger chooses the URLs, so everything is refused that is not named as allowed: web schemes on
their own ports, names that can exist on the public internet, addresses that belong to it. A fetch
asks three times: the URL's shape (`check_url`), the name's answers (`check_answers`), and each
address again at the moment a socket is made for it (`check_address`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urljoin, urlsplit

import idna
from yarl import URL

from core.errors import PageFailed, PageFailure

MAX_URL_CHARS = 2_048
MAX_HOST_CHARS = 253  # RFC 1035, section 2.3.4, in presentation form
MAX_ANSWERS = 16  # more addresses than that for one name is an attack or a mistake

_PORTS = {"http": 80, "https": 443}

_DENIED_V4 = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # "this network", RFC 791
            "10.0.0.0/8",  # private, RFC 1918
            "100.64.0.0/10",  # carrier-grade NAT, RFC 6598
            "127.0.0.0/8",  # loopback, RFC 1122
            "168.63.129.16/32",  # Azure WireServer: routable, answers with secrets
            "169.254.0.0/16",  # link-local and cloud metadata, RFC 3927
            "172.16.0.0/12",  # private, RFC 1918
            "192.0.0.0/24",  # IETF protocol assignments, RFC 6890
            "192.0.2.0/24",  # TEST-NET-1, RFC 5737
            "192.88.99.0/24",  # 6to4 relays, RFC 7526
            "192.168.0.0/16",  # private, RFC 1918
            "198.18.0.0/15",  # benchmarking, RFC 2544
            "198.51.100.0/24",  # TEST-NET-2, RFC 5737
            "203.0.113.0/24",  # TEST-NET-3, RFC 5737
            "224.0.0.0/4",  # multicast, RFC 5771
            "240.0.0.0/4",  # reserved and broadcast, RFC 1112 and RFC 919
        ),
    )
)
# Only global unicast, RFC 4291: mapped, compatible, translated and NAT64 forms of IPv4 lie outside it.
_GLOBAL_V6 = ip_network("2000::/3")
_DENIED_V6 = tuple(
    map(
        ip_network,
        (
            "2001::/23",  # IETF protocol assignments, RFC 2928: Teredo, benchmarking, ORCHID
            "2001:db8::/32",  # documentation, RFC 3849
            "2002::/16",  # 6to4, RFC 3056
            "3fff::/20",  # documentation, RFC 9637
        ),
    )
)
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})  # an IPv4 address follows, RFC 5214, section 6.1

# None of these is a public name, whatever a resolver answers; each stands for its subdomains too.
_DENIED_NAMES = frozenset(
    {
        "localhost",  # RFC 6761, as are test and invalid
        "test",
        "invalid",
        "local",  # multicast DNS, RFC 6762
        "home.arpa",  # RFC 8375
        "onion",  # RFC 7686
        "alt",  # RFC 9476
        "internal",  # reserved for private use by ICANN, 2024; the clouds' metadata services
        "corp",  # refused for delegation by ICANN, 2018, as are home and mail
        "home",
        "mail",
        "lan",
        "intranet",
        "private",
        "localdomain",
        "i2p",
        "svc",  # Kubernetes
        "kubernetes.default",
        "consul",
        "metadata.goog",
        "metadata.tencentyun.com",
        "metadata.packet.net",
        "metadata.platformequinix.com",
        "api.metadata.cloud.ibm.com",
    }
)

_PLAIN_URL = re.compile(r"[!-\[\]-~]*")  # visible ASCII but the backslash
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # "ends in a number", WHATWG URL, section 3.5
# What follows is a path to urllib and a host to browsers, WHATWG URL, section 4.4.
_EMPTY_HOST = re.compile(r"(?:https?:)?///", re.IGNORECASE)

_TYPED_URL = re.compile(r"https?://[\w\[][^\s<>\"|`、。，！？；：「」『』（）【】《》]*", re.IGNORECASE)
_CLOSERS = {")": "(", "]": "[", "}": "{"}
_TRAILING = ".,;:!?'*_~…’”»"


class UrlRefused(PageFailed):
    """The guard said no. detail: the rule, for logs; never shown, for it would help to probe a network."""

    def __init__(self, detail: str) -> None:
        super().__init__(PageFailure.BLOCKED, detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressPolicy:
    """What may be connected to: public addresses on ports 80 and 443.

    loopback_ports: ports on which 127.0.0.1, and it alone, may be reached as well. For tests and
        the demo; the only opening there is, and no setting leads to it.
    """

    loopback_ports: frozenset[int] = frozenset()


def check_url(raw: str, policy: AddressPolicy) -> URL:
    """The URL as it is to be sent: host in ASCII, no fragment. Raises UrlRefused, and nothing else.

    A host that is an address is judged here; a name's answers are for `check_answers`.
    """
    _check_characters(raw)
    try:
        return _judged(raw, policy)
    except ValueError as error:  # urllib's, yarl's and idna's way to say no
        raise UrlRefused("not a URL") from error


def check_redirect(from_url: URL, location: str, policy: AddressPolicy) -> URL:
    """Where a redirect leads, judged like any URL. The scheme may stay or become https. Raises UrlRefused."""
    _check_characters(location)
    if _EMPTY_HOST.match(location):
        raise UrlRefused("redirect without a host")
    try:
        target = urljoin(str(from_url), location)
    except ValueError as error:
        raise UrlRefused("not a URL") from error
    url = check_url(target, policy)
    if from_url.scheme == "https" and url.scheme == "http":
        raise UrlRefused("redirect to a scheme without encryption")
    return url


def check_answers(addresses: Sequence[str], port: int, policy: AddressPolicy) -> None:
    """Every address a name resolves to has to pass: the one connected to is not ours to choose."""
    if not addresses:
        raise UrlRefused("name without an address")
    if len(addresses) > MAX_ANSWERS:
        raise UrlRefused("name with too many addresses")
    for address in addresses:
        check_address(address, port, policy)


def check_address(address: str, port: int, policy: AddressPolicy) -> None:
    """May a socket be opened to this address, as getaddrinfo writes it? Raises UrlRefused if not."""
    try:
        parsed = ip_address(address)
    except ValueError as error:
        raise UrlRefused("not an address") from error
    if port in policy.loopback_ports:
        allowed = address == "127.0.0.1"
    else:
        allowed = port in _PORTS.values() and _is_public(parsed)
    if not allowed:
        raise UrlRefused("address")


def literal_address(url: URL) -> IPv4Address | IPv6Address | None:
    """The address a checked URL names instead of a host: such a URL needs no look-up."""
    try:
        return ip_address(url.raw_host or "")
    except ValueError:
        return None


def find_urls(text: str) -> list[str]:
    """The http and https URLs a person typed, in order, each once, without the sentence's punctuation."""
    return list(dict.fromkeys(_without_punctuation(match[0]) for match in _TYPED_URL.finditer(text)))


def _check_characters(raw: str) -> None:
    if len(raw) > MAX_URL_CHARS:
        raise UrlRefused("length")
    # Parsers drop, map or stop at controls, spaces, format marks and backslashes, each in its own way.
    if not _PLAIN_URL.fullmatch(raw) and any(
        character == "\\" or unicodedata.category(character)[0] in "CZ" for character in raw
    ):
        raise UrlRefused("characters")


def _judged(raw: str, policy: AddressPolicy) -> URL:
    """Raises UrlRefused or ValueError."""
    parts = urlsplit(raw)
    if parts.scheme not in _PORTS:
        raise UrlRefused("scheme")
    if parts.port not in (None, _PORTS[parts.scheme], *policy.loopback_ports):
        raise UrlRefused("port")
    url = _as_sent(raw, _checked_host(parts), parts.port)
    if address := literal_address(url):
        check_address(str(address), url.port or 0, policy)
    else:
        _check_name(url.raw_host or "")
    return url


def _checked_host(parts: SplitResult) -> str:
    """In ASCII, lower case, without brackets or a trailing dot. Raises UrlRefused or ValueError."""
    host = parts.hostname or ""
    if "@" in parts.netloc:
        raise UrlRefused("user information")
    if "%" in parts.netloc:
        raise UrlRefused("encoded host")
    if parts.netloc.startswith("["):
        return _checked_v6(host)
    # Before IDNA, whose cost grows with the square of the length (CVE-2026-45409).
    if not 0 < len(host) <= MAX_HOST_CHARS:
        raise UrlRefused("host length")
    return _checked_labels(host)


def _checked_v6(host: str) -> str:
    """Refuses an embedded dotted quad here: once parsed, it can no longer be seen."""
    if "." in host:
        raise UrlRefused("embedded address")
    return str(IPv6Address(host))


def _checked_labels(host: str) -> str:
    """UTS 46 first, then every rule on what came out: "①" is a 1 to whoever connects."""
    mapped = idna.uts46_remap(host, std3_rules=False).removesuffix(".")
    labels = [_checked_label(label) for label in mapped.split(".")]
    name = ".".join(labels)
    if len(name) > MAX_HOST_CHARS:
        raise UrlRefused("host length")
    if _NUMBER.fullmatch(labels[-1]) and not _is_canonical_v4(host):
        raise UrlRefused("number for a host")
    return name


def _checked_label(label: str) -> str:
    if not label.isascii():
        label = idna.alabel(label).decode("ascii")
    elif label.startswith("xn--"):
        idna.ulabel(label)
    if not _LABEL.fullmatch(label):
        raise UrlRefused("host name")
    return label


def _is_canonical_v4(host: str) -> bool:
    """Other spellings of an address (octal, hexadecimal, short, one number) mean one only to some parsers."""
    try:
        return str(IPv4Address(host)) == host
    except ValueError:
        return False


def _as_sent(raw: str, host: str, port: int | None) -> URL:
    """What aiohttp will be given: refused unless its parser saw the host and port that were judged."""
    url = URL(raw).with_fragment(None)
    if (url.raw_host or "").removesuffix(".") != host or url.explicit_port != port:
        raise UrlRefused("parsers disagree")
    return url.with_host(host).with_port(None if port == _PORTS[url.scheme] else port)


def _check_name(host: str) -> None:
    labels = host.split(".")
    if len(labels) == 1:
        raise UrlRefused("single-label name")
    if any(".".join(labels[start:]) in _DENIED_NAMES for start in range(len(labels))):
        raise UrlRefused("special-use name")


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    # Not `is_global`: until Python 3.13 and beyond it holds for 6to4, NAT64 and multicast addresses.
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _DENIED_V4)
    return (
        address in _GLOBAL_V6
        and not any(address in network for network in _DENIED_V6)
        and address.scope_id is None
        and (int(address) >> 32) & 0xFFFF_FFFF not in _ISATAP
    )


def _without_punctuation(url: str) -> str:
    while url.endswith(tuple(_TRAILING)) or _is_unbalanced(url):
        url = url[:-1]
    return url


def _is_unbalanced(url: str) -> bool:
    """Ends with a bracket that was opened outside of the URL."""
    opener = _CLOSERS.get(url[-1])
    return opener is not None and url.count(url[-1]) > url.count(opener)

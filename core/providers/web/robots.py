"""robots.txt, RFC 9309: which paths of a host may be fetched by us.

Own code because the standard library's parser knows neither "*" nor the longest match, and because
others compile a stranger's patterns to regular expressions. Here a pattern is matched from left to
right, once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from yarl import URL

MAX_ROBOTS_BYTES = 500 * 1024  # what RFC 9309, section 2.5, asks a reader to take at least
_MAX_RULES = 5_000  # checked one by one for each URL; the largest honest files have about 1,000
_RULE_OVERHEAD_BYTES = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class RobotsRules:
    """rules: pattern and whether it allows, in the file's order."""

    rules: tuple[tuple[str, bool], ...] = ()

    def allows(self, url: URL) -> bool:
        """The longest matching pattern decides; of two as long, the one that allows."""
        target = url.raw_path_qs
        matching = [(len(pattern), allow) for pattern, allow in self.rules if _matches(pattern, target)]
        return max(matching, default=(0, True))[1]


ALLOW_ALL = RobotsRules()
DISALLOW_ALL = RobotsRules(rules=(("/", False),))


def parse_robots(text: str, product: str) -> RobotsRules:
    """The rules for `product` (a user agent's name, without version), else those for everyone."""
    groups: dict[str, list[tuple[str, bool]]] = {}
    agents: set[str] = set()
    in_rules = False
    for line in text.splitlines():
        key, _, value = line.partition("#")[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if key == "user-agent":
            agents = {value.lower()} if in_rules else {*agents, value.lower()}
            in_rules = False
            groups.setdefault(value.lower(), [])
        elif key in ("allow", "disallow"):
            in_rules = True
            for agent in agents & {product.lower(), "*"}:
                groups[agent].extend(_rule(value, allow=key == "allow"))
    rules = groups.get(product.lower(), groups.get("*", []))
    return RobotsRules(rules=tuple(rules[:_MAX_RULES]))


def _rule(pattern: str, *, allow: bool) -> list[tuple[str, bool]]:
    """None where there is nothing to match."""
    if not pattern:
        return []
    # Through the same parser as the URLs, so that both are percent-encoded alike.
    url = URL("http://host/" + pattern.removeprefix("/"))
    # The parser drops a last "?" that nothing follows, and "/*?" means every URL with a query.
    emptied = "?" if pattern.endswith("?") and not url.raw_query_string else ""
    return [(url.raw_path_qs + emptied, allow)]


def _matches(pattern: str, target: str) -> bool:
    """ "*" stands for any characters, "$" for the end; without it a pattern is a prefix."""
    anchored = pattern.endswith("$")
    first, *parts = pattern.removesuffix("$").split("*")
    if not target.startswith(first):
        return False
    at = len(first)
    last = parts.pop() if parts and anchored else None
    for part in parts:
        found = target.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    if last is not None:
        return len(target) - len(last) >= at and target.endswith(last)
    return not anchored or at == len(target)


class RobotsCache:
    """Rules by origin for a day, within a bound of memory: those used longest ago go first."""

    def __init__(
        self, monotonic: Callable[[], float], *, ttl_s: float = 86_400, max_bytes: int = 8_000_000
    ) -> None:
        self._monotonic = monotonic
        self._ttl_s = ttl_s
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[str, tuple[float, RobotsRules]] = OrderedDict()  # with the moment it ends

    def get(self, origin: str) -> RobotsRules | None:
        ends_s, rules = self._kept.get(origin, (0.0, None))
        if rules is None or ends_s <= self._monotonic():
            return None
        self._kept.move_to_end(origin)
        return rules

    def put(self, origin: str, rules: RobotsRules) -> None:
        if origin in self._kept:
            self._bytes -= _weight_bytes(self._kept.pop(origin)[1])
        self._kept[origin] = (self._monotonic() + self._ttl_s, rules)
        self._bytes += _weight_bytes(rules)
        while self._bytes > self._max_bytes:
            self._bytes -= _weight_bytes(self._kept.popitem(last=False)[1][1])


def _weight_bytes(rules: RobotsRules) -> int:
    return _RULE_OVERHEAD_BYTES + sum(len(pattern) + _RULE_OVERHEAD_BYTES for pattern, _ in rules.rules)

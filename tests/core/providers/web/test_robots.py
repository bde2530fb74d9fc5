"""Rules of robots.txt, RFC 9309."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from core.providers.web.robots import (
    ALLOW_ALL,
    MAX_ROBOTS_BYTES,
    RobotsCache,
    RobotsRules,
    _matches,
    parse_robots,
)
from tests.fakes import FakeClock


def allowed(text: str, path: str) -> bool:
    return parse_robots(text, "RelevanceSearch").allows(URL("http://example.org" + path))


@pytest.mark.parametrize(
    ("rule", "path", "is_allowed"),
    [
        ("Disallow: /a", "/a", False),
        ("Disallow: /a", "/abc", False),
        ("Disallow: /a", "/b", True),
        ("Disallow: /a", "/A", True),
        ("Disallow:", "/a", True),
        ("Disallow: /", "/", False),
        ("Disallow: /a$", "/a", False),
        ("Disallow: /a$", "/ab", True),
        ("Disallow: /*.pdf$", "/x/y.pdf", False),
        ("Disallow: /*.pdf$", "/x/y.pdf?z", True),
        ("Disallow: *.pdf", "/x/y.pdf", False),
        ("Disallow: /a*b*c", "/a-b-c-d", False),
        ("Disallow: /a*b*c", "/a-c-b", True),
        ("Disallow: /a*a$", "/a", True),
        ("Disallow: /*?", "/a?b", False),
        ("Disallow: /*?", "/a", True),
        ("Disallow: /a # not /b", "/a", False),
        ("Disallow: /%7Ejoe", "/~joe", False),
        ("Disallow: /café", "/caf%C3%A9", False),
        ("Disallow: private", "/private", False),
        ("Disallow: //[", "/a", True),
        ("  DISALLOW  :  /a  ", "/a", False),
        ("Disallow /a", "/a", True),
        ("Allow: /a/b\nDisallow: /a", "/a/b/c", True),
        ("Disallow: /a/b\nAllow: /a", "/a/b/c", False),
        ("Disallow: /a\nAllow: /a", "/a", True),
        ("Sitemap: /a", "/a", True),
    ],
)
def test_the_longest_rule_that_matches_decides(rule: str, path: str, is_allowed: bool) -> None:
    assert allowed(f"User-agent: *\n{rule}", path) is is_allowed


@pytest.mark.parametrize(
    ("text", "is_allowed"),
    [
        ("", True),
        ("Disallow: /", True),
        ("User-agent: Other\nDisallow: /", True),
        ("User-agent: relevancesearch\nDisallow: /", False),
        ("User-agent: *\nDisallow: /\n\nUser-agent: RelevanceSearch\nDisallow: /else", True),
        ("User-agent: *\nDisallow: /\n\nUser-agent: RelevanceSearch\nDisallow:", True),
        ("User-agent: RelevanceSearch\nUser-agent: Other\nDisallow: /", False),
        ("User-agent: RelevanceSearch\nCrawl-delay: 1\nUser-agent: Other\nDisallow: /", False),
        ("User-agent: RelevanceSearch\nAllow: /x\nUser-agent: Other\nDisallow: /", True),
        ("User-agent: RelevanceSearch\nAllow: /x\n\nUser-agent: RelevanceSearch\nDisallow: /", False),
    ],
)
def test_the_groups_that_name_us_are_ours_else_those_for_everyone(text: str, is_allowed: bool) -> None:
    assert allowed(text, "/page") is is_allowed


@given(st.text("ab*", max_size=8), st.booleans(), st.text("ab", max_size=10))
def test_a_pattern_matches_as_its_regular_expression_would(pattern: str, anchored: bool, target: str) -> None:
    expression = ".*".join(map(re.escape, pattern.split("*"))) + ("$" if anchored else "")
    assert _matches(pattern + "$" * anchored, target) == bool(re.match(expression, target))


@given(st.text())
def test_any_text_is_rules(text: str) -> None:
    allowed(text, "/page")
    allowed("User-agent: *\nDisallow: " + text, "/page")


@pytest.mark.parametrize("line", ["\n", "a:\n", "Disallow: /x\n", "Disallow: /" + "*a" * 500 + "$\n"])
def test_the_longest_file_costs_little(line: str) -> None:
    text = "User-agent: *\n" + line * (MAX_ROBOTS_BYTES // len(line))
    began_s = time.process_time()
    rules = parse_robots(text, "RelevanceSearch")
    parsed_s = time.process_time()
    rules.allows(URL("http://example.org/" + "a" * 2_000))
    assert parsed_s - began_s < 2
    assert time.process_time() - parsed_s < 0.2


def test_rules_are_kept_for_their_time() -> None:
    clock = FakeClock()
    cache = RobotsCache(clock.monotonic, ttl_s=10)
    cache.put("http://a", ALLOW_ALL)
    clock.elapsed_s = 9.9
    assert cache.get("http://a") == ALLOW_ALL
    assert cache.get("http://b") is None
    clock.elapsed_s = 10
    assert cache.get("http://a") is None


def test_rules_used_longest_ago_go_first_when_there_is_no_room() -> None:
    rules = RobotsRules(rules=(("/" + "a" * 1_000, False),))
    cache = RobotsCache(FakeClock().monotonic, max_bytes=3_000)
    cache.put("a", rules)
    cache.put("b", rules)
    assert cache.get("a")
    cache.put("c", rules)
    assert [origin for origin in "abc" if cache.get(origin)] == ["a", "c"]


def test_rules_put_again_weigh_once() -> None:
    rules = RobotsRules(rules=(("/" + "a" * 1_000, False),))
    cache = RobotsCache(FakeClock().monotonic, max_bytes=3_000)
    for _ in range(10):
        cache.put("a", rules)
    cache.put("b", rules)
    assert cache.get("a")
    assert cache.get("b")

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bot.redaction import REDACTED, Redactor

CANARY = "canary/3f9a+secret"

json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.sets(st.text()),
    max_leaves=20,
)


@pytest.mark.parametrize(
    "token",
    [
        "xoxb-" + "1234567890-abcdefABCDEF",
        "xoxe-1-My0xLWZvbw",
        "xapp-" + "1-A0B1C2-123-abcdef",
        "sk-" + "or-v1-0123456789abcdef",
        "MTk4NjIyNDgzNDcxOTI1MjQ4" + ".Cl2FMQ." + "ZnCjm1XVW7vRze4b7Cq4se7kKWs",
    ],
)
def test_a_token_is_known_by_its_form(token: str) -> None:
    assert Redactor().text(f"called with {token}, failed") == f"called with {REDACTED}, failed"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("Authorization: Bearer abc.def", f"Authorization: Bearer {REDACTED}"),
        ("bearer abc'", f"bearer {REDACTED}'"),
        ("redis://user:pass@host:6379/0", f"redis://{REDACTED}@host:6379/0"),
        ("rediss://:pass@host", f"rediss://{REDACTED}@host"),
        ("a https://host:443/path and me@example.com", "a https://host:443/path and me@example.com"),
        ("task-1234567890 is a risk-assessment", "task-1234567890 is a risk-assessment"),
    ],
)
def test_a_secret_is_known_by_where_it_stands(text: str, redacted: str) -> None:
    assert Redactor().text(text) == redacted


@given(st.text(), st.text())
def test_a_configured_secret_is_found_in_any_text(before: str, after: str) -> None:
    assert CANARY not in Redactor([CANARY]).text(f"{before}{CANARY}{after}")


@given(
    json_like,
    st.sampled_from([CANARY, (CANARY,), {CANARY: 1}, {1: {CANARY}}, SecretStr(CANARY), ValueError(CANARY)]),
)
def test_a_configured_secret_is_found_at_any_depth(value: object, hidden: object) -> None:
    redacted = Redactor([CANARY]).mapping({"a": [value, hidden], "b": {"c": {"d": hidden}}})
    assert CANARY not in json.dumps(redacted)


@given(json_like)
def test_whatever_is_redacted_can_be_written_as_json(value: object) -> None:
    orjson.dumps(Redactor([CANARY]).mapping({"value": value}))


@pytest.mark.parametrize(
    "key",
    [
        "token",
        "SLACK_BOT_TOKEN",
        "Api-Key",
        "x_api_key",
        "Authorization",
        "Set-Cookie",
        "client_secret",
        "Password",
    ],
)
def test_a_secret_is_known_by_its_key(key: str) -> None:
    assert Redactor().mapping({"headers": [{key: "abc"}]}) == {"headers": [{key: REDACTED}]}
    assert Redactor().mapping({key: {"nested": "abc"}}) == {key: REDACTED}


def test_counts_and_authors_are_no_secrets() -> None:
    line = {"output_tokens": 12, "max_tokens": None, "author": "Ann", "api_key_set": True}
    assert Redactor().mapping(line) == line


def test_a_short_value_is_a_word_and_no_secret() -> None:
    assert Redactor(["search"]).text("search.done") == "search.done"


def test_of_two_secrets_that_begin_alike_the_longer_goes_whole() -> None:
    assert Redactor(["secret-key", "secret-key-longer"]).text("secret-key-longer") == REDACTED


@pytest.mark.parametrize("offset", range(-30, 5))
def test_a_secret_that_a_cut_goes_through_does_not_stay_in_half(offset: int) -> None:
    text = "x" * (20_000 + offset) + CANARY + "y" * 50_000
    redacted = Redactor([CANARY]).text(text)
    assert len(redacted) < 20_000
    assert CANARY[:6] not in redacted


def test_a_value_that_holds_itself_comes_to_an_end() -> None:
    loop: dict[str, object] = {}
    loop["self"] = loop
    assert "…" in orjson.dumps(Redactor().mapping(loop)).decode()

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bot.settings import OPENROUTER_URL, Settings, cgroup_limit_mb, keys_of, load_settings, masked
from core.errors import SettingsError

ENV_EXAMPLE = Path(__file__).parents[2] / ".env.example"
NAMES = [name.upper() for name in Settings.model_fields]
SECRETS = [
    "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "DISCORD_TOKEN",
    "SERPER_API_KEY", "BRAVE_API_KEY", "TAVILY_API_KEY", "SERPAPI_API_KEY",
    "OPENROUTER_API_KEY", "LLM_API_KEY", "EMBEDDING_API_KEY", "REDIS_URL", "SENTRY_DSN",
]  # fmt: skip
CANARY = "canary-3f9a-secret"


def load(**environ: str) -> Settings:
    return load_settings(environ, env_file=None)


def problems(**environ: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(**environ)
    return caught.value.problems


def test_nothing_has_to_be_set() -> None:
    settings = load()
    assert not settings.model_configured
    assert settings.llm_model == "openrouter/auto"
    assert settings.library_uri == str(settings.cache_dir / "library")


def test_the_example_names_every_setting_once_and_no_other() -> None:
    written = re.findall(r"^#? ?([A-Z_]+)=", ENV_EXAMPLE.read_text(), re.MULTILINE)
    assert Counter(written) == Counter(NAMES)


def test_the_example_is_exactly_the_defaults() -> None:
    assert load_settings({}, env_file=ENV_EXAMPLE) == load()


def test_the_example_explains_every_setting_on_the_line_above_it() -> None:
    lines = ENV_EXAMPLE.read_text().splitlines()
    unexplained = [
        line
        for above, line in pairwise(lines)
        if "=" in line.split("#")[0] and not re.match(r"# \w.{10,}", above)
    ]
    assert unexplained == []


def test_the_example_shows_a_default_wherever_there_is_one_to_show() -> None:
    found_out = {"CACHE_DIR", "LIBRARY_URI"}
    shown = {name: value for name, value in dotenv_values(ENV_EXAMPLE).items() if name not in found_out}
    expected = {name: value.lower() for name, value in masked(load()) if name not in found_out}
    assert {name: (value or "").lower() for name, value in shown.items()} == {
        name: "" if name in SECRETS else value for name, value in expected.items()
    }


def test_every_bad_variable_is_named_at_once() -> None:
    lines = problems(
        SERPER_API_KEY="two words",
        SERPER_URL="ftp://example.com",
        LLM_BASE_URL="http://[broken",
        OPENROUTER_API_KEY="one",
        LLM_API_KEY="another",
        USER_AGENT_CONTACT="me@example.com",
        EXTRACTION_CHILDREN="many",
        MEMORY_LIMIT_MB="-1",
        RESPECT_ROBOTS="perhaps",
        QUESTIONS_PER_MINUTE="0",
        MAX_QUESTION_CHARS="1.5",
        SENTRY_DSN="https://example.com",
        LOG_LEVEL="loud",
        LOG_FORMAT="xml",
    )
    assert lines == (
        "SERPER_API_KEY must be one word of printable ASCII: copy it again",
        "SERPER_URL must be a URL that starts with http:// or https://",
        "LLM_API_KEY and OPENROUTER_API_KEY are both set and differ: keep one",
        "LLM_BASE_URL must be a URL that starts with http:// or https://",
        "EXTRACTION_CHILDREN must be a whole number",
        "MEMORY_LIMIT_MB must be greater than or equal to 0",
        "RESPECT_ROBOTS must be true or false",
        "USER_AGENT_CONTACT must be a URL that starts with http:// or https://",
        "QUESTIONS_PER_MINUTE must be greater than or equal to 1",
        "MAX_QUESTION_CHARS must be a whole number",
        "SENTRY_DSN must be a DSN as Sentry shows it: https://KEY@HOST/PROJECT",
        "LOG_LEVEL must be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'",
        "LOG_FORMAT must be 'auto', 'json' or 'pretty'",
    )


@pytest.mark.parametrize(
    "name", [name for name in NAMES if not name.endswith(("_DIR", "_URI", "_MODEL", "_BACKEND"))]
)
def test_a_problem_never_repeats_the_value(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(**{name: f"{CANARY} \x00"})
    assert CANARY not in f"{caught.value!r}{caught.value.__cause__!r}{caught.value.__context__!r}"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1",
        "redis://",
        "redis://host:port",
        "redis://host:0",
        "redis://h/a",
        "redis://h/0#1",
        "//h",
    ],
)
def test_what_is_no_address_of_a_redis_is_refused(url: str) -> None:
    (problem,) = problems(REDIS_URL=url)
    assert problem.startswith("REDIS_URL must be a URL such as redis://:PASSWORD@HOST:6379/0")


@pytest.mark.parametrize(
    "url", ["redis://localhost", "rediss://:p%40ss@ec2.example.com:12345", "redis://user:pass@[::1]:6379/15"]
)
def test_the_address_of_a_redis_is_taken_as_it_is(url: str) -> None:
    assert load(REDIS_URL=url).redis_url.get_secret_value() == url


def test_another_server_needs_its_model_named() -> None:
    assert problems(LLM_BASE_URL="http://127.0.0.1:11434/v1") == (
        "LLM_MODEL must name a model that LLM_BASE_URL serves",
    )


def test_models_are_tried_in_the_order_given_and_each_once() -> None:
    assert load(LLM_MODEL=" a/b , c ,, a/b").llm_models == ("a/b", "c")
    assert load().llm_models == ("openrouter/auto",)
    assert problems(LLM_BASE_URL="http://127.0.0.1:11434/v1", LLM_MODEL=" , ") == (
        "LLM_MODEL must name a model that LLM_BASE_URL serves",
    )


def test_money_can_be_limited_only_where_prices_are_known() -> None:
    other = {"LLM_BASE_URL": "http://127.0.0.1:11434/v1", "LLM_MODEL": "m"}
    assert problems(LLM_USD_PER_DAY="2", **other) == (
        "LLM_USD_PER_DAY needs LLM_USD_PER_MILLION_TOKENS: only OpenRouter states what an answer cost",
    )
    assert load(LLM_USD_PER_DAY="2").model_prices is None
    prices = load(LLM_USD_PER_DAY="2.5", LLM_USD_PER_MILLION_TOKENS="0.15, 0.60", **other)
    assert (prices.llm_usd_per_day, prices.model_prices) == (2.5, (0.15, 0.6))


@pytest.mark.parametrize("prices", ["0.15", "0.15;0.60", "-1,2", "a,b", "1,2,3"])
def test_prices_are_two_numbers(prices: str) -> None:
    assert problems(LLM_USD_PER_MILLION_TOKENS=prices) == (
        "LLM_USD_PER_MILLION_TOKENS must be two prices, for input and output, such as 0.15,0.60",
    )


@pytest.mark.parametrize(
    "half", [{"EMBEDDING_API_URL": "http://127.0.0.1:1/v1"}, {"EMBEDDING_API_MODEL": "m"}]
)
def test_an_embedding_api_is_its_address_and_a_model(half: dict[str, str]) -> None:
    assert problems(**half) == (
        "EMBEDDING_API_MODEL and EMBEDDING_API_URL belong together: set both or neither",
    )


def test_a_local_server_is_a_model_without_a_key() -> None:
    settings = load(LLM_BASE_URL="http://127.0.0.1:11434/v1/", LLM_MODEL="qwen3")
    assert settings.model_configured
    assert settings.model_api_key.get_secret_value() == ""
    assert settings.llm_base_url == "http://127.0.0.1:11434/v1"


def test_openrouters_own_url_written_out_needs_a_key_like_the_default() -> None:
    assert not load(LLM_BASE_URL=f"{OPENROUTER_URL}/").model_configured


@pytest.mark.parametrize("name", ["OPENROUTER_API_KEY", "LLM_API_KEY"])
def test_either_name_of_the_key_configures_the_model(name: str) -> None:
    settings = load(**{name: CANARY})
    assert settings.model_configured
    assert settings.model_api_key.get_secret_value() == CANARY


def test_the_same_key_under_both_names_is_no_problem() -> None:
    assert load(OPENROUTER_API_KEY=CANARY, LLM_API_KEY=CANARY).model_configured


def test_no_secret_is_in_a_repr_or_in_what_check_prints() -> None:
    settings = load(
        SLACK_BOT_TOKEN=f"xoxb-{CANARY}",
        SLACK_APP_TOKEN=f"xapp-{CANARY}",
        DISCORD_TOKEN=f"{CANARY}0",
        SERPER_API_KEY=f"{CANARY}1",
        BRAVE_API_KEY=f"{CANARY}4,{CANARY}5",
        TAVILY_API_KEY=f"{CANARY}6",
        SERPAPI_API_KEY=f"{CANARY}7",
        OPENROUTER_API_KEY=f"{CANARY}2",
        LLM_API_KEY=f"{CANARY}2",
        EMBEDDING_API_KEY=f"{CANARY}4",
        REDIS_URL=f"redis://:{CANARY}4@127.0.0.1:6379",
        SENTRY_DSN=f"https://{CANARY}3@example.com/1",
    )
    assert CANARY not in f"{settings!r}{settings}{masked(settings)}"
    assert [masked(settings)[NAMES.index(name)][1] for name in SECRETS] == ["set"] * len(SECRETS)
    assert [masked(load())[NAMES.index(name)][1] for name in SECRETS] == ["not set"] * len(SECRETS)


def test_every_set_secret_is_handed_to_redaction() -> None:
    dsn = f"https://{CANARY}@example.com/1"
    assert load(SERPER_API_KEY="serper-key", SENTRY_DSN=dsn).secret_values == ("serper-key", dsn)
    assert load().secret_values == ()


def test_a_url_with_a_password_is_refused() -> None:
    assert problems(SERPER_URL=f"https://user:{CANARY}@example.com") == (
        "SERPER_URL must not hold a user name or password",
    )


def test_a_key_loses_the_line_break_it_was_copied_with() -> None:
    assert load(SERPER_API_KEY=f" {CANARY}\n").serper_api_key.get_secret_value() == CANARY


@given(st.sampled_from(NAMES), st.sampled_from(["", " ", "\n"]))
def test_an_empty_variable_is_a_variable_not_set(name: str, empty: str) -> None:
    assert load(**{name: empty}) == load()


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("LOG_LEVEL=DEBUG\nLOG_FORMAT=json\nSOMETHING_ELSE=1\n")
    settings = load_settings({"LOG_LEVEL": "error", "PATH": "/bin"}, env_file=env_file)
    assert (settings.log_level, settings.log_format) == ("ERROR", "json")


def test_a_file_that_is_not_text_is_a_problem_and_not_a_traceback(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_bytes(b"LOG_LEVEL=\xff\xfe")
    with pytest.raises(SettingsError, match=r"\.env must be a readable UTF-8 file: UnicodeDecodeError"):
        load_settings({}, env_file=env_file)


def test_settings_never_change() -> None:
    with pytest.raises(ValidationError):
        load().log_level = "DEBUG"


def test_the_library_stands_beside_the_cache_unless_it_is_named(tmp_path: Path) -> None:
    assert load(CACHE_DIR=str(tmp_path)).library_uri == str(tmp_path / "library")
    assert load(LIBRARY_URI="s3://bucket/library").library_uri == "s3://bucket/library"


@pytest.mark.parametrize(
    ("file", "content", "children"),
    [
        ("memory.max", f"{512 * 2**20}\n", 1),
        ("memory.max", f"{1024 * 2**20}\n", 2),
        ("memory.max", "max\n", 2),
        ("memory/memory.limit_in_bytes", f"{512 * 2**20}\n", 1),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n", 2),
    ],
)
def test_small_memory_means_one_extraction_child(
    tmp_path: Path, file: str, content: str, children: int
) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(content)
    assert load().extraction_child_count(tmp_path) == children


def test_what_is_set_about_memory_outranks_what_is_found(tmp_path: Path) -> None:
    assert cgroup_limit_mb(tmp_path) is None
    assert load().extraction_child_count(tmp_path) == 2
    assert load(MEMORY_LIMIT_MB="512").extraction_child_count(tmp_path) == 1
    assert load(MEMORY_LIMIT_MB="512", EXTRACTION_CHILDREN="3").extraction_child_count(tmp_path) == 3


def test_lists_of_ids_are_taken_apart_at_commas_from_the_environment_and_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("SLACK_TEAMS=T1, T2,\nADMINS=slack:T1:U1\n")

    settings = load_settings({"DISCORD_ROLES": " 1,2 "}, env_file=file)

    assert settings.slack_teams == {"T1", "T2"}
    assert settings.discord_roles == {"1", "2"}
    assert settings.admins == {"slack:T1:U1"}


def test_slacks_tokens_come_together_and_in_their_own_places() -> None:
    assert problems(SLACK_BOT_TOKEN="xoxb-1") == (
        "SLACK_APP_TOKEN and SLACK_BOT_TOKEN belong together: set both or neither",
    )
    swapped = problems(SLACK_BOT_TOKEN="xapp-1", SLACK_APP_TOKEN="xoxb-1")
    assert swapped == (
        "SLACK_BOT_TOKEN must be the bot token, which starts with xoxb-",
        "SLACK_APP_TOKEN must be the app-level token, which starts with xapp-",
    )
    assert load(SLACK_BOT_TOKEN="xoxb-1", SLACK_APP_TOKEN="xapp-1").slack_bot_token.get_secret_value()


def test_an_admin_who_is_nobody_and_a_gateway_that_is_none_are_named() -> None:
    lines = problems(ADMINS="ann", DISCORD_GATEWAY_URL="https://gateway.example")
    assert [line.split()[0] for line in lines] == ["DISCORD_GATEWAY_URL", "ADMINS"]


def test_the_engines_that_are_set_up_are_asked_in_their_order() -> None:
    assert load().search_engines == ("duckduckgo",)
    assert load(TAVILY_API_KEY="a-key", SERPER_API_KEY="b-key").search_engines == (
        "serper", "tavily", "duckduckgo",
    )  # fmt: skip
    assert load(
        SEARXNG_URL="http://127.0.0.1:8888", BRAVE_API_KEY="a-key", SEARCH_ORDER=" SearXNG, duckduckgo,brave,"
    ).search_engines == ("searxng", "duckduckgo", "brave")
    assert load(SERPAPI_API_KEY="a-key", SEARCH_ORDER="serpapi").search_engines == ("serpapi",)


@pytest.mark.parametrize("order", ["google", "serper,google", ","])
def test_an_order_of_unknown_engines_names_the_choices(order: str) -> None:
    (problem,) = problems(SEARCH_ORDER=order)
    assert problem.startswith("SEARCH_ORDER must name search engines, with commas between: ")
    assert problem.endswith(": serper, brave, tavily, serpapi, searxng, duckduckgo")


def test_an_order_in_which_nobody_can_be_asked_is_a_problem() -> None:
    assert problems(SEARCH_ORDER="serper,searxng") == (
        "SEARCH_ORDER names no engine that is set up: set the key of one, or add duckduckgo",
    )
    assert problems(SEARCH_ORDER="serper", SERPER_API_KEY="two words") == (
        "SERPER_API_KEY must be one word of printable ASCII: copy it again",
    )


def test_several_keys_of_an_engine_stand_between_commas() -> None:
    settings = load(BRAVE_API_KEY=" one-key, another-key,,one-key")
    assert keys_of(settings.brave_api_key) == ("one-key", "another-key")
    assert settings.secret_values == ("one-key,another-key", "one-key", "another-key")
    assert keys_of(settings.serper_api_key) == ()


def test_serpapi_asks_one_of_two_engines() -> None:
    assert load(SERPAPI_ENGINE="Bing").serpapi_engine == "bing"
    assert problems(SERPAPI_ENGINE="yahoo") == ("SERPAPI_ENGINE must be 'google' or 'bing'",)

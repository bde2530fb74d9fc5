"""The settings: every variable the bot reads, read once at start-up.

`.env.example` says what each is for; this file says what it may be.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args
from urllib.parse import urlsplit

import platformdirs
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ValidationInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from core.errors import SettingsError

SearchEngine = Literal["serper", "brave", "tavily", "serpapi", "searxng", "duckduckgo"]
SEARCH_ENGINES: Final[tuple[SearchEngine, ...]] = get_args(SearchEngine)
"""In the order in which they are asked unless SEARCH_ORDER says otherwise."""

APP_NAME: Final = "relevancesearch"
OPENROUTER_URL: Final = "https://openrouter.ai/api/v1"
OPENROUTER_MODEL: Final = "openrouter/auto"
"""OpenRouter's own choice of model for each request."""

SMALL_MEMORY_MB: Final = 512
"""Heroku's Standard-1X; two extraction children and the ranking model don't fit into it."""


def _web_url(text: str) -> str:
    """An http(s) URL without user name and password, without its last slash."""
    try:
        parts = urlsplit(text)
        hostname, _port = parts.hostname, parts.port
    except ValueError:
        hostname = None
    if hostname is None or parts.scheme not in {"http", "https"} or not _is_one_word(text):
        raise ValueError("must be a URL that starts with http:// or https://")
    if parts.username is not None:
        raise ValueError("must not hold a user name or password")
    return text.rstrip("/")


def _web_url_or_nothing(text: str) -> str:
    return _web_url(text) if text else ""


def _gateway_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"ws", "wss"} or not parts.hostname or not _is_one_word(text):
        raise ValueError("must be a URL that starts with ws:// or wss://")
    return text.rstrip("/")


def _ids(text: object) -> object:
    """Ids between commas, as a set."""
    return frozenset(filter(None, map(str.strip, text.split(",")))) if isinstance(text, str) else text


def _like(pattern: str, example: str) -> AfterValidator:
    def check(ids: frozenset[str]) -> frozenset[str]:
        if not all(re.fullmatch(pattern, each) for each in ids):
            raise ValueError(f"must hold ids such as {example}, with commas between them; no names")
        return ids

    return AfterValidator(check)


def _slack_token(prefix: str, kind: str) -> AfterValidator:
    def check(secret: SecretStr) -> SecretStr:
        if secret.get_secret_value() and not secret.get_secret_value().startswith(prefix):
            raise ValueError(f"must be the {kind} token, which starts with {prefix}")
        return secret

    return AfterValidator(check)


def _search_engines(text: object) -> object:
    if not isinstance(text, str):
        return text
    names = _names(text.lower())
    if not names or not set(names) <= set(SEARCH_ENGINES):
        raise ValueError(f"must name search engines, with commas between: {', '.join(SEARCH_ENGINES)}")
    return names


def _names(text: str) -> tuple[str, ...]:
    """What stands between commas, in its order, each once."""
    return tuple(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))


def _token_prices(text: str) -> str:
    if text and not re.fullmatch(r"\d+(\.\d+)?, *\d+(\.\d+)?", text, re.ASCII):
        raise ValueError("must be two prices, for input and output, such as 0.15,0.60")
    return text.replace(" ", "")


def _is_one_word(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def _header_safe(secret: SecretStr) -> SecretStr:
    # A key goes into a header as it is; one with a line break in it would split the request.
    stripped = secret.get_secret_value().strip()
    if not _is_one_word(stripped):
        raise ValueError("must be one word of printable ASCII: copy it again")
    return SecretStr(stripped)


def _keys_safe(secret: SecretStr) -> SecretStr:
    keys = [_header_safe(SecretStr(key)) for key in secret.get_secret_value().split(",")]
    return SecretStr(",".join(dict.fromkeys(filter(None, (key.get_secret_value() for key in keys)))))


def _sentry_dsn(secret: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(secret.get_secret_value())
        project = parts.path.rpartition("/")[2]
        is_dsn = bool(parts.scheme in {"http", "https"} and parts.hostname and parts.username)
        is_dsn = is_dsn and project.isdecimal()
    except ValueError:
        is_dsn = False
    if secret.get_secret_value() and not is_dsn:
        raise ValueError("must be a DSN as Sentry shows it: https://KEY@HOST/PROJECT")
    return secret


def _redis_url(secret: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(secret.get_secret_value())
        is_redis = parts.scheme in {"redis", "rediss"} and bool(parts.hostname) and parts.port != 0
        is_redis = is_redis and re.fullmatch(r"/?\d*", parts.path) is not None and not parts.fragment
    except ValueError:
        is_redis = False
    if secret.get_secret_value() and not is_redis:
        raise ValueError("must be a URL such as redis://:PASSWORD@HOST:6379/0, or rediss:// for TLS")
    return secret


def _folded(fold: Callable[[str], str]) -> BeforeValidator:
    return BeforeValidator(lambda value: fold(value.strip()) if isinstance(value, str) else value)


WebUrl = Annotated[str, AfterValidator(_web_url)]
OptionalWebUrl = Annotated[str, AfterValidator(_web_url_or_nothing)]
Secret = Annotated[SecretStr, AfterValidator(_header_safe)]
SecretKeys = Annotated[SecretStr, AfterValidator(_keys_safe)]
"""One or several, with commas between them."""
SearchOrder = Annotated[tuple[SearchEngine, ...], NoDecode, BeforeValidator(_search_engines)]
SerpApiEngine = Annotated[Literal["google", "bing"], _folded(str.lower)]
TokenPrices = Annotated[str, AfterValidator(_token_prices)]
SentryDsn = Annotated[SecretStr, AfterValidator(_header_safe), AfterValidator(_sentry_dsn)]
RedisUrl = Annotated[SecretStr, AfterValidator(_header_safe), AfterValidator(_redis_url)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], _folded(str.upper)]
LogFormat = Annotated[Literal["auto", "json", "pretty"], _folded(str.lower)]
GatewayUrl = Annotated[str, AfterValidator(_gateway_url)]
Ids = Annotated[frozenset[str], NoDecode, BeforeValidator(_ids)]
SlackIds = Annotated[Ids, _like(r"[A-Z][A-Z0-9]+", "C0123ABC")]
DiscordIds = Annotated[Ids, _like(r"\d+", "112233445566778899")]
AskerIds = Annotated[Ids, _like(r"slack:\w+:\w+|discord:\d*:\d+", "slack:TEAM:USER or discord:SERVER:USER")]
SlackBotToken = Annotated[Secret, _slack_token("xoxb-", "bot")]
SlackAppToken = Annotated[Secret, _slack_token("xapp-", "app-level")]
Directory = Annotated[Path, AfterValidator(Path.expanduser)]


class Settings(BaseSettings):
    """Frozen; every field is the variable of the same name in capitals; an empty secret is not set.

    library_uri: a directory, or the URI of an object store that LanceDB can open.
    embedding_model: empty means the packaged one.
    memory_limit_mb, extraction_children: 0 means: find out.
    questions_per_day, channel_questions_per_hour, workspace_questions_per_day: 0 means: no limit.
    processes: how many share the limits; each keeps its share of them while Redis is gone.
    """

    model_config = SettingsConfigDict(
        alias_generator=str.upper,
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        env_file_encoding="utf-8",
        hide_input_in_errors=True,
        str_strip_whitespace=True,
        validate_default=True,
    )

    slack_bot_token: SlackBotToken = SecretStr("")
    slack_app_token: SlackAppToken = SecretStr("")
    slack_api_url: WebUrl = "https://slack.com/api"
    slack_teams: SlackIds = frozenset()
    slack_channels: SlackIds = frozenset()
    slack_allow_strangers: bool = False
    discord_token: Secret = SecretStr("")
    discord_message_content: bool = False
    discord_api_url: WebUrl = "https://discord.com/api/v10"
    discord_gateway_url: GatewayUrl = "wss://gateway.discord.gg"
    discord_guilds: DiscordIds = frozenset()
    discord_channels: DiscordIds = frozenset()
    discord_roles: DiscordIds = frozenset()
    admins: AskerIds = frozenset()
    serper_api_key: SecretKeys = SecretStr("")
    serper_url: WebUrl = "https://google.serper.dev"
    brave_api_key: SecretKeys = SecretStr("")
    brave_url: WebUrl = "https://api.search.brave.com"
    tavily_api_key: SecretKeys = SecretStr("")
    tavily_url: WebUrl = "https://api.tavily.com"
    serpapi_api_key: SecretKeys = SecretStr("")
    serpapi_url: WebUrl = "https://serpapi.com"
    serpapi_engine: SerpApiEngine = "google"
    searxng_url: OptionalWebUrl = ""
    duckduckgo_backend: Annotated[str, _folded(str.lower)] = "duckduckgo"
    search_order: SearchOrder = SEARCH_ENGINES
    openrouter_api_key: Secret = SecretStr("")
    llm_api_key: Secret = SecretStr("")
    llm_base_url: WebUrl = OPENROUTER_URL
    llm_model: str = ""
    llm_tokens_per_day: int = Field(default=0, ge=0)
    llm_usd_per_million_tokens: TokenPrices = ""
    llm_usd_per_day: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    cache_dir: Directory = Field(default_factory=lambda: platformdirs.user_cache_path(APP_NAME))
    library_uri: str = ""
    embedding_model: str = ""
    embedding_api_url: OptionalWebUrl = ""
    embedding_api_key: Secret = SecretStr("")
    embedding_api_model: str = ""
    extraction_children: int = Field(default=0, ge=0, le=16)
    memory_limit_mb: int = Field(default=0, ge=0)
    respect_robots: bool = True
    user_agent_contact: OptionalWebUrl = ""
    questions_per_minute: int = Field(default=5, ge=1)
    questions_per_day: int = Field(default=0, ge=0)
    channel_questions_per_hour: int = Field(default=0, ge=0)
    workspace_questions_per_day: int = Field(default=0, ge=0)
    max_question_chars: int = Field(default=1000, ge=1)
    redis_url: RedisUrl = SecretStr("")
    redis_tls_verify: bool = True
    processes: int = Field(default=2, ge=1, le=1000)
    sentry_dsn: SentryDsn = SecretStr("")
    log_level: LogLevel = "INFO"
    log_format: LogFormat = "auto"

    @field_validator("slack_app_token")
    @classmethod
    def _both_slack_tokens(cls, token: SecretStr, info: ValidationInfo) -> SecretStr:
        bot_token = info.data.get("slack_bot_token", token)
        if bool(token.get_secret_value()) != bool(bot_token.get_secret_value()):
            raise ValueError("and SLACK_BOT_TOKEN belong together: set both or neither")
        return token

    @field_validator("search_order")
    @classmethod
    def _somebody_to_ask(
        cls, names: tuple[SearchEngine, ...], info: ValidationInfo
    ) -> tuple[SearchEngine, ...]:
        if not any(_can_be_asked(name, info.data) for name in names):
            raise ValueError("names no engine that is set up: set the key of one, or add duckduckgo")
        return names

    @field_validator("llm_api_key")
    @classmethod
    def _one_key(cls, key: SecretStr, info: ValidationInfo) -> SecretStr:
        other = info.data.get("openrouter_api_key", key)
        if key.get_secret_value() and other.get_secret_value() and key != other:
            raise ValueError("and OPENROUTER_API_KEY are both set and differ: keep one")
        return key

    @field_validator("llm_model")
    @classmethod
    def _model_of_that_url(cls, model: str, info: ValidationInfo) -> str:
        base_url = info.data.get("llm_base_url", OPENROUTER_URL)
        names = _names(model)
        if not names and base_url != OPENROUTER_URL:
            raise ValueError("must name a model that LLM_BASE_URL serves")
        return ",".join(names) or OPENROUTER_MODEL

    @field_validator("llm_usd_per_day")
    @classmethod
    def _prices_known(cls, budget: float, info: ValidationInfo) -> float:
        stated = info.data.get("llm_base_url", OPENROUTER_URL) == OPENROUTER_URL
        if budget and not stated and not info.data.get("llm_usd_per_million_tokens", "?"):
            raise ValueError("needs LLM_USD_PER_MILLION_TOKENS: only OpenRouter states what an answer cost")
        return budget

    @field_validator("embedding_api_model")
    @classmethod
    def _model_of_that_api(cls, model: str, info: ValidationInfo) -> str:
        if bool(model) != bool(info.data.get("embedding_api_url", model)):
            raise ValueError("and EMBEDDING_API_URL belong together: set both or neither")
        return model

    @field_validator("library_uri")
    @classmethod
    def _library_beside_the_cache(cls, uri: str, info: ValidationInfo) -> str:
        return uri or str(info.data["cache_dir"] / "library")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment is handed to `load_settings`, so that a test has one of its own."""
        return init_settings, dotenv_settings

    @property
    def model_api_key(self) -> SecretStr:
        """Empty where a local model server asks for none."""
        return self.openrouter_api_key if self.openrouter_api_key.get_secret_value() else self.llm_api_key

    @property
    def llm_models(self) -> tuple[str, ...]:
        """In the order in which they are tried."""
        return _names(self.llm_model)

    @property
    def model_prices(self) -> tuple[float, float] | None:
        """US dollars per million tokens of input and of output; None if not set."""
        if not self.llm_usd_per_million_tokens:
            return None
        of_input, of_output = map(float, self.llm_usd_per_million_tokens.split(","))
        return of_input, of_output

    @property
    def model_configured(self) -> bool:
        """Is there a language model to ask? OpenRouter serves nobody without a key; other servers may."""
        return bool(self.model_api_key.get_secret_value()) or self.llm_base_url != OPENROUTER_URL

    @property
    def secret_values(self) -> tuple[str, ...]:
        """Every secret that is set, several keys also one by one: what goes to its owner alone."""
        secrets = [value for _name, value in self if isinstance(value, SecretStr)]
        values = (part for secret in secrets for part in (secret.get_secret_value(), *keys_of(secret)))
        return tuple(dict.fromkeys(filter(None, values)))

    @property
    def search_engines(self) -> tuple[SearchEngine, ...]:
        """Those of the order that can be asked: they have a key or an address, or need neither."""
        return tuple(name for name in self.search_order if _can_be_asked(name, dict(self)))

    def memory_granted_mb(self, cgroup: Path = Path("/sys/fs/cgroup")) -> int | None:
        """By the setting, else by the cgroup's limit; None where there is none."""
        return self.memory_limit_mb or cgroup_limit_mb(cgroup)

    def extraction_child_count(self, cgroup: Path = Path("/sys/fs/cgroup")) -> int:
        """How many extraction children to keep: one where memory is small. Reads the cgroup's limit."""
        limit_mb = self.memory_granted_mb(cgroup)
        automatic = 1 if limit_mb is not None and limit_mb <= SMALL_MEMORY_MB else 2
        return self.extraction_children or automatic


def keys_of(secret: SecretStr) -> tuple[str, ...]:
    """In their order; none if it is not set."""
    return tuple(filter(None, secret.get_secret_value().split(",")))


def _can_be_asked(engine: str, settings: Mapping[str, Any]) -> bool:
    """A setting that is missing for a fault of its own counts as set: one message is enough."""
    if engine == "duckduckgo":
        return True
    needed = settings.get("searxng_url" if engine == "searxng" else f"{engine}_api_key", "?")
    return bool(needed.get_secret_value() if isinstance(needed, SecretStr) else needed)


def load_settings(
    environ: Mapping[str, str] = os.environ, *, env_file: Path | None = Path(".env")
) -> Settings:
    """The settings in `environ`, and for what it lacks in `env_file` if that exists.

    An empty variable counts as not set. Raises SettingsError with one line per problem; no line
    holds a value.
    """
    names = {str(field.alias) for field in Settings.model_fields.values()}
    given = {name: value for name, value in environ.items() if name in names and value.strip()}
    arguments: dict[str, Any] = {"_env_file": env_file, **given}
    try:
        return Settings(**arguments)
    except ValidationError as error:
        problems = [_problem(detail) for detail in error.errors(include_input=False, include_url=False)]
    except (OSError, UnicodeDecodeError) as error:
        problems = [f"{env_file} must be a readable UTF-8 file: {type(error).__name__}"]
    raise SettingsError(problems)


_FIXES: Final[Mapping[str, str]] = {
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
}


def _problem(detail: ErrorDetails) -> str:
    message = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return f"{str(detail['loc'][0]).upper()} {_FIXES.get(detail['type'], message)}"


def masked(settings: Settings) -> list[tuple[str, str]]:
    """Each variable with its value, a secret's only as "set" or "not set"."""
    return [(name.upper(), _shown(value)) for name, value in settings]


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return "set" if value.get_secret_value() else "not set"
    if isinstance(value, frozenset):
        return ",".join(sorted(value))
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value)


def cgroup_limit_mb(cgroup: Path) -> int | None:
    """The memory limit that a container or dyno runs under; None where there is none to be read."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # cgroup v2, v1
        try:
            return int((cgroup / name).read_text().strip()) // 2**20
        except (OSError, ValueError):  # no such file; "max", which is v2's word for no limit
            continue
    return None


__all__ = ["APP_NAME", "OPENROUTER_URL", "Settings", "cgroup_limit_mb", "keys_of", "load_settings", "masked"]

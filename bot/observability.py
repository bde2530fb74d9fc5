"""What the operator sees: log lines and, with a DSN, Sentry. The only place that configures them."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

import orjson
import structlog
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor, WrappedLogger

from bot.redaction import Redactor
from bot.settings import Settings
from core.errors import BotError

if TYPE_CHECKING:
    from sentry_sdk.transport import Transport
    from sentry_sdk.types import Event, Hint

logger = structlog.get_logger(__name__)

MAX_LINE_BYTES: Final = 9_000
"""Heroku splits a line over 10,000 bytes, and its halves are no JSON."""

_QUIET_LOGGERS: Final = ("aiohttp.access", "httpcore", "httpcore2", "httpx", "httpx2", "openai", "primp")
"""They write requests, with the question in them, at DEBUG or INFO."""


def configure_logging(settings: Settings, *, stream: TextIO | None = None) -> None:
    """One form for the lines of structlog, of `logging`, of warnings and of crashes.

    stream: standard output if None; a command whose output is the answer gives standard error.
    """
    target = stream or sys.stdout
    redactor = Redactor(settings.secret_values)
    pretty = settings.log_format == "pretty" or (settings.log_format == "auto" and target.isatty())
    handler = _Handler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_first_processors(),
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(_pretty_processors(redactor) if pretty else _json_processors(redactor)),
            ],
        )
    )
    level = logging.getLevelNamesMapping()[settings.log_level]
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for name in _QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    structlog.configure(
        processors=[*_first_processors(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    sys.excepthook = _log_crash
    threading.excepthook = _log_thread_crash


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class names it
        """Says that a line was lost: what `logging` would print instead is that line, secrets and all."""
        if not isinstance(sys.exc_info()[1], OSError):  # the stream itself is gone
            lost = {"event": "log_line.lost", "logger": record.name, "level": "error"}
            self.stream.write(f"{_dumps(lost).decode()}\n")


def _first_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _json_processors(redactor: Redactor) -> list[Processor]:
    return [
        ExceptionRenderer(ExceptionDictTransformer(show_locals=False, max_frames=20)),
        _redaction(redactor),
        _fit,
        lambda _logger, _method, event: _dumps(event).decode(),
    ]


def _pretty_processors(redactor: Redactor) -> list[Processor]:
    return [
        structlog.processors.format_exc_info,  # before redaction, unlike the renderer's own
        _redaction(redactor),
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]


def _redaction(redactor: Redactor) -> Processor:
    def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return redactor.mapping(event)

    return redact


_FITS: Final = ((2000, 40), (500, 20), (100, 5))
"""How many characters of a text and items of a list are kept, tried in this order."""


def _fit(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The event, its texts and lists cut until the line is short enough."""
    for max_chars, max_items in _FITS:
        if len(_dumps(event)) <= MAX_LINE_BYTES:
            return event
        event = {key: _shortened(value, max_chars, max_items) for key, value in event.items()}
    if len(_dumps(event)) <= MAX_LINE_BYTES:
        return event
    kept = _only(event, ("timestamp", "level", "logger", "event", "question_id"))
    return {key: _shortened(value, 100, 0) for key, value in kept.items()} | {"truncated": True}


def _shortened(value: Any, max_chars: int, max_items: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= max_chars else value[:max_chars] + "…"
    if isinstance(value, list):
        return [_shortened(item, max_chars, max_items) for item in value[:max_items]]
    if isinstance(value, dict):
        return {key: _shortened(item, max_chars, max_items) for key, item in value.items()}
    return value


def _dumps(event: Mapping[str, object]) -> bytes:
    return orjson.dumps(event)


def _log_crash(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return  # Ctrl-C is no crash
    logger.critical("process.crashed", exc_info=(kind, error, traceback))


def _log_thread_crash(crash: threading.ExceptHookArgs) -> None:
    if crash.exc_value is not None:
        name = crash.thread.name if crash.thread else ""
        logger.error("thread.crashed", thread=name, exc_info=crash.exc_value)


def start_sentry(settings: Settings, *, transport: type[Transport] | None = None) -> None:
    """Faults go to Sentry from now on, if there is a DSN. To be called inside the running loop.

    What is sent: types of exceptions, stack frames with source lines, the name of the logged event.
    Neither messages nor variables, log data, host or command line.
    """
    dsn = settings.sentry_dsn.get_secret_value()
    if not dsn:
        return
    # Late: whoever has no DSN does not load it.
    import sentry_sdk
    from sentry_sdk.integrations.asyncio import AsyncioIntegration
    from sentry_sdk.integrations.atexit import AtexitIntegration
    from sentry_sdk.integrations.dedupe import DedupeIntegration
    from sentry_sdk.scrubber import EventScrubber

    scrub = _sentry_scrub(Redactor(settings.secret_values))
    sentry_sdk.init(
        dsn=dsn,
        transport=transport,
        # Nothing switches itself on: one integration would send the command line, another the prompts.
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[
            AsyncioIntegration(),
            AtexitIntegration(callback=lambda _pending, _timeout: None),
            DedupeIntegration(),
        ],
        ignore_errors=[BotError],  # expected faults are in the log
        send_default_pii=False,
        include_local_variables=False,
        max_breadcrumbs=0,
        max_request_body_size="never",
        server_name="",
        auto_session_tracking=False,
        event_scrubber=EventScrubber(recursive=True),
        before_send=scrub,
        before_send_transaction=scrub,
    )
    logging.getLogger().addHandler(_SentryHandler(logging.ERROR))
    logger.info("sentry.started")


class _SentryHandler(logging.Handler):
    """Reports each line of level ERROR or above: by its exception, else by its event's name."""

    def emit(self, record: logging.LogRecord) -> None:
        import sentry_sdk

        # Another library's line has no name; its text could hold anything.
        event = record.msg if isinstance(record.msg, dict) else {"event": record.name}
        error = _error_in(event.get("exc_info") or record.exc_info)
        with sentry_sdk.new_scope() as scope:
            scope.set_tag("event", event["event"])
            if error:
                scope.capture_exception(error)
            else:
                scope.capture_message(event["event"], level="error")


def _error_in(exc_info: object) -> BaseException | None:
    """The exception in any form that a logging call takes."""
    if exc_info is True:
        return sys.exc_info()[1]
    if isinstance(exc_info, tuple):
        exc_info = exc_info[1]
    return exc_info if isinstance(exc_info, BaseException) else None


_SENT_KEYS: Final = (
    "event_id", "timestamp", "start_timestamp", "type", "level", "platform", "release", "environment", "sdk",
    "message", "tags",
)  # fmt: skip
_SENT_EXCEPTION_KEYS: Final = ("type", "module", "stacktrace")


def _sentry_scrub(redactor: Redactor) -> Callable[[Event, Hint], Event | None]:
    def scrub(event: Event, _hint: Hint) -> Event | None:
        sent = _only(event, _SENT_KEYS)
        values = event.get("exception", {}).get("values", [])
        # Without its message, which may quote a question, a page or a key.
        sent["exception"] = {"values": [_only(error, _SENT_EXCEPTION_KEYS) for error in values]}
        return cast("Event", redactor.mapping(sent))

    return scrub


def _only(mapping: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key in keys}


__all__ = ["MAX_LINE_BYTES", "configure_logging", "start_sentry"]

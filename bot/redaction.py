"""What must not leave the process is taken out of whatever is about to: pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Set
from typing import Any, Final

REDACTED: Final = "[redacted]"

MIN_SECRET_CHARS: Final = 8
"""Shorter values are words that happen to be in every other line."""

MAX_SCANNED_CHARS: Final = 20_000
MAX_DEPTH: Final = 8

_SECRET_KEY: Final = re.compile(
    r"token|secret|passw|(?:api|private)[-_ ]?key|authorization|(?:^|_)auth$|cookie|credential|dsn",
    re.IGNORECASE,
)
_SECRET_FORMS: Final = re.compile(
    r"""
    \b(?:xox[a-z]|xapp)-[\w-]+                      # Slack
    | \bsk-[\w-]{8,}                                # OpenAI, OpenRouter
    | \b[\w-]{23,28}\.[\w-]{6,7}\.[\w-]{27,}        # Discord
    | \baW50ZXJhY3Rpb246[\w-]{8,}=*                 # Discord's for one interaction: Base64 of "interaction:…"
    | (?<=\bBearer\s)[^\s"',;]+
    | (?<=://)[^/\s:@"']*:[^/\s@"']*(?=@)           # user and password in a URL
    """,
    re.IGNORECASE | re.VERBOSE,
)


class Redactor:
    """Copies a value without its secrets, into what JSON can hold.

    A secret is known by its key (any case, at any depth), by its form, or because it is one of `secrets`.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted(
            {secret for secret in secrets if len(secret) >= MIN_SECRET_CHARS}, key=len, reverse=True
        )
        self._known = re.compile("|".join(map(re.escape, known)) or r"(?!)")

    def text(self, text: str) -> str:
        """The text without secrets; of a very long one only the beginning is looked at and kept."""
        encodable = text[:MAX_SCANNED_CHARS].encode("utf-8", "replace").decode()
        redacted = _SECRET_FORMS.sub(REDACTED, self._known.sub(REDACTED, encodable))
        # The cut may have gone through a secret, whose beginning would then not be known for one.
        return redacted if len(text) <= MAX_SCANNED_CHARS else redacted[: MAX_SCANNED_CHARS // 2] + "…"

    def mapping(self, mapping: Mapping[str, object]) -> dict[str, object]:
        return self._mapping(mapping, 0)

    def _mapping(self, mapping: Mapping[Any, object], depth: int) -> dict[str, object]:
        return {
            self.text(str(key)): REDACTED if _is_secret(key, value) else self._value(value, depth + 1)
            for key, value in mapping.items()
        }

    def _value(self, value: object, depth: int) -> object:
        if value is None or isinstance(value, bool | float) or _is_json_int(value):
            return value
        if isinstance(value, Mapping | list | tuple | Set):
            return self._container(value, depth) if depth < MAX_DEPTH else "…"
        return self.text(value if isinstance(value, str) else repr(value))

    def _container(self, container: Mapping[Any, object] | Collection[object], depth: int) -> object:
        if isinstance(container, Mapping):
            return self._mapping(container, depth)
        return [self._value(item, depth + 1) for item in container]


def _is_json_int(value: object) -> bool:
    return isinstance(value, int) and -(2**63) <= value < 2**64


def _is_secret(key: object, value: object) -> bool:
    # Numbers are counts: "output_tokens" is the most useful key of a line.
    is_count = value is None or isinstance(value, int | float)
    return not is_count and bool(_SECRET_KEY.search(str(key)))


__all__ = ["MIN_SECRET_CHARS", "REDACTED", "Redactor"]

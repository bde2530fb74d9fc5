"""How long things outside are waited for, in one value, so that all of it can be made shorter together."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Final, TypeVar

from core.providers.web.fetcher import FetchLimits
from core.reading.reading import ReadingLimits

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

D = TypeVar("D", bound="DataclassInstance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """question_s: from admission to the last word; final_draw_s: for drawing that.

    query_s: for the model to make a follow-up whole.
    engine_attempt_s, engine_s: for one request to a search engine, and for all that one search makes.
    first_token_s, gap_s: for a model's first token, and for each after it.
    all_models_s: for the first token of any of the models, which share it.
    embedding_attempt_s, embedding_s: for one try of an API that embeds, and for all of them.
    """

    question_s: float = 60.0
    final_draw_s: float = 10.0
    query_s: float = 3.0
    engine_attempt_s: float = 3.0
    engine_s: float = 4.5
    first_token_s: float = 15.0
    gap_s: float = 10.0
    all_models_s: float = 30.0
    embedding_attempt_s: float = 1.0
    embedding_s: float = 1.5
    fetch: FetchLimits = field(default_factory=FetchLimits)
    reading: ReadingLimits = field(default_factory=ReadingLimits)

    def scaled(self, factor: float) -> Limits:
        """Every time in it multiplied: for tests that wait for each of them."""
        return _scaled(self, factor)


NORMAL: Final = Limits()


def _scaled(limits: D, factor: float) -> D:
    changed: dict[str, object] = {}
    for each in fields(limits):
        value = getattr(limits, each.name)
        if is_dataclass(value) and not isinstance(value, type):
            changed[each.name] = _scaled(value, factor)
        elif each.name.endswith("_s"):
            changed[each.name] = value * factor
    return replace(limits, **changed)


__all__ = ["NORMAL", "Limits"]

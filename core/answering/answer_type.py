"""What kind of thing a question asks for, and whether a text offers one that the question doesn't have.

English question words only; to others every text looks the same, which leaves the order to the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class AnswerType(StrEnum):
    DATE = "date"
    NUMBER = "number"
    NAME = "name"
    PLACE = "place"


_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_COUNTED = (
    "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|hundred|thousand|million|billion"
    "|once|twice|half|percent"
)
_ASKED: Final[Mapping[AnswerType, re.Pattern[str]]] = {
    AnswerType.DATE: re.compile(
        r"\bwhen\b|\b(?:what|which) (?:year|date|day|month|time)\b|\bhow long ago\b", re.IGNORECASE
    ),
    AnswerType.NUMBER: re.compile(
        r"\bhow (?:many|much|old|long|tall|far|big|large|high|fast|often|deep|heavy|wide)\b"
        r"|\bwhat (?:percentage|percent|number)\b|\bwhat is the population\b",
        re.IGNORECASE,
    ),
    AnswerType.NAME: re.compile(r"\bwho(?:se|m|['’]?s)?\b", re.IGNORECASE),
    AnswerType.PLACE: re.compile(
        r"\bwhere\b|\b(?:what|which) (?:country|city|state|place|town|county|continent)\b", re.IGNORECASE
    ),
}
_OFFERED: Final[Mapping[AnswerType, re.Pattern[str]]] = {
    AnswerType.DATE: re.compile(
        rf"\b(?:1\d|20)\d\d\b|\b{_MONTH}\b|\b\d+(?:st|nd|rd|th)? century", re.IGNORECASE
    ),
    AnswerType.NUMBER: re.compile(rf"\d[\d,.]*|\b(?:{_COUNTED})\b", re.IGNORECASE),
    # Not at the start of a sentence, where every word has a capital.
    AnswerType.NAME: re.compile(
        r"(?<![.!?]\s)(?<!^)\b[A-Z][\w’'-]+(?: (?:(?:of|de|van|von|the) )?[A-Z][\w’'-]+)*"
    ),
    AnswerType.PLACE: re.compile(r"\b(?:in|at|near|from|of|to|on|across|between) (?:the )?[A-Z][\w’'-]+"),
}
_WORD = re.compile(r"\w+")


def answer_type(question: str) -> AnswerType | None:
    """The first kind that the question's words ask for, in the order of AnswerType."""
    return next((kind for kind, asked in _ASKED.items() if asked.search(question)), None)


def offers(text: str, kind: AnswerType, question: str) -> bool:
    """Whether the text has something of this kind with a word that is not in the question."""
    asked = set(_WORD.findall(question.lower()))
    return any(set(_WORD.findall(found[0].lower())) - asked for found in _OFFERED[kind].finditer(text))

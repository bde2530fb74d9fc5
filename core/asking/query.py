"""What to search for, from the asker's words alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from core.asking.conversations import MAX_TURNS
from core.asking.follow_ups import depends, joined
from core.asking.languages import content_words
from core.asking.smalltalk import small_talk
from core.reading.urls import find_urls
from core.types import Question

MAX_QUERY_CHARS: Final = 200
"""Search engines cut longer queries; a shorter one also carries less of what should not leave."""
MAX_URLS: Final = 5
"""Read whatever the search says: a chosen message can be a list of links."""
MAX_QUOTED_CHARS: Final = 4_000
"""Of a chosen message: what is looked at for words and URLs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlan:
    """query: empty where there is nothing to search for. urls: read whatever the search says.

    asked: what passages are compared with: the question as written, or the query where that had to be
        composed; never empty.
    stands_alone: the question needed nothing said before, and no chosen message.
    """

    query: str
    asked: str
    urls: tuple[str, ...] = ()
    stands_alone: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """words: without URLs."""

    words: str
    urls: tuple[str, ...]


def plan_search(question: Question) -> SearchPlan:
    """By rule. A follow-up becomes one query with what it follows; what is new in it is never cut away."""
    said = _said(question.text)
    quoted = _said(question.quoted[:MAX_QUOTED_CHARS])
    subject = quoted if question.quoted else _subject_of_thread(question)
    stands_alone = not (subject.words or subject.urls) or not _depends(said.words)
    whole = said if stands_alone else _joined(subject, said)
    query = _searchable(whole.words)
    return SearchPlan(
        query=query,
        asked=question.text if stands_alone else query or question.text or question.quoted,
        urls=_distinct(whole.urls + quoted.urls),
        stands_alone=stands_alone,
    )


def earlier_questions(question: Question) -> tuple[str, ...]:
    """Of the same thread, oldest first. Never the answers, for they hold pages' words."""
    turns = question.thread[-MAX_TURNS:]
    return tuple(turn.question for turn in turns if small_talk(turn.question) is None)


def _said(text: str) -> _Said:
    urls = tuple(find_urls(text))
    for url in sorted(urls, key=len, reverse=True):
        text = text.replace(url, " ")
    return _Said(words=" ".join(text.split()), urls=urls)


def _subject_of_thread(question: Question) -> _Said:
    """The last question of the thread, itself made whole by those before it."""
    subject = _Said(words="", urls=())
    for said in map(_said, earlier_questions(question)):
        subject = _joined(subject, said) if subject.words and _depends(said.words) else said
    return subject


def _depends(words: str) -> bool:
    """One that fills a query by itself says what it is about."""
    return len(words) <= MAX_QUERY_CHARS and (not content_words(words) or depends(words))


def _joined(subject: _Said, said: _Said) -> _Said:
    """Within a query's length: what is cut is of the subject."""
    room = max(0, MAX_QUERY_CHARS - len(said.words) - 1)
    about = _cut(subject.words, room)
    words = joined(about, said.words) if about and said.words else about or said.words
    return _Said(words=words, urls=_distinct(said.urls + subject.urls))


def _distinct(urls: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(urls))[:MAX_URLS]


def _searchable(words: str) -> str:
    """Empty if there is no word in it."""
    return _cut(words, MAX_QUERY_CHARS) if any(map(str.isalnum, words)) else ""


def _cut(words: str, max_chars: int) -> str:
    """At a space, if there is one."""
    if len(words) <= max_chars:
        return words
    return words[: max_chars + 1].rpartition(" ")[0] or words[:max_chars]

"""The words of the project as values, in the order in which a question meets them.

Every value is frozen; two with equal content are equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from typing import NewType
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

AskerId = NewType("AskerId", str)
"""Who asked, unique over all platforms: "slack:T…:U…", "discord:GUILD:USER", "terminal:NAME"."""

Vectors = npt.NDArray[np.float32]
"""float32 [n_texts, dim], rows of unit length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """An earlier question in the same thread, and what the bot answered."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a person asked.

    thread: the bot's earlier turns in the same thread, oldest first; never anybody else's words.
    quoted: the message the question is about, chosen by the asker; empty if there is none.
    channel, workspace: where it was asked, unique over all platforms ("slack:T…:C…", "slack:T…"); empty
        where there is none.
    """

    id: str
    text: str
    asker: AskerId
    platform: str
    asked_at: datetime
    thread: tuple[Turn, ...] = ()
    quoted: str = ""
    channel: str = ""
    workspace: str = ""


class QuotaScope(StrEnum):
    """Whose questions are counted together."""

    ASKER = "asker"
    CHANNEL = "channel"
    WORKSPACE = "workspace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """Never more than `limit` questions within any `window_s` seconds. key: whose, unique in its scope."""

    scope: QuotaScope
    key: str
    limit: int
    window_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaState:
    """left: questions that would be admitted now. next_in_s: until one would be; 0 where `left` is not."""

    quota: Quota
    left: int
    next_in_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchHit:
    """One search result, unfetched."""

    url: str
    title: str
    snippet: str
    provider: str
    published: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validators:
    """By what a server tells whether a document has changed, as it sent them; empty where it did not.

    Of a file, etag is the digest of its bytes.
    """

    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Bytes as served, after Content-Encoding was undone.

    url: where the bytes came from, after redirects.
    media_type: lower case, without parameters, such as "text/html".
    charset: as the Content-Type header declares it, lower case; empty if it does not.
    """

    url: str
    media_type: str
    body: bytes
    charset: str = ""
    validators: Validators = Validators()


class PageKind(StrEnum):
    HTML = "html"
    PDF = "pdf"
    TEXT = "text"
    SNIPPET = "snippet"
    """The search engine's own excerpt, standing in for a page that could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Readable text of a document, as light Markdown.

    text: blocks separated by blank lines; headings start with "#", list items with "- " or "1. ",
        table rows with "|"; code stands between lines of three backticks.
    published: ISO date (YYYY-MM-DD), empty if unknown.
    """

    url: str
    title: str
    text: str
    kind: PageKind
    site: str = ""
    published: str = ""
    author: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """The slice of a page that is embedded, ranked and quoted.

    index: place in the page, from 0.
    text: verbatim from the page's text.
    heading: the heading it stands under, without "#"; empty above the first.
    """

    url: str
    index: int
    text: str
    title: str
    heading: str = ""

    @property
    def embedded_text(self) -> str:
        """The text that is scored: title and heading give a slice its context."""
        return "\n".join(part for part in (self.title, self.heading, self.text) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPage:
    """A page as the library has it.

    requested_url: where it was asked for; `page.url` is where it was found, after redirects.
    read_at: when it was last known to be so.
    lasting: a person put it there, and only a person takes it away; others age.
    """

    page: Page
    requested_url: str
    read_at: datetime
    validators: Validators = Validators()
    lasting: bool = False

    @property
    def content_hash(self) -> str:
        content = f"{self.page.title}\0{self.page.text}"
        return blake2b(content.encode("utf-8", "replace"), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPassage:
    """A passage of a kept page, found by its words or its meaning.

    text: as `Passage.embedded_text`. lexical: BM25, 0 if found by meaning alone. vector: its row, if known.
    """

    url: str
    text: str
    title: str
    published: str
    read_at: datetime
    lexical: float
    vector: Vectors | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedPassage:
    """score: relevance to the question, 0 to 1, comparable only within one ranking."""

    passage: Passage
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A page given to the model, with those of its passages that were.

    number: as the model cites it, from 1.
    """

    number: int
    page: Page
    passages: tuple[Passage, ...]

    @property
    def host(self) -> str:
        return urlsplit(self.page.url).hostname or ""


class MessageRole(StrEnum):
    SYSTEM = "system"
    USER = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptMessage:
    role: MessageRole
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a language model is asked. version: of the wording, for logs."""

    version: str
    messages: tuple[PromptMessage, ...]
    max_output_tokens: int


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """How a model's text ended. Token counts and cost (US dollars) are None where the API does not say."""

    finish_reason: FinishReason
    model: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None


class Stage(StrEnum):
    WAITING = "waiting"
    """For a free place. Progress.done: how many are before this one in the line; total: how long it is."""
    SEARCHING = "searching"
    READING = "reading"
    RANKING = "ranking"
    WRITING = "writing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What is being done. done, total: counted in the stage's own unit (pages); None before it is known."""

    stage: Stage
    done: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Footnote:
    """A numbered source as a reader sees it.

    number: by first use in the text, from 1.
    quotes: for each mark of this number, in the order of the text, the source's sentence it points to,
        verbatim from the page.
    links: for each of those marks, the page's URL, with a text fragment where the page can be searched.
    """

    number: int
    title: str
    url: str
    host: str
    kind: PageKind
    published: str = ""
    quotes: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The text so far. Marks are "[^1]"; the text of a later draft starts with that of an earlier one."""

    text: str
    footnotes: tuple[Footnote, ...] = ()


class Outcome(StrEnum):
    """How a question ended: in exactly one of these."""

    ANSWERED = "answered"
    REFUSED = "refused"
    RATE_LIMITED = "rate_limited"
    BUSY = "busy"
    NOTHING_FOUND = "nothing_found"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class NoticeKind(StrEnum):
    """What a reader has to know beside the answer; adapters hold the wording."""

    EXTRACTIVE_NO_MODEL = "extractive_no_model"
    EXTRACTIVE_MODEL_FAILED = "extractive_model_failed"
    EXTRACTIVE_BUDGET_SPENT = "extractive_budget_spent"
    CUT_BY_LENGTH = "cut_by_length"
    CUT_BY_FILTER = "cut_by_filter"
    CUT_BY_FAILURE = "cut_by_failure"
    UNKNOWN_MARKS_DROPPED = "unknown_marks_dropped"
    SEARCH_SKIPPED = "search_skipped"
    SEARCH_REMEMBERED = "search_remembered"
    """No engine could be asked; the hits are those of the same search some hours ago."""
    FROM_LIBRARY = "from_library"
    URL_UNREADABLE = "url_unreadable"
    SNIPPETS_ONLY = "snippets_only"
    SEARCH_FAILED = "search_failed"
    NO_HITS = "no_hits"
    NO_READABLE_PAGE = "no_readable_page"
    NO_RELEVANT_PASSAGE = "no_relevant_passage"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    TOOK_TOO_LONG = "took_too_long"
    BUG = "bug"
    SMALL_TALK_THANKS = "small_talk_thanks"
    SMALL_TALK_BYE = "small_talk_bye"
    SMALL_TALK_HELLO = "small_talk_hello"
    SMALL_TALK_OK = "small_talk_ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """detail: plain words from code, never from a page or a model (a provider's name and its reason)."""

    kind: NoticeKind
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The last event of a question, whatever happened.

    text: marks are "[^1]"; empty where only the notices speak.
    footnotes: by number, from 1, without gaps.
    """

    outcome: Outcome
    text: str = ""
    footnotes: tuple[Footnote, ...] = ()
    notices: tuple[Notice, ...] = ()
    model: str = ""
    retry_after_s: float | None = None
    timings_ms: Mapping[str, float] = field(default_factory=dict)


AnswerEvent = Progress | Draft | Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """The surface drew nothing; it will take the newest event after so many seconds."""

    after_s: float

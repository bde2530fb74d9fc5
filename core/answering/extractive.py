"""An answer without a language model: the sources' own sentences, each with its footnote.

What is shown is an excerpt: neighbouring sentences of one passage, as many as fit. In a single sentence the
answer stood for 62 % of the questions of Natural Questions, in an excerpt for 82 %: what "he" and "it" are
is said a sentence earlier, and the fragments of which search snippets consist say nothing alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice
from typing import Final

import structlog

from core.answering.answer_type import AnswerType, answer_type, offers
from core.answering.footnotes import footnote_to, without_marks
from core.answering.fragments import PageLinks, plain_blocks
from core.answering.words import recall, weight, word_weights, words
from core.errors import EmbeddingFailed
from core.ports import Embedder
from core.reading.passages import sentences
from core.types import Footnote, Passage, Source

log = structlog.get_logger(__name__)

MAX_EXCERPTS: Final = 3
MAX_EXCERPT_CHARS: Final = 350
_ENOUGH_CHARS: Final = 120
"""Less than this is a fragment, which needs its neighbours."""

_MAX_SENTENCES: Final = 80
"""Embedded, 4 ms each: a fraction of what a failed model leaves of the question's time."""
_MIN_COSINE: Final = 0.2
"""Below it, and without a word in common, a passage is about something else."""
_CHECKED: Final = 12
"""The likeliest excerpts, looked at once more without their titles; 4 ms each."""
_MAX_SHARED: Final = 0.7
"""An excerpt whose words stand to this share in a better one says the same again."""


WEIGHTS: Final = (7.06, 16.79, 1.47, 2.32, 3.19, 2.77, 1.69)
"""Of the cosine of its best sentence, of its passage's, of the share of the question's words in it, and of a
date, number, name or place if the question asks for one. Conditional logit on 600 questions of Natural
Questions with 10 passages each (benchmarks/fit_extractive.py); in 5-fold cross-validation the answer stood
in the best excerpt for 82 % of them, in the best three for 94 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPassage:
    """A passage as compared with the question.

    cosine, sentence_cosines: similarity to the question, -1 to 1; all 0 where nothing could be embedded.
    """

    passage: Passage
    sentences: tuple[str, ...]
    cosine: float = 0.0
    sentence_cosines: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """text: verbatim from the passage: whole sentences, unless the first alone is too long.

    features: what speaks for it, in the order of WEIGHTS.
    """

    passage: Passage
    start: int
    text: str
    words: frozenset[str]
    features: tuple[float, ...]

    def repeats(self, other: Excerpt) -> bool:
        """Whether it has nothing new beside the other."""
        if self.passage is other.passage:
            return self.start < other.start + len(other.text) and other.start < self.start + len(self.text)
        return len(self.words & other.words) > _MAX_SHARED * len(self.words)


def pick_best(candidates: Sequence[Excerpt], scores: Sequence[float]) -> tuple[Excerpt, ...]:
    """At most three, best first, the earlier of equals; none that says what a better one says."""
    picked: list[Excerpt] = []
    for place in sorted(range(len(candidates)), key=lambda place: -scores[place]):
        if len(picked) < MAX_EXCERPTS and not any(map(candidates[place].repeats, picked)):
            picked.append(candidates[place])
    return tuple(picked)


def score(excerpt: Excerpt) -> float:
    return sum(weight * feature for weight, feature in zip(WEIGHTS, excerpt.features, strict=True))


def excerpts(question: str, passages: Sequence[ReadPassage]) -> list[Excerpt]:
    """All that could be shown, in order, without what is about something else."""
    found = [frozenset(words(sentence)) for read in passages for sentence in read.sentences]
    weights = word_weights(found)
    wanted = {word: weights.get(word) or weight(word, 0, len(found)) for word in words(question)}
    candidates = [_excerpt(question, wanted, read, *span) for read in passages for span in _spans(read)]
    return [candidate for candidate in candidates if _is_related(candidate)]


def _spans(read: ReadPassage) -> Iterator[tuple[int, int, range]]:
    """Start and end in the passage's text, and which sentences lie there: from each as far as fits.

    Of two that end together only the longer.
    """
    starts = _starts(read)
    shown_until = -1
    for first, start in enumerate(starts):
        last = first
        while last + 1 < len(starts) and _goes_on(read, starts, start, last + 1):
            last += 1
        end = min(_end(read, starts, last), _last_space(read.passage.text, start))
        if end > shown_until and not _opens_badly(read.sentences[first]):
            shown_until = end
            yield start, end, range(first, last + 1)


def _goes_on(read: ReadPassage, starts: Sequence[int], start: int, index: int) -> bool:
    """Whether an excerpt from `start` on takes in this sentence too.

    Not another block where there is enough to read already: it may be about something else, or a menu.
    """
    if _end(read, starts, index) - start > MAX_EXCERPT_CHARS or _opens_badly(read.sentences[index]):
        return False
    before = _end(read, starts, index - 1)
    return before - start < _ENOUGH_CHARS or "\n\n" not in read.passage.text[before : starts[index]]


def _starts(read: ReadPassage) -> list[int]:
    """Where in the passage's text each of its sentences begins."""
    starts: list[int] = []
    position = 0
    for sentence in read.sentences:
        position = read.passage.text.index(sentence, position)
        starts.append(position)
        position += len(sentence)
    return starts


def _end(read: ReadPassage, starts: Sequence[int], index: int) -> int:
    return starts[index] + len(read.sentences[index])


def _last_space(text: str, start: int) -> int:
    """Where to cut a sentence that is longer than an excerpt."""
    limit = start + MAX_EXCERPT_CHARS
    if len(text) <= limit:
        return len(text)
    space = text.rfind(" ", start + MAX_EXCERPT_CHARS // 2, limit + 1)
    return space if space >= 0 else limit


def _opens_badly(sentence: str) -> bool:
    """A heading belongs to the page, not to its first sentence; code and rows of tables are no sentences."""
    return sentence.startswith(("#", "```", "|"))


def _excerpt(
    question: str, wanted: Mapping[str, float], read: ReadPassage, start: int, end: int, inside: range
) -> Excerpt:
    text = read.passage.text[start:end]
    found = frozenset(words(text))
    asked = answer_type(question)
    offered = asked is not None and offers(text, asked, question)
    features = (
        max((read.sentence_cosines[index] for index in inside), default=0.0)
        if read.sentence_cosines
        else 0.0,
        read.cosine,
        recall(wanted, found),
        *(float(offered and kind is asked) for kind in AnswerType),
    )
    return Excerpt(passage=read.passage, start=start, text=text, words=found, features=features)


def _is_related(excerpt: Excerpt) -> bool:
    sentence_cosine, passage_cosine, *_ = excerpt.features
    return _question_recall(excerpt) > 0 or max(sentence_cosine, passage_cosine) >= _MIN_COSINE


def _question_recall(excerpt: Excerpt) -> float:
    return excerpt.features[2]


class ExtractiveAnswer:
    """embedders: where one fails the next compares all anew: no answer rests on two models' cosines."""

    def __init__(self, *embedders: Embedder) -> None:
        self._embedders = embedders

    async def compose(
        self, question: str, sources: Sequence[Source], *, compare_s: float | None = None
    ) -> tuple[str, tuple[Footnote, ...]]:
        """Canonical text, an excerpt a line, and its footnotes; empty if the sources say nothing about it.

        compare_s: as for `pick`.
        """
        passages = [passage for source in sources for passage in source.passages]
        return _written(await self.pick(question, passages, compare_s=compare_s), sources)

    async def pick(
        self, question: str, passages: Sequence[Passage], *, compare_s: float | None = None
    ) -> tuple[Excerpt, ...]:
        """What answers best, at most three, best first.

        compare_s: after which words alone decide, as where no embedder could compare; None: however long.
        """
        try:
            async with asyncio.timeout(compare_s):
                likely = await self._compared(question, passages)
        except (EmbeddingFailed, TimeoutError) as failure:
            log.warning("excerpts.picked_by_words", reason=str(failure) or "took too long")
            likely = _likeliest(excerpts(question, _split(passages)))
        return pick_best(likely, [score(excerpt) for excerpt in likely])

    async def _compared(self, question: str, passages: Sequence[Passage]) -> list[Excerpt]:
        """Raises EmbeddingFailed: the last one's."""
        *others, last = self._embedders
        for embedder in others:
            try:
                return await Comparison(question, embedder).likely(passages)
            except EmbeddingFailed as failure:
                log.warning("embedder.skipped", model=embedder.model, reason=str(failure))
        return await Comparison(question, last).likely(passages)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of one question with whatever may answer it, by one model. Its methods raise EmbeddingFailed."""

    question: str
    embedder: Embedder

    async def likely(self, passages: Sequence[Passage]) -> list[Excerpt]:
        """The likeliest excerpts of these, in falling order."""
        return await self._about(_likeliest(excerpts(self.question, await self.read(passages))))

    async def read(self, passages: Sequence[Passage]) -> list[ReadPassage]:
        """The nearest passages, down to so many sentences, in the order given."""
        split = _split(passages)
        cosines = await self._cosines([read.passage.embedded_text for read in split])
        nearest = sorted(range(len(split)), key=lambda index: -cosines[index])
        counts = accumulate(len(split[index].sentences) for index in nearest)
        chosen = [index for index, count in zip(nearest, counts, strict=True) if count <= _MAX_SENTENCES]
        # In the order given, so that the earlier of equals wins.
        kept = [replace(split[index], cosine=cosines[index]) for index in sorted(chosen or nearest[:1])]
        texts = [f"{read.passage.title}\n{sentence}" for read in kept for sentence in read.sentences]
        rest = iter(await self._cosines(texts))
        return [replace(read, sentence_cosines=tuple(islice(rest, len(read.sentences)))) for read in kept]

    async def _about(self, likely: Sequence[Excerpt]) -> list[Excerpt]:
        """Those whose own words have to do with the question.

        Beside a good title any line scores well, "Reply Quote Report" too.
        """
        cosines = await self._cosines([excerpt.text for excerpt in likely])
        return [
            excerpt
            for excerpt, cosine in zip(likely, cosines, strict=True)
            if cosine >= _MIN_COSINE or _question_recall(excerpt) > 0
        ]

    async def _cosines(self, texts: Sequence[str]) -> list[float]:
        vectors = await self.embedder.embed([self.question, *texts])
        return [float(cosine) for cosine in vectors[1:] @ vectors[0]]


def _split(passages: Sequence[Passage]) -> list[ReadPassage]:
    return [ReadPassage(passage=passage, sentences=tuple(sentences(passage.text))) for passage in passages]


def _likeliest(candidates: Sequence[Excerpt]) -> list[Excerpt]:
    return sorted(candidates, key=score, reverse=True)[:_CHECKED]


def _written(picked: Sequence[Excerpt], sources: Sequence[Source]) -> tuple[str, tuple[Footnote, ...]]:
    quotes: dict[str, list[str]] = {}
    for excerpt in picked:
        quotes.setdefault(excerpt.passage.url, []).append(excerpt.text)
    numbers = {url: number for number, url in enumerate(quotes, start=1)}
    lines = [f"- {_readable(excerpt.text)}[^{numbers[excerpt.passage.url]}]" for excerpt in picked]
    cited = [source for url in quotes for source in sources if source.page.url == url]
    footnotes = [_footnote(source, numbers[source.page.url], quotes[source.page.url]) for source in cited]
    return "\n".join(lines), tuple(footnotes)


def _readable(text: str) -> str:
    """One line, without the page's own Markdown and reference numbers."""
    return without_marks(" ".join(plain_blocks(text)))


def _footnote(source: Source, number: int, quotes: Sequence[str]) -> Footnote:
    links = PageLinks(source.page)
    return footnote_to(source, number, quotes=tuple(quotes), links=tuple(map(links.to, quotes)))

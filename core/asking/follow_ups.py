"""Whether a question can be understood alone, and what it asks where it can't.

By rule: it reads only what the asker wrote, so nothing else can come out. What it can't know is grammar;
where it joins two questions too much, a search engine still finds what both have in common.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from core.asking.languages import Language, content_words, language_of, tokens

_MAX_ELLIPSIS_TOKENS: Final = 6
_MAX_CJK_FRAGMENT_CHARS: Final = 4
"""A longer run of them is a sentence, though it has no spaces."""
_PUNCTUATION: Final = " \t\n,;:.!?¿¡。？！，、…-–"
_YEAR = re.compile(r"\b(?:1\d|20)\d\d\b")
# "it" is nobody and nothing: "how long does it take to…", "is it legal to…", "is it raining".
_EXPLETIVE = re.compile(r"\bit (?:takes?|took|rain\w*|snow\w*)\b|\b(?:is|was) it \w+ to\b", re.IGNORECASE)
_CLOCK = re.compile(r"\b(?:time|day|date) is it\b", re.IGNORECASE)
_DEICTIC_TIME = re.compile(
    r"\b(?:this|these) (?:year|month|week|weekend|morning|evening|summer|winter|century|days)\b",
    re.IGNORECASE,
)

# Chinese, Japanese, Korean: written without spaces, or with particles grown to the words.
_CJK_ELLIPSIS = re.compile(
    r"(?:那么|那|还有|以及|じゃあ|では|それでは|그럼|그러면)[,，、\s]*(?P<linked>.{1,16}?)(?:呢|怎么样|はどう|は|은|는)?"
    r"[?？。\s]*|(?P<bare>.{1,10}?)呢[?？。\s]*"
)
_CJK = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
_CJK_ASKING = re.compile(r"[什怎谁哪几吗何誰などい무누언왜얼]|多少|为什么")
_CJK_ASKING_ONLY = re.compile(
    r"(?:为什么|怎么|怎么样|多少钱|什么时候|なぜ|どうして|いつ|いくら|왜|언제)[呢?？。\s]*"
)
_CJK_PRONOUN = re.compile(
    r"(?<![其吉])[他她它]|这个|那个|那里|那儿|それ(?!ぞれ)|そこ|彼(?!方)|그것|그거|거기"
)


@dataclass(frozen=True, slots=True)
class _Opening:
    """A question without the words that tie it to the one before.

    linked: began with such a word; about: leaves out all but what is new.
    """

    rest: str
    linked: bool
    about: bool


def depends(text: str) -> bool:
    """Whether it leaves out what it is about: in an ellipsis, by a pronoun, or by asking "why?" alone."""
    return _ellipsis(text) is not None or _refers_back(text)


def joined(subject: str, text: str) -> str:
    """One question out of two. subject: what stands alone; text: `depends` on it.

    An ellipsis keeps the earlier question and puts in what is new, in the place of its like where that is
    plain: "What is the population of France?", "and in Germany?" -> "What is the population of Germany?".
    Any other asks by itself: "How tall is the Eiffel Tower?", "who built it?" -> "who built it? tall Eiffel
    Tower". Whatever is new stands in it whole.
    """
    new = _ellipsis(text)
    if new is None:
        return " ".join([text, *(content_words(subject) or [subject])]).strip()
    return _with_replacement(subject, new) or f"{subject} {new}"


def _ellipsis(text: str) -> str | None:
    """What is new in a question that leaves out the rest; None if it asks by itself."""
    text = text.strip(_PUNCTUATION)
    if found := _CJK_ELLIPSIS.fullmatch(text):
        new = found["linked"] or found["bare"]
        return None if _CJK_ASKING.search(new) else new
    language = language_of(text)
    opening = _opening(text, language)
    words = [token.lower() for token in tokens(opening.rest)]
    if not words or len(words) > _MAX_ELLIPSIS_TOKENS or _CJK_ASKING.search(text):
        return None
    if opening.about or (opening.linked and words[0] not in language.asking):
        return opening.rest
    return opening.rest if _is_fragment(opening.rest, words, language) else None


def _opening(text: str, language: Language) -> _Opening:
    rest = text
    while (head := rest.split(maxsplit=1)) and head[0].strip(_PUNCTUATION).lower() in language.links:
        rest = (head[1] if len(head) > 1 else "").strip(_PUNCTUATION)
    plain = rest.lower().replace("'", " ").replace("’", " ")
    about = next((about for about in language.abouts if plain.startswith(f"{about} ")), "")
    return _Opening(rest[len(about) :].strip(_PUNCTUATION), rest != text, bool(about))


def _is_fragment(text: str, words: list[str], language: Language) -> bool:
    """No sentence: a word or a name alone, or with a preposition before it."""
    if _CJK.search(text) and len(text) > _MAX_CJK_FRAGMENT_CHARS:
        return False
    if words[0] in language.asking or any(word in language.pronouns for word in words):
        return False
    names = _runs(text)
    is_one_thing = len(content_words(text)) <= 1 or names == [text]
    return is_one_thing or words[0] in language.prepositions


def _refers_back(text: str) -> bool:
    if _CJK_PRONOUN.search(text) or _CJK_ASKING_ONLY.fullmatch(text):
        return True
    language = language_of(text)
    words = [token.lower() for token in tokens(_DEICTIC_TIME.sub(" ", text))]
    n_content = len(content_words(text))
    return (
        (bool(words) and words[-1] in language.places)
        or any(_stands_for_earlier(text, words, index, language) for index in range(len(words)))
        or (n_content <= 4 and _has_weak_pronoun(text, words, n_content, language))
        or _asks_nothing_alone(words, n_content, language)
    )


def _stands_for_earlier(text: str, words: list[str], index: int, language: Language) -> bool:
    """A pronoun, unless something that it can stand for comes before it in the same question."""
    word, before = words[index], words[:index]
    if word == "that" and language.knows("this"):
        return not before or before[-1] in language.verbs | language.prepositions
    if word not in language.pronouns:
        return False
    if any(name.lower().split()[0] in before[1:] for name in _runs(text)):
        return False
    return len(content_words(" ".join(before))) < 2


def _has_weak_pronoun(text: str, words: list[str], n_content: int, language: Language) -> bool:
    if _CLOCK.search(text) and n_content > 1:
        return False
    most = 4 if "it" in language.weak and not _EXPLETIVE.search(text) else 2
    return n_content <= most and any(word in language.weak for word in words)


def _asks_nothing_alone(words: list[str], n_content: int, language: Language) -> bool:
    """ "why?", "since when?", "how much?", "which year?", "ist das wahr?": asks, but not about anything."""
    if words and words[0] in language.verbs and n_content <= 1:
        return True
    asks = any(word in language.asking for word in words)
    is_sentence = any(word in language.verbs for word in words)
    return asks and (n_content == 0 or (n_content == 1 and not is_sentence and len(words) <= 3))


def _with_replacement(subject: str, new: str) -> str:
    """`subject` with its one name or year replaced by the new one; empty if that is not plain."""
    if _YEAR.fullmatch(_bare(new)) and len(_YEAR.findall(subject)) == 1:
        return _YEAR.sub(_bare(new), subject)
    if _runs(_bare(new)) != [_bare(new)]:
        return ""
    language = language_of(subject)
    governed = [match for match in _RUN.finditer(subject) if _is_governed(subject[: match.start()], language)]
    if len(governed) != 1:
        return ""
    (old,) = governed
    return f"{subject[: old.start()]}{_bare(new)}{subject[old.end() :]}"


def _bare(new: str) -> str:
    """Without prepositions and articles at its beginning: "in the Netherlands" -> "Netherlands"."""
    language = language_of(new)
    words = new.split()
    while len(words) > 1 and words[0].lower() in language.prepositions | language.articles:
        words = words[1:]
    return " ".join(words)


_NAME_WORD: Final = r"[^\W\d_a-zß-öø-ÿа-я][\w.-]*\w"
_RUN = re.compile(rf"\b{_NAME_WORD}(?: {_NAME_WORD}| \d+\b)*")


def _runs(text: str) -> list[str]:
    """Names: words that begin with a capital, neighbours together."""
    return [match[0] for match in _RUN.finditer(text) if match[0][0].isupper()]


def _is_governed(before: str, language: Language) -> bool:
    """Whether a preposition stands right before, with or without an article."""
    words = before.lower().replace("'", " ").replace("’", " ").split()
    if words and words[-1] in language.articles:
        words = words[:-1]
    return bool(words) and words[-1] in language.prepositions

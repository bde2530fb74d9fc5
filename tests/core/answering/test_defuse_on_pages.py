"""What documentation and forums say comes through the filter as they say it."""

import gzip
import json
import random
import re
from pathlib import Path

import pytest

from core.answering.defuse import defuse
from core.providers.web.html import read_html
from core.reading.passages import sentences
from tests.core.answering.test_defuse import cut, states

PAGES = Path(__file__).parents[4] / "shared" / "eval" / "extraction" / "html" / "wcxb_dev"
TECHNICAL = ("documentation", "forum")

A_DOT_A_DIGIT_OR_CODE = re.compile(r"\w\.\w|\d|[_(){}\[\]<>=`]|[a-z][A-Z]")
A_HOST = re.compile(r"//|www\.|@[\w-]+\.\w|\w\.[^\W\d_][\w-]*(?:/|:\d)|mailto:", re.IGNORECASE)
"""A URL, an e-mail address, or a dotted word where only a host stands. One that is alone, such as
socket.io, may be shown as code: it reads the same."""


def harmless_sentences() -> list[str]:
    """All that are technical and name no host, of one line, each once, in the pages' order."""
    truth = json.loads(gzip.decompress(PAGES.with_name("wcxb_dev.truth.json.gz").read_bytes()))
    names = [name for name, page in sorted(truth.items()) if page["type"] in TECHNICAL]
    raw = [gzip.decompress((PAGES / f"{name}.html.gz").read_bytes()) for name in names]
    texts = [read_html(html.decode("utf-8", "replace"), "https://example.org/").text for html in raw]
    found = dict.fromkeys(sentence for text in texts for sentence in sentences(text))
    return [
        sentence
        for sentence in found
        if "\n" not in sentence and A_DOT_A_DIGIT_OR_CODE.search(sentence) and not A_HOST.search(sentence)
    ]


def without_backticks(text: str) -> str:
    return text.replace("`", "")


@pytest.mark.skipif(not PAGES.exists(), reason="the public pages are not beside this checkout")
def test_harmless_sentences_of_pages_read_as_before() -> None:
    harmless = harmless_sentences()
    assert len(harmless) >= 100
    changed = [text for text in harmless if without_backticks(defuse(text)) != without_backticks(text)]
    assert changed == []


@pytest.mark.skipif(not PAGES.exists(), reason="the public pages are not beside this checkout")
def test_harmless_sentences_of_pages_read_as_before_however_they_are_cut() -> None:
    chance = random.Random(0)
    changed = []
    for text in harmless_sentences():
        pieces = cut(text, [chance.randrange(len(text)) for _ in range(chance.randint(1, 12))])
        if without_backticks(states(pieces)[-1]) != without_backticks(text):
            changed.append(pieces)
    assert changed == []

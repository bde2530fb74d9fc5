"""What a page says about itself in its head: title, site, date, author, and whether it is an article.

Sources in order of trust: JSON-LD, Open Graph and other <meta>, the visible heading, <title>.
A page that says nothing, or nonsense, has empty facts; nothing here raises.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from selectolax.lexbor import LexborHTMLParser

from core.providers.web.charset import without_invisible

_MAX_JSON_LD_CHARS = 300_000
_MAX_JSON_LD_NODES = 200
_MAX_FACT_CHARS = 300
_ARTICLE_TYPE = re.compile(r"(?:Article|BlogPosting|Report|Posting)$")
_ISO_DATE = re.compile(r"\s*((?:19|20)\d\d)[-/.]?(0[1-9]|1[0-2])[-/.]?(0[1-9]|[12]\d|3[01])(?!\d)")
_SUFFIX = re.compile(r"\s+[|\-–—·:»•]\s+(?=[^|\-–—·:»•]+$)")
_DATE_NAMES = (
    "article:published_time", "og:article:published_time", "datepublished", "date", "dc.date",
    "dc.date.issued", "dcterms.date", "dcterms.created", "citation_publication_date", "citation_date",
    "parsely-pub-date", "sailthru.date", "publishdate", "publish-date", "pubdate", "publication_date",
)  # fmt: skip
_AUTHOR_NAMES = (
    "author",
    "article:author",
    "dc.creator",
    "citation_author",
    "parsely-author",
    "sailthru.author",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFacts:
    """As core.types.Page has them; is_article: the page calls itself one."""

    title: str = ""
    site: str = ""
    published: str = ""
    author: str = ""
    is_article: bool = False


def page_facts(tree: LexborHTMLParser) -> PageFacts:
    """Of a tree whose scripts are still in it."""
    meta = _meta(tree)
    nodes = list(_json_ld(tree))
    articles = [node for node in nodes if any(map(_ARTICLE_TYPE.search, _strings(node.get("@type"))))]
    main = articles[0] if articles else {}
    kind = meta.get("og:type", "")
    site = _first(
        meta.get("og:site_name"),
        _name(main.get("publisher")),
        *_site_names(nodes),
        meta.get("application-name"),
    )
    return PageFacts(
        title=_title(tree, meta, main, site),
        site=site,
        published=_published(tree, meta, [*articles, *nodes]),
        author=_first(_name(main.get("author")), *(_not_a_link(meta.get(name)) for name in _AUTHOR_NAMES)),
        is_article=bool(articles) or "article:published_time" in meta or kind.lower() == "article",
    )


def _meta(tree: LexborHTMLParser) -> dict[str, str]:
    """The first content of each name or property, names in lower case."""
    found: dict[str, str] = {}
    for node in tree.css("meta[content]"):
        attributes = node.attributes
        names = attributes.get("property") or attributes.get("name") or attributes.get("itemprop") or ""
        for name in names.lower().split():
            found.setdefault(name, attributes.get("content") or "")
    return found


def _json_ld(tree: LexborHTMLParser) -> Iterator[Mapping[str, Any]]:
    """The objects at the top, in lists and in @graph."""
    waiting: list[Any] = []
    for script in tree.css('script[type="application/ld+json" i]'):
        source = script.text()
        if len(source) <= _MAX_JSON_LD_CHARS:
            waiting.append(_loaded(source))
    for _ in range(_MAX_JSON_LD_NODES):
        if not waiting:
            return
        node = waiting.pop(0)
        if isinstance(node, list):
            waiting[:0] = node[:_MAX_JSON_LD_NODES]
        elif isinstance(node, dict):
            yield node
            waiting.insert(0, node.get("@graph"))


def _loaded(source: str) -> Any:
    try:
        return json.loads(source, strict=False)
    except (ValueError, RecursionError):
        return None


def _title(tree: LexborHTMLParser, meta: Mapping[str, str], article: Mapping[str, Any], site: str) -> str:
    head = tree.css_first("head title") or tree.css_first("title")
    written = _first(head.text() if head is not None else "")
    headings = [_tidy(node.text(separator=" ")) for node in tree.css("h1")]
    shown = " ".join([written, *headings])
    declared = [*_strings(article.get("headline")), meta.get("og:title"), meta.get("twitter:title")]
    return _without_site(
        _first(
            *(title for title in declared if title and _shares_a_word(title, shown)),
            headings[0] if len(headings) == 1 else "",
            written,
            *headings,
            *declared,
        ),
        site,
    )


def _shares_a_word(title: str, shown: str) -> bool:
    """Some sites declare a description for a title; or nothing is shown, and any title will do."""
    return not shown.strip() or not set(title.lower().split()).isdisjoint(shown.lower().split())


def _without_site(title: str, site: str) -> str:
    """Without " | Site" at the end, where that names the site."""
    cut = _SUFFIX.search(title)
    if (
        cut
        and site
        and title[cut.end() :].strip().lower() in {site.lower(), site.lower().removeprefix("the ")}
    ):
        return title[: cut.start()]
    return title


def _published(tree: LexborHTMLParser, meta: Mapping[str, str], nodes: list[Mapping[str, Any]]) -> str:
    candidates = [text for node in nodes for text in _strings(node.get("datePublished"))]
    candidates += [meta[name] for name in _DATE_NAMES if name in meta]
    for selector in ('time[itemprop="datePublished"]', "time[pubdate]", "article time[datetime]"):
        if (node := tree.css_first(selector)) is not None:
            candidates.append(node.attributes.get("datetime") or "")
    return next(filter(None, map(_iso_date, candidates)), "")


def _iso_date(text: str) -> str:
    if (found := _ISO_DATE.match(text)) is None:
        return ""
    try:
        return date(int(found[1]), int(found[2]), int(found[3])).isoformat()
    except ValueError:
        return ""


def _site_names(nodes: list[Mapping[str, Any]]) -> list[str]:
    return [_name(node) for node in nodes if "WebSite" in _strings(node.get("@type"))]


def _name(thing: object) -> str:
    """Of a person or organisation: a string, an object with a name, or a list of either."""
    things = thing if isinstance(thing, list) else [thing]
    names = [each.get("name") if isinstance(each, dict) else each for each in things[:5]]
    return ", ".join(
        dict.fromkeys(_tidy(name) for name in names if isinstance(name, str) and _not_a_link(name))
    )


def _not_a_link(text: str | None) -> str:
    return "" if text is None or text.strip().startswith(("http://", "https://", "/", "@")) else text


def _strings(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str)]


def _first(*texts: str | None) -> str:
    return next(filter(None, (_tidy(text) for text in texts if text)), "")


def _tidy(text: str) -> str:
    return " ".join(without_invisible(html.unescape(text)).split())[:_MAX_FACT_CHARS]

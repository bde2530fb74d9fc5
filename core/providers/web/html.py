"""HTML -> Page. Runs in an extraction child: it may take long, and is killed if it does.

Three extractors, the pickiest first: readability finds the one node that an article is, trafilatura
the parts of a page that are content, the skip list keeps all but what is surely furniture. The text
of a picky one is taken if it is enough of what the skip list kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import lxml.html
from lxml.etree import ParserError, _Element
from readability import Document as ReadabilityDocument
from readability.readability import Unparseable
from selectolax.lexbor import LexborHTMLParser, LexborNode

from core.providers.web.charset import without_invisible
from core.providers.web.markdown import lexbor_text, lxml_text
from core.providers.web.page_facts import page_facts
from core.types import Page, PageKind

MAX_THOROUGH_CHARS = 1_000_000
"""A larger page is read by the skip list alone."""

_MIN_CHARS = 250
# The share of the skip list's text that a picky extractor has to have found: (of an article, of any
# other page). Chosen by F1 on 125 pages of seven kinds; .1 either way costs less than .005.
_READABILITY_SHARE = (0.4, 0.75)
_TRAFILATURA_SHARE = (0.25, 0.6)

# Never read, whoever reads. "S:…" is what React serves last, hidden until a script moves it.
_UNSEEN = (
    "script, style, template, noscript, iframe, object, embed, svg, canvas, link,"
    ' [hidden]:not([id^="S:"]), [aria-hidden="true" i], sup.reference, .mw-editsection'
)
_HIDING_STYLE = re.compile(
    r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?:\.0*)?(?:[a-z]{1,4}|%)?)"
    r"\s*(?:!\s*important\s*)?(?:;|$)",
    re.IGNORECASE,
)
_FURNITURE = (
    "nav, footer, aside, header, form, button, select, input, textarea, dialog, menu,"
    ' [role="navigation" i], [role="banner" i], [role="contentinfo" i], [role="complementary" i],'
    ' [role="search" i], [role="dialog" i], [role="alertdialog" i], [role="menu" i], [role="menubar" i]'
)
# Words in a class or an id, by which authors name the parts that no page is read for.
_FURNITURE_WORDS = re.compile(
    r"(?:^|[\s_-])(?:breadcrumbs?|cookies?|consent|gdpr|modal|popup|newsletter|subscribe|subscription|signup|share|"
    r"sharing|social|related|recommend(?:ed|ations)?|popular|trending|promo|advert\w*|ads?|sponsored|banner|sidebar|"
    r"menu|navigation|nav|navbar|pagination|pager|footer|masthead|topbar|toolbar|copyright|dropdown|tooltip|login|"
    r"signin|skip|sr-only|visually-hidden|visuallyhidden|screen-reader\w*|author-bio|about-author|"
    r"readmore|read-next|up-next|byline|tags|toc)(?:$|[\s_-])",
    re.IGNORECASE,
)
# Of these, what the other extractors keep as well, and no reader wants.
_NEVER_READ_WORDS = re.compile(
    r"(?:^|[\s_-])(?:breadcrumbs?|cookies?|consent|gdpr)(?:$|[\s_-])", re.IGNORECASE
)
_COMMENT_WORDS = re.compile(
    r"(?:^|[\s_-])(?:comments?|comment-?list|disqus\w*|respond|replies)(?:$|[\s_-])", re.IGNORECASE
)
_CONTENT = "main, h1"  # what holds one is no furniture, whatever its name
_MAX_FURNITURE_SHARE = 0.4  # nor is what holds more of the page's text
_MAX_COMMENTS_SHARE = 0.5  # above it comments are what the page is for, as in a forum
_MIN_MAIN_SHARE = 0.5  # a <main> with less of the text is not where it is


def read_html(
    html: str, url: str, *, thorough: bool = True, on_draft: Callable[[Page], None] = lambda _: None
) -> Page:
    """The page's readable text; `text` is empty if it has none.

    thorough: False for the skip list alone, at a tenth of the cost.
    on_draft: called with the skip list's page before the thorough work starts, so that a reader who
        has to kill this process keeps that.
    """
    tree = LexborHTMLParser(html)
    facts = page_facts(tree)
    _drop_unseen(tree)
    markup = (tree.html or "") if thorough and len(html) <= MAX_THOROUGH_CHARS else ""
    page = Page(
        url=url,
        title=facts.title,
        text=without_invisible(_skip_list_text(tree, is_article=facts.is_article)).strip(),
        kind=PageKind.HTML,
        site=facts.site,
        published=facts.published,
        author=facts.author,
    )
    if not markup:
        return page
    on_draft(page)
    picked = without_invisible(_picky_text(markup, len(page.text), is_article=facts.is_article)).strip()
    return replace(page, text=picked or page.text)


def _drop_unseen(tree: LexborHTMLParser) -> None:
    # From the last to the first: what lies within a dropped node is gone before it.
    for node in reversed(tree.css(_UNSEEN)):
        node.decompose()
    max_chars = _MAX_FURNITURE_SHARE * len(tree.body.text()) if tree.body else 0
    for node in reversed(tree.css("[class], [id]")):
        if _NEVER_READ_WORDS.search(_names(node)) and _is_small(node, max_chars):
            node.decompose()
    for node in reversed(tree.css("[style]")):
        if node.tag not in {"html", "body"} and _HIDING_STYLE.search(node.attributes.get("style") or ""):
            node.decompose()


def _skip_list_text(tree: LexborHTMLParser, *, is_article: bool) -> str:
    body = tree.body
    if body is None:
        return ""
    max_chars = _MAX_FURNITURE_SHARE * len(body.text())
    for node in reversed(tree.css(_FURNITURE)):
        if not (node.tag == "header" and _is_within_content(node)) and _is_small(node, max_chars):
            node.decompose()
    for node in reversed(body.css("[class], [id]")):
        if node.tag != "body" and _FURNITURE_WORDS.search(_names(node)) and _is_small(node, max_chars):
            node.decompose()
    _drop_comments(body, is_article=is_article)
    main = tree.css_first('main, [role="main" i]')
    if main is not None and len(main.text()) >= _MIN_MAIN_SHARE * len(body.text()):
        return lexbor_text(main)
    return lexbor_text(body)


def _drop_comments(body: LexborNode, *, is_article: bool) -> None:
    """Not where they are most of the page: those of a forum are what it is for."""
    outermost: dict[int, LexborNode] = {}
    for node in body.css("[class], [id]"):
        if not _COMMENT_WORDS.search(_names(node)) or node.css_first(_CONTENT) is not None:
            continue
        if not any(parent.mem_id in outermost for parent in _ancestors(node)):
            outermost[node.mem_id] = node
    n_chars = sum(len(node.text()) for node in outermost.values())
    if is_article or n_chars <= _MAX_COMMENTS_SHARE * len(body.text()):
        for node in outermost.values():
            node.decompose()


def _names(node: LexborNode) -> str:
    attributes = node.attributes
    return f"{attributes.get('class') or ''} {attributes.get('id') or ''}"


def _ancestors(node: LexborNode) -> Iterator[LexborNode]:
    """Nearest first."""
    while (parent := node.parent) is not None:
        yield parent
        node = parent


def _is_within_content(node: LexborNode) -> bool:
    return any(parent.tag in {"main", "article"} for parent in _ancestors(node))


def _is_small(node: LexborNode, max_chars: float) -> bool:
    return node.css_first(_CONTENT) is None and len(node.text()) <= max_chars


def _picky_text(markup: str, n_plain_chars: int, *, is_article: bool) -> str:
    """Empty if neither found enough: libxml2 drops what nests too deep, and some pages have no one node."""
    try:
        root = lxml.html.document_fromstring(
            markup, parser=lxml.html.HTMLParser(huge_tree=True, remove_comments=True, remove_pis=True)
        )
    except ParserError:
        return ""
    for extract, shares in ((_readability_text, _READABILITY_SHARE), (_trafilatura_text, _TRAFILATURA_SHARE)):
        text = extract(root)
        if len(text) >= max(_MIN_CHARS, shares[0 if is_article else 1] * n_plain_chars):
            return text
    return ""


_MAX_LINK_DENSITY = 0.2  # readability's own bound for what it drops


class _Readability(ReadabilityDocument):  # type: ignore[misc]  # the library has no types
    """Keeps the summary as a tree, and leaves out the regex that strips attributes: it can hang."""

    def get_clean_html(self) -> str:
        markup: str = lxml.html.tostring(self.html, encoding="unicode")
        return markup

    def get_preserved_elements(self, node: _Element) -> dict[_Element, bool]:
        """Lists and tables too, short ones as well, unless they are of links."""
        preserved: dict[_Element, bool] = super().get_preserved_elements(node)
        for element in self.tags(node, "ul", "table"):
            if self.get_link_density(element) < _MAX_LINK_DENSITY and self.class_weight(element) >= 0:
                preserved[element] = True
        return preserved


def _readability_text(root: _Element) -> str:
    document = _Readability(root)  # a tree is parsed once, str as often as it is looked at
    try:
        document.summary(html_partial=True)
    except Unparseable:
        return ""
    return lxml_text(document.html)


def _trafilatura_text(root: _Element) -> str:
    from trafilatura import bare_extraction
    from trafilatura.settings import Document

    found = bare_extraction(root, fast=True)
    return lxml_text(found.body) if isinstance(found, Document) else ""

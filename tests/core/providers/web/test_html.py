"""What of a web page is read, and as what."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.providers.web.html import MAX_THOROUGH_CHARS, read_html
from core.types import Page
from tests.hostile.html_forms import nested

_URL = "https://lights.example/fresnel"
_PARAGRAPHS = [
    f"In 18{year}, the lamp was changed again, and the keepers wrote down how many miles it could be seen"
    " from, in which weather, and by whom."
    for year in range(20, 40)
]
_BODY = "".join(f"<p>{paragraph}</p>" for paragraph in _PARAGRAPHS)


def _text(body: str, *, thorough: bool = True) -> str:
    return read_html(f"<html><body>{body}</body></html>", _URL, thorough=thorough).text


@pytest.mark.parametrize("thorough", [True, False])
def test_an_article_is_read_without_the_furniture_around_it(thorough: bool) -> None:
    text = _text(
        "<header><a href=/>Home</a> Top stories</header><nav>Weather Sports</nav>"
        f"<article><h1>Lamps</h1>{_BODY}</article>"
        "<div class='cookie-banner'>We value your privacy</div><footer>All rights reserved</footer>",
        thorough=thorough,
    )
    assert all(paragraph in text for paragraph in _PARAGRAPHS)
    assert not any(word in text for word in ("Weather", "privacy", "rights", "Top stories"))


@pytest.mark.parametrize("thorough", [True, False])
def test_structure_becomes_light_markdown(thorough: bool) -> None:
    text = _text(
        f"<main>{_BODY}<h2>Kinds of <em>lenses</em></h2>"
        "<ul><li>first order, for the sea<li>second order, for straits</ul>"
        "<ol><li>polish the glass</li><li>mount it</li></ol>"
        "<table><tr><th>order of the lens<th>focal length</tr><tr><td>1<td>920 mm</tr></table>"
        "<pre><code>def focus(order):\n    return 920</code></pre></main>",
        thorough=thorough,
    )
    assert "\n\n## Kinds of lenses\n\n" in text
    assert "- first order, for the sea\n- second order, for straits\n\n" in text
    assert "1. polish the glass\n2. mount it" in text
    assert "| order of the lens | focal length |\n| 1 | 920 mm |" in text
    assert "```\ndef focus(order):\n    return 920\n```" in text


def test_paragraphs_are_a_blank_line_apart_and_whole() -> None:
    assert _text(f"<main>{_BODY}</main>") == "\n\n".join(_PARAGRAPHS)


def test_a_page_laid_out_by_table_reads_as_paragraphs() -> None:
    text = _text(f"<table><tr><td>Home</td><td>{_BODY}</td></tr></table>")
    assert f"\n\n{_PARAGRAPHS[3]}\n\n" in text
    assert "|" not in text


@pytest.mark.parametrize(
    "hidden",
    [
        "<p style='display:none'>SECRET</p>",
        "<p style='color:red; VISIBILITY : hidden !important'>SECRET</p>",
        "<span style='font-size:0px'>SECRET</span>",
        "<div hidden>SECRET</div>",
        "<div aria-hidden='true'><p>SECRET</p></div>",
        "<!-- SECRET -->",
        "<template><p>SECRET</p></template>",
        "<noscript>SECRET</noscript>",
        "<script>var x = 'SECRET'</script>",
        "<svg><text>SECRET</text></svg>",
    ],
)
@pytest.mark.parametrize("thorough", [True, False])
def test_what_a_reader_is_not_shown_is_not_read(hidden: str, thorough: bool) -> None:
    text = _text(f"<article>{_BODY}{hidden}<p>The end of it.</p></article>", thorough=thorough)
    assert "SECRET" not in text
    assert _PARAGRAPHS[-1] in text


def test_invisible_characters_are_not_read() -> None:
    assert "\u200b" not in _text(f"<article>{_BODY}<p>a\u200bb\u202ec\U000e0041d</p></article>")


def test_reacts_late_content_is_read() -> None:
    assert _PARAGRAPHS[0] in _text(f'<div hidden id="S:0">{_BODY}</div>')


def test_a_forums_comments_are_the_page_and_an_articles_are_not() -> None:
    posts = "".join(f"<div class=comment><p>{paragraph}</p></div>" for paragraph in _PARAGRAPHS)
    assert _PARAGRAPHS[5] in _text(f"<h1>Which lamp?</h1><div id=comments>{posts}</div>", thorough=False)
    article = f"<meta property=og:type content=article><article>{_BODY}</article>"
    assert (
        "First!" not in read_html(f"{article}<div id=comments><p>First!</p></div>", _URL, thorough=False).text
    )


@pytest.mark.parametrize("depth", [200, 250, 260, 2_000])
def test_how_deep_text_is_nested_does_not_lose_it(depth: int) -> None:
    text = read_html(nested(depth).decode(), _URL).text
    assert text.count("Lighthouses were kept") >= 9  # of 11


def test_a_page_of_more_than_a_million_characters_is_read_the_quick_way() -> None:
    page = f"<main>{_BODY}</main><!--{'x' * MAX_THOROUGH_CHARS}-->"
    drafts: list[Page] = []
    assert read_html(page, _URL, on_draft=drafts.append).text == "\n\n".join(_PARAGRAPHS)
    assert drafts == []


def test_a_thorough_reading_first_hands_over_the_quick_one() -> None:
    drafts: list[Page] = []
    page = f"<title>Lamps</title><main>{_BODY}</main>"
    read_html(page, _URL, on_draft=drafts.append)
    assert drafts == [read_html(page, _URL, thorough=False)]


@pytest.mark.parametrize(
    "text",
    [
        "灯台は岬の上に立っています。夜になると光が回ります。",
        "המגדלור עומד על הצוק, ואורו נראה למרחק.",
        "المنارة تقف على الجرف.",
    ],
)
def test_no_script_is_lost(text: str) -> None:
    assert text in _text(f"<article>{f'<p>{text}</p>' * 30}</article>")


def test_a_page_says_its_facts_by_json_ld() -> None:
    page = read_html(
        '<title>Lamps and lenses | The Keeper</title><script type="application/ld+json">'
        '{"@graph": [{"@type": "NewsArticle", "headline": "Lamps &amp; lenses",'
        '"datePublished": "2024-03-09T10:00:00Z", "author": [{"name": "A. Fresnel"}],'
        '"publisher": {"name": "The Keeper"}}]}</script>',
        _URL,
    )
    assert (page.title, page.published) == ("Lamps & lenses", "2024-03-09")
    assert (page.author, page.site) == ("A. Fresnel", "The Keeper")


def test_a_page_says_its_facts_by_meta() -> None:
    page = read_html(
        "<meta property=og:title content='Lamps | The Keeper'>"
        "<meta property=og:site_name content='The Keeper'>"
        "<meta property=article:published_time content=2023-12-01>"
        "<meta name=author content='B. Light'><h1>Lamps</h1>",
        _URL,
    )
    assert (page.title, page.published) == ("Lamps", "2023-12-01")
    assert (page.author, page.site) == ("B. Light", "The Keeper")


def test_a_declared_title_that_the_page_does_not_show_is_not_its_title() -> None:
    assert read_html("<title>Lamps</title><meta property=og:title content=homepage>", _URL).title == "Lamps"


@pytest.mark.parametrize("date", ["yesterday", "2024-13-40", "2024-02-31", "12/03/2024", ""])
def test_a_date_that_is_none_is_left_out(date: str) -> None:
    assert read_html(f"<meta name=date content='{date}'><p>x", _URL).published == ""


_TAGS = (
    "<p> </p> <div\tclass=share> </div> <table> <tr> <td> </table> <ul> <li> </ul> <h2> </h2> <pre> </pre>"
    " <br> <b> </i> <!-- --> <script> </script> <main> &amp; words\t"
)
_MARKUP = st.lists(st.sampled_from(_TAGS.split(" ")) | st.text(max_size=8), max_size=40)


@settings(max_examples=150, deadline=None)
@given(_MARKUP)
def test_no_markup_raises_and_no_invisible_character_survives(parts: list[str]) -> None:
    page = read_html("".join(parts), _URL)
    assert page.text == page.text.strip()
    assert not set(page.text) & set("\u200b\u202e\x00\x07\u00ad")


def test_no_extractor_keeps_a_cookie_bar_or_a_trail_of_links_but_a_page_on_cookies_is_read() -> None:
    cards = "".join(
        f"<li><h2>Lamp {n}</h2><p>Burns for {n} hours, and has a warm light.</p></li>" for n in range(12)
    )
    shop = (
        '<title>Lamps</title><div class="cookie-bar">We use cookies. <button>Fine</button></div>'
        f'<ol class="breadcrumb"><li>Home</li><li>Lamps</li></ol><main><h1>Lamps</h1><ul>{cards}</ul></main>'
    )
    rules = "<p>We set a cookie for it.</p>" * 30
    policy = f'<title>Cookies</title><main class="cookies"><h1>Cookies</h1>{rules}</main>'

    text = read_html(shop, "https://lights.example/").text

    assert "Burns for 3 hours" in text
    assert "cookies" not in text
    assert "Home" not in text
    assert "We set a cookie" in read_html(policy, "https://lights.example/").text

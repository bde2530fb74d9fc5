from hypothesis import given
from hypothesis import strategies as st

from core.asking.query import MAX_QUERY_CHARS, SearchPlan, plan_search


def test_a_plain_question_is_searched_as_it_stands() -> None:
    assert plan_search("  how do heat\npumps work? ") == SearchPlan(query="how do heat pumps work?")


def test_a_url_is_read_not_searched() -> None:
    plan = plan_search("what does https://example.org/a?b=c say about https://example.org/a?b=c or ice?")

    assert plan == SearchPlan(query="what does say about or ice?", urls=("https://example.org/a?b=c",))


def test_a_url_alone_needs_no_search() -> None:
    assert plan_search("https://example.org/a ?") == SearchPlan(query="", urls=("https://example.org/a",))


@given(st.text(max_size=600))
def test_a_query_is_short_and_made_of_the_asker_s_own_words(text: str) -> None:
    query = plan_search(text).query

    assert len(query) <= MAX_QUERY_CHARS
    assert all(word in text for word in query.split())

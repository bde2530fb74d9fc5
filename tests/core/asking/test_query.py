"""What is searched: short, and made of the asker's own words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.asking.query import MAX_QUERY_CHARS, MAX_URLS, SearchPlan, plan_search
from tests.core.asking.questions import asked

FRANCE = "What is the population of France?"


def test_a_plain_question_is_searched_as_it_stands() -> None:
    text = "  how do heat\npumps work? "
    assert plan_search(asked(text)) == SearchPlan(query="how do heat pumps work?", asked=text)


def test_a_url_is_read_not_searched() -> None:
    plan = plan_search(
        asked("what does https://example.org/a?b=c say about https://example.org/a?b=c or ice?")
    )

    assert (plan.query, plan.urls) == ("what does say about or ice?", ("https://example.org/a?b=c",))


def test_a_url_alone_needs_no_search() -> None:
    plan = plan_search(asked("https://example.org/a ?"))

    assert (plan.query, plan.urls) == ("", ("https://example.org/a",))


@given(st.text(max_size=600))
def test_a_query_is_short_and_made_of_the_asker_s_own_words(text: str) -> None:
    query = plan_search(asked(text)).query

    assert len(query) <= MAX_QUERY_CHARS
    assert all(word in text for word in query.split())


@pytest.mark.parametrize(
    ("earlier", "text", "query"),
    [
        (FRANCE, "and in Germany?", "What is the population of Germany?"),
        (FRANCE, "What about the Netherlands", "What is the population of Netherlands?"),
        (FRANCE, "Thanks, and what about Germany?", "What is the population of Germany?"),
        ("Who leads Apple in Europe?", "and Asia?", "Who leads Apple in Asia?"),
        ("Who lived in Paris in 1990?", "and in 2000?", "Who lived in Paris in 2000?"),
        ("How do heat pumps work?", "what about cost?", "How do heat pumps work? cost"),
        ("what is the population of france", "and germany?", "what is the population of france germany"),
        ("Wie hoch ist der Mindestlohn in Deutschland?", "und in Österreich?",
         "Wie hoch ist der Mindestlohn in Österreich?"),
        ("Wie hoch ist der Mindestlohn?", "und in Wien?", "Wie hoch ist der Mindestlohn? in Wien"),
        ("¿Cuál es el salario mínimo en Francia?", "¿y en España?", "¿Cuál es el salario mínimo en España?"),
        ("Quelle est la capitale de Malte ?", "et de Chypre ?", "Quelle est la capitale de Chypre ?"),
        ("Qual è la capitale della Francia?", "e in Germania?", "Qual è la capitale della Germania?"),
        ("Qual é a população da França?", "e na Alemanha?", "Qual é a população da Alemanha?"),
        ("Hoeveel inwoners heeft Spanje?", "en in Malta?", "Hoeveel inwoners heeft Spanje? in Malta"),
        ("Какое население в Италии?", "а в Германии?", "Какое население в Германии?"),
        ("法国的人口是多少？", "那德国呢？", "法国的人口是多少？ 德国"),
        ("フランスの人口は？", "じゃあドイツは？", "フランスの人口は？ ドイツ"),
        ("프랑스의 인구는?", "그럼 독일은?", "프랑스의 인구는? 독일"),
    ],
)  # fmt: skip
def test_an_ellipsis_takes_the_rest_from_the_question_before(earlier: str, text: str, query: str) -> None:
    plan = plan_search(asked(text, earlier))

    assert plan == SearchPlan(query=query, asked=query, stands_alone=False)


@pytest.mark.parametrize(
    ("earlier", "text", "query"),
    [
        ("What is ibuprofen?", "is it safe?", "is it safe? ibuprofen"),
        ("How tall is the Eiffel Tower?", "when was it built?", "when was it built? tall Eiffel Tower"),
        ("Who is the president of France?", "How old is he?", "How old is he? president France"),
        ("What is Lisbon famous for?", "how many live there?", "how many live there? Lisbon famous"),
        ("What is a heat pump?", "how much does it cost in Germany?",
         "how much does it cost in Germany? heat pump"),
        ("when was the 2022 world cup final", "who won?", "who won? 2022 world cup final"),
        ("Why is the sky blue?", "Why is that?", "Why is that? sky blue"),
        ("Is tap water safe in Mexico?", "why?", "why? tap water safe Mexico"),
        ("Was ist Ibuprofen?", "Ist es sicher?", "Ist es sicher? Ibuprofen"),
        ("Was ist Ibuprofen?", "Ist das gefährlich?", "Ist das gefährlich? Ibuprofen"),
        ("What does the law say?", "does it apply to small firms?", "does it apply to small firms? law say"),
        ("Wer ist der Kanzler?", "Wie alt ist er?", "Wie alt ist er? Kanzler"),
        ("布洛芬是什么？", "它安全吗？", "它安全吗？ 布洛芬是什么"),
        ("法国的人口是多少？", "为什么？", "为什么？ 法国的人口是多少"),
    ],
)  # fmt: skip
def test_a_pronoun_is_searched_with_what_it_may_stand_for(earlier: str, text: str, query: str) -> None:
    assert plan_search(asked(text, earlier)).query == query


@pytest.mark.parametrize(
    "text",
    [
        "What is photosynthesis?",
        "Who is Obama?",
        "And what is the capital of Germany?",
        "How long does it take to boil an egg?",
        "What time is it in Tokyo?",
        "Is it legal to park on a bridge?",
        "Why do cats purr when they sleep?",
        "How did Einstein get his Nobel Prize?",
        "What is the best city that never sleeps?",
        "What were the biggest films this year?",
        "weather in Berlin tomorrow",
        "Wie funktioniert eine Wärmepumpe?",
        "Wie wird das Wetter in Hamburg?",
        "Qu'est-ce que la photosynthèse ?",
        "Qui est le pape ?",
        "Combien de temps faut-il pour cuire un oeuf ?",
        "¿Qué es la fotosíntesis?",
        "东京的人口是多少？",
        "東京の人口は？",
    ],
)
def test_a_whole_question_leaves_the_thread_behind(text: str) -> None:
    assert plan_search(asked(text, FRANCE)) == SearchPlan(query=text, asked=text)


def test_a_follow_up_of_a_follow_up_keeps_the_question() -> None:
    plan = plan_search(asked("and Italy?", FRANCE, "and in Germany?"))

    assert plan.query == "What is the population of Italy?"


def test_thanks_in_between_are_not_what_is_followed_up() -> None:
    assert (
        plan_search(asked("and in Germany?", FRANCE, "thanks!")).query == "What is the population of Germany?"
    )


def test_without_a_thread_there_is_nothing_to_follow() -> None:
    assert plan_search(asked("and in Germany?")) == SearchPlan(
        query="and in Germany?", asked="and in Germany?"
    )


def test_a_page_named_before_is_read_again_for_a_follow_up() -> None:
    plan = plan_search(asked("and what does it cost?", "What is https://a.example/pump about?"))

    assert plan.urls == ("https://a.example/pump",)


def test_a_chosen_message_says_what_the_question_does_not() -> None:
    quoted = "The moon landing was faked in 1969, see https://m.example/a."
    plan = plan_search(asked("is this true?", quoted=quoted))

    assert plan.query == "is this true? moon landing faked 1969 see"
    assert plan.urls == ("https://m.example/a",)


def test_a_chosen_message_can_be_the_whole_question() -> None:
    plan = plan_search(asked("", quoted="How tall is the Eiffel Tower?"))

    assert (plan.query, plan.asked) == ("How tall is the Eiffel Tower?", "How tall is the Eiffel Tower?")


def test_a_whole_question_about_a_message_is_searched_alone_but_its_links_are_read() -> None:
    plan = plan_search(asked(FRANCE, quoted="Numbers: https://m.example/a"))

    assert (plan.query, plan.urls) == (FRANCE, ("https://m.example/a",))


def test_a_message_full_of_links_does_not_make_a_crawler() -> None:
    links = " ".join(f"https://m.example/{number}" for number in range(50))

    assert len(plan_search(asked("is this true?", quoted=links)).urls) == MAX_URLS


def test_what_is_new_is_never_cut_away() -> None:
    plan = plan_search(asked("und was ist mit Österreich?", "Wie hoch ist der Mindestlohn " + "heute " * 60))

    assert plan.query.endswith("Österreich")
    assert len(plan.query) <= MAX_QUERY_CHARS


WORDS = st.lists(
    st.one_of(
        st.sampled_from(
            ["and", "in", "it", "why", "Germany", "那", "呢", "is", "?", "1999", "y", "he", "what about"]
        ),
        st.text(max_size=8),
    ),
    max_size=40,
).map(" ".join)


@given(WORDS, st.lists(WORDS, max_size=5), WORDS, WORDS)
def test_a_query_takes_characters_only_from_what_was_asked(
    text: str, earlier: list[str], quoted: str, answer: str
) -> None:
    plan = plan_search(asked(text, *earlier, quoted=quoted, answer=answer))

    assert len(plan.query) <= MAX_QUERY_CHARS
    assert len(plan.query.splitlines()) <= 1
    assert set(plan.query) <= set("".join([text, *earlier, quoted])) | {" "}


@given(WORDS, st.lists(WORDS, max_size=5), WORDS)
def test_no_answer_reaches_a_query(text: str, earlier: list[str], answer: str) -> None:
    assert plan_search(asked(text, *earlier, answer=answer)) == plan_search(asked(text, *earlier))

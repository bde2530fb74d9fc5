import re

from hypothesis import given
from hypothesis import strategies as st

from adapters.discord.opening import MAX_SHOWN_CHARS, Asked, opening_text, read_opening, thread_name

words = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]) | st.sampled_from("\\*_~|`>#[]()<:@/-\n")
)
questions = words.map(lambda text: "\n".join(line.strip() for line in text.split("\n")).strip()).filter(bool)


@given(
    questions.filter(lambda text: len(text) * 2 < MAX_SHOWN_CHARS), st.sampled_from(["", "Reading pages…"])
)
def test_a_question_is_read_back_as_it_was_asked(text: str, progress: str) -> None:
    assert read_opening(opening_text(Asked(text=text), progress=progress)) == Asked(text=text)


@given(questions)
def test_what_a_question_is_about_is_read_back_too(quoted: str) -> None:
    asked = read_opening(opening_text(Asked(text="Is that so?", quoted=quoted), progress="Reading pages…"))

    assert asked is not None
    if len(quoted) < 90:
        assert asked.quoted == " ".join(quoted.split())


@given(words, words)
def test_an_opening_fits_into_a_message_and_holds_no_link_and_no_mention(text: str, quoted: str) -> None:
    shown = opening_text(Asked(text=f"{text} https://a.example @everyone", quoted=quoted), progress="x" * 100)

    assert len(shown) <= 2_000
    assert not re.search(r"https?://|(?<!\\)@|(?<!\\)<", shown)


def test_a_message_that_is_no_opening_asks_nothing() -> None:
    assert read_opening("The moon raises the tides.") is None


@given(words)
def test_a_thread_name_is_one_line_that_discord_takes(text: str) -> None:
    name = thread_name(text)

    assert 1 <= len(name) <= 100
    assert "\n" not in name


def test_a_thread_name_shows_no_mentions_and_no_emoji_by_number() -> None:
    text = "<@400> and <@&7> in <#300>: <a:tide:12> since <t:1700000000:R>, 3 < 4?"

    assert thread_name(text) == "and in : :tide: since , 3 < 4?"

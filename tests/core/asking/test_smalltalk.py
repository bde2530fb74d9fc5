"""Thanks need no search; a question is never taken for thanks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.asking.smalltalk import small_talk
from core.types import NoticeKind

THANKS, BYE, HELLO, OK = (
    NoticeKind.SMALL_TALK_THANKS,
    NoticeKind.SMALL_TALK_BYE,
    NoticeKind.SMALL_TALK_HELLO,
    NoticeKind.SMALL_TALK_OK,
)
KNOWN = {
    THANKS: [
        "thanks", "Thanks!", "THANK YOU so much :)", "ok, thanks", "thanks 🙏", "thx :+1:", "Vielen Dank!",
        "merci",
        "¡Muchas gracias!", "grazie mille", "obrigado", "спасибо", "谢谢", "好的谢谢！",
        "ありがとうございます", "감사합니다",
        "धन्यवाद", "شكرا", "ขอบคุณ", "No, thank you.",
    ],
    BYE: ["bye", "Good night!", "See you later", "tschüss", "au revoir", "再见"],
    HELLO: [
        "hello", "Hi there!", "hey 👋", "👋", ":wave:", "How are you?", "who are you?", "Wie geht's?", "hola",
        "你好",
        "¿Qué tal?",
    ],
    OK: [
        "ok", "Okay.", "👍", "👍🏽", "❤️", ":+1::skin-tone-3:", "got it", "alles klar", "d’accord", "好的",
        "That makes sense!",
    ],
}  # fmt: skip
QUESTIONS = [
    "thanks, and what about Germany?", "hello world in rust?", "hello world", "Thank you, next", "ok go",
    "hello, who is the pope?", "how are you affected by inflation?", "thanks?", "ok?", "the who", "you",
    "again",
    "hi, tides", "great barrier reef", "perfect number", "why thanks", "what does gracias mean",
    "bye bye birdie",
    "good", "nice", "Nice", "why", "no", "stop", "help", "danke auf französisch", "hello kitty",
    "谢谢是什么意思",
    "你好世界", "", "   ", "?", "🤔", "👍?", "🇫🇷", ":thinking_face:", "<:party:123456>",
    "great wall", "prima facie",
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind"), [(text, kind) for kind, texts in KNOWN.items() for text in texts])
def test_small_talk_is_known_in_many_languages(text: str, kind: NoticeKind) -> None:
    assert small_talk(text) is kind


@pytest.mark.parametrize("text", QUESTIONS)
def test_what_may_be_a_question_is_left_to_the_search(text: str) -> None:
    assert small_talk(text) is None


@given(
    st.sampled_from([text for texts in KNOWN.values() for text in texts]),
    st.sampled_from(["Germany", "python", "tides", "why", "how much", "2026", "法国", "погода", "x"]),
    st.booleans(),
)
def test_one_word_more_than_small_talk_makes_it_a_question(text: str, word: str, before: bool) -> None:
    assert small_talk(f"{word} {text}" if before else f"{text} {word}") is None


@given(st.text(max_size=100))
def test_any_text_can_be_looked_at(text: str) -> None:
    assert small_talk(text) in {None, *KNOWN}

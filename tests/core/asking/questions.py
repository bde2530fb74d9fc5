"""Questions with what came before them."""

from datetime import UTC, datetime

from core.types import AskerId, Question, Turn


def asked(text: str, *earlier: str, quoted: str = "", answer: str = "") -> Question:
    """earlier: the questions before it in its thread, each answered in the same words."""
    return Question(
        id="q1",
        text=text,
        asker=AskerId("test:ann"),
        platform="test",
        asked_at=datetime(2026, 11, 22, tzinfo=UTC),
        thread=tuple(Turn(question=question, answer=answer) for question in earlier),
        quoted=quoted,
    )

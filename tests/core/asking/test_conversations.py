from core.asking.conversations import KEPT_S, MAX_ANSWER_CHARS, MAX_THREADS, MAX_TURNS, Conversations
from core.types import Turn
from tests.fakes import FakeClock


def turn(number: int) -> Turn:
    return Turn(question=f"question {number}", answer=f"answer {number}")


def test_a_thread_keeps_its_last_turns_oldest_first() -> None:
    conversations = Conversations(FakeClock())
    for number in range(MAX_TURNS + 2):
        conversations.remember("a", turn(number))

    assert conversations.turns("a") == tuple(turn(number) for number in range(2, MAX_TURNS + 2))
    assert conversations.turns("b") == ()


async def test_a_day_after_its_last_turn_a_thread_is_forgotten() -> None:
    clock = FakeClock()
    conversations = Conversations(clock)
    conversations.remember("a", turn(1))

    await clock.sleep(KEPT_S - 1)
    assert conversations.turns("a") == (turn(1),)
    await clock.sleep(1)
    assert conversations.turns("a") == ()


def test_the_oldest_thread_makes_room() -> None:
    conversations = Conversations(FakeClock())
    for number in range(MAX_THREADS + 1):
        conversations.remember(str(number), turn(number))

    assert conversations.turns("0") == ()
    assert conversations.turns("1") == (turn(1),)


def test_a_forgotten_thread_is_gone_and_a_long_answer_is_kept_in_part() -> None:
    conversations = Conversations(FakeClock())
    conversations.remember("a", Turn(question="q", answer="x" * 10_000))
    assert len(conversations.turns("a")[0].answer) == MAX_ANSWER_CHARS

    conversations.forget("a")

    assert conversations.turns("a") == ()

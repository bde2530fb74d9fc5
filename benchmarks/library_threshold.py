"""What the library's relevance threshold lets through, on a small set written for it.

    python -m benchmarks.library_threshold

Every passage is asked for in other words than its own, and every subject is asked about where the library
has only its neighbours: the same thing in another respect, the same words about another thing.
"""

from __future__ import annotations

import asyncio
from contextlib import closing

import platformdirs

from bot.settings import APP_NAME
from core.answering.words import recall, word_weights, words
from core.providers.embedding.local import LocalEmbedder
from core.searching.library import is_relevant

PASSAGES = (
    "Sea otters sleep floating on their backs, wrapped in kelp so that they don't drift away.",
    "A heat pump moves heat from the outside air into the house; below minus 15 degrees its output falls.",
    "The Treaty of Westphalia of 1648 ended the Thirty Years' War in the Holy Roman Empire.",
    "PostgreSQL's VACUUM reclaims storage occupied by dead tuples; autovacuum runs it in the background.",
    "Feed a sourdough starter once a day at room temperature, or once a week if it is kept in the fridge.",
    "Expense reports are due on the fifth of each month; receipts over 25 euros must be attached.",
    "The Eiffel Tower is 330 metres tall and was completed in 1889 for the World's Fair in Paris.",
    "Photosynthesis turns carbon dioxide and water into glucose and oxygen, driven by light.",
    "To reset the router, hold the button on its back for ten seconds until the light blinks orange.",
    "Mount Everest was first climbed in 1953 by Edmund Hillary and Tenzing Norgay.",
    "The Python garbage collector finds reference cycles; most objects are freed by reference counting.",
    "Aspirin inhibits the enzyme cyclooxygenase and so reduces pain, fever and inflammation.",
    "New employees get their laptop on the first day from the IT desk in room 214.",
    "Tides are raised by the gravity of the moon and, less, of the sun.",
    "The Danube rises in the Black Forest and flows through ten countries into the Black Sea.",
    "Kubernetes restarts a container whose liveness probe fails as often as its threshold says.",
)
ANSWERED = (
    "How do otters keep from drifting off at night?", "Do heat pumps still work when it is very cold?",
    "What ended the Thirty Years' War?", "How does Postgres get rid of dead rows?",
    "How often should I feed my sourdough?", "When do I have to hand in my expenses?",
    "How high is the Eiffel Tower?", "What do plants need for photosynthesis?",
    "How can I reset my router?", "Who climbed Everest first?", "How does Python free memory?",
    "How does aspirin work?", "Where do I get my laptop when I start?", "Why are there tides?",
    "Which countries does the Danube cross?", "What happens when a liveness probe fails?", "otters sleep",
    "expense report deadline",
)  # fmt: skip
UNANSWERED = (
    "How long do giraffes sleep?", "How much does a swimming pool pump cost?",
    "Who signed the Treaty of Versailles?", "How do I create an index in MongoDB?",
    "How do I make puff pastry?", "How many days of holiday do I have?", "How high is the Burj Khalifa?",
    "What is nuclear fusion?", "How can I reset my iPhone's password?",
    "Who was the first man on the moon?", "How does Rust's borrow checker work?",
    "How does penicillin work?", "Where can I park my car?", "Why is the sky blue?",
    "How long is the Amazon?", "What is a blockchain?", "Who won the world cup in 1998?",
    "What will the weather be tomorrow?", "Who is the chancellor of Germany?",
    "What is the capital of Australia?", "How old is the universe?", "best restaurants in Lisbon",
)  # fmt: skip


async def main() -> None:
    with closing(LocalEmbedder(cache_dir=platformdirs.user_cache_path(APP_NAME))) as embedder:
        rows = await embedder.embed(PASSAGES)
        for kind, questions in (("answered", ANSWERED), ("unanswered", UNANSWERED)):
            let_through = 0
            for question in questions:
                vector = (await embedder.embed([question]))[0]
                likeness = rows @ vector
                best = int(likeness.argmax())
                weights = word_weights([words(question), *map(words, PASSAGES)])
                asked = {word: weights[word] for word in words(question)}
                shared = [recall(asked, frozenset(words(passage))) for passage in PASSAGES]
                through = any(
                    is_relevant(shared=share, likeness=float(like))
                    for share, like in zip(shared, likeness, strict=True)
                )
                let_through += through
                verdict = "+" if through else "-"
                print(f"{likeness[best]:.2f} {max(shared):.2f} {verdict} {question}")
            print(f"{kind}: {let_through} of {len(questions)} let through\n")


if __name__ == "__main__":
    asyncio.run(main())

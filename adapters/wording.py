"""What people read beside the answer itself, once for all platforms.

Each sentence says what happened and, where there is something, what to do about it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from core.asking.limits import Allowance, span, spoken
from core.types import (
    Answer,
    Footnote,
    Notice,
    NoticeKind,
    Outcome,
    PageKind,
    Progress,
    QuotaScope,
    QuotaState,
    Stage,
)

SOURCES = "Sources"
"""The heading over the footnotes."""

HELP = """\
I answer questions from the web: I search, read the pages found, and write a short answer in which each \
footnote leads to the sentence it rests on.

- Ask in your own words, in any language. I read the pages whose addresses you put into the question.
- Ask on in the same thread: "and in Germany?" is understood there.
- Use "Answer this" on a message, or reply to it and mention me, to ask about that message.
- "Stop" ends an answer and "Search again" repeats the question; both are for whoever asked.
- I read public pages only, nothing behind a login. I can be wrong: open the sources before you rely on me.
- A question can be as long as a long paragraph; who asks many in a short time has to wait a little.
- "limits" alone shows you how many you can still ask."""
"""The reply to "help", in Markdown that every platform reads alike."""

STAGES: Mapping[Stage, str] = {
    Stage.WAITING: "Waiting for a free place…",
    Stage.SEARCHING: "Searching the web…",
    Stage.READING: "Reading pages…",
    Stage.RANKING: "Choosing the passages that matter…",
    Stage.WRITING: "Writing the answer…",
}

STAGES_COUNTED: Mapping[Stage, str] = {
    Stage.WAITING: "Waiting for a free place: {done} before you",
    Stage.READING: "Reading pages: {done} of {total}",
}
"""Where a stage has a count and the count tells a reader something."""

NOTICES: Mapping[NoticeKind, str] = {
    NoticeKind.EXTRACTIVE_NO_MODEL: (
        "These are whole sentences from the sources; no language model is set up "
        "(set OPENROUTER_API_KEY to get a written answer)."
    ),
    NoticeKind.EXTRACTIVE_MODEL_FAILED: (
        "The language model could not be used{detail}. These are whole sentences from the sources instead."
    ),
    NoticeKind.EXTRACTIVE_BUDGET_SPENT: (
        "Today's budget for the language model is used up; it begins anew at midnight UTC. These are "
        "whole sentences from the sources."
    ),
    NoticeKind.CUT_BY_LENGTH: "The answer ends here because it became too long. A narrower question helps.",
    NoticeKind.CUT_BY_FILTER: "The language model's provider stopped the answer here. Try other words.",
    NoticeKind.CUT_BY_FAILURE: "The language model broke off here{detail}. Ask again for the rest.",
    NoticeKind.UNKNOWN_MARKS_DROPPED: (
        "Some statements had a footnote that leads to no source; those footnotes were left out. "
        "Check these statements before you rely on them."
    ),
    NoticeKind.SEARCH_SKIPPED: "Not every search engine could be asked{detail}.",
    NoticeKind.SEARCH_REMEMBERED: (
        "No search engine could be asked{detail}. These pages were found by the same search earlier."
    ),
    NoticeKind.FROM_LIBRARY: (
        "This is from pages that were kept earlier{detail}, not from the web as it is now."
    ),
    NoticeKind.URL_UNREADABLE: (
        "The page you named could not be read{detail}. It may ask for a login or refuse programs."
    ),
    NoticeKind.SNIPPETS_ONLY: (
        "No page could be read in full; this rests on the search engine's short excerpts. Open the "
        "sources to be sure."
    ),
    NoticeKind.SEARCH_FAILED: (
        "The web could not be searched{detail}. Check the network, or set another engine's key such as "
        "SERPER_API_KEY; `python -m bot check` tells which engines work."
    ),
    NoticeKind.NO_HITS: "The search found nothing for this. Try other words, or fewer.",
    NoticeKind.NO_READABLE_PAGE: (
        "Pages were found, but none of them could be read. Try again in a moment, or ask in other words."
    ),
    NoticeKind.NO_RELEVANT_PASSAGE: (
        "Pages were read, but none of them says anything about this. Try to name the thing more exactly."
    ),
    NoticeKind.STOPPED: "Stopped, as asked.",
    NoticeKind.INTERRUPTED: "I was restarted in the middle of this. Please ask again.",
    NoticeKind.TOOK_TOO_LONG: "This took too long, so it ends here. Ask again, or ask something narrower.",
    NoticeKind.BUG: "Sorry, something broke on my side. It has been noted; please ask again.",
    NoticeKind.SMALL_TALK_THANKS: "You're welcome.",
    NoticeKind.SMALL_TALK_BYE: "Goodbye.",
    NoticeKind.SMALL_TALK_HELLO: (
        "Hello. Ask me a question, and I'll look for the answer on the web and show you the sources."
    ),
    NoticeKind.SMALL_TALK_OK: "Good. Ask me whenever there is something to look up.",
}
"""{detail}: the notice's detail in brackets, or nothing."""

OUTCOMES: Mapping[Outcome, str] = {
    Outcome.ANSWERED: "The answer came out empty. Please ask again.",
    Outcome.REFUSED: "I can't take that question. Ask me something in words.",
    Outcome.RATE_LIMITED: "You have asked a lot in a short time. Please ask again later.",
    Outcome.BUSY: "I'm answering as many questions as I can right now. Please ask again in a minute.",
    Outcome.NOTHING_FOUND: "I found nothing about this. Try other words.",
    Outcome.CANCELLED: "Stopped before there was an answer.",
    Outcome.INTERRUPTED: "I was restarted before I could answer. Please ask again.",
    Outcome.FAILED: "Sorry, this did not work. Please ask again.",
}
"""Said where an answer has neither text nor notices: a reply is never left without a word."""

ASKING: Mapping[QuotaScope, str] = {
    QuotaScope.ASKER: "You",
    QuotaScope.CHANNEL: "This channel",
    QuotaScope.WORKSPACE: "This workspace",
}
"""Whose questions a limit counts."""

KINDS: Mapping[PageKind, str] = {
    PageKind.HTML: "",
    PageKind.TEXT: "",
    PageKind.PDF: "PDF",
    PageKind.SNIPPET: "search engine's excerpt",
}
"""What a reader should know of a source's kind before opening it."""

TIMINGS: Mapping[str, str] = {
    "searching": "searched",
    "reading": "read",
    "ranking": "ranked",
    "writing": "wrote",
    "total": "in all",
}
"""By the stage's name in Answer.timings_ms; others are for the log."""

STOP = "Stop"
SEARCH_AGAIN = "Search again"
GOOD = "Good answer"
BAD = "Bad answer"
"""On buttons."""

ACCEPTED = "I'm on it: the answer comes below."
"""To whoever used a command, before anything else."""

STOPPED_ALREADY = "That answer has already ended."
STOPPING_ELSEWHERE = "Stopping it: another of my processes is answering that, so it takes some seconds."
NOT_YOURS_TO_STOP = "Only the person who asked can stop this."
NOT_YOURS_TO_REPEAT = "Only the person who asked can have this searched again."
NO_LONGER_KNOWN = "I no longer know that question. Please ask it again."
THANKS = "Thank you, that helps."
FILES_UNREAD = "I can't read attached files or images; I only read the words."
QUOTED_UNREAD = (
    "I can't read the message above this one. To ask about a message, choose “Answer this” from its menu."
)
NOT_ALLOWED_HERE = "I'm not set up to answer questions here."
CHANNEL_CLOSED = (
    "I can't write there any more, so this answer is lost. Ask again in another channel or directly."
)
TRY_AGAIN = "I could not reach Slack just now. Please ask again."
PROMPTS: Sequence[tuple[str, str]] = (
    ("Compare two things", "What is the difference between a heat pump and a gas boiler in running cost?"),
    ("Check a claim", "Is it true that sourdough bread has less gluten?"),
    ("Catch up on a topic", "What has changed in the latest stable release of Python?"),
)
"""Offered where somebody opens a conversation with the bot: what the button says, and what it asks."""
RESTARTING = "I'm just being restarted. Please ask again in a minute."

THREAD_CLOSED = "The thread was closed or locked before I had finished. Open it, or ask again elsewhere."
PART_REFUSED = "Discord refused this part of the answer. Please ask again in other words."
ANSWER_THIS = "Answer this"
DISCORD_COMMAND = "Search the web and answer with sources"
DISCORD_QUESTION_OPTION = "What you want to know; pages whose addresses stand in it are read"
DISCORD_PRIVATE_OPTION = "Show the answer to me alone"


def invitation(bot: str) -> str:
    """bot: as a person mentions it: "@relevancesearch"."""
    return f"I can't write in this channel. Use `/invite {bot}` and ask again, or write to me directly."


def missing_permission(permission: str) -> str:
    """permission: as Discord's settings call it: "Send Messages"."""
    return (
        f"I can't answer there: I lack the permission “{permission}”. Whoever runs the server can grant it."
    )


def asked_by(who: str, question: str) -> str:
    """The message that a command leaves in the channel. who: as a mention."""
    return f"{who} asked: {question}"


def limits_text(allowance: Allowance) -> str:
    """The reply to "limits"."""
    lines = [_limit_line(state) for state in allowance.states]
    if allowance.exempt:
        lines = ["You can ask as much as you like: you are an admin."]
    lines = lines or ["You can ask as much as you like: no limit is set."]
    if allowance.budget_left is not None:
        lines.append(_budget_line(allowance.budget_left))
    return "\n".join(f"- {line}" for line in lines)


def _limit_line(state: QuotaState) -> str:
    who = ASKING[state.quota.scope]
    limit = f"{state.quota.limit} within {span(state.quota)}"
    if not state.left:
        return f"{who} can ask again in {spoken(state.next_in_s)}; the limit is {limit}."
    questions = "question" if state.left == 1 else "questions"
    return f"{who} can ask {state.left} more {questions} now, of {limit}."


def _budget_line(left: float) -> str:
    """left: 0 to 1."""
    if not left:
        return f"{NOTICES[NoticeKind.EXTRACTIVE_BUDGET_SPENT].partition(';')[0]} until midnight UTC."
    shown = f"{math.floor(100 * left)} %" if left >= 0.01 else "less than 1 %"
    return f"The language model's budget for today: {shown} left."


def progress_line(progress: Progress) -> str:
    counted = STAGES_COUNTED.get(progress.stage)
    if counted is None or progress.done is None or progress.total is None:
        return STAGES[progress.stage]
    return counted.format(done=progress.done, total=progress.total)


def notice_line(notice: Notice) -> str:
    return NOTICES[notice.kind].replace("{detail}", f" ({notice.detail})" if notice.detail else "")


def notice_lines(answer: Answer) -> list[str]:
    """The answer's notices in order, each once; the outcome's sentence where nothing else is said."""
    if not answer.text and not answer.notices:
        return [OUTCOMES[answer.outcome]]
    return list(dict.fromkeys(notice_line(notice) for notice in answer.notices))


def footnote_origin(footnote: Footnote) -> str:
    """Host, kind and date, as far as they are known: "example.org, PDF, 2026-02-11"."""
    return ", ".join(part for part in (footnote.host, KINDS[footnote.kind], footnote.published) if part)


def timings_line(timings_ms: Mapping[str, float]) -> str:
    """ "searched 0.4 s · read 1.2 s · in all 4.9 s"; empty if nothing was timed."""
    return " · ".join(
        f"{said} {timings_ms[stage] / 1000:.1f} s" for stage, said in TIMINGS.items() if stage in timings_ms
    )

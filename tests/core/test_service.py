"""One question from admission to its last word, over fakes of everything outside."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from core.answering.answering import Answering
from core.answering.extractive import ExtractiveAnswer
from core.answering.writing import Writing
from core.asking.limits import Admission, QuotaRules
from core.asking.planning import Planning
from core.errors import SurfaceFailed
from core.ports import Clock, LanguageModel, SearchProvider
from core.ranking.ranking import Ranking
from core.reading.passages import split_page
from core.reading.reading import Reading
from core.searching.library import LibrarySearch
from core.service import QuestionService
from core.types import (
    Answer,
    AnswerEvent,
    AskerId,
    Deferred,
    Document,
    Draft,
    FinishReason,
    KeptPage,
    Notice,
    NoticeKind,
    Outcome,
    Page,
    PageKind,
    Progress,
    Question,
    SearchHit,
    Stage,
)
from tests.fakes import (
    FakeClock,
    FakeEmbedder,
    FakeExtractor,
    FakeFetcher,
    FakeLanguageModel,
    FakeLibrary,
    FakePageStore,
    FakeRateLimiter,
    FakeReplySurface,
    FakeSearchProvider,
    fake_keeping,
    fake_search,
)

TIDES = "Tides\n\nThe moon raises the tides. The sun raises smaller ones of its own. They follow the moon."
BREAD = "Bread\n\nBread is baked from flour and water. A starter raises it. Bread keeps for some days."
PAGES = {"https://a.example/tides": TIDES, "https://b.example/bread": BREAD}


def hits(urls: Sequence[str] = tuple(PAGES)) -> list[SearchHit]:
    return [
        SearchHit(url=url, title=url, snippet=f"Snippet of {url} on tides.", provider="Fake") for url in urls
    ]


def question(text: str = "What raises the tides?") -> Question:
    return Question(
        id="q1",
        text=text,
        asker=AskerId("test:ann"),
        platform="test",
        asked_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@dataclass
class World:
    """Everything outside, to be bent before `service()` is called."""

    providers: Sequence[SearchProvider] = field(default_factory=lambda: [FakeSearchProvider(hits=hits())])
    model: LanguageModel | None = field(
        default_factory=lambda: FakeLanguageModel(["The moon raises", " them [1", "]. The end."])
    )
    fetcher: FakeFetcher = field(
        default_factory=lambda: FakeFetcher(
            {
                url: Document(url=url, media_type="text/plain", body=text.encode())
                for url, text in PAGES.items()
            }
        )
    )
    embedder: FakeEmbedder = field(default_factory=FakeEmbedder)
    limiter: FakeRateLimiter = field(default_factory=FakeRateLimiter)
    rules: QuotaRules = field(default_factory=lambda: QuotaRules(per_minute=1_000))
    library: FakeLibrary = field(default_factory=FakeLibrary)
    store: FakePageStore = field(default_factory=FakePageStore)
    question_s: float = 5.0
    final_draw_s: float = 0.5
    clock: Clock = field(default_factory=FakeClock)

    def service(self) -> QuestionService:
        answering = Answering(
            planning=Planning(self.model, limit_s=0.05),
            search=fake_search(self.providers, library=LibrarySearch(self.store, self.embedder)),
            reading=Reading(self.fetcher, FakeExtractor(), fake_keeping(self.store), FakeClock()),
            embedder=self.embedder,
            ranking=Ranking(library=self.library, fallback=FakeLibrary(), embedder=self.embedder),
            writing=Writing(self.model, ExtractiveAnswer(self.embedder)),
        )
        return QuestionService(
            admission=Admission(self.limiter, max_question_chars=200, rules=self.rules),
            answering=answering,
            clock=self.clock,
            question_s=self.question_s,
            final_draw_s=self.final_draw_s,
        )

    async def ask(self, text: str = "What raises the tides?") -> tuple[Answer, FakeReplySurface]:
        surface = FakeReplySurface()
        answer = await self.service().handle(question(text), surface)
        assert surface.drawn[-1] == surface.answer == answer
        return answer, surface


def kinds(answer: Answer) -> list[NoticeKind]:
    return [notice.kind for notice in answer.notices]


async def test_a_question_ends_in_the_model_s_answer_with_its_footnote() -> None:
    answer, _ = await World().ask()

    assert answer.outcome is Outcome.ANSWERED
    assert answer.text == "The moon raises them[^1]. The end."
    assert [(note.number, note.url, note.quotes) for note in answer.footnotes] == [
        (1, "https://a.example/tides", ("The moon raises the tides.",))
    ]
    assert answer.notices == ()


async def test_progress_comes_before_any_work_and_stages_in_order() -> None:
    world = World(model=FakeLanguageModel(["Text [1]."], pause_s=0.01))
    _, surface = await world.ask()

    stages = [event.stage for event in surface.drawn if isinstance(event, Progress)]
    assert stages[0] is Stage.SEARCHING
    assert stages == sorted(stages, key=list(Stage).index)


async def test_the_text_grows_draft_by_draft_and_never_shows_half_a_mark() -> None:
    pieces = ["The moon ", "raises ", "tides ", "[", "1", "]", " and the ", "sun [1]", " too."]
    _, surface = await World(model=FakeLanguageModel(pieces, pause_s=0.002)).ask()

    drafts = [event.text for event in surface.drawn if isinstance(event, Draft)]
    assert len(drafts) > 2
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(drafts))
    assert all("[" not in draft.replace("[^1]", "") for draft in drafts)


async def test_a_page_that_cannot_be_read_never_fails_the_question() -> None:
    world = World(providers=[FakeSearchProvider(hits=hits([*PAGES, "https://gone.example/"]))])

    answer, _ = await world.ask()

    assert answer.outcome is Outcome.ANSWERED


async def test_when_no_page_can_be_read_snippets_stand_in_and_that_is_said() -> None:
    world = World(fetcher=FakeFetcher({}))

    answer, _ = await world.ask()

    assert answer.outcome is Outcome.ANSWERED
    assert kinds(answer) == [NoticeKind.SNIPPETS_ONLY]


async def test_neither_pages_nor_snippets_are_an_honest_nothing() -> None:
    bare = SearchHit(url="https://gone.example/", title="Gone", snippet="", provider="Fake")

    answer, _ = await World(providers=[FakeSearchProvider(hits=[bare])]).ask()

    assert (answer.outcome, kinds(answer)) == (Outcome.NOTHING_FOUND, [NoticeKind.NO_READABLE_PAGE])


async def test_no_hits_are_an_honest_nothing() -> None:
    answer, _ = await World(providers=[FakeSearchProvider()]).ask()

    assert (answer.outcome, kinds(answer)) == (Outcome.NOTHING_FOUND, [NoticeKind.NO_HITS])


async def test_when_no_engine_answers_each_is_named() -> None:
    broken = [FakeSearchProvider(fails_with="is failing", name=name) for name in ("One", "Two")]

    answer, _ = await World(providers=broken).ask()

    assert (answer.outcome, kinds(answer)) == (Outcome.FAILED, [NoticeKind.SEARCH_FAILED])
    assert answer.notices[0].detail == "One is failing; Two is failing"


async def test_a_skipped_engine_is_said_under_the_answer() -> None:
    providers = [
        FakeSearchProvider(fails_with="is over its quota", name="One"),
        FakeSearchProvider(hits=hits()),
    ]

    answer, _ = await World(providers=providers).ask()

    assert [(notice.kind, notice.detail) for notice in answer.notices] == [
        (NoticeKind.SEARCH_SKIPPED, "One is over its quota; results are from Fake")
    ]


async def test_a_url_in_the_question_is_read_even_when_search_is_down() -> None:
    world = World(providers=[FakeSearchProvider(fails_with="is failing")])

    answer, _ = await world.ask("What raises tides, says https://a.example/tides ?")

    assert answer.outcome is Outcome.ANSWERED
    assert answer.footnotes[0].url == "https://a.example/tides"
    assert kinds(answer) == [NoticeKind.SEARCH_FAILED]


async def test_a_url_in_the_question_that_cannot_be_read_is_said() -> None:
    answer, _ = await World().ask("What raises tides, says https://gone.example/ ?")

    assert answer.outcome is Outcome.ANSWERED
    assert NoticeKind.URL_UNREADABLE in kinds(answer)


async def test_without_a_model_the_answer_is_the_sources_own_sentences() -> None:
    answer, _ = await World(model=None).ask()

    assert answer.outcome is Outcome.ANSWERED
    assert "The moon raises the tides." in answer.text
    assert kinds(answer) == [NoticeKind.EXTRACTIVE_NO_MODEL]
    for note in answer.footnotes:
        assert all(quote in PAGES[note.url] for quote in note.quotes)


async def test_a_model_that_fails_before_its_first_word_leaves_the_extractive_answer() -> None:
    answer, _ = await World(model=FakeLanguageModel([], fails_with="is over its quota")).ask()

    assert answer.outcome is Outcome.ANSWERED
    assert [(notice.kind, notice.detail) for notice in answer.notices] == [
        (NoticeKind.EXTRACTIVE_MODEL_FAILED, "fake-model is over its quota")
    ]


async def test_a_model_that_fails_after_visible_text_keeps_it_and_says_so() -> None:
    answer, _ = await World(
        model=FakeLanguageModel(["The moon raises them [1]. And"], fails_with="broke off")
    ).ask()

    assert answer.text == "The moon raises them[^1]. And"
    assert kinds(answer) == [NoticeKind.CUT_BY_FAILURE]


@pytest.mark.parametrize(
    ("reason", "notice"),
    [
        (FinishReason.LENGTH, NoticeKind.CUT_BY_LENGTH),
        (FinishReason.CONTENT_FILTER, NoticeKind.CUT_BY_FILTER),
    ],
)
async def test_an_answer_cut_by_the_model_s_side_says_so(reason: FinishReason, notice: NoticeKind) -> None:
    answer, _ = await World(model=FakeLanguageModel(["The moon [1]"], finish_reason=reason)).ask()

    assert kinds(answer) == [notice]


async def test_a_footnote_that_leads_nowhere_is_dropped_and_said() -> None:
    answer, _ = await World(model=FakeLanguageModel(["The moon [99] does."])).ask()

    assert answer.text == "The moon does."
    assert kinds(answer) == [NoticeKind.UNKNOWN_MARKS_DROPPED]


async def test_without_embeddings_words_alone_rank() -> None:
    answer, _ = await World(embedder=FakeEmbedder(fails=True)).ask()

    assert answer.footnotes[0].url == "https://a.example/tides"


async def test_without_a_library_memory_ranks() -> None:
    answer, _ = await World(library=FakeLibrary(fails=True)).ask()

    assert answer.footnotes[0].url == "https://a.example/tides"


async def test_a_refused_question_gets_one_sentence_and_no_work() -> None:
    provider = FakeSearchProvider(hits=hits())

    answer, surface = await World(providers=[provider]).ask("  ")

    assert answer.outcome is Outcome.REFUSED
    assert answer.text.count(".") == 2
    assert surface.drawn == [answer]
    assert provider.queries == []


async def test_who_asks_too_often_is_told_when_to_come_back() -> None:
    answer, _ = await World(limiter=FakeRateLimiter(refuses_for_s=12)).ask()

    assert (answer.outcome, answer.retry_after_s) == (Outcome.RATE_LIMITED, 12)


async def test_a_question_that_takes_too_long_keeps_what_was_written() -> None:
    model = FakeLanguageModel(["The moon raises them [1]. "] + ["more "] * 1000, pause_s=0.01)

    answer, _ = await World(model=model, question_s=3.2).ask()

    assert answer.text.startswith("The moon raises them[^1].")
    assert kinds(answer) == [NoticeKind.CUT_BY_FAILURE]
    assert model.closed == 1


@dataclass
class WatchedSurface(FakeReplySurface):
    """begun: set when the first text is drawn."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def draw(self, event: AnswerEvent) -> Deferred | None:
        if isinstance(event, Draft):
            self.begun.set()
        return await super().draw(event)


async def test_stopped_a_question_keeps_its_text_ends_the_model_and_stays_cancelled() -> None:
    model = FakeLanguageModel(["The moon raises them [1]. "] + ["more "] * 1000, pause_s=0.005)
    surface = WatchedSurface()
    task = asyncio.create_task(World(model=model).service().handle(question(), surface))
    await surface.begun.wait()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert surface.answer.outcome is Outcome.CANCELLED
    assert surface.answer.text.startswith("The moon raises")
    assert kinds(surface.answer) == [NoticeKind.STOPPED]
    assert model.closed == 1


async def test_a_lost_surface_ends_the_work() -> None:
    model = FakeLanguageModel(["word "] * 1000, pause_s=0.005)
    surface = FakeReplySurface(script=[None, SurfaceFailed("deleted", lost=True)])

    answer = await World(model=model).service().handle(question(), surface)

    assert answer.outcome is Outcome.CANCELLED
    assert len(surface.drawn) == 1


async def test_a_bug_is_apologised_for_logged_and_raised() -> None:
    class BrokenProvider(FakeSearchProvider):
        async def search(self, query: str, *, limit: int) -> Sequence[SearchHit]:
            raise ZeroDivisionError

    surface = FakeReplySurface()
    with capture_logs() as logs, pytest.raises(ExceptionGroup):
        await World(providers=[BrokenProvider()]).service().handle(question(), surface)

    assert (surface.answer.outcome, kinds(surface.answer)) == (Outcome.FAILED, [NoticeKind.BUG])
    assert "question.failed" in [entry["event"] for entry in logs]


async def test_every_question_leaves_one_line_with_its_outcome_and_times_but_not_its_text() -> None:
    with capture_logs() as logs:
        await World().ask("What raises the tides of Fundy?")

    (handled,) = [entry for entry in logs if entry["event"] == "question.handled"]
    assert handled["outcome"] == "answered"
    assert {
        "searching_ms",
        "reading_ms",
        "ranking_ms",
        "writing_ms",
        "total_ms",
        "first_text_ms",
    } <= handled.keys()
    assert (handled["hits"], handled["pages_read"], handled["footnotes"]) == (2, 2, 1)
    assert "Fundy" not in str(logs)


async def test_a_surface_that_never_takes_the_answer_does_not_hold_the_question_for_ever() -> None:
    class DeafSurface(FakeReplySurface):
        async def draw(self, event: AnswerEvent) -> Deferred | None:
            await asyncio.Event().wait()
            return None

    with capture_logs() as logs:
        await World().service().handle(question(), DeafSurface())

    assert "answer.late" in [entry["event"] for entry in logs]


async def test_when_no_engine_can_be_asked_kept_pages_answer_and_the_reader_is_told() -> None:
    world = World(providers=[FakeSearchProvider(fails_with="is over its quota", name="First")], model=None)
    kept = Page(
        url="https://a.example/tides",
        title="Tides",
        text=PAGES["https://a.example/tides"],
        kind=PageKind.HTML,
    )
    await world.store.keep(
        [KeptPage(page=kept, requested_url=kept.url, read_at=datetime(2025, 12, 30, tzinfo=UTC))],
        split_page(kept),
        {},
    )

    answer, _ = await world.ask()

    assert answer.outcome is Outcome.ANSWERED
    assert [note.url for note in answer.footnotes] == [kept.url]
    assert Notice(kind=NoticeKind.FROM_LIBRARY, detail="read 2025-12-30") in answer.notices
    assert Notice(kind=NoticeKind.SEARCH_FAILED, detail="First is over its quota") in answer.notices
    assert world.fetcher.fetched == []


async def test_an_answer_from_the_live_web_never_rests_on_kept_pages_that_were_not_found() -> None:
    world = World()
    old = Page(
        url="https://old.example/", title="Tides", text="The sun raises the tides.", kind=PageKind.HTML
    )
    await world.store.keep(
        [KeptPage(page=old, requested_url=old.url, read_at=datetime(2025, 12, 30, tzinfo=UTC))],
        split_page(old),
        {},
    )

    answer, _ = await world.ask()

    assert "https://old.example/" not in [note.url for note in answer.footnotes]
    assert NoticeKind.FROM_LIBRARY not in kinds(answer)


async def test_who_stops_a_shared_question_is_told_so_and_the_other_gets_the_whole_answer() -> None:
    model = FakeLanguageModel(["The moon ", "raises them [1]. ", "The end."], pause_s=0.03)
    service, stopped, stayed = World(model=model).service(), FakeReplySurface(), WatchedSurface()
    asked = replace(question(), channel="test:c1")
    first = asyncio.create_task(service.handle(asked, stopped))
    await asyncio.sleep(0)
    second = asyncio.create_task(service.handle(replace(asked, id="q2"), stayed))
    await stayed.begun.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert stopped.answer is not None
    assert (stopped.answer.outcome, kinds(stopped.answer)) == (Outcome.CANCELLED, [NoticeKind.STOPPED])
    answer = await second
    assert answer.text == "The moon raises them[^1]. The end."
    assert (len(model.prompts), model.closed) == (1, 1)


async def test_who_joins_a_question_late_is_answered_within_the_first_asker_s_minute() -> None:
    model = FakeLanguageModel(["The moon."], pause_s=0.1)
    world = World(model=model, question_s=3.05)  # of which 3 are kept for an answer without the model
    service = world.service()
    asked = replace(question(), channel="test:c1")
    async with asyncio.TaskGroup() as group:
        first = group.create_task(service.handle(asked, FakeReplySurface()))
        await asyncio.sleep(0.02)
        second = group.create_task(service.handle(replace(asked, id="q2"), FakeReplySurface()))
    for asking in (first, second):
        assert kinds(asking.result()) == [NoticeKind.EXTRACTIVE_MODEL_FAILED]
    assert model.closed == 1

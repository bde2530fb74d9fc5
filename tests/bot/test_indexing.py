"""`index` and `ask --library`, over the whole app with the packaged model."""

import asyncio
import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from bot.app import open_app
from bot.indexing import forget_places, index_places
from bot.settings import Settings, load_settings
from core.types import AskerId, KeptPage, NoticeKind, Outcome, Question
from tests.fakes import FakeReplySurface
from tests.hostile.pdf_forms import pdf, written


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"LIBRARY_URI": str(tmp_path / "library")}, env_file=None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    (folder / "deep").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "a.md").write_text("# Otters\n\nSea otters sleep afloat.\n")
    (folder / "deep" / "b.TXT").write_text("Bread rises because yeast makes gas.\n")
    (folder / "c.html").write_text(
        "<title>Tides</title><article><p>The moon raises the tides twice a day.</p></article>"
    )
    (folder / "d.pdf").write_bytes(pdf([written(["Aspirin reduces pain, fever and inflammation."])]))
    (folder / "e.docx").write_bytes(b"PK")
    (folder / ".git" / "f.txt").write_text("hidden")
    return folder


async def index(settings: Settings, *places: str) -> tuple[bool, str]:
    output = io.StringIO()
    all_well = await index_places(settings, places, Console(file=output, width=200))
    return all_well, output.getvalue()


async def kept(settings: Settings, *paths: Path) -> dict[str, KeptPage]:
    async with open_app(settings) as app:
        kept = await app.embedders.pages.pages([path.as_uri() for path in paths])
        return {page.page.url: page for page in kept}


async def test_a_folder_is_indexed_with_all_it_holds_that_can_be_read(
    settings: Settings, folder: Path
) -> None:
    all_well, said = await index(settings, str(folder))
    assert all_well
    assert "4 added, 0 changed, 0 unchanged, 0 failed" in said
    pages = await kept(
        settings, folder / "a.md", folder / "deep" / "b.TXT", folder / "c.html", folder / "d.pdf"
    )
    assert len(pages) == 4
    assert all(page.lasting for page in pages.values())


async def test_a_second_time_only_what_changed_is_read(settings: Settings, folder: Path) -> None:
    await index(settings, str(folder))
    await asyncio.to_thread((folder / "a.md").write_text, "# Otters\n\nSea otters hold hands.\n")
    assert "0 added, 1 changed, 3 unchanged, 0 failed" in (await index(settings, str(folder)))[1]
    (page,) = (await kept(settings, folder / "a.md")).values()
    assert "hold hands" in page.page.text


async def test_what_cannot_be_read_is_named_and_the_rest_is_indexed(settings: Settings, folder: Path) -> None:
    all_well, said = await index(
        settings,
        str(folder / "a.md"),
        str(folder / "e.docx"),
        str(folder / "none.md"),
        "http://127.0.0.1:9/x",
    )
    assert not all_well
    assert "1 added, 0 changed, 0 unchanged, 3 failed" in said
    for named in ("e.docx: media_type", "none.md: unreachable", "http://127.0.0.1:9/x: blocked"):
        assert named in said


async def test_an_empty_folder_is_not_all_well(settings: Settings, tmp_path: Path) -> None:
    await asyncio.to_thread((tmp_path / "empty").mkdir)
    assert not (await index(settings, str(tmp_path / "empty")))[0]


async def test_what_is_forgotten_is_gone_with_all_beneath(settings: Settings, folder: Path) -> None:
    await index(settings, str(folder))
    output = Console(file=io.StringIO())
    assert await forget_places(settings, [str(folder)], output)
    assert not await forget_places(settings, [str(folder)], output)
    assert await kept(settings, folder / "a.md") == {}


async def test_the_library_alone_is_asked_and_says_how_old_its_pages_are(
    settings: Settings, folder: Path
) -> None:
    await index(settings, str(folder))
    question = Question(
        id="q1",
        text="Where do sea otters sleep?",
        asker=AskerId("test:ann"),
        platform="test",
        asked_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    async with open_app(settings, library_only=True) as app:
        answer = await app.service.handle(question, FakeReplySurface())
        nothing = await app.service.handle(replace(question, text="Who won in 1998?"), FakeReplySurface())
    assert "Sea otters sleep afloat." in answer.text
    assert [note.url for note in answer.footnotes] == [(folder / "a.md").as_uri()]
    assert NoticeKind.FROM_LIBRARY in [notice.kind for notice in answer.notices]
    assert nothing.outcome is Outcome.NOTHING_FOUND

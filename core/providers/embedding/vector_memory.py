"""The vectors of the texts that were used last, so that none of them is embedded twice."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

from core.types import Vectors

REMEMBERED: Final = 1_024
"""What the last twenty questions read; the library has the rest."""


class VectorMemory:
    """most: texts; each takes 1.5 kB at 384 dimensions. The texts themselves are not kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rows: OrderedDict[bytes, Vectors] = OrderedDict()

    def known(self, texts: Sequence[str]) -> dict[str, Vectors]:
        keys = {text: text_key(text) for text in texts}
        return {text: self._rows[key] for text, key in keys.items() if key in self._rows}

    def keep(self, vectors: Mapping[str, Vectors]) -> None:
        """As the last used; those used longest ago make room."""
        for text, row in vectors.items():
            key = text_key(text)
            if key not in self._rows:
                self._rows[key] = row.copy()  # as part of a matrix it would keep all of that
            self._rows.move_to_end(key)
        while len(self._rows) > self._most:
            self._rows.popitem(last=False)


def text_key(text: str) -> bytes:
    """16 bytes; lone surrogates are as good as any other."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()


__all__ = ["REMEMBERED", "VectorMemory", "text_key"]

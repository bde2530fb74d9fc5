"""Keeps the process's memory flat: what its libraries would take by default is meant for larger machines."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

# From glibc's malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8

_RETURNED_BYTES: Final = 128 * 1024
"""glibc's own start value, which it would raise with each large block that is freed, up to 32 MB: merging
LanceDB's tables then left 200 MB behind after 400 questions."""


def keep_memory_flat() -> None:
    """To be called before LanceDB and Arrow are imported, which read the variables then."""
    os.environ.setdefault("LANCE_CPU_THREADS", "1")  # it would take one and an arena for each core
    os.environ.setdefault("LANCE_IO_THREADS", "2")
    # Arrow's own allocator keeps what is freed for each thread, in huge pages: 140 MB after 50 questions,
    # 150 after 250. malloc does as it is told below.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 2)
        mallopt(_M_MMAP_THRESHOLD, _RETURNED_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _RETURNED_BYTES)

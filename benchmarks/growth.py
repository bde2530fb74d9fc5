"""Whether something grows: a line fitted through samples, and the memory of this process to sample."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """by: from the first sample to the last, along the line. strays, most: around it, on average and once."""

    by: float
    strays: float
    most: float


def growth(samples: Sequence[float]) -> Growth:
    """samples: at equal distances, two at least."""
    slope, intercept = statistics.linear_regression(range(len(samples)), samples)
    strays = [abs(value - intercept - slope * place) for place, value in enumerate(samples)]
    return Growth(by=slope * len(samples), strays=statistics.fmean(strays), most=max(strays))


def memory_mb(field: str) -> float:
    """field: as /proc has it: "VmRSS" for all that is resident, "RssAnon" for what is the process's own."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024

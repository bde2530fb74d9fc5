"""What the demo costs a machine: memory at its peak, and the time to its first word.

    python -m benchmarks.demo_footprint

Memory is the sum of PSS (proportional set size: shared pages divided among those who share them) over the
process tree, sampled every 20 ms, with one extraction child as on a 512 MB machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

SAMPLE_S = 0.02


def main() -> None:
    started_s = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "bot", "demo"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "EXTRACTION_CHILDREN": "1"},
    )
    assert process.stderr is not None
    process.stderr.readline()
    first_line_s = time.monotonic() - started_s
    peak_kb = 0
    while process.poll() is None:
        peak_kb = max(peak_kb, sum(map(_pss_kb, _tree(process.pid))))
        time.sleep(SAMPLE_S)
    print(f"first line after {first_line_s:.2f} s, all of it after {time.monotonic() - started_s:.2f} s")
    print(f"peak {peak_kb / 1024:.0f} MB, exit code {process.returncode}")


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it ended meanwhile
        children.setdefault(parent, []).append(int(stat.parent.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def _pss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


if __name__ == "__main__":
    main()

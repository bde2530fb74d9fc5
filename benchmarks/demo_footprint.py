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

from bot.memory_watch import tree_pss_mb

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
    peak_mb = 0.0
    while process.poll() is None:
        peak_mb = max(peak_mb, tree_pss_mb(process.pid))
        time.sleep(SAMPLE_S)
    print(f"first line after {first_line_s:.2f} s, all of it after {time.monotonic() - started_s:.2f} s")
    print(f"peak {peak_mb:.0f} MB, exit code {process.returncode}")


if __name__ == "__main__":
    main()

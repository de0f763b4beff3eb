"""`make bench`: every benchmark of this folder, one after the other. Figures, not verdicts: nothing here can fail a build.

Absolute times depend on the machine and on what else runs on it; each figure stands beside a floor that was measured
in the same run, and the ratio is what to compare.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    print(f"Python {platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores")
    for script in sorted(Path(__file__).parent.glob("bench_*.py")):
        print(f"\n== {script.stem}", flush=True)
        subprocess.run([sys.executable, "-m", f"tests.benchmarks.{script.stem}"], check=True)

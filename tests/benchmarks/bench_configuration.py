"""What reading a configuration costs, beside the floor: PyYAML's C loader composing the same text to nodes.

    python -m tests.benchmarks.bench_configuration

5,000 points written out, and as many by profile. `read` is text to settings; `check` is with everything that spans
sections. A driver's own checks of each point (its `__post_init__`) are in both.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from agent import document, settings

POINTS, DEVICES, LINKS = 50, 10, 10
REPEATS = 5


def milliseconds(work: Callable[[], object]) -> float:
    """Processor time of the best of several calls."""
    times = []
    for _ in range(REPEATS):
        gc.collect()
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return min(times) * 1e3


def written(points: str) -> str:
    """A configuration whose devices all have these points."""
    lines = ["gateway: {id: bench}", "links:"]
    for link in range(LINKS):
        lines += [f"- id: link-{link}", "  driver: modbus", f"  host: 192.0.2.{link}", "  devices:"]
        for device in range(DEVICES):
            lines += [f"  - id: device-{link}-{device}", f"    unit_id: {device + 1}", "    interval: 60s"]
            lines += [f"    {line}" for line in points.splitlines()]
    return "\n".join(lines) + "\n"


INLINE = "points:\n" + "".join(
    f"- {{name: point_{n}, table: input, address: {n}, type: int16, scale: 0.1, unit: Cel, quantity_kind: Temperature}}\n"
    for n in range(POINTS)
)
PROFILE = f"manufacturer: Nobody\nmodel: Bench\nsource: [this file]\nverified: not at all\n{INLINE}"


def main() -> None:
    """Print the table."""
    count = POINTS * DEVICES * LINKS
    print(f"{count} points                compose ms   read ms  x floor   check ms  x floor")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "gateway.yaml")
        Path(folder, "bench.yaml").write_text(PROFILE, encoding="utf-8")
        for name, points in (("written out", INLINE), ("by profile", "profile: bench")):
            text = written(points)
            path.write_text(text, encoding="utf-8")
            floor = milliseconds(lambda text=text: yaml.compose(text, Loader=yaml.CSafeLoader))  # type: ignore[misc]
            read = milliseconds(lambda: document.read(settings.Root, path))
            check = milliseconds(lambda: settings.read(path))
            print(f"{name:24}{floor:16.1f}{read:10.1f}{read / floor:9.2f}{check:11.1f}{check / floor:9.2f}")


if __name__ == "__main__":
    main()

"""What a reading costs in the buffer: processor, bytes on the disk, bytes written, beside the floor.

    python -m tests.benchmarks.bench_buffer

The floor is the same SQLite, opened in the same way, that is given finished blobs of the same size by `executemany`
in the calling thread: no numbers, no counts, no checksums, no event loop. Both are run in turns and the best turn
counts, so that another program's work shows least. CPU is user + system of the whole process.
"""

from __future__ import annotations

import asyncio
import resource
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from agent.buffer import BufferSettings, open_buffer, rows, schema
from agent.fields import Size
from agent.sample import Lane, Point, Sample, Shape, ValueType
from tests.emulators.storing import ManualClock, an_uplink, span

TURNS = 3
COMMITS = 60
SAMPLES_A_COMMIT = 50
"""Fifty devices once a second: the peak load of the promises, at 20 points each."""


class Cost(NamedTuple):
    """Per reading, but for the last."""

    store_us: float
    out_us: float
    bytes_kept: float
    kilobytes_a_commit: float


Values = Callable[[int, int], tuple[object, ...]]

KINDS: dict[str, tuple[ValueType, Values]] = {
    "float32": (ValueType.NUMBER, lambda n, at: tuple(230.5 + (at + i) % 64 / 8 for i in range(n))),
    "tenths": (ValueType.NUMBER, lambda n, at: tuple((200 + (at + i) % 90) / 10 for i in range(n))),
    "float64": (ValueType.NUMBER, lambda n, at: tuple(1 / (at + i + 3) for i in range(n))),
    "integers": (ValueType.INTEGER, lambda n, at: tuple(at + i for i in range(n))),
}


def cpu_s() -> float:
    """Seconds of processor time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def written_bytes() -> int:
    """Bytes that this process has sent towards the medium; 0 where the kernel does not say."""
    try:
        lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


def batches(kind: str, points: int) -> Iterator[list[Sample]]:
    """What the devices give, commit by commit."""
    type_, values = KINDS[kind]
    shapes = [
        Shape(f"d{device}", tuple(Point(name=f"p{i}", type=type_) for i in range(points)))
        for device in range(SAMPLES_A_COMMIT)
    ]
    for commit in range(COMMITS):
        yield [
            Sample(shape, commit * 1_000_000_000 + at, values(points, commit + at))
            for at, shape in enumerate(shapes)
        ]


async def measure(folder: Path, kind: str, points: int) -> Cost:
    """Store everything, keep it, and then deliver everything live, commit by commit."""
    readings = COMMITS * SAMPLES_A_COMMIT * points
    given = list(batches(kind, points))
    settings = BufferSettings(folder=str(folder / "kept"), size=Size(2**30))
    async with open_buffer(settings, ManualClock(), [an_uplink()]) as buffer:
        begun_bytes, begun = buffer.status()["bytes"], cpu_s()
        for samples in given:
            await buffer.store(samples, SAMPLES_A_COMMIT * points)
        store_s = cpu_s() - begun
        kept = buffer.status()["bytes"] - begun_bytes
    settings = BufferSettings(folder=str(folder / "live"), size=Size(2**30))
    async with open_buffer(settings, ManualClock(), [an_uplink()]) as buffer:
        lanes = buffer.lanes("city")
        lanes.begin()
        begun, written = cpu_s(), written_bytes()
        for samples in given:
            await buffer.store(samples, SAMPLES_A_COMMIT * points)
            while taken := await lanes.take(Lane.LIVE, 2000):
                lanes.settle([span(row) for row in taken])
        both_s, written = cpu_s() - begun, written_bytes() - written
    each = 1e6 / readings
    return Cost(store_s * each, (both_s - store_s) * each, kept / readings, written / COMMITS / 1000)


def floor(folder: Path, kind: str, points: int) -> Cost:
    """The same bytes, inserted by nothing but SQLite; the rows of one commit deleted with the next."""
    readings = COMMITS * SAMPLES_A_COMMIT * points
    given = [[rows.encode(sample) for sample in samples] for samples in batches(kind, points)]
    costs = []
    for delete in (False, True):
        connection = sqlite3.connect(folder / f"floor-{delete}.sqlite", isolation_level=None)
        for statement in schema.opening(2**18):
            connection.execute(statement).fetchall()
        connection.execute("create table row(place integer primary key, data blob not null)")
        begun, written = cpu_s(), written_bytes()
        for commit, blobs in enumerate(given):
            first = commit * SAMPLES_A_COMMIT
            connection.execute("begin immediate")
            if delete:
                connection.execute("delete from row where place < ?", (first,))
            connection.executemany("insert into row values(?, ?)", enumerate(blobs, first))
            connection.execute("commit")
        (pages,) = connection.execute("pragma page_count").fetchone()
        costs.append((cpu_s() - begun, pages * schema.PAGE, written_bytes() - written))
        connection.close()
    each = 1e6 / readings
    (store_s, kept, _), (both_s, _, written) = costs
    return Cost(store_s * each, (both_s - store_s) * each, kept / readings, written / COMMITS / 1000)


def best(costs: list[Cost]) -> Cost:
    """The least of each figure."""
    return Cost(*(min(figures) for figures in zip(*costs, strict=True)))


def main() -> None:
    """Print the table."""
    print(
        f"{SAMPLES_A_COMMIT} samples a commit          store us/reading   take+settle us   bytes/reading   kB/commit"
    )
    for points in (20, 50):
        for kind in KINDS:
            ours, least = [], []
            for _ in range(TURNS):
                folder = Path(tempfile.mkdtemp(prefix="bench-buffer-"))
                try:
                    ours.append(asyncio.run(measure(folder, kind, points)))
                    least.append(floor(folder, kind, points))
                finally:
                    shutil.rmtree(folder)
            cost, ground = best(ours), best(least)
            print(
                f"{points:3} points, {kind:8}"
                f" {cost.store_us:11.2f} ({cost.store_us / ground.store_us:3.1f}x)"
                f" {cost.out_us:14.2f}"
                f" {cost.bytes_kept:12.1f} ({ground.bytes_kept:4.1f})"
                f" {cost.kilobytes_a_commit:8.1f} ({ground.kilobytes_a_commit:4.1f})"
            )


if __name__ == "__main__":
    main()

"""A process that stores, sends and settles as fast as it can, and says what the buffer has promised: to be killed.

    python -m tests.emulators.buffer_writer FOLDER SEED

It writes one line for each thing that an outsider may rely on: `stored MOMENT` when a sample was accepted, `took STORE
NUMBER MOMENT` for each row that came out, `settling STORE NUMBER` before a row is settled, and `gone STORE NUMBER` once
that is on the disk.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

from agent.buffer import open_buffer
from tests.emulators.storing import ManualClock, a_sample, a_shape, an_uplink, some_settings, span, take_all


async def write(folder: Path, seed: int) -> None:
    """Go on until somebody kills this process."""
    chance = random.Random(seed)
    shapes = [a_shape(f"d{index}", index + 1) for index in range(4)]
    moment = seed * 1_000_000
    async with open_buffer(some_settings(folder), ManualClock(), [an_uplink()]) as buffer:
        lanes = buffer.lanes("city")
        lanes.begin()
        settled = []
        while True:
            samples = []
            for _ in range(chance.randrange(1, 8)):
                moment += 1
                samples.append(a_sample(chance.choice(shapes), moment, moment))
            await buffer.store(samples, sum(len(sample.values) for sample in samples))
            _say([f"stored {sample.monotonic_ns}" for sample in samples])
            _say([f"gone {row.store} {row.number}" for row in settled])
            rows = await take_all(lanes)
            _say([f"took {row.store} {row.number} {row.sample.monotonic_ns}" for row in rows])
            settled = [row for row in rows if chance.random() < 0.5]
            _say([f"settling {row.store} {row.number}" for row in settled])
            lanes.settle([span(row) for row in settled])
            lanes.release([span(row) for row in rows if row not in settled])


def _say(lines: list[str]) -> None:
    os.write(1, "".join(f"{line}\n" for line in lines).encode())


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1]), int(sys.argv[2])))

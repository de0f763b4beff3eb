"""Kill the buffer's process at a random moment, again and again, and compare what is left with what was promised."""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import suppress
from pathlib import Path

from agent.buffer import open_buffer
from tests.emulators.storing import ManualClock, an_uplink, some_settings, take_all

ROOT = Path(__file__).parents[2]

START_LIMIT_S = 60.0
"""A loaded machine may need long to start Python; then the writer lives for a random part of a second."""


async def kill_and_compare(folder: Path, rounds: int, seed: int) -> int:
    """Raise `AssertionError` when a promise was broken; how many samples were promised in all rounds."""
    chance = random.Random(seed)
    said: dict[str, set[tuple[str, ...]]] = {"stored": set(), "took": set(), "settling": set(), "gone": set()}
    for round_ in range(rounds):
        for word, *rest in await _write_until_killed(folder, round_, chance.uniform(0, 0.4)):
            said[word].add(tuple(rest))
        async with open_buffer(some_settings(folder), ManualClock(), [an_uplink()]) as buffer:
            assert buffer.durable
            rows = await take_all(buffer.lanes("city"))
            assert (await buffer.ledger()).problems() == []
        left = {(row.store, str(row.number)) for row in rows}
        said["took"] |= {(row.store, str(row.number), str(row.sample.monotonic_ns)) for row in rows}
        moments = {(store, number): moment for store, number, moment in said["took"]}
        assert len(moments) == len(said["took"]), "a number was given to two samples"
        assert len(set(moments.values())) == len(moments), "a sample has two numbers"
        assert not said["gone"] & left, "a settled row came back"
        done = {moments[key] for key in said["settling"] | left}
        missing = {moment for (moment,) in said["stored"]} - done
        assert not missing, f"accepted, not settled, and not there: {sorted(missing)[:10]}"
    return len(said["stored"])


async def _write_until_killed(folder: Path, seed: int, life_s: float) -> list[list[str]]:
    """The lines of a writer that was killed so long after its first promise."""
    writer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.emulators.buffer_writer", str(folder), str(seed)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert writer.stdout
    try:
        said = await asyncio.wait_for(writer.stdout.readline(), START_LIMIT_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(life_s):
                while piece := await writer.stdout.read(65536):
                    said += piece
    finally:
        writer.kill()
        said += await writer.stdout.read()
        await writer.wait()
    # The last line may be cut by the kill: what was not said whole was not promised.
    return [line.split() for line in said.decode().split("\n")[:-1] if line]

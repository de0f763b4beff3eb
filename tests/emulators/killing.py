"""Kill the buffer's process at a random moment, again and again, and compare what is left with what was promised."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from agent.buffer import open_buffer
from tests.emulators.storing import ManualClock, an_uplink, some_settings, take_all

ROOT = Path(__file__).parents[2]

START_LIMIT_S = 60.0
"""A loaded machine may need long to start Python; then the writer lives for a random part of a second."""


def _nothing() -> None:
    """No power is cut."""


async def kill_and_compare(
    folder: Path,
    *,
    rounds: int,
    seed: int,
    cut: Callable[[], None] = _nothing,
    mend: Callable[[], None] = _nothing,
) -> int:
    """Raise `AssertionError` when a promise was broken; how many samples were promised in all rounds.

    `cut` takes the disk away just before the kill, as a power cut does, and `mend` brings it back.
    """
    chance = random.Random(seed)
    said: dict[str, set[tuple[str, ...]]] = {"stored": set(), "took": set(), "settling": set(), "gone": set()}
    late: dict[tuple[str, str], str] = {}
    for round_ in range(rounds):
        promised, more = await _write_until_killed(folder, round_, chance.uniform(0, 0.4), cut)
        for word, *rest in promised:
            said[word].add(tuple(rest))
        # What was said while the disk was going is no promise. But a row may have been settled with it, for good.
        said["settling"] |= {tuple(rest) for word, *rest in more if word == "settling"}
        late |= {(rest[0], rest[1]): rest[2] for word, *rest in more if word == "took"}
        mend()
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
        known = late | moments
        done = {known[key] for key in said["settling"] | left}
        missing = {moment for (moment,) in said["stored"]} - done
        assert not missing, f"accepted, not settled, and not there: {sorted(missing)[:10]}"
    return len(said["stored"])


async def _write_until_killed(
    folder: Path, seed: int, life_s: float, cut: Callable[[], None]
) -> tuple[list[list[str]], list[list[str]]]:
    """The lines of a writer that lived so long after its first promise: before the cut, and from then to its end."""
    writer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.emulators.buffer_writer", str(folder), str(seed)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL if cut is not _nothing else None,
    )
    assert writer.stdout
    try:
        said = await asyncio.wait_for(writer.stdout.readline(), START_LIMIT_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(life_s):
                while piece := await writer.stdout.read(65536):
                    said += piece
        cut()
    finally:
        writer.kill()
        rest = await writer.stdout.read()
        await writer.wait()
    if cut is _nothing:
        said, rest = said + rest, b""
    # The last line may be cut by the kill: what was not said whole was not promised.
    lines = (said + rest).decode().split("\n")[:-1]
    whole = said.count(b"\n")
    return [line.split() for line in lines[:whole]], [line.split() for line in lines[whole:]]

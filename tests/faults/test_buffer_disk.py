"""The buffer on a card that dies under it and comes back, and on one that is full for long."""

from __future__ import annotations

import asyncio
import random

import pytest

from agent.buffer import open_buffer
from agent.sample import Lane
from tests.emulators.small_disk import ext4_disk, small_disk
from tests.emulators.storing import (
    ManualClock,
    a_sample,
    a_shape,
    an_uplink,
    settle_all,
    some_settings,
    span,
    take_all,
)

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


async def durable_again(buffer) -> None:
    """Store nothing until the buffer is back on the disk."""
    async with asyncio.timeout(60):
        while not buffer.durable:
            buffer._storage._next_try_s = 0.0
            await buffer.store((), 0)


@pytest.mark.parametrize("seed", range(5))
async def test_what_was_accepted_survives_the_death_of_the_file_system(tmp_path, seed):
    """The file system is shut down without writing its journal, as a power cut does: no accepted reading is missing.

    Meanwhile memory stands in; when the card is mounted again, everything is on it, under one number each.
    """
    chance = random.Random(seed)
    shapes = [a_shape(f"d{index}", index * 7 + 1) for index in range(4)]
    seen = {}

    def note(rows) -> None:
        for row in rows:
            assert (
                seen.setdefault((row.store, row.number), row.sample.monotonic_ns) == row.sample.monotonic_ns
            )

    with ext4_disk(tmp_path / "card", 32 * 2**20) as card:
        moment = 0
        settings = some_settings(card.path / "buffer")
        async with open_buffer(settings, ManualClock(), [an_uplink()]) as buffer:
            lanes = buffer.lanes("city")
            lanes.begin()

            async def go_on(commits: int) -> None:
                nonlocal moment
                for _ in range(commits):
                    samples = [a_sample(chance.choice(shapes), moment + index) for index in range(5)]
                    moment += 5
                    await buffer.store(samples, sum(len(sample.values) for sample in samples))
                    rows = await take_all(lanes)
                    note(rows)
                    settled = [row for row in rows if chance.random() < 0.4]
                    lanes.settle([span(row) for row in settled])
                    lanes.release([span(row) for row in rows if row not in settled])

            for _ in range(3):
                await go_on(chance.randrange(5, 60))
                card.die()
                await go_on(3)
                assert not buffer.durable
                buffer._storage._next_try_s = 0.0
                await buffer.store((), 0)
                card.unmount()
                card.mount()
                await durable_again(buffer)
                assert (await buffer.ledger()).problems() == []
                assert not (await buffer.ledger()).uplinks["city"].dropped
            await go_on(5)
        async with open_buffer(settings, ManualClock(), [an_uplink()]) as buffer:
            note(await settle_all(buffer.lanes("city")))
            await buffer.store((), 0)
            ledger = await buffer.ledger()
            assert ledger.problems() == []
            assert ledger.uplinks["city"].acknowledged == ledger.stored
    assert sorted(seen.values()) == list(range(moment))


@pytest.mark.parametrize("seed", range(3))
async def test_a_disk_that_fills_and_empties_at_random_costs_only_what_is_counted(tmp_path, seed):
    """Others fill the disk and leave again, in any rhythm: the ledger balances, every number is one reading's."""
    chance = random.Random(seed)
    shape = a_shape(points=50)
    with small_disk(tmp_path / "disk", "24m") as disk:
        settings = some_settings(disk.path / "buffer", size=2**24, memory=2**20)
        moment, full = 0, False
        for life in range(4):
            async with open_buffer(settings, ManualClock(f"{life:032x}"), [an_uplink()]) as buffer:
                lanes = buffer.lanes("city")
                lanes.begin()
                for _ in range(150):
                    if chance.random() < 0.03:
                        disk.free() if full else disk.fill(leave=chance.choice([0, 4096, 300_000]))
                        full = not full
                    moment += 1
                    await buffer.store([a_sample(shape, moment, 1 / moment)] * chance.randrange(1, 60), 0)
                    buffer._storage.book.read = buffer._storage.book.stored
                    if chance.random() < 0.1:
                        lanes.settle(
                            [span(row) for row in await lanes.take(chance.choice(list(Lane)), 20_000)]
                        )
                    if chance.random() < 0.3:
                        buffer._storage._next_try_s = 0.0
                assert (await buffer.ledger()).problems() == []
                if full:
                    disk.free()
                    full = False
                await durable_again(buffer)
                assert (await buffer.ledger()).problems() == []
        async with open_buffer(settings, ManualClock("f" * 32), [an_uplink()]) as buffer:
            await settle_all(buffer.lanes("city"))
            await buffer.store((), 0)
            ledger = await buffer.ledger()
            assert ledger.problems() == []
            assert ledger.uplinks["city"].waiting == 0

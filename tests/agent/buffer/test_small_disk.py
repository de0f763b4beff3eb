"""The buffer on a disk that is really full, or really read-only; more of it in tests/faults."""

from __future__ import annotations

import asyncio

import pytest

from agent.buffer import open_buffer
from agent.sample import Lane
from tests.emulators.small_disk import SmallDisk, small_disk
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


@pytest.fixture
def disk(tmp_path):
    """A disk of 8 MiB."""
    with small_disk(tmp_path / "disk", "8m") as disk:
        yield disk


async def store_until(buffer, *, durable: bool, shape, moment: int = 0) -> int:
    """Store until the buffer is, or is no longer, durable; the moment of the last sample."""
    async with asyncio.timeout(60):
        while buffer.durable is not durable:
            moment += 1
            await buffer.store([a_sample(shape, moment, 1 / moment)] * 10, 10 * len(shape.points))
            buffer._storage._next_try_s = 0.0
    return moment


async def test_on_a_disk_filled_by_others_nothing_is_lost(disk: SmallDisk):
    """Full to the last byte: live delivery goes on from memory; with room again, everything is on the disk."""
    shape = a_shape(points=50)
    settings = some_settings(disk.path / "buffer", memory=2**22)
    async with open_buffer(settings, ManualClock(), [an_uplink()]) as buffer:
        lanes = buffer.lanes("city")
        lanes.begin()
        await buffer.store([a_sample(shape)], 50)
        disk.fill()
        last = await store_until(buffer, durable=False, shape=shape)
        assert "full" in buffer.status()["why_not_durable"]
        assert not (disk.path / "buffer" / "reserve").exists(), "the reserve was given up"
        for moment in range(last + 1, last + 6):
            await buffer.store([a_sample(shape, moment)], 50)
        rows = await take_all(lanes)
        assert len(rows) == 10 * last + 6
        lanes.settle([span(row) for row in rows[:10]])
        disk.free()
        await store_until(buffer, durable=True, shape=shape, moment=last + 5)
        buffer._bounds._surveyed_ns = -(10**12)
        await buffer.store((), 0)
        assert (disk.path / "buffer" / "reserve").stat().st_size == 2**20
        ledger = await buffer.ledger()
        assert ledger.problems() == []
        assert not ledger.uplinks["city"].dropped
        waiting = ledger.uplinks["city"].waiting
    async with open_buffer(settings, ManualClock(), [an_uplink()]) as buffer:
        rows = await settle_all(buffer.lanes("city"))
        assert sum(len(row.sample.values) for row in rows) == waiting


async def test_on_a_full_disk_a_large_store_makes_room_for_itself(disk: SmallDisk):
    """With the reserve given up the oldest rows go, counted; what is new stays durable."""
    shape = a_shape(points=50)
    settings = some_settings(disk.path / "buffer", size=2**26)
    async with open_buffer(settings, ManualClock(), [an_uplink()]) as buffer:
        moment = 0
        for moment in range(1, 1500):
            await buffer.store([a_sample(shape, moment, 1 / moment)] * 10, 500)
            if buffer.lanes("city").waiting()[0] < 500 * moment:
                break
        for more in range(moment + 1, moment + 101):
            await buffer.store([a_sample(shape, more, 1 / more)] * 10, 500)
        assert buffer.durable
        ledger = await buffer.ledger()
        assert set(ledger.uplinks["city"].dropped) == {"full"}
        assert ledger.problems() == []
    async with open_buffer(settings, ManualClock(), [an_uplink()]) as buffer:
        rows = await settle_all(buffer.lanes("city"))
        assert rows[-1].sample.monotonic_ns == moment + 100
        assert (await buffer.ledger()).problems() == []


async def test_a_read_only_disk_at_the_start_is_stood_in_for_until_it_is_writable(disk: SmallDisk):
    """A file system that a failing card made read-only: the agent starts, delivers, and returns to disk by itself."""
    shape = a_shape()
    settings = some_settings(disk.path / "buffer")
    async with open_buffer(settings, ManualClock(), [an_uplink()]) as buffer:
        await buffer.store([a_sample(shape, 1)], 3)
    disk.read_only(on=True)
    async with open_buffer(settings, ManualClock("c" * 32), [an_uplink()]) as buffer:
        assert not buffer.durable
        lanes = buffer.lanes("city")
        lanes.begin()
        await buffer.store([a_sample(shape, 2)], 3)
        assert [row.sample.monotonic_ns for row in await lanes.take(Lane.LIVE, 10)] == [2]
        disk.read_only(on=False)
        await store_until(buffer, durable=True, shape=shape, moment=2)
        ledger = await buffer.ledger()
        assert ledger.problems() == []
        assert lanes.waiting()[1] == 3
    async with open_buffer(settings, ManualClock("c" * 32), [an_uplink()]) as buffer:
        rows = await settle_all(buffer.lanes("city"))
        assert [row.sample.monotonic_ns for row in rows[:2]] == [1, 2]
        assert len({row.store for row in rows}) == 2


async def test_without_a_folder_that_can_be_made_the_agent_starts_all_the_same(tmp_path):
    """A file where the folder should be: not durable, said, and everything else works."""
    (tmp_path / "buffer").write_text("not a folder")
    async with open_buffer(some_settings(tmp_path / "buffer"), ManualClock(), [an_uplink()]) as buffer:
        assert not buffer.durable
        await buffer.store([a_sample(a_shape())], 3)
        assert len(await take_all(buffer.lanes("city"))) == 1

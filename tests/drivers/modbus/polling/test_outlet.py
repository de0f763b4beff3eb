"""One sample between a link that cannot wait and whoever takes it."""

from __future__ import annotations

import asyncio

import pytest

from agent.sample import Reason, Sample, Shape, nothing_learnt
from drivers.modbus.polling.outlet import Outlet

SHAPE, OTHER = Shape("device", ()), Shape("device", ())


def sample(number: int, shape: Shape = SHAPE) -> Sample:
    return nothing_learnt(shape, number, Reason.TIMEOUT)


async def test_one_after_another():
    """What is put is taken, whether somebody waits already or comes later."""
    outlet = Outlet()
    assert outlet.put(sample(1)) is False
    assert (await outlet.take()).monotonic_ns == 1
    waiting = asyncio.ensure_future(outlet.take())
    await asyncio.sleep(0)
    assert outlet.put(sample(2)) is False
    assert (await waiting).monotonic_ns == 2


async def test_only_the_newest():
    """What nobody takes is replaced, and that is said."""
    outlet = Outlet()
    assert [outlet.put(sample(number)) for number in range(4)] == [False, True, True, True]
    assert (await outlet.take()).monotonic_ns == 3


async def test_each_shape():
    """Of a device that is read in groups the newest of each is kept, and taken in the order in which they came."""
    outlet = Outlet()
    put = [sample(1), sample(2, OTHER), sample(3)]
    assert [outlet.put(each) for each in put] == [False, False, True]
    assert [await outlet.take(), await outlet.take()] == put[1:]


async def test_error():
    """An error is raised, again and again, but only when no sample waits any more."""
    outlet = Outlet()
    outlet.put(sample(1))
    outlet.fail(ValueError("lost"))
    await outlet.take()
    for _ in range(2):
        with pytest.raises(ValueError, match="lost"):
            await outlet.take()


async def test_error_while_waiting():
    """Whoever waits when it fails is told at once."""
    outlet = Outlet()
    waiting = asyncio.ensure_future(outlet.take())
    await asyncio.sleep(0)
    outlet.fail(ValueError("lost"))
    with pytest.raises(ValueError, match="lost"):
        await waiting


async def test_cancelled():
    """A sample that comes when the one who waited for it was cancelled waits for the next."""
    outlet = Outlet()
    waiting = asyncio.ensure_future(outlet.take())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    outlet.put(sample(1))
    assert (await outlet.take()).monotonic_ns == 1

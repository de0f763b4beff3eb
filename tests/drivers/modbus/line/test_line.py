"""The pause behind connecting, and a peer that does not let us have it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import timedelta
from itertools import pairwise

import pytest

from agent.clock import Clock
from agent.interfaces import Context, Unavailable
from agent.memory import MemoryFile
from drivers.modbus import open as open_link
from drivers.modbus.profile import PointSettings
from drivers.modbus.settings import DeviceSettings, LinkSettings
from drivers.modbus.values.registers import Table, Type
from tests.emulators import modbus as emulated
from tests.emulators.modbus import Server, register

LIMIT_S = 30.0
PAUSE = timedelta(milliseconds=80)


def opened(port: int):
    point = PointSettings(name="at-100", table=Table.HOLDING, address=100, register_type=Type.UINT16)
    settings = LinkSettings(
        id="plant",
        driver="modbus",
        host="127.0.0.1",
        port=port,
        connect_delay=PAUSE,
        devices=(
            DeviceSettings(
                id="unit-5",
                unit_id=5,
                points=(point,),
                interval=timedelta(seconds=0.1),
                timeout=timedelta(seconds=LIMIT_S),
            ),
        ),
    )
    return open_link(settings, Context(Clock(), MemoryFile().part("test")))


async def values(here, count: int):
    async with asyncio.timeout(LIMIT_S), aclosing(here.source("unit-5")) as samples:
        return [(await anext(samples)).values for _ in range(count)]


async def test_every_connection_has_its_pause():
    """Also one that is opened because the peer closed after its answer.

    A question may still go out on a connection that is about to be closed; it is the answered ones that count.
    """
    passed = []
    async with Server(default=emulated.closes) as server:
        begun_ns = Clock().monotonic_ns()
        async with opened(server.port) as here:
            here.tap = lambda what, _, ns: passed.append((what, ns))
            assert await values(here, 4) == [(register(5, 100),)] * 4
    assert server.connections >= 4
    pairs = [pair for pair in pairwise(passed) if (pair[0][0], pair[1][0]) == ("sent", "received")]
    answers = [begun_ns, *(ns for _, (_, ns) in pairs)]
    pauses = [sent - before for before, ((_, sent), _) in zip(answers, pairs, strict=False)]
    assert len(pauses) >= 4
    assert min(pauses) >= PAUSE / timedelta(microseconds=1) * 1e3


async def test_a_peer_that_hangs_up_in_the_pause_loses_the_link():
    """Whoever accepts and hangs up is not connected to for ever."""

    class HangsUp(asyncio.Protocol):
        def connection_made(self, transport):
            transport.abort()

    server = await asyncio.get_running_loop().create_server(HangsUp, "127.0.0.1", 0)
    async with server:
        with pytest.raises(Unavailable, match="link plant"):
            async with opened(server.sockets[0].getsockname()[1]) as here:
                await values(here, 1)

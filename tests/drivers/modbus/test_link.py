"""A link on real sockets, against servers that behave, and servers that do not."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import structlog

from agent.clock import Clock
from agent.interfaces import Context, Unavailable
from agent.memory import MemoryFile
from agent.sample import Reason, Sample
from drivers.modbus import open as open_link
from drivers.modbus.link import ModbusLink
from drivers.modbus.point import PointSettings
from drivers.modbus.polling.device import Group
from drivers.modbus.settings import DeviceSettings, LinkSettings
from drivers.modbus.timing import Phase
from drivers.modbus.values.registers import Table, Type
from tests.emulators import modbus as emulated
from tests.emulators.modbus import Behaviour, Server, at, garbage, late, refuses, register

LIMIT_S = 30.0
"""For what takes a moment on a machine that is not busy."""
SOON = timedelta(milliseconds=60)
"""The time limit of a device that misbehaves; one that is well has all the time in the world."""
OFTEN = timedelta(milliseconds=100)
BAD, WELL = 5, 6


def device(unit: int, *blocks: int, **arguments: Any) -> DeviceSettings:
    """Unit `unit`, with a register at each of these addresses, which lie too far apart to be read together."""
    settings = {
        "id": f"unit-{unit}",
        "interval": OFTEN,
        "timeout": timedelta(seconds=LIMIT_S),
    } | arguments
    return DeviceSettings(
        unit_id=unit,
        points=tuple(
            PointSettings(
                name=f"at-{address}", table=Table.HOLDING, address=address, register_type=Type.UINT16
            )
            for address in blocks or (100,)
        ),
        **settings,
    )


def link(port: int, *devices: DeviceSettings, **arguments: Any) -> LinkSettings:
    settings = {"timeout": timedelta(seconds=LIMIT_S), "quiet": timedelta(seconds=0.1)} | arguments
    return LinkSettings(id="plant", driver="modbus", host="127.0.0.1", port=port, devices=devices, **settings)


@asynccontextmanager
async def opened(server: Server, *devices: DeviceSettings, **arguments: Any) -> AsyncIterator[ModbusLink]:
    async with open_link(
        link(server.port, *devices, **arguments), Context(Clock(), MemoryFile().part("test"))
    ) as here:
        assert isinstance(here, ModbusLink)
        yield here


class Taker:
    """Takes the samples of one device, as the agent does."""

    def __init__(self, here: ModbusLink, unit: int) -> None:
        self.samples: list[Sample] = []
        self._more = asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(self._take(here, f"unit-{unit}"))

    async def _take(self, here: ModbusLink, name: str) -> None:
        try:
            async with aclosing(here.source(name)) as source:
                async for sample in source:
                    self.samples.append(sample)
                    self._more.set()
        finally:
            self._more.set()

    async def next(self, count: int = 1) -> list[Sample]:
        """So many samples more than there are now."""
        start = len(self.samples)
        async with asyncio.timeout(LIMIT_S):
            while len(self.samples) < start + count:
                if self.task.done():
                    await self.task
                self._more.clear()
                await self._more.wait()
        return self.samples[start:]

    async def until(self, reason: Reason, cell: int = 0) -> Sample:
        """The next sample in which this cell has this reason."""
        while True:
            [sample] = await self.next()
            if reasons(sample)[cell] is reason:
                return sample

    async def error(self) -> BaseException:
        """What the source raises."""
        await asyncio.wait([self.task], timeout=LIMIT_S)
        error = self.task.exception()
        assert error is not None
        return error


@asynccontextmanager
async def taking(here: ModbusLink, *units: int) -> AsyncIterator[list[Taker]]:
    takers = [Taker(here, unit) for unit in units]
    try:
        yield takers
    finally:
        for taker in takers:
            taker.task.cancel()
        await asyncio.gather(*(taker.task for taker in takers), return_exceptions=True)


def reasons(sample: Sample) -> list[Reason]:
    return [Reason(code) for code in sample.reasons] or [Reason.GOOD] * len(sample.values)


def is_right(sample: Sample, unit: int, *addresses: int) -> bool:
    return sample.values == tuple(register(unit, address) for address in addresses or (100,))


# --- whatever a server does ------------------------------------------------------------------------------------

STAYS, DROPPED = False, True


@pytest.mark.parametrize(
    ("behaviour", "reason", "counted", "dropped"),
    [
        (emulated.nothing, Reason.TIMEOUT, "timeouts", STAYS),
        (late(0.2), Reason.TIMEOUT, "late", STAYS),
        (emulated.half, Reason.TIMEOUT, "malformed", DROPPED),
        (emulated.other_id, Reason.COMMUNICATION_ERROR, "foreign", DROPPED),
        (emulated.other_unit, Reason.COMMUNICATION_ERROR, "foreign", DROPPED),
        (emulated.other_function, Reason.COMMUNICATION_ERROR, "foreign", DROPPED),
        (emulated.fewer, Reason.COMMUNICATION_ERROR, "malformed", DROPPED),
        (emulated.more, Reason.COMMUNICATION_ERROR, "malformed", DROPPED),
        (emulated.lying_byte_count, Reason.COMMUNICATION_ERROR, "malformed", DROPPED),
        (garbage(b"\xff" * 7), Reason.COMMUNICATION_ERROR, "malformed", DROPPED),
        (garbage(b"HTTP/1.1 400 Bad Request\r\n" * 100), Reason.COMMUNICATION_ERROR, "malformed", DROPPED),
        (garbage(bytes(1000)), Reason.COMMUNICATION_ERROR, "malformed", DROPPED),
        (emulated.hangs_up, Reason.NOT_CONNECTED, "reconnects", DROPPED),
        (emulated.resets, Reason.NOT_CONNECTED, "reconnects", DROPPED),
        (refuses(0x01), Reason.CONFIGURATION_ERROR, "illegal_function", STAYS),
        (refuses(0x02), Reason.CONFIGURATION_ERROR, "illegal_data_address", STAYS),
        (refuses(0x03), Reason.CONFIGURATION_ERROR, "illegal_data_value", STAYS),
        (refuses(0x04), Reason.DEVICE_FAILURE, "server_device_failure", STAYS),
        (refuses(0x05), Reason.DEVICE_BUSY, "acknowledge", STAYS),
        (refuses(0x06), Reason.DEVICE_BUSY, "server_device_busy", STAYS),
        (refuses(0x08), Reason.COMMUNICATION_ERROR, "memory_parity_error", STAYS),
        (refuses(0x0A), Reason.NOT_CONNECTED, "gateway_path_unavailable", STAYS),
        (refuses(0x0B), Reason.NOT_CONNECTED, "gateway_target_failed_to_respond", STAYS),
        (refuses(0x63), Reason.DEVICE_FAILURE, "exception_63", STAYS),
        (emulated.piecemeal, Reason.GOOD, "answers", STAYS),
        (emulated.twice, Reason.GOOD, "late", STAYS),
        (emulated.after_a_late_one, Reason.GOOD, "late", STAYS),
        (emulated.before_a_foreign_one, Reason.GOOD, "foreign", DROPPED),
        (emulated.closes, Reason.GOOD, "reconnects", DROPPED),
    ],
    ids=lambda value: getattr(value, "__name__", None) or getattr(value, "name", None),
)
async def test_whatever_one_unit_does(behaviour, reason, counted, dropped):
    """A unit that misbehaves gets the quality that says so; another behind the same gateway goes on, always right."""
    slow = reason is Reason.TIMEOUT
    async with (
        Server({BAD: [behaviour] if slow else [emulated.good, behaviour]}) as server,
        opened(server, device(BAD, timeout=SOON if slow else None), device(WELL)) as here,
        taking(here, BAD, WELL) as (bad, well),
    ):
        sample = await bad.until(reason)
        assert is_right(sample, BAD) if reason is Reason.GOOD else sample.values == (None,)
        await well.next(5)
        async with asyncio.timeout(LIMIT_S):
            while not here.counts[counted]:
                await well.next()
        assert all(is_right(each, WELL) for each in well.samples)
        assert all(is_right(each, BAD) or each.values == (None,) for each in bad.samples)
        assert (server.connections > 1) == dropped
        assert not well.task.done()
        assert not bad.task.done()
        silent = reason in {Reason.TIMEOUT, Reason.NOT_CONNECTED} or reason is Reason.COMMUNICATION_ERROR
        if counted != "memory_parity_error":
            assert here.devices["unit-5"]["state"] == ("silent" if silent else "ok")
        assert here.devices["unit-6"]["state"] == "ok"


@pytest.mark.parametrize(
    "behaviour",
    [emulated.good, emulated.id_zero, emulated.closes, emulated.piecemeal, emulated.twice],
    ids=lambda behaviour: behaviour.__name__,
)
async def test_several_blocks(behaviour):
    """A device of several blocks is read in one go, block after block, whatever the peer does that is harmless."""
    behaviour = emulated.good if behaviour is emulated.twice else behaviour
    async with (
        Server(default=behaviour) as server,
        opened(server, device(1, 100, 300, 500), device(2, 7)) as here,
        taking(here, 1, 2) as (one, two),
    ):
        for sample in await one.next(3):
            assert is_right(sample, 1, 100, 300, 500)
            assert sample.reasons == b""
            assert sample.ages_ms == () or (len(sample.ages_ms) == 3 and sample.ages_ms[2] == 0)
        assert is_right((await two.next())[0], 2, 7)


async def test_ages():
    """Where blocks come one after the other, each cell says how much earlier than the sample it was learnt."""
    slow = late(0.03)
    async with (
        Server(default=slow) as server,
        opened(server, device(1, 100, 300, 500)) as here,
        taking(here, 1) as (one,),
    ):
        [sample] = await one.next()
        first, second, third = sample.ages_ms
        assert first >= 55
        assert first > second >= 28
        assert third == 0


async def test_pause():
    """A device that wants a pause before it is asked again gets it between its blocks; the others go on."""
    pause_s = 0.03
    async with (
        Server() as server,
        opened(server, device(1, 100, 300, request_delay=timedelta(seconds=pause_s)), device(2)) as here,
        taking(here, 1, 2) as (one, two),
    ):
        for sample in await one.next(3):
            assert is_right(sample, 1, 100, 300)
            assert sample.ages_ms[0] >= pause_s * 1000 - 5
        await two.next()


# --- blocks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (refuses(0x02), Reason.CONFIGURATION_ERROR),
        (refuses(0x06), Reason.DEVICE_BUSY),
        pytest.param(emulated.nothing, Reason.TIMEOUT, marks=pytest.mark.faults),
        (emulated.more, Reason.COMMUNICATION_ERROR),
        (emulated.hangs_up, Reason.NOT_CONNECTED),
    ],
    ids=["illegal address", "busy", "nothing", "more", "hangs up"],
)
@pytest.mark.parametrize("address", [100, 300, 500], ids=["first", "second", "third"])
async def test_one_block_brings_nothing(behaviour, reason, address):
    """A block that brings nothing makes its own cells bad; the device goes on, at its interval, with the others."""
    cell = (100, 300, 500).index(address)
    limit = timedelta(seconds=0.5) if reason is Reason.TIMEOUT else None
    async with (
        Server({BAD: [at(address, behaviour)]}) as server,
        opened(server, device(BAD, 100, 300, 500, timeout=limit)) as here,
        taking(here, BAD) as (bad,),
    ):
        await bad.until(reason, cell)
        async with asyncio.timeout(LIMIT_S):
            while here.devices["unit-5"]["state"] != "ok":
                await bad.next()
        for sample in await bad.next(5):
            expected = [Reason.GOOD] * 3
            expected[cell] = reason
            assert reasons(sample) == expected
            assert sample.values[cell] is None
        assert here.devices["unit-5"]["state"] == "ok"


async def test_one_block_brings_nothing_without_ids():
    """The same without ids: a block as long as the one that did not come is left out once, then all is as it was."""
    behaviour = at(300, emulated.nothing, emulated.id_zero)
    async with (
        Server({BAD: [behaviour]}) as server,
        opened(server, device(BAD, 100, 300, 500, timeout=timedelta(seconds=0.5))) as here,
        taking(here, BAD) as (bad,),
    ):
        first = await bad.until(Reason.TIMEOUT, 1)
        assert reasons(first) == [Reason.GOOD, Reason.TIMEOUT, Reason.TIMEOUT]
        for sample in await bad.next(5):
            assert sample.values == (register(BAD, 100), None, register(BAD, 500))
        assert here.devices["unit-5"]["state"] == "ok"


async def test_refusals_are_said_once():
    """What a block is refused with is said once, in words, and so is that it is not refused any more."""
    script = [refuses(6), refuses(6), refuses(6), emulated.good]
    with structlog.testing.capture_logs() as logs:
        async with (
            Server({BAD: script}) as server,
            opened(server, device(BAD)) as here,
            taking(here, BAD) as (bad,),
        ):
            await bad.until(Reason.GOOD)
    assert [log["event"] for log in logs if log["log_level"] != "debug"] == [
        "block.refused",
        "block.answered",
    ]
    assert "the device has no time for it just now" in [log.get("error") for log in logs]
    assert logs[-1] | {"address": 100, "reason": "server_device_busy", "device": "unit-5"} == logs[-1]


# --- addresses that a device does not have ---------------------------------------------------------------------

ROW = range(100, 160)
"""Addresses that are read together."""


@pytest.mark.parametrize("code", [2, 3])
async def test_an_address_that_is_not_there(code):
    """One address that a device does not have costs its own point, not its block; that is said once, by name."""
    with structlog.testing.capture_logs() as logs:
        async with (
            Server({BAD: [emulated.without(137, code=code)]}) as server,
            opened(server, device(BAD, *ROW), device(WELL)) as here,
            taking(here, BAD, WELL) as (bad, well),
        ):
            first, *others = await bad.next(4)
            for sample in (first, *others):  # the first too: the halves are asked for at once
                expected = tuple(register(BAD, address) if address != 137 else None for address in ROW)
                assert sample.values == expected
                assert reasons(sample)[37] is Reason.CONFIGURATION_ERROR
            assert server.requests[BAD] <= 20 + 2 * len(bad.samples)
            await well.next()
            assert here.devices["unit-5"]["refused"] == ["at-137"]
            assert "refused" not in here.devices["unit-6"]
    [refused] = [log for log in logs if log["log_level"] != "debug"]
    assert (refused["event"], refused["device"], refused["points"]) == (
        "points.refused",
        "unit-5",
        ["at-137"],
    )


async def test_refused_addresses_are_remembered():
    """After a restart they are not asked for, until it is time to find out again."""
    context = Context(Clock(), MemoryFile().part("test"))
    asked = []
    for _ in range(2):
        async with (
            Server({BAD: [emulated.without(103)]}) as server,
            open_link(link(server.port, device(BAD, *ROW)), context) as here,
            taking(here, BAD) as (bad,),
        ):
            [sample] = await bad.next()
            assert reasons(sample).count(Reason.GOOD) == len(ROW) - 1
            asked.append(server.requests[BAD])
    assert asked[0] > 6
    assert asked[1] == 2


class Jumping(Clock):
    """A clock that can be put forward, and whose wall time is what a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.jumped_ns = 0
        self.wall_from_ns = super().monotonic_ns()
        """When it was 1970."""

    def monotonic_ns(self) -> int:
        return super().monotonic_ns() + self.jumped_ns

    def wall_ns(self) -> int:
        return self.monotonic_ns() - self.wall_from_ns


@asynccontextmanager
async def known_to_lack(
    script: list[Behaviour], clock: Jumping
) -> AsyncIterator[tuple[Server, ModbusLink, Taker]]:
    """A device that was found to lack address 103, a minute ago; from now on it answers by the script."""
    limit = timedelta(seconds=0.5)
    async with (
        Server({BAD: [emulated.without(103)]}) as server,
        open_link(
            link(server.port, device(BAD, *ROW, timeout=limit)), Context(clock, MemoryFile().part("test"))
        ) as here,
        taking(here, BAD) as (bad,),
    ):
        assert isinstance(here, ModbusLink)
        [sample] = await bad.next()
        assert sample.values[3] is None
        server.scripts[BAD] = script
        clock.jumped_ns += 61_000_000_000
        here.refresh("unit-5")
        yield server, here, bad


async def test_asked_again():
    """A refused address is asked for again after a minute; if it is answered its point is read again."""
    async with known_to_lack([emulated.good], Jumping()) as (_, here, bad):
        await bad.until(Reason.GOOD, 3)
        assert "refused" not in here.devices["unit-5"]


@pytest.mark.parametrize(
    "behaviour", [emulated.nothing, refuses(2), refuses(6)], ids=["nothing", "refused", "busy"]
)
async def test_asked_again_in_vain(behaviour):
    """Whatever comes of asking again, the other points keep flowing, and it is not asked again at once."""
    clock = Jumping()
    async with known_to_lack([at(103, behaviour)], clock) as (server, here, bad):
        await bad.next(2)
        asked, samples = server.requests[BAD], len(bad.samples)
        for sample in await bad.next(4):
            assert sample.values[3] is None
            assert [value for cell, value in enumerate(sample.values) if cell != 3] == [
                register(BAD, address) for address in ROW if address != 103
            ]
        assert server.requests[BAD] - asked <= 2 * (len(bad.samples) - samples) + 2
        assert here.devices["unit-5"]["state"] == "ok"


async def test_by_the_clock():
    """What is read by the wall clock is read when that says so, not a whole interval after the start."""
    clock = Jumping()
    day_ns = 86_400_000_000_000
    clock.wall_from_ns = clock.monotonic_ns() - day_ns + 300_000_000  # 0.3 s to midnight
    settings = device(WELL, interval=timedelta(days=1), phase=Phase.CLOCK)
    async with (
        Server() as server,
        open_link(link(server.port, settings), Context(clock, MemoryFile().part("test"))) as here,
        taking(here, WELL) as (well,),
    ):
        await well.next()
        if len(well.samples) < 2:
            await well.next()
        assert well.samples[1].monotonic_ns - clock.wall_from_ns >= day_ns


async def test_a_device_that_starts_up():
    """One that refuses everything at first is read whole again when it does not any more: soon after a silence."""
    starting: list[Behaviour] = [refuses(2)] * 40 + [emulated.nothing] + [emulated.good]
    with structlog.testing.capture_logs() as logs:
        async with (
            Server({BAD: starting}) as server,
            opened(server, device(BAD, *range(100, 108), timeout=timedelta(seconds=0.3))) as here,
            taking(here, BAD) as (bad,),
        ):
            await bad.until(Reason.CONFIGURATION_ERROR)
            assert len(here.devices["unit-5"]["refused"]) >= 1
            await bad.until(Reason.TIMEOUT)
            async with asyncio.timeout(LIMIT_S):
                while "refused" in here.devices["unit-5"]:
                    await bad.next()
            [sample] = await bad.next()
            assert is_right(sample, BAD, *range(100, 108))
    events = [log["event"] for log in logs if log["log_level"] != "debug"]
    assert events[0] == "points.refused"
    assert events[-1] == "points.answered"


async def test_groups():
    """Points of other intervals make samples of other shapes, each with the points that are read together."""
    fast, slow = (
        PointSettings(
            name=name, table=Table.HOLDING, address=address, register_type=Type.UINT16, interval=interval
        )
        for name, address, interval in (("fast", 100, None), ("slow", 101, timedelta(hours=1)))
    )
    settings = DeviceSettings(
        id="unit-7", unit_id=7, interval=OFTEN, points=(slow, fast), timeout=timedelta(seconds=0.3)
    )
    async with (
        Server({7: [emulated.good] * 6 + [emulated.nothing]}) as server,
        opened(server, settings) as here,
        taking(here, 7) as (taker,),
    ):
        samples = await taker.next(5)
        names = [sample.shape.points[0].name for sample in samples]
        assert names == ["fast", "slow", "fast", "fast", "fast"]
        assert [sample.values for sample in samples[:2]] == [(register(7, 100),), (register(7, 101),)]
        silent: list[Sample] = []
        while len(silent) < 2:
            silent += [sample for sample in await taker.next() if reasons(sample) == [Reason.TIMEOUT]]
        assert {sample.shape.points[0].name for sample in silent} == {
            "fast",
            "slow",
        }  # whoever wants either is told


# --- devices that fall silent ----------------------------------------------------------------------------------


async def test_silent_and_back():
    """A device that falls silent gives one bad sample, and its readings again right behind the probe that it answers."""
    with structlog.testing.capture_logs() as logs:
        async with (
            Server({BAD: [emulated.good, emulated.nothing, emulated.good]}) as server,
            opened(server, device(BAD, timeout=timedelta(seconds=1)), device(WELL)) as here,
            taking(here, BAD, WELL) as (bad, well),
        ):
            samples = await bad.next(3)
            assert [reasons(sample) for sample in samples] == [[Reason.GOOD], [Reason.TIMEOUT], [Reason.GOOD]]
            assert server.requests[BAD] >= 4  # the probe, and the poll right behind it
            await well.next()
            assert here.devices["unit-5"]["state"] == "ok"
            assert here.devices["unit-5"]["missed_slots"] > 0
            assert here.counts["timeouts"] == 1
    assert [log["event"] for log in logs if log["log_level"] != "debug"] == [
        "device.silent",
        "device.answers",
    ]


async def test_gateway_that_waits_longer():
    """A gateway that waits for a dead unit longer than we do makes the next unit's answer late: that one is not silent."""
    gateway = emulated.SerialGateway([BAD], hold_s=1.2)
    limit = timedelta(seconds=0.5)
    async with (
        Server(default=gateway) as server,
        opened(server, device(WELL, timeout=limit), device(BAD, timeout=limit)) as here,
        taking(here, WELL, BAD) as (well, bad),
    ):
        await well.until(Reason.GOOD)
        late_one = await well.until(Reason.TIMEOUT)  # it had to wait in the gateway
        good_one = await well.until(Reason.GOOD)
        # The account of the failing would not cover a probe for 12 s.
        assert good_one.monotonic_ns - late_one.monotonic_ns < 8e9
        assert here.counts["late"] >= 1
        assert all(is_right(each, WELL) or each.values == (None,) for each in well.samples)
        assert all(each.values == (None,) for each in bad.samples)


async def test_nobody_answers():
    """A connection on which nobody answers any more is dropped, and the devices are asked on another one."""
    dead: list[Behaviour] = [emulated.good] + [emulated.nothing] * 3 + [emulated.good]
    async with (
        Server({1: dead}) as server,
        opened(server, device(1, timeout=SOON)) as here,
        taking(here, 1) as (one,),
    ):
        await one.until(Reason.TIMEOUT)
        await one.until(Reason.GOOD)
        assert server.connections == 2
        assert here.counts["reconnects"] == 1


async def test_without_ids():
    """A peer that answers with id 0 is asked with the quiet that needs; that is said once, and costs nobody a value."""
    limit, quiet = timedelta(seconds=0.5), timedelta(seconds=0.6)
    script = [emulated.id_zero, late(0.8, emulated.id_zero), emulated.id_zero]
    with structlog.testing.capture_logs() as logs:
        async with (
            Server({BAD: script}, default=emulated.id_zero) as server,
            opened(server, device(BAD, timeout=limit), device(WELL), quiet=quiet) as here,
            taking(here, BAD, WELL) as (bad, well),
        ):
            await bad.until(Reason.TIMEOUT)
            sample = await bad.until(Reason.GOOD)
            assert is_right(sample, BAD)
            await well.next(3)
            assert all(is_right(each, WELL) for each in well.samples)
            assert here.counts["late"] + here.counts["malformed"] >= 1
    assert sum(log["event"] == "link.without_ids" for log in logs) == 1


@pytest.mark.faults
@pytest.mark.parametrize("echoes", [True, False], ids=["ids", "id 0"])
async def test_late_answers_are_never_booked(echoes):
    """200 answers that come too late, on real connections, all of one unit: none of them is in a sample."""
    limit_s, quiet_s = 0.02, 0.06
    number = 0
    too_late: set[int] = set()
    line = asyncio.Lock()  # a unit answers in the order of the questions; with ids it need not

    async def numbered(request: emulated.Request) -> None:
        nonlocal number
        number += 1
        pdu = bytes([3, 2 * request.count]) + number.to_bytes(2, "big") * request.count
        mine = number
        async with AsyncExitStack() as stack:
            if not echoes:
                await stack.enter_async_context(line)
            if mine % 3 == 0:
                too_late.add(mine)
                # Beyond the limit for certain, for whoever asked began to wait before; some beyond the quiet too.
                await asyncio.sleep(limit_s * (1.2 + mine % 4))
            request.send(request.frame(pdu, identity=None if echoes else 0))

    # Six devices at one unit id, so that unit and length are all alike.
    devices = [
        device(1, 100 + place, id=f"unit-{place}", timeout=timedelta(seconds=limit_s)) for place in range(6)
    ]
    booked = 0
    async with Server(default=numbered) as server, asyncio.timeout(110):
        while len(too_late) < 200 or booked < 200:
            # The schedule would soon ask hardly anybody: each round is a new link.
            async with (
                opened(server, *devices, quiet=timedelta(seconds=quiet_s)) as here,
                taking(here, *range(6)) as takers,
            ):
                for taker in takers:
                    [sample] = taker.samples[:1] or await taker.next()
                    if sample.values[0] is not None:
                        booked += 1
                        assert sample.values[0] not in too_late


# --- connections -----------------------------------------------------------------------------------------------


async def test_nobody_there():
    """Where connections are refused, opening raises `Unavailable` that names link, place and error, at once."""
    async with Server() as server:
        pass
    began = time.monotonic()
    with pytest.raises(Unavailable, match=rf"^link plant: 127\.0\.0\.1:{server.port}: Connection refused$"):
        async with opened(server, device(1)):
            pass
    assert time.monotonic() - began < LIMIT_S / 2


async def test_nobody_accepts():
    """Where nobody accepts the connection, opening gives up within the time limit."""
    with socket.socket() as listening, socket.socket() as first, socket.socket() as second:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        for filling in (first, second):  # the queue of those not accepted is full now
            filling.setblocking(False)  # noqa: FBT003
            filling.connect_ex(("127.0.0.1", port))
        with pytest.raises(Unavailable, match="no connection in time"):
            async with open_link(
                link(port, device(1), timeout=timedelta(seconds=0.2)),
                Context(Clock(), MemoryFile().part("test")),
            ):
                pass


async def test_unknown_host():
    """A name that does not exist is the link's trouble, in its words."""
    settings = link(502, device(1))
    settings = LinkSettings(
        id="plant", driver="modbus", host="no-such-host.invalid", port=502, devices=settings.devices
    )
    with pytest.raises(Unavailable, match=r"^link plant: no-such-host\.invalid:502: "):
        async with open_link(settings, Context(Clock(), MemoryFile().part("test"))):
            pass


@pytest.mark.parametrize("how", ["asked", "idle"])
async def test_lost(how):
    """When the peer is gone every source raises `Unavailable` at once, with the same words; so do new ones."""
    hourly = timedelta(hours=1)
    async with (
        Server({1: [emulated.good, emulated.nothing]}) as server,
        opened(server, *(device(unit, interval=hourly) for unit in (1, 2, 3))) as here,
        taking(here, 1, 2, 3) as takers,
    ):
        for taker in takers:
            await taker.next()
        server.refuse()
        if how == "asked":
            server.asked.clear()
            here.refresh("unit-1")
            await asyncio.wait_for(server.asked.wait(), LIMIT_S)
            server.close_all()
        else:
            server.reset_all()
        errors = [await taker.error() for taker in takers]
        assert all(isinstance(error, Unavailable) for error in errors)
        assert len({str(error) for error in errors}) == 1
        assert f"127.0.0.1:{server.port}" in str(errors[0])
        with pytest.raises(Unavailable, match=f"127.0.0.1:{server.port}"):
            async for _ in here.source("unit-1"):
                pass


async def test_closed_while_idle():
    """A peer that closes while nothing is outstanding is connected to again at the next question; nobody is told."""
    async with Server() as server, opened(server, device(1)) as here, taking(here, 1) as (one,):
        for connections in (1, 2, 3):
            await one.next(2)
            assert server.connections == connections
            server.close_all()
        await one.next(2)
        assert all(is_right(sample, 1) for sample in one.samples)


@pytest.mark.parametrize("behaviour", [emulated.hangs_up, emulated.resets])
@pytest.mark.parametrize("count", [1, 3])
async def test_flapping(behaviour, count):
    """A peer that takes connections and ends each one over the first question is not there: `Unavailable`, soon."""
    async with (
        Server(default=behaviour) as server,
        opened(server, *(device(unit) for unit in range(1, count + 1))) as here,
        taking(here, *range(1, count + 1)) as takers,
    ):
        for taker in takers:
            assert isinstance(await taker.error(), Unavailable)
        assert server.connections <= 4


async def test_options():
    """The connection sends at once, and finds out by itself when the peer has vanished."""
    async with Server() as server, opened(server, device(1)) as here:
        transport = here._line._connection._transport
        sock = transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000


# --- sources ---------------------------------------------------------------------------------------------------


async def test_only_who_is_taken_is_asked():
    """A device whose source is not being iterated is not asked, neither before nor after."""
    async with Server() as server, opened(server, device(1), device(2)) as here:
        async with taking(here, 1) as (one,):
            await one.next(2)
            assert server.requests[2] == 0
        before = server.requests[1]
        async with taking(here, 2) as (two,):
            await two.next(5)
            assert server.requests[1] == before
        async with taking(here, 1) as (one,):
            assert is_right((await one.next())[0], 1)


async def test_nobody_takes_them():
    """Where samples are not taken only the newest waits; the others are counted as missed, and the link goes on."""
    async with (
        Server({1: [emulated.good]}) as server,
        opened(server, device(1), device(2)) as here,
        taking(here, 2) as (two,),
        aclosing(here.source("unit-1")) as source,
    ):
        first = await anext(source)
        while here.devices["unit-1"]["missed_slots"] < 4:
            await two.next()
        second = await anext(source)
        assert second.monotonic_ns - first.monotonic_ns >= 0.2 * 1e9  # the newest, not the next


async def test_refresh():
    """A device that is refreshed is asked at once, however long its interval."""
    async with (
        Server() as server,
        opened(server, device(1, interval=timedelta(hours=1))) as here,
        taking(here, 1) as (one,),
    ):
        await one.next()
        for _ in range(3):
            here.refresh("unit-1")
            await one.next()
        assert server.requests[1] == 4


async def test_opened_twice():
    """A second source of a device while the first is being iterated is a bug: the first one says so and ends."""
    async with Server() as server, opened(server, device(1)) as here, taking(here, 1, 1) as (first, second):
        assert isinstance(await first.error(), RuntimeError)
        await second.next(2)


async def test_a_bug_in_one_device(monkeypatch):
    """A bug that only one device meets ends its source, and no other's."""
    sample = Group.sample

    def faulty(self: Group, *arguments: Any) -> Sample:
        if self.shape.device == "unit-5":
            raise ZeroDivisionError("a bug")
        return sample(self, *arguments)

    monkeypatch.setattr(Group, "sample", faulty)
    async with (
        Server() as server,
        opened(server, device(BAD), device(WELL)) as here,
        taking(here, BAD, WELL) as (bad, well),
    ):
        assert isinstance(await bad.error(), ZeroDivisionError)
        await well.next(3)


async def test_the_callers_own_error():
    """What is raised inside the link's context comes out as it was, not in a group."""
    async with Server() as server:
        with pytest.raises(KeyError, match="mine"):  # noqa: PT012  the error is the block's own
            async with opened(server, device(1)) as here, taking(here, 1) as (one,):
                await one.next()
                raise KeyError("mine")


async def test_closed():
    """When the link is closed its connection is, and a source that was left waiting is told."""
    async with Server() as server:
        async with opened(server, device(1, interval=timedelta(hours=1))) as here:
            taker = Taker(here, 1)
            await taker.next()
        assert isinstance(await taker.error(), Unavailable)
        await asyncio.wait_for(server.idle.wait(), LIMIT_S)


async def test_counts():
    """Counts are whole numbers, all there from the start, and never go down, not even when a source is closed."""
    async with Server({BAD: [emulated.nothing]}) as server:
        async with opened(server, device(BAD, timeout=SOON), device(WELL)) as here:
            names = set(here.counts)
            assert names >= {"requests", "answers", "timeouts", "late", "foreign", "malformed", "reconnects"}
            async with taking(here, BAD, WELL) as (bad, well):
                await bad.next(2)
                await well.next(3)
                before = dict(here.counts)
            assert all(here.counts[name] >= count for name, count in before.items())
            assert before["timeouts"] >= 2
            assert 0 < here.figures["utilisation"] < 1
            assert 0 <= here.figures["lateness_ms"] < 60_000
            assert here.devices["unit-5"]["errors"] >= 2
            assert here.devices["unit-6"]["errors"] == 0
            outstanding = before["requests"] - before["answers"] - before["timeouts"] - before["exceptions"]
            assert outstanding in {0, 1}

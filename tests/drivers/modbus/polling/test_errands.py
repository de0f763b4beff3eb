"""What is done beside the schedule: who goes next, and the share of guests."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from agent.clock import Clock
from agent.interfaces import Context, Unavailable
from agent.memory import MemoryFile
from drivers.modbus import open as open_link
from drivers.modbus.line.transaction import Answer
from drivers.modbus.polling.errands import GUEST_SHARE, Errand, Errands
from drivers.modbus.settings import LinkSettings
from drivers.modbus.technician import guest
from drivers.modbus.values.registers import Table
from tests.drivers.modbus.test_link import BAD, LIMIT_S, SOON, WELL, device, is_right, opened, taking
from tests.emulators import modbus as emulated
from tests.emulators.modbus import Server, refuses, register

MS = 1_000_000
S = 1000 * MS


class Line:
    """A line in simulated time, on which all work takes as long as it says."""

    def __init__(self) -> None:
        self.moment_ns = 0

    def now_ns(self) -> int:
        return self.moment_ns


def errand(takes_ns: int, *, paced: bool) -> Errand:
    async def work(line: Line) -> int:
        line.moment_ns += takes_ns
        return takes_ns

    return Errand(work, paced, takes_ns, asyncio.get_running_loop().create_future())  # type: ignore[arg-type]  in simulated time


def free(_: int) -> int:
    return 0


async def test_what_is_urgent_goes_next():
    """A write goes before every guest and every device, in the order in which they came."""
    errands = Errands()
    waiting = [errand(S, paced=True), errand(S, paced=False), errand(S, paced=False)]
    for each in waiting:
        errands.add(each)
    assert [errands.next(0) for _ in range(4)] == [waiting[1], waiting[2], waiting[0], None]


async def test_share_of_guests():
    """Where somebody is always due, guests take their share of the line and no more."""
    line, errands = Line(), Errands()
    for _ in range(1000):
        errands.add(errand(30 * MS, paced=True))
    asked = 0
    while line.moment_ns < 60 * S:
        if each := errands.next(line.moment_ns):
            await errands.carry_out(each, line, free)  # type: ignore[arg-type]  in simulated time
            asked += 1
        else:
            line.moment_ns += 20 * MS
    assert 0.9 * GUEST_SHARE <= asked * 30 * MS / line.moment_ns <= GUEST_SHARE + 0.001


async def test_meanwhile():
    """In free time a guest goes at once, if its work is over before a device is due."""
    errands = Errands()
    errands.add(errand(S, paced=True))
    assert errands.meanwhile(0, S - 1) is None
    assert errands.meanwhile(0, S) is not None
    errands.add(errand(S, paced=True))
    assert errands.meanwhile(0, None) is not None


# --- on a real link --------------------------------------------------------------------------------------------


async def test_look_around_without_devices():
    """A link without devices is there for whoever looks around: raw registers, or words for why there are none."""
    async with Server({BAD: [refuses(2)], 9: [emulated.nothing]}) as server:
        settings = LinkSettings(id="plant", driver="modbus", host="127.0.0.1", port=server.port, devices=())
        async with open_link(settings, Context(Clock(), MemoryFile().part("test"))) as here:
            answers = [
                await here.ask(
                    {"unit_id": unit, "table": "holding", "address": 7, "count": 2, "timeout_ms": limit_ms}
                )
                for unit, limit_ms in ((WELL, 30_000), (BAD, 30_000), (9, 50))
            ]
            good, refused, silent = answers
            values = [register(WELL, 7), register(WELL, 8)]
            assert good["data"] == b"".join(value.to_bytes(2, "big") for value in values).hex()
            assert guest.Response.of(good).data == bytes.fromhex(good["data"])
            assert (refused["data"], refused["exception"]) == (None, 2)
            assert refused["words"] == "illegal data address"
            assert (silent["data"], silent["exception"], silent["words"]) == (None, None, "no answer in time")
            assert silent["took_ms"] >= 50


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"unit_id": 1, "table": "holding", "address": 65535, "count": 2},
        {"unit_id": 1, "table": "holding", "address": 0, "count": 126},
        {"unit_id": 1, "table": "holding", "address": 0, "function": 6},
        {"unit_id": 1, "table": "drawer", "address": 0},
    ],
)
def test_what_is_no_question(request_):
    """What one request cannot ask for is said before anything is sent."""
    with pytest.raises(ValueError, match=r"unit_id|count|function|drawer"):
        guest.Request.of(request_)


async def test_guests_among_devices():
    """Guests who ask for silent units all the time leave the devices of the link their readings."""
    asking = guest.Request(unit_id=BAD, table=Table.INPUT, address=0, timeout_ms=20)
    async with (
        Server({BAD: [emulated.nothing]}) as server,
        opened(server, device(WELL)) as here,
        taking(here, WELL) as (well,),
    ):
        await well.next()
        guests = [asyncio.create_task(here.inquire(asking)) for _ in range(10)]
        samples = await well.next(10)
        assert all(is_right(sample, WELL) for sample in samples)
        answers = await asyncio.wait_for(asyncio.gather(*guests), LIMIT_S)
        assert {answer.words for answer in answers} == {"no answer in time"}
        assert here.devices["unit-6"]["missed_slots"] == 0


async def test_errands_and_the_end():
    """Whoever waits for an errand hears that the link is closed, whether its turn came or not; so do later ones."""
    async with Server(default=emulated.nothing) as server:
        async with opened(server, device(WELL, timeout=SOON)) as here:
            question = guest.Request(unit_id=WELL, table=Table.HOLDING, address=0)
            waiting = [asyncio.create_task(here.inquire(question)) for _ in range(3)]
            await asyncio.wait_for(server.asked.wait(), LIMIT_S)
        for each in waiting:
            with pytest.raises(Unavailable, match="closed"):
                await asyncio.wait_for(each, LIMIT_S)
        with pytest.raises(Unavailable, match="closed"):
            await here.inquire(question)


async def test_errand_that_fails():
    """What the work raises, whoever asked for it gets, and nobody else; a bug in it does not end the link."""

    async def work(_: object) -> Answer:
        raise ZeroDivisionError("a bug")

    async with (
        Server() as server,
        opened(server, device(WELL)) as here,
        taking(here, WELL) as (well,),
    ):
        with pytest.raises(ZeroDivisionError):
            await here.errand(work, paced=False, longest=timedelta(seconds=1))
        await well.next(2)

"""A search of real lines: who is found, and what is said about those that are not."""

import argparse
import asyncio
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from agent.clock import Clock
from agent.interfaces import Context, Unavailable
from agent.memory import MemoryFile
from drivers import modbus
from drivers.modbus.identity import Sign
from drivers.modbus.point import PointSettings
from drivers.modbus.profile import Profile
from drivers.modbus.settings import LinkSettings
from drivers.modbus.technician import tools
from drivers.modbus.technician.scan import FIRST_ASKED, UNLIKELY, Place
from drivers.modbus.technician.search import Searching
from drivers.modbus.values.registers import Table, Type
from tests.emulators.modbus import SerialGateway, Server, good, id_zero, late, nothing, refuses, register
from tests.emulators.serial_line import SerialLine, right

LIMIT_S = 30
FAST = 0.2
"""Seconds: no answer of a healthy loopback takes so long, even on a busy machine."""


class Told:
    """Everything that a search says."""

    def __init__(self):
        self.begun, self.steps, self.units, self.said = [], [], [], []

    def begins(self, line, words, longest_s):
        self.begun.append((line, words, longest_s))

    def goes_on(self, words, done, of):
        assert done < of
        self.steps.append(words)

    def found(self, link, found):
        self.units.append(found.device["unit_id"])
        self.found_first = getattr(self, "found_first", found)
        self.link = link

    def remarks(self, words):
        self.said.append(words)


@asynccontextmanager
async def visit(place) -> AsyncIterator[object]:
    async with modbus.open(place, Context(Clock(), MemoryFile().part("scan"))) as link:
        yield link


async def search(port, units, *, timeout_s=FAST, asked=FIRST_ASKED, told=None):
    told = told or Told()
    place = LinkSettings(
        id="line-1",
        driver="modbus",
        host="127.0.0.1",
        port=port,
        timeout=timedelta(seconds=timeout_s),
        devices=(),
    )
    async with asyncio.timeout(LIMIT_S):
        await Searching(places=(place,), units=units, asked=asked, visit=visit, search=told).run()
    return told


async def test_whoever_answers_is_found_with_data_or_with_a_refusal():
    """The silent and the gateway's exceptions are nobody, and asked once; who is there is asked what it is, too."""
    scripts = {2: [good], 5: [refuses(0x02)], 7: [refuses(0x04)]}
    async with Server(scripts, default=refuses(0x0B)) as server:
        told = await search(server.port, tuple(range(1, 10)))
    assert told.units == [2, 5, 7]
    assert told.begun == [(f"127.0.0.1:{server.port}", "9 unit ids", pytest.approx(9 * FAST))]
    assert told.steps == [f"unit {unit}" for unit in range(1, 10)]
    assert told.link == {"id": "line-1", "driver": "modbus", "host": "127.0.0.1", "port": server.port}
    assert told.found_first.device == {"id": "unit-2", "unit_id": 2}
    assert all(server.requests[unit] == 1 for unit in range(1, 10) if unit not in scripts)
    assert not told.said


async def test_a_device_that_answers_to_every_unit_id_is_said_to():
    """After three unlikely ids it is clear, and the other 240 are not asked."""
    async with Server() as server:
        told = await search(server.port, tuple(range(1, 248)))
    assert told.units == [1]
    assert set(server.requests) == {1, *UNLIKELY}
    assert "answers to every unit id" in told.said[0]


async def test_a_gateway_that_answers_for_everybody_points_to_its_serial_side():
    """Exceptions 0A and 0B: TCP is fine."""
    async with Server(default=refuses(0x0B)) as server:
        told = await search(server.port, (1, 2, 3))
    assert told.units == []
    assert "TCP is fine" in told.said[0]


async def test_silence_says_what_to_try():
    """A wrong parity behind the gateway and no device at all look alike, and both are named."""
    async with Server(default=nothing) as server:
        told = await search(server.port, (1, 2))
    (words,) = told.said
    assert "parity" in words
    assert "power" in words


async def test_a_gateway_that_waits_longer_than_we_do_hides_nobody():
    """Its line is held up by each silent unit, and answers come late: then more time is given, and all are asked again."""
    units = (1, 2, 3, 4, 5)
    gateway = SerialGateway([unit for unit in range(256) if unit not in {3, 5}], hold_s=0.25)
    async with Server(default=gateway) as server:
        told = await search(server.port, units, timeout_s=0.1)
    assert sorted(told.units) == [3, 5]
    assert any("Answers come late" in words for words in told.said)


async def test_a_line_without_transaction_ids_is_searched_too():
    """No late answer passes for another's: what the fence forbids is asked for another length."""
    scripts = {3: [id_zero], 4: [late(1.5 * FAST, id_zero), id_zero]}
    async with Server(scripts, default=nothing) as server:
        asked = (Place(Table.HOLDING, 0), Place(Table.HOLDING, 100))
        told = await search(server.port, (1, 2, 3, 4), asked=asked)
    assert told.units[0] == 3


async def test_a_device_that_is_silent_where_it_should_refuse_is_found_at_another_address():
    """The addresses are tried one after the other."""

    async def picky(request):
        if request.address == 40:
            await good(request)

    async with Server({6: [picky]}, default=nothing) as server:
        assert (await search(server.port, (6,))).units == []
        asked = (Place(Table.HOLDING, 0), Place(Table.INPUT, 40))
        assert (await search(server.port, (6,), asked=asked)).units == [6]


async def test_a_port_where_nobody_listens_is_unavailable():
    """Said with the address, at once."""
    async with Server() as server:
        port = server.port
    with pytest.raises(Unavailable, match=f"127.0.0.1:{port}"):
        await search(port, (1, 2))


async def test_what_was_found_is_known_when_the_search_is_cut_short():
    """Whoever listens has heard of it by then."""
    found = asyncio.Event()
    told = Told()
    listed = told.found
    told.found = lambda link, one: (listed(link, one), found.set())
    async with Server({1: [good]}, default=nothing) as server:
        task = asyncio.create_task(search(server.port, (1, 2, 3), timeout_s=20, told=told))
        async with asyncio.timeout(LIMIT_S):
            await found.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert told.units == [1]


# --- serial lines ----------------------------------------------------------------------------------------------


def serial_places(port, **more):
    """The line at every usual speed and parity, as the command line gives it."""
    parser = argparse.ArgumentParser()
    tools.add_place(parser)
    words = ["--serial", str(port), "--timeout", "100ms"]
    for name, value in more.items():
        words += [f"--{name}", value]
    return tools.places(parser.parse_args(words))


async def search_serial(places, units):
    told = Told()
    async with asyncio.timeout(LIMIT_S):
        await Searching(places=places, units=units, asked=FIRST_ASKED, visit=visit, search=told).run()
    return told


def set_to(line):
    """The speed that the port is open with, as the line's other end would hear it; a pseudo-terminal has no parity."""
    speed = termios.tcgetattr(line._slave)[4]
    return {termios.B9600: 9600, termios.B19200: 19200, termios.B2400: 2400}[speed]


async def test_speed_and_parity_of_a_serial_line_are_found():
    """At any other, garbage comes; where somebody answers the other units are asked too, and no other setting."""
    asked = []

    def answer(request):
        asked.append((set_to(line), request[0]))
        if set_to(line) != 19200:
            return [(0.0, b"\xfe\x00")]
        return right_if({5, 30}, request)

    async with SerialLine(answer) as line:
        places = serial_places(line.port, speeds="2400,9600,19200", parities="none")
        told = await search_serial(places, (*range(1, 6), 30, 31))
    assert told.units == [5, 30]
    assert told.link["serial"] == {"port": str(line.port), "speed": 19200}
    assert [speed for speed, unit in asked if unit == 1] == [9600, 19200]
    assert told.begun[0][0] == f"{line.port} at 9600 8N1"
    assert "3 speeds and parities" in told.said[0]
    assert any("Something answered that cannot be read" in words for words in told.said)


async def test_silence_on_a_serial_line_says_what_to_try():
    """A wrong parity and no device at all are alike: both are named, with the options that try more."""
    async with SerialLine(lambda request: []) as line:
        told = await search_serial(serial_places(line.port, speeds="9600", parities="none,even"), (1, 2))
    assert told.units == []
    assert "not even garbage" in told.said[-1]
    assert "--parities" in told.said[-1]


async def test_a_serial_port_that_is_not_there_is_unavailable(tmp_path):
    """In words, and at once."""
    with pytest.raises(Unavailable, match="is the adapter plugged in"):
        await search_serial(serial_places(tmp_path / "ttyUSB9", speeds="9600"), (1,))


async def test_a_slow_device_is_found_and_never_passes_for_another():
    """No quiet is kept between unit ids: a late answer shows by its own, and more time is given."""

    def answer(request):
        return [(0.15, right(request))] if request[0] == 1 else []

    async with SerialLine(answer) as line:
        told = await search_serial(serial_places(line.port, speeds="9600", parities="none"), (1, 2, 3))
    assert told.units == [1]


def right_if(units, request):
    """The right answer of these units, and silence of the others."""
    return [(0.0, right(request))] if request[0] in units else []


# --- known types -----------------------------------------------------------------------------------------------


async def test_a_known_type_is_named_and_written_with_its_profile(monkeypatch):
    """By what it holds in the registers that the profile names."""
    point = PointSettings(name="a", table=Table.INPUT, address=0, register_type=Type.UINT16)
    sign = Sign(table=Table.INPUT, address=11, values=(register(3, 11),))
    profile = Profile(
        manufacturer="Maker", model="M1", source=("a list",), verified="no", points=(point,), identity=(sign,)
    )
    monkeypatch.setattr("drivers.modbus.technician.search.profiles", lambda: {"maker-m1": profile})
    told = Told()
    whats = []
    noted = told.found
    told.found = lambda link, found: (noted(link, found), whats.append(found.what))
    async with Server({3: [good], 4: [good]}, default=refuses(0x0B)) as server:
        await search(server.port, (3, 4), told=told)
    assert whats == ["Maker M1 (maker-m1)", "type not known (data at holding:0)"]
    assert told.found_first.device == {"id": "unit-3", "unit_id": 3, "profile": "maker-m1"}

"""A link over a serial port: pseudo-terminals, whose other end misbehaves as lines do. And the same over TCP."""

from __future__ import annotations

import asyncio
import errno
import random
import subprocess
import sys
import termios
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import serial
from structlog.testing import capture_logs

from agent.clock import Clock
from agent.interfaces import Context, Unavailable
from agent.memory import MemoryFile
from agent.sample import Reason
from drivers.modbus import open as open_link
from drivers.modbus.line.ends import FramingKind, Parity, Rs485, Serial
from drivers.modbus.point import PointSettings
from drivers.modbus.settings import DeviceSettings, LinkSettings
from drivers.modbus.values.registers import Table, Type
from tests.emulators.modbus import register
from tests.emulators.serial_line import SerialLine, good, right, sealed, stream

LIMIT_S = 30.0
POINTS = tuple(
    PointSettings(name=f"at-{address}", table=Table.HOLDING, address=address, register_type=Type.UINT16)
    for address in (10, 11, 200)
)


def device(unit: int, timeout_s: float = LIMIT_S) -> DeviceSettings:
    return DeviceSettings(
        id=f"unit-{unit}",
        unit_id=unit,
        points=POINTS,
        interval=timedelta(seconds=0.1),
        timeout=timedelta(seconds=timeout_s),
    )


def link(end: Path | int, *devices: DeviceSettings, **arguments) -> LinkSettings:
    """To a serial port, or over TCP to a port that speaks RTU."""
    where = (
        {"serial": Serial(port=end, speed=115_200)}
        if isinstance(end, Path)
        else {"host": "127.0.0.1", "port": end, "framing": FramingKind.RTU}
    )
    return LinkSettings(
        id="line", driver="modbus", devices=devices, quiet=timedelta(seconds=0.05), **where, **arguments
    )


def opened(settings: LinkSettings):
    return open_link(settings, Context(Clock(), MemoryFile().part("test")))


@asynccontextmanager
async def ends(kind: str, answer):
    """The end of a line of either kind."""
    if kind == "serial":
        async with SerialLine(answer) as line:
            yield line.port
    else:
        async with stream(answer) as port:
            yield port


async def take(here, name: str, count: int = 1, wanted=lambda _: True):
    """So many samples of a device that are wanted."""
    async with asyncio.timeout(LIMIT_S), aclosing(here.source(name)) as samples:
        taken = []
        while len(taken) < count:
            sample = await anext(samples)
            taken += [sample] if wanted(sample) else []
        return taken


def values(unit: int):
    return tuple(register(unit, address) for address in (10, 11, 200))


@pytest.mark.parametrize("kind", ["serial", "rtu over tcp"])
async def test_readings_come_over_the_line(kind):
    """Several units, several blocks, each its own values."""
    async with ends(kind, good) as end, opened(link(end, device(1), device(2))) as here:
        for unit in (1, 2):
            assert [sample.values for sample in await take(here, f"unit-{unit}", 3)] == [values(unit)] * 3


@pytest.mark.parametrize("kind", ["serial", "rtu over tcp"])
@pytest.mark.parametrize(
    "answer",
    [
        lambda request: [(0.0, b"\x00" + right(request))],
        lambda request: [(0.0, b"\xff\xfe\x00" + right(request)[:4]), (0.01, right(request)[4:])],
        lambda request: [(0.0, request + right(request))],
        lambda request: [(0.0, request), (0.005, right(request))],
        lambda request: [(i / 1000, bytes([byte])) for i, byte in enumerate(right(request))],
    ],
    ids=["glitch", "glitch and two pieces", "echo", "echo apart", "byte by byte"],
)
async def test_what_a_line_does_to_answers_costs_no_reading(kind, answer):
    """Noise before them, echoes, pieces: the values are there, and no others."""
    async with ends(kind, answer) as end, opened(link(end, device(1))) as here:
        assert [sample.values for sample in await take(here, "unit-1", 3)] == [values(1)] * 3
        assert here.counts["timeouts"] == 0


@pytest.mark.parametrize("kind", ["serial", "rtu over tcp"])
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda _: [], Reason.TIMEOUT),
        (lambda request: [(0.0, sealed(bytes([request[0], request[1] | 0x80, 4])))], Reason.DEVICE_FAILURE),
        (lambda request: [(0.0, right(request)[:-3])], Reason.COMMUNICATION_ERROR),
        (lambda request: [(0.0, right(request)[:-1] + b"\x00" * 9)], Reason.COMMUNICATION_ERROR),
        (lambda request: [(0.0, right(bytes([9]) + request[1:]))], Reason.COMMUNICATION_ERROR),
        (lambda request: [(0.0, right(request) * 2)], Reason.COMMUNICATION_ERROR),
        (lambda _: [(0.0, b"\xf8\x00\xff")], Reason.COMMUNICATION_ERROR),
    ],
    ids=["silent", "refuses", "truncated", "wrong checksum", "another unit", "twice", "garbage"],
)
async def test_a_hostile_answer_is_a_bad_reading_with_its_reason(kind, answer, reason):
    """Never a value; and the unit beside it goes on."""

    def one_bad(request: bytes):
        return answer(request) if request[0] == 1 else good(request)

    async with ends(kind, one_bad) as end, opened(link(end, device(1, 0.2), device(2))) as here:
        (bad,) = await take(here, "unit-1", wanted=lambda sample: sample.reasons)
        assert set(bad.reasons) == {reason}
        assert set(bad.values) == {None}
        assert [sample.values for sample in await take(here, "unit-2", 3)] == [values(2)] * 3


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["serial", "rtu over tcp"])
async def test_late_answers_are_never_booked(kind):
    """Answers come after anything up to the time limit and the quiet; what is booked is right."""
    chance = random.Random(7)
    limit_s, quiet_s = 0.03, 0.05

    def late(request: bytes):
        return [(chance.choice([0.0] * 5 + [chance.uniform(0, limit_s + quiet_s * 0.9)]), right(request))]

    async with ends(kind, late) as end, opened(link(end, *(device(n, limit_s) for n in (1, 2, 3)))) as here:
        for unit in (1, 2, 3):
            good_ones = await take(here, f"unit-{unit}", 5, wanted=lambda sample: not sample.reasons)
            assert {sample.values for sample in good_ones} == {values(unit)}


async def test_a_port_has_one_owner():
    """A second link is told who has it, and disturbs nothing."""
    async with SerialLine() as line, opened(link(line.port, device(1))) as here:
        with pytest.raises(Unavailable, match="this program itself, for another link, has it open"):
            async with opened(link(line.port, device(2))):
                pass
        assert [sample.values for sample in await take(here, "unit-1")] == [values(1)]


async def test_a_port_that_is_not_there_is_said_to_be():
    """Nothing to be done but to plug it in: it is tried again."""
    with pytest.raises(Unavailable, match="no such port: is the adapter plugged in"):
        async with opened(link(Path("/dev/serial/by-id/usb-nothing"), device(1))):
            pass
    with pytest.raises(Unavailable, match="no serial port"):
        async with opened(link(Path("/dev/null"), device(1))):
            pass


async def test_an_adapter_that_is_pulled_out_loses_the_link():
    """Whoever waits for samples is told at once, also while nothing is asked."""
    async with SerialLine() as line:
        with pytest.raises(Unavailable, match="pulled out"):  # noqa: PT012  # it may be found at either place
            async with opened(link(line.port, device(1))) as here:
                await take(here, "unit-1")
                line.unplug()
                await take(here, "unit-1", 1_000)


async def test_an_adapter_that_is_plugged_in_again_comes_back(tmp_path):
    """Under its lasting name, whatever the kernel calls it now."""
    port = tmp_path / "usb-adapter"
    async with SerialLine() as line:
        port.symlink_to(line.port)
        with pytest.raises(Unavailable, match=f"{port}: the port is gone"):  # noqa: PT012  # at either place
            async with opened(link(port, device(1))) as here:
                await take(here, "unit-1")
                line.unplug()
                port.unlink()
                await take(here, "unit-1", 1_000)
    with pytest.raises(Unavailable, match="no such port"):
        async with opened(link(port, device(1))):
            pass
    async with SerialLine() as line:
        port.symlink_to(line.port)
        async with opened(link(port, device(1))) as here:
            assert [sample.values for sample in await take(here, "unit-1")] == [values(1)]


async def test_whoever_has_the_port_is_named():
    """Another program, with its process, so that it can be stopped."""
    lock = (
        "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print(); sys.stdin.read()"
    )
    async with SerialLine() as line:
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", lock, line.port), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert program.stdin
        assert program.stdout
        await asyncio.wait_for(program.stdout.readline(), LIMIT_S)
        with pytest.raises(
            Unavailable, match=rf"python\S* \(process {program.pid}\) has it open: stop that one"
        ):
            async with opened(link(line.port, device(1))):
                pass
        program.stdin.close()
        await asyncio.wait_for(program.wait(), LIMIT_S)


async def test_a_driver_that_does_not_switch_the_direction_is_said_to():
    """A pseudo-terminal is such a one; the remedy is in the words."""
    async with SerialLine() as line:
        settings = LinkSettings(
            id="line", driver="modbus", serial=Serial(port=line.port, rs485=Rs485()), devices=(device(1),)
        )
        with pytest.raises(Unavailable, match="its driver knows no RS-485 mode: leave `rs485` out"):
            async with opened(settings):
                pass


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_slow_line_has_its_silences(loop):
    """Three and a half characters between an answer and the next question, and before the first: never less."""
    factory = asyncio.new_event_loop if loop == "asyncio" else pytest.importorskip("uvloop").new_event_loop

    async def listen() -> list[tuple[str, int]]:
        heard: list[tuple[str, int]] = []
        async with SerialLine() as line:
            settings = LinkSettings(
                id="line",
                driver="modbus",
                serial=Serial(port=line.port, speed=9600, parity=Parity.EVEN),
                devices=(device(1), device(2)),
            )
            heard.append(("received", Clock().monotonic_ns()))
            async with opened(settings) as here:
                here.tap = lambda what, _, ns: heard.append((what, ns))
                for unit in (1, 2):
                    await take(here, f"unit-{unit}", 3)
        return heard

    with asyncio.Runner(loop_factory=factory) as runner:
        heard = runner.run(listen())
    gaps = [later - before for (_, before), (what, later) in pairwise(heard) if what == "sent"]
    assert len(gaps) >= 6
    assert min(gaps) >= 3.5 * 11 / 9600 * 1e9


async def test_an_answer_has_the_time_that_its_bytes_take():
    """A time limit is for the device's thinking: on a slow line question and answer take longer than that."""

    def slow(request: bytes):
        return [(0.25, right(request))]

    async with SerialLine(slow) as line:
        settings = LinkSettings(
            id="line",
            driver="modbus",
            serial=Serial(port=line.port, speed=600),
            devices=(device(1, timeout_s=0.05),),
        )
        async with opened(settings) as here:
            assert [sample.values for sample in await take(here, "unit-1")] == [values(1)]
            assert here.counts["timeouts"] == 0


async def test_another_master_is_said_once():
    """Frames of somebody else between ours, three times: a warning that says what to do."""
    with capture_logs() as logs:
        async with SerialLine() as line, opened(link(line.port, device(1))) as here:
            async with asyncio.timeout(LIMIT_S), aclosing(here.source("unit-1")) as samples:
                async for _ in samples:
                    line.say(sealed(b"\x09\x03\x02\x00\x07"))
                    if here.counts["overheard"] > 5:
                        break
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == ["link.other_master"]


def test_a_line_has_the_clock_of_its_settings():
    """Eleven bits a character with parity, or ten; three and a half of them apart, but never less than 1.75 ms."""
    slow = Serial(port=Path("/dev/x"), speed=9600, parity=Parity.EVEN).line_time(FramingKind.RTU)
    assert slow.of(8) == 8 * 11 * 1_000_000_000 // 9600
    assert slow.silence_ns == pytest.approx(3.5 * 11 / 9600 * 1e9, abs=1)
    assert Serial(port=Path("/dev/x"), speed=115_200).line_time(FramingKind.RTU).silence_ns == 1_750_000


async def test_an_adapter_that_is_pulled_out_while_it_is_opened(monkeypatch):
    """The link cannot be had now; nothing stays open."""

    def gone(*_):
        raise termios.error(errno.EIO, "Input/output error")

    async with SerialLine() as line:
        monkeypatch.setattr(termios, "tcgetattr", gone)
        monkeypatch.setattr(serial.Serial, "_reconfigure_port", lambda *_, **__: None)
        with pytest.raises(Unavailable, match="Input/output error"):
            async with opened(link(line.port, device(1))):
                pass
        monkeypatch.undo()
        async with opened(link(line.port, device(1))) as here:
            assert [sample.values for sample in await take(here, "unit-1")] == [values(1)]

"""Emulated devices on every kind of link, and what the agent reads from them, well-behaved and not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from agent.clock import Clock
from agent.faults import order
from agent.interfaces import Context, Unavailable
from agent.memory import MemoryFile
from agent.sample import Reason
from drivers.modbus import emulate
from drivers.modbus import open as open_link
from drivers.modbus.emulation.ear import SILENCE_S
from drivers.modbus.line.ends import FramingKind, Parity, Serial, Tls, Transport
from drivers.modbus.point import PointSettings
from drivers.modbus.settings import DeviceSettings, LinkSettings
from drivers.modbus.values.registers import Table, Type
from tests.emulators.certificates import Authority
from tests.emulators.ports import free_port

LIMIT_S = 30.0
SOON = timedelta(milliseconds=150)
"""A time limit for answers that are not to come."""


def device(unit: int, timeout: timedelta | None = None) -> DeviceSettings:
    points = (
        PointSettings(name="power", table=Table.INPUT, address=4, register_type=Type.FLOAT32, unit="W"),
        PointSettings(name="setpoint", table=Table.HOLDING, address=9, register_type=Type.UINT16),
        PointSettings(name="pump", table=Table.COIL, address=1),
    )
    return DeviceSettings(
        id=f"unit-{unit}",
        unit_id=unit,
        points=points,
        interval=timedelta(seconds=0.1),
        timeout=timeout or timedelta(seconds=LIMIT_S),
    )


WAYS = {
    "tcp": {},
    "udp": {"transport": Transport.UDP},
    "rtu over tcp": {"framing": FramingKind.RTU},
    "ascii over tcp": {"framing": FramingKind.ASCII},
    "rtu over udp": {"framing": FramingKind.RTU, "transport": Transport.UDP},
}
EVERY_WAY = [*WAYS, "serial rtu", "serial ascii"]


def link(way: str, folder: Path, *devices: DeviceSettings, **more) -> LinkSettings:
    """Two devices on a link of this kind."""
    devices = devices or (device(1), device(2))
    if way in WAYS:
        where = {"host": "127.0.0.1", "port": free_port(), **WAYS[way]}
    else:
        where = {
            "serial": Serial(port=folder / "line-1", speed=115_200),
            "framing": FramingKind(way.removeprefix("serial ")),
        }
    return LinkSettings(id="line-1", driver="modbus", devices=devices, **{**where, **more})


@asynccontextmanager
async def opened(settings: LinkSettings):
    async with open_link(settings, Context(Clock(), MemoryFile().part("test"))) as here:
        yield here


async def take(here, name: str, wanted=lambda _: True):
    """The next sample of a device that is wanted."""
    async with asyncio.timeout(LIMIT_S), aclosing(here.source(name)) as samples:
        while not wanted(sample := await anext(samples)):
            pass
        return sample


def good(sample) -> bool:
    return not sample.reasons


@pytest.mark.parametrize("way", EVERY_WAY)
async def test_every_kind_of_link_is_served_and_read(way, tmp_path):
    """With every value in its range, for each unit its own."""
    settings = link(way, tmp_path)
    async with emulate(settings, Clock()) as served, opened(settings) as here:
        assert served.address == settings.address
        for name in ("unit-1", "unit-2"):
            sample = await take(here, name)
            assert good(sample)
            power, setpoint, _ = sample.values
            assert 500 < power < 6000
            assert setpoint == 1
        assert here.counts["malformed"] == here.counts["foreign"] == 0


@pytest.mark.parametrize("way", EVERY_WAY)
async def test_what_the_agent_writes_it_reads_back(way, tmp_path):
    """A register and a coil, over every kind of link."""
    settings = link(way, tmp_path)
    async with emulate(settings, Clock()), opened(settings) as here, asyncio.timeout(LIMIT_S):
        for point, value in (("setpoint", 4711), ("pump", True), ("pump", False)):
            written = await here.write("unit-1", point, value, until_ns=1 << 62)
            assert written.found == value
        assert (await take(here, "unit-1")).values[1:] == (4711, False)
        assert (await take(here, "unit-2")).values[1] == 1


@pytest.mark.parametrize("mutual", [False, True], ids=["server", "both"])
async def test_tls_is_served_with_a_certificate_that_is_given(mutual, tmp_path):
    """And the agent is asked for its own, if it has one."""
    authority = Authority(tmp_path)
    certificate, key = authority.server("IP:127.0.0.1")
    own, own_key = authority.server("DNS:gateway")
    both = tmp_path / "device.pem"
    both.write_text(certificate.read_text() + key.read_text())
    tls = Tls(
        ca_file=authority.file,
        certificate_file=own if mutual else None,
        key_file=own_key if mutual else None,
    )
    settings = link("tcp", tmp_path, tls=tls)
    async with emulate(settings, Clock(), certificate=both), opened(settings) as here:
        assert good(await take(here, "unit-1"))
        if mutual:
            stranger = replace(settings, tls=Tls(ca_file=authority.file))
            with contextlib.suppress(Unavailable):  # TLS 1.3 tells it after the first question
                async with opened(stranger) as there:
                    assert not good(await take(there, "unit-1"))


async def test_tls_without_a_certificate_is_refused(tmp_path):
    """Nobody would trust such a device."""
    with pytest.raises(Unavailable, match="line-1: its devices need a certificate"):
        async with emulate(link("tcp", tmp_path, tls=Tls()), Clock()):
            pass


# --- what goes wrong -------------------------------------------------------------------------------------------

BAD = {Reason.COMMUNICATION_ERROR, Reason.TIMEOUT}


@pytest.mark.parametrize("way", ["tcp", "rtu over tcp", "serial rtu"])
@pytest.mark.parametrize(
    ("words", "reasons"),
    [
        ("silent", {Reason.TIMEOUT}),
        ("late 30s", {Reason.TIMEOUT}),
        ("slow 10s", BAD),
        ("exception 4", {Reason.DEVICE_FAILURE}),
        ("exception 0x0B", {Reason.NOT_CONNECTED}),
        ("wrong-unit", BAD),
        ("noise", BAD),
        ("truncated", BAD),
    ],
)
async def test_a_fault_of_a_device_is_a_bad_reading_and_its_neighbour_is_well(way, words, reasons, tmp_path):
    """No value and a reason; and all is well again when the fault is taken back."""
    settings = link(way, tmp_path, device(1, SOON), device(2), quiet=2 * SOON)
    async with emulate(settings, Clock()) as served, opened(settings) as here:
        assert good(await take(here, "unit-1"))
        served.inflict(*order(f"unit-1 {words}"))
        sample = await take(here, "unit-1", lambda sample: not good(sample))
        assert set(sample.values) == {None}
        assert {Reason(reason) for reason in sample.reasons} <= reasons
        assert good(await take(here, "unit-2", good))
        served.inflict(*order("unit-1 good"))
        assert good(await take(here, "unit-1", good))


@pytest.mark.parametrize(
    ("way", "words", "reason"),
    [
        ("tcp", "wrong-id", Reason.COMMUNICATION_ERROR),
        ("rtu over tcp", "duplicate", Reason.COMMUNICATION_ERROR),
        ("serial rtu", "duplicate", Reason.COMMUNICATION_ERROR),
    ],
)
async def test_a_fault_that_only_some_links_have(way, words, reason, tmp_path):
    """Where frames have ids, an answer with another is foreign; where they have none, nobody knows which of two it is."""
    settings = link(way, tmp_path, device(1, SOON), device(2), quiet=2 * SOON)
    async with emulate(settings, Clock()) as served, opened(settings) as here:
        served.inflict(*order(f"unit-1 {words}"))
        sample = await take(here, "unit-1", lambda sample: not good(sample))
        assert reason in {Reason(each) for each in sample.reasons}
        assert good(await take(here, "unit-2", good))


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("tcp", "no-id"),
        ("tcp", "slow 1ms"),
        ("tcp", "late 1ms..20ms"),
        ("tcp", "duplicate"),
        ("serial rtu", "echo"),
        ("rtu over tcp", "echo"),
        ("serial rtu", "slow 1ms"),
        ("serial ascii", "slow 1ms"),
        ("serial rtu", "baud-true 2ms"),
        ("serial ascii", "baud-true"),
    ],
)
async def test_what_a_line_does_to_answers_costs_no_reading(way, words, tmp_path):
    """What the agent is built to live with: every sample of the whole link is good."""
    settings = link(way, tmp_path)
    async with emulate(settings, Clock()) as served, opened(settings) as here:
        served.inflict(*order(f"line-1 {words}"))
        for _ in range(3):
            for name in ("unit-1", "unit-2"):
                assert good(await take(here, name))


async def test_a_unit_answers_in_the_order_of_the_questions(tmp_path):
    """However late it is with the first; another unit does not wait for it."""
    settings = link("tcp", tmp_path)
    ask = "00{:02x} 0000 0006 {:02x} 03 0009 0001".format
    async with emulate(settings, Clock()) as served, asyncio.timeout(LIMIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", settings.port)
        served.inflict(*order("unit-1 late 50ms"))
        writer.write(bytes.fromhex(ask(1, 1)))
        writer.write(bytes.fromhex(ask(2, 2)))
        assert (await reader.readexactly(11))[1] == 2
        served.inflict(*order("unit-1 late 0ms"))
        writer.write(bytes.fromhex(ask(3, 1)))
        assert [(await reader.readexactly(11))[1] for _ in range(2)] == [1, 3]
        writer.close()
        await writer.wait_closed()


async def test_on_a_line_that_is_baud_true_an_exchange_takes_as_long_as_on_a_wire(tmp_path):
    """Question, silence, the time that the device thinks, and answer: never less."""
    settings = link("serial rtu", tmp_path, device(1))
    settings = replace(settings, serial=replace(settings.serial, speed=2400))
    line = settings.line_time
    async with emulate(settings, Clock()) as served, opened(settings) as here:
        served.inflict(*order("line-1 baud-true 30ms"))
        assert good(await take(here, "unit-1"))
        last = 7  # characters of the answer to the last of its questions, one register
        assert here.devices["unit-1"]["answer_ms"] >= (line.of(8 + last) + line.silence_ns) / 1e6 + 30


@pytest.mark.parametrize(
    ("way", "words", "event"),
    [
        ("serial rtu", "foreign", "link.other_master"),
        ("rtu over tcp", "foreign", "link.other_master"),
        ("tcp", "foreign", "link.dropped"),
        ("serial rtu", "echo", "link.hears_itself"),
        ("tcp", "no-id", "link.without_ids"),
    ],
)
async def test_what_is_odd_about_a_line_is_said_and_costs_no_reading(way, words, event, tmp_path):
    """In the log, for whoever looks after the line."""
    settings = link(way, tmp_path, quiet=SOON)
    with capture_logs() as logs:
        async with emulate(settings, Clock()) as served, opened(settings) as here:
            served.inflict(*order(f"line-1 {words}"))
            await take(here, "unit-1", lambda _: event in {entry["event"] for entry in logs})
            assert good(await take(here, "unit-2"))


@pytest.mark.parametrize(
    ("way", "words", "said"),
    [
        ("serial rtu", "unit-1 wrong-id", "wrong-id: link line-1 has no transaction ids"),
        ("rtu over tcp", "line-1 no-id", "no-id: link line-1 has no transaction ids"),
        ("tcp", "unit-1 echo", "echo: link line-1 has none"),
        ("tcp", "line-1 baud-true", "baud-true: link line-1 is no serial line"),
        ("serial rtu", "unit-1 baud-true", "baud-true: expected the link line-1, found the device unit-1"),
    ],
)
async def test_a_fault_that_a_link_cannot_have_is_refused_in_words(way, words, said, tmp_path):
    """Better than to do nothing in silence."""
    async with emulate(link(way, tmp_path), Clock()) as served:
        with pytest.raises(ValueError, match=said):
            served.inflict(*order(words))
        assert served.faults == {}


async def test_faults_add_up_until_all_is_good(tmp_path):
    """Of one kind the last holds; what is shown is what was said."""
    async with emulate(link("tcp", tmp_path), Clock()) as served:
        for words in ("unit-1 late 1s", "unit-1 truncated", "unit-1 late 2s", "line-1 no-id"):
            served.inflict(*order(words))
        shown = {name: [str(fault) for fault in faults] for name, faults in served.faults.items()}
        assert shown == {"unit-1": ["late:2s", "truncated"], "line-1": ["no-id"]}
        served.inflict(*order("unit-1 good"))
        assert set(served.faults) == {"line-1"}


# --- where it listens ------------------------------------------------------------------------------------------


async def test_a_serial_line_may_be_served_elsewhere(tmp_path):
    """At another path, or as RTU over TCP, while the configuration stays as it is."""
    settings = link("serial rtu", tmp_path)
    elsewhere = replace(settings.serial, port=tmp_path / "other")
    async with emulate(settings, Clock(), listen=str(elsewhere.port)) as served:
        assert served.address == str(elsewhere.port)
        async with opened(replace(settings, serial=elsewhere)) as here:
            assert good(await take(here, "unit-1"))
    port = free_port()
    async with (
        emulate(settings, Clock(), listen=f"127.0.0.1:{port}"),
        opened(replace(settings, serial=None, host="127.0.0.1", port=port)) as here,
    ):
        assert good(await take(here, "unit-1"))


@pytest.mark.parametrize("listen", ["", "localhost", "localhost:", "localhost:0", "localhost:99999", ":502x"])
async def test_a_place_that_is_none_is_said_to_be(listen, tmp_path):
    """Host and port, or a path."""
    with pytest.raises(Unavailable, match="line-1: expected HOST:PORT or a path"):
        async with emulate(link("tcp", tmp_path), Clock(), listen=listen):
            pass


async def test_a_link_with_ids_is_served_at_no_path(tmp_path):
    """Nobody would find it there."""
    with pytest.raises(Unavailable, match="line-1: expected HOST:PORT for a link with the framing tcp"):
        async with emulate(link("tcp", tmp_path), Clock(), listen=str(tmp_path / "line")):
            pass


async def test_a_port_that_is_there_is_not_touched(tmp_path):
    """Whatever stands at the path, perhaps the real adapter: it stays, and is not answered for."""
    settings = link("serial rtu", tmp_path)
    settings.serial.port.write_text("real")
    with pytest.raises(Unavailable, match=r"line-1: cannot stand in for .*line-1: there is something"):
        async with emulate(settings, Clock()):
            pass
    assert settings.serial.port.read_text() == "real"
    with pytest.raises(Unavailable, match="there is no folder"):
        async with emulate(settings, Clock(), listen=str(tmp_path / "nowhere" / "line")):
            pass


async def test_the_path_is_free_again_afterwards_and_after_a_kill(tmp_path):
    """A link that leads nowhere is what an emulation leaves behind that was killed: it is taken over."""
    settings = link("serial rtu", tmp_path)
    settings.serial.port.symlink_to("/dev/pts/999999")
    async with emulate(settings, Clock()), opened(settings) as here:
        assert good(await take(here, "unit-1"))
    assert list(tmp_path.iterdir()) == []


async def test_a_port_may_be_opened_again_and_again_with_the_same_settings(tmp_path):
    """With parity, too, of which a pseudo-terminal knows nothing."""
    settings = link("serial rtu", tmp_path)
    settings = replace(settings, serial=replace(settings.serial, parity=Parity.EVEN, stop_bits=2))
    async with emulate(settings, Clock()):
        for _ in range(3):
            async with opened(settings) as here:
                assert good(await take(here, "unit-1"))


async def test_a_question_may_come_in_pieces_and_half_of_one_is_forgotten(tmp_path):
    """A byte at a time; and after a silence another one is not taken for the rest of the first."""
    question = bytes.fromhex("01 04 0004 0002 300a")
    settings = link("rtu over tcp", tmp_path)
    async with emulate(settings, Clock()), asyncio.timeout(LIMIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", settings.port)
        for byte in question:
            writer.write(bytes([byte]))
            await writer.drain()
        assert len(await reader.readexactly(9)) == 9
        writer.write(question[:5])
        await asyncio.sleep(SILENCE_S * 1.5)
        writer.write(question)
        assert len(await reader.readexactly(9)) == 9
        writer.close()
        await writer.wait_closed()


async def test_hostile_datagrams_are_not_answered(tmp_path):
    """Empty ones, long ones, nonsense; the next question is."""
    settings = link("udp", tmp_path)
    async with emulate(settings, Clock()), opened(settings) as here:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for octets in (b"", b"\xff" * 5000, b"\0\1\0\0\0\2"):
                sender.sendto(octets, ("127.0.0.1", settings.port))
        assert good(await take(here, "unit-1"))

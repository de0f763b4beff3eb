"""The emulated link: real sockets, asked by pymodbus' own client, decoded as the driver decodes."""

import asyncio
import contextlib
import socket
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.constants import ExcCodes

from agent.clock import Clock
from agent.interfaces import Unavailable
from agent.sample import Reason
from drivers.modbus import DeviceSettings, LinkSettings, emulate, points
from drivers.modbus.emulation.image import Image
from drivers.modbus.point import PointSettings
from drivers.modbus.values.registers import Order, Table, Type

unhurried = settings(deadline=None)

NOON_S = 1_790_000_000.0


def point(name, address, **given_settings):
    defaults = {"table": Table.HOLDING, "register_type": Type.INT16}
    return PointSettings(name=name, address=address, **(defaults | given_settings))


DEVICES = (
    DeviceSettings(
        id="meter",
        unit_id=1,
        points=(
            point("voltage_l1", 0, register_type=Type.FLOAT32, order=Order.CDAB, unit="V", table=Table.INPUT),
            point(
                "energy", 4, register_type=Type.UINT64, scale=Fraction("0.01"), unit="kW.h", table=Table.INPUT
            ),
            point("room_temperature", 7, scale=Fraction("0.1"), unit="Cel"),
            point("running", 8, register_type=Type.BOOL, bit=3),
            point("filter_alarm", 8, register_type=Type.BOOL, bit=4),
        ),
        gap=2,
        max_count=60,
    ),
    DeviceSettings(
        id="relays",
        unit_id=2,
        points=tuple(point(f"relay_{at}", at, table=Table.COIL, register_type=None) for at in range(3, 20)),
    ),
)


@contextlib.asynccontextmanager
async def serving(devices=DEVICES):
    """A link with these devices on a free port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    link = LinkSettings(id="plant-room", driver="modbus", host="127.0.0.1", port=port, devices=devices)
    async with emulate(link, Clock()) as where:
        assert where.address == f"127.0.0.1:{port}"
        client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=20, retries=0)
        assert await client.connect()
        try:
            yield client, port
        finally:
            client.close()


async def sample(client, device):
    """Read a device by its plan; a dictionary of values by name."""
    values, reasons = [None] * len(points(device)), bytearray(len(points(device)))
    ask = {
        Table.COIL: client.read_coils,
        Table.DISCRETE: client.read_discrete_inputs,
        Table.INPUT: client.read_input_registers,
        Table.HOLDING: client.read_holding_registers,
    }
    for block in device.blocks:
        answer = await ask[block.table](block.address, count=block.count, device_id=device.unit_id)
        assert not answer.isError()
        block.decode(answer.encode()[1:], values, reasons)
    assert not any(reasons)
    return {made.name: value for made, value in zip(points(device), values, strict=True)}


async def test_what_is_configured_is_served_and_decodes_to_plausible_values():
    """All tables, orders and types over a real connection; numbers in the range of what their names say."""
    async with serving() as (client, _):
        meter = await sample(client, DEVICES[0])
        assert 225 < meter["voltage_l1"] < 237
        assert meter["energy"] > 0
        assert 18 < meter["room_temperature"] < 24
        assert meter["filter_alarm"] is False
        relays = await sample(client, DEVICES[1])
        assert len(relays) == 17
        assert {type(state) for state in relays.values()} == {bool}


async def test_a_counter_rises_while_it_is_watched():
    """The second look is never below the first."""
    async with serving() as (client, _):
        first = await sample(client, DEVICES[0])
        second = await sample(client, DEVICES[0])
        assert second["energy"] >= first["energy"]


@pytest.mark.parametrize(
    ("address", "count", "unit", "code"),
    [
        (0, 2, 1, None),
        (2, 2, 1, None),  # the gap that the plan reads across
        (2, 7, 1, ExcCodes.ILLEGAL_ADDRESS),
        (100, 1, 1, ExcCodes.ILLEGAL_ADDRESS),
        (0, 61, 1, ExcCodes.ILLEGAL_VALUE),
        (0, 2, 9, ExcCodes.GATEWAY_NO_RESPONSE),
    ],
)
async def test_what_is_not_served_is_answered_with_the_exception_for_it(address, count, unit, code):
    """02 outside of the planned blocks, 03 beyond the device's count, 0B for a unit that nobody is."""
    async with serving() as (client, _):
        answer = await client.read_input_registers(address, count=count, device_id=unit)
        assert (answer.exception_code or None) == code


async def test_what_is_written_is_kept_and_read_back():
    """Registers and bits, one and several, by every function; the other bits of a masked register stay."""
    async with serving() as (client, _):
        await client.write_register(7, 0x1234, device_id=1)
        await client.write_registers(7, [0x0102, 0xFF00], device_id=1)
        await client.mask_write_register(address=8, and_mask=0x0FFF, or_mask=0x5000, device_id=1)
        answer = await client.read_holding_registers(7, count=2, device_id=1)
        assert answer.registers == [0x0102, 0x5F00]
        await client.write_coil(3, value=True, device_id=2)
        await client.write_coils(4, [False, True, True], device_id=2)
        answer = await client.read_coils(3, count=4, device_id=2)
        assert answer.bits[:4] == [True, False, True, True]


@pytest.mark.parametrize(
    ("write", "code"),
    [
        (lambda client: client.write_register(100, 1, device_id=1), ExcCodes.ILLEGAL_ADDRESS),
        (lambda client: client.write_coil(7, value=True, device_id=1), ExcCodes.ILLEGAL_ADDRESS),
        (lambda client: client.write_register(7, 1, device_id=9), ExcCodes.GATEWAY_NO_RESPONSE),
        (
            lambda client: client.readwrite_registers(read_address=7, read_count=1, values=[1], device_id=1),
            ExcCodes.ILLEGAL_FUNCTION,
        ),
    ],
)
async def test_what_cannot_be_written_is_answered_with_the_exception_for_it(write, code):
    """02 where there is nothing, 01 for a function that nobody has, 0B for a unit that nobody is."""
    async with serving() as (client, _):
        assert (await write(client)).exception_code == code


REQUEST = bytes.fromhex("000100000006010400000002")
ANSWER_SIZE = 9 + 4


async def test_frames_may_come_in_any_pieces():
    """A byte at a time, and three requests in one segment: each is answered, in order, with its transaction id."""
    async with serving() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(20):
            for byte in REQUEST:
                writer.write(bytes([byte]))
                await writer.drain()
            assert (await reader.readexactly(ANSWER_SIZE))[:9] == bytes.fromhex("000100000007010404")
            writer.write(b"".join(bytes([0, number]) + REQUEST[2:] for number in (7, 8, 9)))
            answers = [await reader.readexactly(ANSWER_SIZE) for _ in range(3)]
            assert [answer[1] for answer in answers] == [7, 8, 9]
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        ("00010000000601040000007e", "000100000003018403"),  # 126 registers
        ("000100000006010400000000", "000100000003018403"),  # none
        ("00010000000201ff", "00010000000301ff01"),  # a function that nobody has
    ],
)
async def test_a_request_that_makes_no_sense_is_answered_and_the_connection_lives(sent, answered):
    """03 for an impossible count, 01 for an unknown function; the next request is served."""
    async with serving() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(20):
            writer.write(bytes.fromhex(sent))
            assert (await reader.readexactly(len(answered) // 2)).hex() == answered
            writer.write(REQUEST)
            assert len(await reader.readexactly(ANSWER_SIZE)) == ANSWER_SIZE
        writer.close()
        await writer.wait_closed()


async def test_a_client_that_speaks_no_modbus_is_dropped():
    """It cannot fill the memory."""
    async with serving() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(20):
            with contextlib.suppress(ConnectionError):
                writer.write(b"GET / HTTP/1.1\r\n" * 100)
                assert await reader.read() == b""
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_leaving_closes_the_connections_and_frees_the_port():
    """A second emulation of the same link can begin at once."""
    async with serving() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(20):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    link = LinkSettings(id="plant-room", driver="modbus", host="127.0.0.1", port=port, devices=DEVICES)
    async with emulate(link, Clock()):
        pass


async def test_an_address_that_cannot_be_had_is_said():
    """In use, not of this machine, not permitted: the operator reads which address, and why."""
    async with serving() as (_, port):
        link = LinkSettings(id="plant-room", driver="modbus", host="127.0.0.1", port=port, devices=DEVICES)
        with pytest.raises(Unavailable, match=f"plant-room: cannot listen at 127.0.0.1:{port}"):
            async with emulate(link, Clock()):
                pass


@unhurried
@given(
    type_=st.sampled_from([type_ for type_ in Type if type_ is not Type.BOOL]),
    scale=st.sampled_from(["1", "0.1", "-0.5", "100"]),
    unit=st.sampled_from(["Cel", "kW.h", "V", "[ppm]", "%", "W", None]),
    limits=st.sampled_from([(None, None), ("0", "10"), ("500", "501"), (None, "-3"), ("0.7", "0.9")]),
    time_s=st.floats(0, 4e9),
)
def test_whatever_is_configured_can_be_shown_and_is_good(type_, scale, unit, limits, time_s):
    """Too large for the registers, outside the limits, a sentinel: what is served is the nearest value that is good."""
    minimum, maximum = (None if limit is None else Fraction(limit) for limit in limits)
    try:
        made = point(
            "energy",
            0,
            register_type=type_,
            scale=Fraction(scale),
            unit=unit,
            minimum=minimum,
            maximum=maximum,
        )
    except ValueError:  # nothing that the registers hold lies within these limits
        return
    codec = made.codec(Order.ABCD)
    content = Image([DeviceSettings(id="d", points=(made,))]).read(Table.HOLDING, 0, type_.size, time_s)
    assert not isinstance(content, ExcCodes)
    assert not isinstance(codec.decode(content), Reason)


def test_a_sentinel_is_never_shown():
    """A state of 1 in a register where 1 means that there is no value is shown as the next one."""
    made = point("mode", 0, register_type=Type.UINT16, sentinels=(Fraction(1),))
    content = Image([DeviceSettings(id="d", points=(made,))]).read(Table.HOLDING, 0, 1, NOON_S)
    assert content == b"\x00\x02"


def test_devices_may_share_a_unit_id():
    """Points of one physical device, read at two intervals, are two devices here and one on the line."""
    slow = DeviceSettings(id="slow", points=(point("supply_temperature", 4, unit="Cel"),))
    fast = DeviceSettings(id="fast", points=(point("mode", 5),))
    image = Image([slow, fast])
    assert image.read(Table.HOLDING, 4, 2, NOON_S)[2:] == b"\x00\x01"

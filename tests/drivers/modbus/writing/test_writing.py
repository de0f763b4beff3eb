"""What is sent to write a point is exactly what its settings allow, and what is read back is what it is."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.clock import Clock
from agent.faults import Fault, Kind
from agent.interfaces import Context, Expired, Misconfigured, Unavailable, Written
from agent.memory import MemoryFile
from agent.sample import Reason, ValueType
from drivers import modbus
from drivers.modbus import as_written, point_settings
from drivers.modbus.identity import Sign
from drivers.modbus.line.ends import FramingKind, Serial, Transport
from drivers.modbus.line.mbap import Mbap
from drivers.modbus.link import open_link
from drivers.modbus.point import PointSettings
from drivers.modbus.profile import Profile
from drivers.modbus.settings import DeviceSettings, LinkSettings
from drivers.modbus.values.codec import Codec
from drivers.modbus.values.flag import Flag
from drivers.modbus.values.number import Bits, Number
from drivers.modbus.values.registers import Order, Table, Type
from drivers.modbus.writing.writable import RegisterWrite, functions
from drivers.modbus.writing.writing import spot_of
from tests.emulators.holding import Holding
from tests.emulators.ports import free_port
from tests.emulators.serial_line import SerialLine, sealed

FOREVER_NS = 2**63


def a_point(name="setpoint", **how):
    how = {"table": Table.HOLDING, "address": 10, "register_type": Type.INT16, "write": RegisterWrite()} | how
    return PointSettings(name=name, **how)


@asynccontextmanager
async def opened(device, *points, **how):
    link = LinkSettings(
        id="plant",
        driver="modbus",
        host="127.0.0.1",
        port=device.port,
        timeout=how.pop("timeout", timedelta(seconds=30)),
        devices=(DeviceSettings(id="vent-1", points=points, **how),),
    )
    async with open_link(link, Context(Clock(), MemoryFile().part("test"))) as opened:
        yield opened


async def written(device, point, value, **how):
    async with opened(device, point, **how) as link:
        return await link.write("vent-1", point.name, value, until_ns=FOREVER_NS)


SENT = [
    ("a register", {}, 21, "06 000a 0015"),
    ("a register by 16", {"write": RegisterWrite(function=16)}, 21, "10 000a 0001 02 0015"),
    ("tenths below zero", {"scale": "1/10"}, -2.5, "06 000a ffe7"),
    ("32 bits in one request", {"register_type": Type.INT32}, 70000, "10 000a 0002 04 0001 1170"),
    ("words swapped", {"register_type": Type.INT32, "order": Order.CDAB}, 70000, "10 000a 0002 04 1170 0001"),
    ("a float", {"register_type": Type.FLOAT32}, 21.5, "10 000a 0002 04 41ac 0000"),
    ("a bit by its mask", {"register_type": Type.BOOL, "bit": 3}, True, "16 000a fff7 0008"),
    ("a bit off", {"register_type": Type.BOOL, "bit": 3}, False, "16 000a fff7 0000"),
    ("a bit, bytes swapped", {"register_type": Type.BOOL, "bit": 3, "order": Order.BADC}, True, "16 000a f7ff 0800"),
    ("a bit by 6", {"register_type": Type.BOOL, "bit": 3, "write": RegisterWrite(function=6)}, True, "06 000a 00cc"),
    ("a bit by 16", {"register_type": Type.BOOL, "bit": 2, "write": RegisterWrite(function=16)}, False, "10 000a 0001 02 00c0"),
    ("a coil", {"table": Table.COIL, "register_type": None}, True, "05 000a ff00"),
    ("a coil by 15", {"table": Table.COIL, "register_type": None, "write": RegisterWrite(function=15)}, True, "0f 000a 0001 01 01"),
]  # fmt: skip


@pytest.mark.parametrize(("how", "value", "pdu"), [case[1:] for case in SENT], ids=[case[0] for case in SENT])
async def test_sent(how, value, pdu):
    """By the usual function or the one that is set, in one request; and the device holds the value then."""
    how = {key: Fraction(of) if key == "scale" else of for key, of in how.items()}
    async with Holding({10: 0xC4, 11: 0}, {10: False}) as device:
        outcome = await written(device, a_point(**how), value)
        assert outcome == Written(found=value)
        assert [each.hex() for each in device.written] == [pdu.replace(" ", "")]


async def test_other_bits_stay():
    """Whichever function writes a bit, the others of its register are as they were."""
    for function in (22, 6, 16):
        async with Holding({10: 0xA5A5}) as device:
            point = a_point(register_type=Type.BOOL, bit=1, write=RegisterWrite(function=function))
            assert (await written(device, point, value=True)).found is True
            assert device.registers[10] == 0xA5A7


async def test_read_back():
    """A device that clamps is found out: what it holds is what is said."""
    async with Holding({10: 200}) as device:
        device.takes = lambda _, value: min(value, 300)
        assert await written(device, a_point(), 350) == Written(found=300)


async def test_refused():
    """Its exception is named, and what it holds is read all the same."""
    async with Holding({10: 200}) as device:
        device.refused = {6}
        assert await written(device, a_point(), 350) == Written(
            found=200, words="illegal function: the device does not know it"
        )


async def test_a_time_out_is_no_failure_yet():
    """A device that took the value and did not say so holds it; so does one that hung up after."""
    async with Holding({10: 200}) as device:
        device.swallows = {6}
        outcome = await written(device, a_point(), 350, timeout=timedelta(milliseconds=50))
        assert (outcome.found, outcome.words) == (350, "no answer in time")


async def test_hung_up_over_a_write():
    """A write is not sent again by itself: what is read back on the next connection says what there is."""
    async with Holding({10: 200}) as device:
        device.hangs_up = {6}
        async with opened(device, a_point()) as link:
            assert await link.current("vent-1", "setpoint") == 200
            outcome = await link.write("vent-1", "setpoint", 350, until_ns=FOREVER_NS)
        assert outcome.found == 200
        assert "the connection ended" in outcome.words
        assert [pdu[0] for pdu in device.asked].count(6) == 1


async def test_lost_for_good():
    """Where no connection can be had any more, nobody knows: `Unavailable`."""
    async with Holding({10: 200}) as device:
        async with opened(device, a_point()) as link:
            assert await link.current("vent-1", "setpoint") == 200
            device.hangs_up = {6}
            device._server.close()
            with pytest.raises(Unavailable):
                await link.write("vent-1", "setpoint", 350, until_ns=FOREVER_NS)


async def test_too_late():
    """Nothing is sent when its time is over."""
    async with Holding({10: 200}) as device:
        async with opened(device, a_point()) as link:
            with pytest.raises(Expired):
                await link.write("vent-1", "setpoint", 350, until_ns=0)
        assert device.written == []


async def test_what_is_there_cannot_be_read():
    """A bit is not merged into a register that nobody could read."""
    async with Holding({}) as device:
        point = a_point(register_type=Type.BOOL, bit=1, write=RegisterWrite(function=6))
        with pytest.raises(ValueError, match="illegal data address"):
            await written(device, point, value=True)
        assert device.written == []


async def test_everybody_sees_it_soon():
    """A device that was written is polled beside its schedule."""
    async with Holding({10: 200}) as device:
        async with opened(device, a_point(), interval=timedelta(hours=1)) as link:
            samples = link.source("vent-1")
            assert (await anext(samples)).values == (200,)
            await link.write("vent-1", "setpoint", 350, until_ns=FOREVER_NS)
            async with asyncio.timeout(30):
                assert (await anext(samples)).values == (350,)
            await samples.aclose()


async def test_a_silent_device_is_left_to_the_schedule():
    """It takes no time of the line beyond what the silent may."""
    async with Holding({10: 200}) as device:
        device.swallows = {3}
        async with opened(device, a_point(), timeout=timedelta(milliseconds=50)) as link:
            samples = link.source("vent-1")
            assert (await anext(samples)).reasons == bytes([Reason.TIMEOUT])
            asked = len(device.asked)
            for _ in range(10):
                assert await link.current("vent-1", "setpoint") is Reason.TIMEOUT
            assert len(device.asked) <= asked + 1
            await samples.aclose()


async def test_a_write_in_vain_is_charged():
    """Also one that ends in an error: what it takes, those that fail have to spare, not those that answer."""
    profile = a_profile(**FACTS, identity=(Sign(table=Table.HOLDING, address=1, values=(4711,)),))
    settings = {"profile": profile, "writable": {"setpoint": RegisterWrite()}}
    async with Holding({1: 4711, 10: 200}) as device:
        device.swallows = {3}
        async with opened(device, timeout=timedelta(milliseconds=50), **settings) as link:
            begun_ns = Clock().monotonic_ns()
            assert link._schedule.covers(0, begun_ns)
            with pytest.raises(ValueError, match="nothing was written to vent-1"):
                await link.write("vent-1", "setpoint", 21, until_ns=FOREVER_NS)
            assert not link._schedule.covers(0, begun_ns)


async def test_another_device_than_its_profile_says():
    """It is not written, whatever answers at its address."""
    profile = a_profile(**FACTS, identity=(Sign(table=Table.HOLDING, address=1, values=(4711,)),))
    async with Holding({1: 4712, 10: 200}) as device:
        async with opened(device, profile=profile, writable={"setpoint": RegisterWrite()}) as link:
            with pytest.raises(Misconfigured, match="vent-1: another than its profile says: expected"):
                await link.current("vent-1", "setpoint")
            with pytest.raises(ValueError, match="nothing was written to vent-1"):
                await link.write("vent-1", "setpoint", 21, until_ns=FOREVER_NS)
            device.registers[1] = 4711
        async with opened(device, profile=profile, writable={"setpoint": RegisterWrite()}) as link:
            assert await link.write("vent-1", "setpoint", 21, until_ns=FOREVER_NS) == Written(found=21)
    assert len(device.written) == 1


async def test_even_addresses():
    """A device that answers only even counts from even addresses is read back so."""
    async with Holding(dict.fromkeys(range(10, 14), 7)) as device:
        outcome = await written(device, a_point(address=11), 350, alignment=2, max_count=4)
        assert outcome.found == 350
        assert all(int.from_bytes(pdu[1:3]) % 2 == 0 for pdu in device.asked if pdu[0] == 3)


LINES = {
    "tcp": {"framing": FramingKind.TCP},
    "udp": {"transport": Transport.UDP},
    "rtu over tcp": {"framing": FramingKind.RTU},
    "ascii over tcp": {"framing": FramingKind.ASCII},
    "serial": {},
}


@pytest.mark.parametrize(
    ("kind", "echoes"),
    [*((kind, False) for kind in LINES), *((kind, True) for kind in LINES if kind not in {"tcp", "udp"})],
)
async def test_over_every_line(kind, echoes, tmp_path):
    """Every function, whatever carries it; also where a two-wire adapter brings back what is sent."""
    points = (
        a_point("coil", table=Table.COIL, register_type=None),
        a_point("coils", table=Table.COIL, register_type=None, address=11, write=RegisterWrite(function=15)),
        a_point("register"),
        a_point("two", address=20, register_type=Type.FLOAT32),
        a_point("bit", address=30, register_type=Type.BOOL, bit=5),
    )
    where = {"serial": Serial(port=tmp_path / "line")} if kind == "serial" else {"host": "127.0.0.1"}
    if kind != "serial":
        where["port"] = free_port()
    settings = LinkSettings(
        id="plant",
        driver="modbus",
        timeout=timedelta(seconds=20),
        quiet=timedelta(seconds=20),
        devices=(DeviceSettings(id="vent-1", points=points),),
        **where,
        **LINES[kind],
    )
    async with modbus.emulate(settings, Clock()) as serving:
        if echoes:
            serving.inflict("plant", Fault(kind=Kind.ECHO))
        async with open_link(settings, Context(Clock(), MemoryFile().part("test"))) as link:
            for name, value in (
                ("coil", True),
                ("coils", True),
                ("register", -7),
                ("two", 21.5),
                ("bit", True),
            ):
                before = await link.current("vent-1", name)
                for each in (value, value, before if isinstance(before, bool) else 0):
                    assert await link.write("vent-1", name, each, until_ns=FOREVER_NS) == Written(found=each)


@pytest.mark.parametrize("late_s", [None, 0.12])
async def test_an_answer_that_is_missing_or_late_on_a_line_without_ids(late_s):
    """The line stays quiet, and what is read back decides; the late answer passes for no other."""
    held = [200]

    def answer(request):
        if request[1] == 6:
            held[0] = int.from_bytes(request[4:6], "big")
            return [] if late_s is None else [(late_s, request)]
        return [(0.0, sealed(bytes([request[0], 3, 2]) + held[0].to_bytes(2, "big")))]

    async with SerialLine(answer) as line:
        settings = LinkSettings(
            id="line",
            driver="modbus",
            serial=Serial(port=line.port),
            timeout=timedelta(milliseconds=50),
            devices=(DeviceSettings(id="vent-1", points=(a_point(),)),),
        )
        async with open_link(settings, Context(Clock(), MemoryFile().part("test"))) as link:
            for value in (350, 351):
                assert await link.current("vent-1", "setpoint") == held[0]
                outcome = await link.write("vent-1", "setpoint", value, until_ns=FOREVER_NS)
                assert outcome.found == value


# --- settings --------------------------------------------------------------------------------------------------

WRONG = [
    ({"table": Table.INPUT}, "write: the input table can only be read"),
    ({"table": Table.DISCRETE, "register_type": None}, "write: the discrete table can only be read"),
    ({"write": RegisterWrite(function=5)}, "write: function: expected 6 or 16"),
    ({"write": RegisterWrite(function=22)}, "write: function: expected 6 or 16"),
    (
        {"register_type": Type.FLOAT32, "write": RegisterWrite(function=6)},
        "write: function: expected 16 for 2 registers",
    ),
]


@pytest.mark.parametrize(("how", "words"), WRONG)
def test_what_cannot_be_written(how, words):
    """Is said when the configuration is read."""
    with pytest.raises(ValueError, match=words):
        a_point(**how)


def a_profile(identity=(), **write):
    return Profile(
        identity=identity,
        manufacturer="Air",
        model="V1",
        source=("manual",),
        verified="no",
        points=(a_point(write=RegisterWrite(**write)), a_point("other", address=11, write=None)),
    )


FACTS = {"minimum": 12, "maximum": 30, "step": 1, "most_change": 10, "every": timedelta(minutes=10)}


def allowed(**device):
    return DeviceSettings(id="vent-1", profile=a_profile(**FACTS), **device)


def test_a_profile_makes_nothing_writable():
    """What it knows about writing is a fact about the device type, not leave to write."""
    assert [point.write for point in point_settings(allowed())] == [None, None]


def test_the_device_allows_it_by_name():
    """As far as the profile, or less."""
    (write, _) = (point.write for point in point_settings(allowed(writable={"setpoint": RegisterWrite()})))
    assert write == RegisterWrite(**FACTS)
    own = RegisterWrite(maximum=24, fallback="21", every=timedelta(hours=1))
    (write, _) = (point.write for point in point_settings(allowed(writable={"setpoint": own})))
    assert (write.minimum, write.maximum, write.fallback, write.every) == (12, 24, "21", timedelta(hours=1))


WIDER = [
    ({"setpoint": {"minimum": 11}}, "setpoint: minimum: expected no less than 12"),
    ({"setpoint": {"maximum": 31}}, "setpoint: maximum: expected no more than 30"),
    ({"setpoint": {"step": 1.5}}, "setpoint: step: expected a multiple of 1"),
    ({"setpoint": {"most_change": 11}}, "setpoint: most_change: expected no more than 10"),
    ({"setpoint": {"every": timedelta(minutes=9)}}, "setpoint: every: expected no less than 10min"),
    ({"other": {}}, "the profile does not know how other is written; expected one of setpoint"),
    ({"setpont": {}}, "the profile does not know how setpont is written"),
]


@pytest.mark.parametrize(("writable", "words"), WIDER)
def test_more_than_the_profile_allows(writable, words):
    """What the maker forbids nobody allows in a configuration."""
    with pytest.raises(ValueError, match=words):
        allowed(writable={name: RegisterWrite(**own) for name, own in writable.items()})


def test_what_is_not_read_is_not_written():
    """For what it is, and what became of it, could not be told."""
    with pytest.raises(ValueError, match="writable: setpoint is not among `only`"):
        allowed(writable={"setpoint": RegisterWrite()}, only=("other",))


# --- any point, any value --------------------------------------------------------------------------------------


@st.composite
def points(draw):
    table = draw(st.sampled_from([Table.COIL, Table.HOLDING]))
    type_ = draw(st.sampled_from([type_ for type_ in Type if type_ is not Type.STRING]))
    if table is Table.COIL:
        type_ = Type.BOOL
    bit = draw(st.integers(0, 15)) if type_ is Type.BOOL and table is Table.HOLDING else None
    bits = Bits(3, 9) if type_ in {Type.UINT16, Type.UINT32} and draw(st.booleans()) else None
    scale = draw(st.fractions(min_value="1/1000", max_value=1000))
    codec = Codec(
        table=table,
        addresses=(draw(st.integers(0, 65000)),),
        order=draw(st.sampled_from(Order)),
        meaning=Flag(bit) if type_ is Type.BOOL else Number(type=type_, bits=bits, scale=scale),
    )
    return codec, draw(st.sampled_from(functions(codec)))


@settings(deadline=None, max_examples=200)
@given(points(), st.data())
def test_a_write_touches_its_own_bits_and_no_others(point, data):
    """Whatever the type, order and function: what is there afterwards is the value, and all else is as it was."""
    codec, function = point
    flag = codec.value_type is ValueType.BOOLEAN
    there = {address: data.draw(st.integers(0, 0xFFFF)) for address in range(codec.address, codec.end + 1)}
    device = Holding(there, {address: bool(value & 1) for address, value in there.items()})
    raw = data.draw(st.booleans() if flag else st.integers(0, 99))
    value = raw if flag else codec.decode(codec.pack(codec.meaning.held(raw)))
    here = spot_of(Mbap(), codec, unit=1, function=function, limit_ns=1, alignment=1)
    read = here.read.frame[7:]
    held = device.answer(read)[2:]
    asked = here.write(value, held)
    coils, registers = dict(device.coils), dict(device.registers)
    answer = device.answer(asked.frame[7:])
    assert answer == asked.expected
    assert len(device.written) == 1
    found = here.decode(device.answer(read)[2:])
    assert found == value
    for address, before in registers.items():
        if not codec.address <= address < codec.end or codec.table is Table.COIL:
            assert device.registers[address] == before
        elif codec.mask is not None:
            mask = int.from_bytes(codec.mask[2 * (address - codec.address) :][:2])
            assert (device.registers[address] ^ before) & ~mask == 0
    for address, before in coils.items():
        if address != codec.address or codec.table is not Table.COIL:
            assert device.coils[address] == before


def test_exactly_or_not_at_all():
    """A register holds tenths: 21.55 is not rounded to one of its neighbours. A float takes the nearest there is."""
    device = DeviceSettings(
        id="vent-1",
        points=(
            a_point(scale=Fraction(1, 10)),
            a_point("float", address=20, register_type=Type.FLOAT32),
            a_point("quiet", address=30, sentinels=(Fraction(-32768),)),
        ),
    )
    assert as_written(device, "setpoint", 21.5) == 21.5
    assert as_written(device, "float", 21.3) == pytest.approx(21.3)
    for point, value, words in [
        ("setpoint", 21.55, "a value that its register can hold, such as 21.[56]; found 21.55"),
        ("setpoint", 4000, "does not fit"),
        ("setpoint", True, "expected"),
        ("quiet", -32768, "no value"),
    ]:
        with pytest.raises(ValueError, match=words):
            as_written(device, point, value)

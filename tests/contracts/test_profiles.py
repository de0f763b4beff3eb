"""Every profile that is shipped is loaded, held to the rules of profiles, and has a case: registers in, readings out."""

import asyncio
import re
from contextlib import aclosing
from datetime import timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest

from agent import document
from agent.clock import Clock
from agent.interfaces import Context
from agent.judging import Judge
from agent.memory import MemoryFile
from agent.sample import Class, Reason, Sample, Shape, ValueType
from drivers.modbus import DeviceSettings, LinkSettings, emulate, point_settings, points
from drivers.modbus import open as open_link
from drivers.modbus.profile import Profile
from drivers.modbus.technician.shelf import FOLDER, profiles
from drivers.modbus.values.registers import Table
from tests.emulators.ports import free_port

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "cases" / "profiles"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))

_BRICK = """
    Active_Power_Sensor Alarm CO2_Level_Sensor Electric_Energy_Sensor Electric_Power_Sensor Energy_Sensor
    Entering_Hot_Water_Temperature_Sensor Exhaust_Air_Temperature_Sensor Filter_Differential_Pressure_Sensor Leak_Alarm
    Leaving_Hot_Water_Temperature_Sensor Occupancy_Sensor On_Off_Status Outside_Air_Temperature_Sensor PM2.5_Level_Sensor
    Return_Air_Temperature_Sensor Supply_Air_Flow_Sensor Supply_Air_Static_Pressure_Sensor Supply_Air_Temperature_Sensor
    Supply_Air_Temperature_Setpoint Supply_Water_Temperature_Sensor Thermal_Power_Sensor Valve_Position_Command
    Valve_Position_Sensor Water_Flow_Sensor Water_Usage_Sensor Zone_Air_Humidity_Sensor Zone_Air_Temperature_Sensor
    Zone_Air_Temperature_Setpoint Zone_CO2_Level_Sensor
"""
BRICK = frozenset(_BRICK.split())
"""Classes that Brick 1.4 has; looked up there before one is added here."""

TYPES = {
    ValueType.INTEGER: int,
    ValueType.NUMBER: float,
    ValueType.BOOLEAN: bool,
    ValueType.DECIMAL: Decimal,
    ValueType.TEXT: str,
}


@cache
def loaded(name):
    """The profile of this name; fails with every problem and every doubt in its file."""
    found = document.read(Profile, FOLDER / f"{name}.yaml")
    assert not found.problems, "\n".join(map(str, found.problems))
    assert not found.warnings, "\n".join(map(str, found.warnings))
    return found.settings


def rows(path):
    """The words of each line of a case's table, without its comments."""
    lines = (re.sub("(^|\\s)#.*", "", line).split() for line in path.read_text(encoding="utf-8").splitlines())
    return [words for words in lines if words]


def test_there_are_profiles_for_thirty_device_types():
    """An empty folder would pass every other test here."""
    assert len(NAMES) >= 30
    assert list(profiles()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_is_named_after_its_maker_and_model(name):
    """Lower case, so that the name is the same on every file system."""
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name)


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_says_where_it_comes_from(name):
    """Sources, by what it was checked, and which addresses are meant: nobody should have to guess any of them."""
    profile = loaded(name)
    assert profile.source
    assert profile.verified.endswith(" by us.")
    head = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").partition("\nmanufacturer:")[0]
    assert "Addresses are those on the wire" in head


@pytest.mark.parametrize("name", NAMES)
def test_a_weak_source_is_not_passed_off_as_a_good_one(name):
    """Whoever says so in the file says so in `check` and in the log too."""
    profile = loaded(name)
    if "weak" in profile.verified:
        assert profile.unverified


@pytest.mark.parametrize("name", NAMES)
def test_a_point_is_named_in_small_letters_and_says_its_quantity(name):
    """What has a unit has a quantity kind (QUDT) and the other way round; states and flags have neither."""
    for point in loaded(name).points:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", point.name)
        assert (point.unit is None) == (point.quantity_kind is None), point.name
        assert point.quantity_kind is None or re.fullmatch(r"([A-Z][A-Za-z0-9]*)+", point.quantity_kind)
        assert point.brick_class is None or point.brick_class in BRICK, point.name


@pytest.mark.parametrize("name", NAMES)
def test_what_somebody_pays_by_is_marked_as_such(name):
    """Totals of energy and volume are counters, and dropped last but for events."""
    for point in loaded(name).points:
        kind = point.quantity_kind or ""
        paid = kind.endswith("Energy") or kind == "Volume"
        assert point.class_ is not Class.BILLING or paid, point.name
        assert not (paid and point.counter) or point.class_ is Class.BILLING, point.name


@pytest.mark.parametrize("name", NAMES)
def test_an_alarm_is_an_event(name):
    """It is dropped last of all."""
    for point in loaded(name).points:
        if point.brick_class in {"Alarm", "Leak_Alarm"}:
            assert point.class_ is Class.EVENT, point.name


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_alone_makes_a_device(name):
    """With nothing but the profile, every point is read, in as many requests as its limits allow; nothing can be written."""
    device = DeviceSettings(id="d", profile=loaded(name))
    assert sorted(cell for block in device.blocks for cell in block.cells) == list(range(len(points(device))))
    assert not any(point.write for point in point_settings(device))


async def test_every_device_type_can_be_tried_without_hardware():
    """Emulated, on one link with all the others, it is known by its signs, refuses nothing, and every value is good."""
    devices = tuple(
        DeviceSettings(id=name, profile=loaded(name), unit_id=at) for at, name in enumerate(NAMES, 1)
    )
    link = LinkSettings(
        id="all",
        driver="modbus",
        host="127.0.0.1",
        port=free_port(),
        timeout=timedelta(seconds=30),
        devices=devices,
    )
    memory = MemoryFile().part("test")
    async with asyncio.timeout(60), emulate(link, Clock()), open_link(link, Context(Clock(), memory)) as here:
        for device in devices:
            async with aclosing(here.source(device.id)) as source:
                sample = await anext(source)
            shown = zip(sample.shape.points, sample.reasons, strict=False)
            assert [(device.id, point.name, Reason(reason).word) for point, reason in shown if reason] == []


def test_every_case_has_a_profile_and_every_profile_a_case():
    """A device type that nobody has fed with registers is a guess."""
    assert sorted(path.name for path in CASES.iterdir()) == NAMES


def held(name):
    """What stands in each register or bit of the case."""
    registers = {}
    for table, address, *words in rows(CASES / name / "registers.txt"):
        for at, word in enumerate(words, int(address)):
            assert registers.setdefault((Table(table), at), word) is word, f"{table} {at} is given twice"
    return registers


def answer(block, registers):
    """The data of the device's answer; what the case does not say is all ones."""
    asked = [(block.table, at) for at in range(block.address, block.address + block.count)]
    needed = {
        (block.table, at) for member in block.members for at in range(member.codec.address, member.codec.end)
    }
    assert needed <= set(registers)
    if block.table.bits:
        bits = sum(int(registers.get(at, "1")) << place for place, at in enumerate(asked))
        return bits.to_bytes(block.size, "little")
    return bytes.fromhex("".join(registers.get(at, "ffff") for at in asked))


@pytest.mark.parametrize("name", NAMES)
def test_registers_become_the_readings_of_the_case(name):
    """Each point of the profile, by its plan: the value as it prints or the reason why there is none, unit, and any doubt."""
    registers = held(name)
    device = DeviceSettings(id="d", profile=loaded(name))
    expected = {reading[0]: reading[1:] for reading in rows(CASES / name / "readings.txt")}
    assert list(expected) == [point.name for point in points(device)]

    values, reasons = [None] * len(expected), bytearray(len(expected))
    for block in device.blocks:
        block.decode(answer(block, registers), values, reasons)
    shape = Shape("d", points(device))
    sample = (
        Judge(point_settings(device), points(device))
        .judge(Sample(shape, 0, tuple(values), bytes(reasons) if any(reasons) else b""))
        .sample
    )

    read = {}
    for point, value, code in zip(
        shape.points, sample.values, sample.reasons or bytes(len(values)), strict=True
    ):
        word = Reason(code).word
        shown = [word, point.unit or "-"] if value is None else [str(value), point.unit or "-"]
        read[point.name] = shown if value is None or not code else [*shown, word]
        assert value is None or type(value) is TYPES[point.type], point.name
    assert read == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_case_shows_more_than_good_weather(name):
    """Where a point can have no value, or one that is marked, at least one in the case has none or is marked."""
    profile = loaded(name)
    readings = rows(CASES / name / "readings.txt")
    words = {reason.word for reason in Reason if reason}
    edges = [reading for reading in readings if words & set(reading[1:])]
    can_fail = any(
        point.sentinels
        or point.minimum is not None
        or point.maximum is not None
        or point.type_of_registers.floating
        for point in profile.points
    )
    assert edges or not can_fail

"""Every profile that is shipped is loaded, held to the rules of profiles, and has a case: registers in, readings out."""

import re
from pathlib import Path

import pytest

from agent import document
from agent.sample import Class, Reason, ValueType
from drivers.modbus import DeviceSettings, points
from drivers.modbus.profile import Profile
from drivers.modbus.registers import Table

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "drivers" / "modbus" / "profiles"
CASES = ROOT / "tests" / "cases" / "modbus"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def loaded(name):
    """The profile of this name; fails with every problem in its file."""
    found = document.read(Profile, FOLDER / f"{name}.yaml")
    assert not found.problems, "\n".join(map(str, found.problems))
    return found.settings


def rows(path):
    """The words of each line of a case's table, without its comments."""
    lines = (line.split("#")[0].split() for line in path.read_text(encoding="utf-8").splitlines())
    return [words for words in lines if words]


def test_there_are_profiles():
    """An empty folder would pass every other test here."""
    assert NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_is_named_after_its_maker_and_model(name):
    """Lower case, so that the name is the same on every file system."""
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name)


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_says_where_it_comes_from(name):
    """Sources, by what it was checked, and which addresses are meant: nobody should have to guess any of them."""
    profile = loaded(name)
    assert profile.source
    assert profile.verified
    head = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").partition("\nmanufacturer:")[0]
    assert "Addresses are those on the wire" in head


@pytest.mark.parametrize("name", NAMES)
def test_a_point_is_named_in_small_letters_and_says_its_quantity(name):
    """What has a unit has a quantity kind (QUDT) and the other way round; states and flags have neither."""
    for point in loaded(name).points:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", point.name)
        assert (point.unit is None) == (point.quantity_kind is None), point.name
        assert point.quantity_kind is None or re.fullmatch(r"([A-Z][A-Za-z0-9]*)+", point.quantity_kind)


@pytest.mark.parametrize("name", NAMES)
def test_what_somebody_pays_by_is_marked_as_such(name):
    """Energy totals are dropped last but for events."""
    for point in loaded(name).points:
        total = point.quantity_kind is not None and point.quantity_kind.endswith("Energy")
        assert (point.class_ is Class.BILLING) == total, point.name


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_alone_makes_a_device(name):
    """With nothing but the profile, every point is read, in as many requests as its limits allow."""
    device = DeviceSettings(id="d", profile=loaded(name))
    assert sorted(cell for block in device.blocks for cell in block.cells) == list(range(len(points(device))))


def test_every_case_has_a_profile_and_every_profile_a_case():
    """A device type that nobody has fed with registers is a guess."""
    assert sorted(path.name for path in CASES.iterdir()) == NAMES


def doubt(point, value):
    """Why a value is marked."""
    below = point.minimum is not None and value < point.minimum
    above = point.maximum is not None and value > point.maximum
    return [Reason.OUTSIDE_LIMITS.word] if below or above else []


@pytest.mark.parametrize("name", NAMES)
def test_registers_become_the_readings_of_the_case(name):
    """Each point of the profile, by its plan: the value as it prints, or the reason why there is none."""
    registers = {}
    for table, address, *words in rows(CASES / name / "registers.txt"):
        for at, word in enumerate(words, int(address)):
            assert registers.setdefault((Table(table), at), word) is word, f"{table} {at} is given twice"
    device = DeviceSettings(id="d", profile=loaded(name))
    expected = {reading[0]: reading[1:] for reading in rows(CASES / name / "readings.txt")}
    assert list(expected) == [point.name for point in points(device)]

    values, reasons = [None] * len(expected), bytearray(len(expected))
    for block in device.blocks:
        asked = range(block.address, block.address + block.count)
        wanted = {
            at
            for codec in map(device.codecs.__getitem__, block.cells)
            for at in range(codec.address, codec.end)
        }
        assert wanted <= {at for table, at in registers if table is block.table}
        payload = bytes.fromhex("".join(registers.get((block.table, at), "ffff") for at in asked))
        block.decode(payload, values, reasons)

    read = {
        point.name: [Reason(reason).word] if reason else [str(value), *doubt(point, value)]
        for point, value, reason in zip(device.selected, values, reasons, strict=True)
    }
    assert read == expected
    types = {ValueType.INTEGER: int, ValueType.NUMBER: float, ValueType.BOOLEAN: bool}
    assert all(
        value is None or type(value) is types[p.type] for p, value in zip(points(device), values, strict=True)
    )

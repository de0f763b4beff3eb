"""Every SunSpec model that is shipped is loaded, held to the rules of points, and has a case: a chain in, readings out."""

import re
from functools import cache
from pathlib import Path

import pytest

from agent import document
from agent.clock import Clock
from agent.interfaces import Settings
from agent.memory import MemoryFile
from agent.sample import Class, Reason
from drivers.modbus.line.mbap import Mbap
from drivers.modbus.polling.device import Heard, device
from drivers.modbus.settings import DeviceSettings, LinkSettings
from drivers.modbus.sunspec import SunSpec, walk
from drivers.modbus.technician.shelf import MODELS, models
from drivers.modbus.values.plan import Span
from drivers.modbus.values.registers import Table
from tests.contracts.test_profiles import BRICK, rows
from tests.emulators.walking import walked

CASES = Path(__file__).parents[1] / "cases" / "sunspec"
NAMES = sorted(path.name for path in CASES.iterdir())


class Case(Settings, frozen=True):
    """What stands in the configuration of a case's device."""

    sunspec: SunSpec


@cache
def read(name):
    """The settings of a case."""
    found = document.read(Case, CASES / name / "device.yaml")
    assert not found.problems, "\n".join(map(str, found.problems))
    return found.settings.sunspec


@cache
def held(name):
    """What stands in its holding registers."""
    return {
        int(address) + place: word
        for _, address, *words in rows(CASES / name / "registers.txt")
        for place, word in enumerate(words)
    }


def data(registers, span):
    """The device's answer; `None` where it refuses."""
    found = [registers.get(address) for address in range(span.address, span.end)]
    return None if span.table is not Table.HOLDING or None in found else bytes.fromhex("".join(found))


def test_the_models_that_inverters_meters_and_batteries_have_are_there():
    """Each in a file of its number."""
    assert set(models()) >= {1, 101, 102, 103, 111, 112, 113, 160, 201, 202, 203, 204, 701, 802}
    assert {path.stem for path in MODELS.glob("*.yaml")} == {str(number) for number in models()}


@pytest.mark.parametrize("number", models())
def test_a_model_keeps_to_the_rules_of_points(number):
    """Small letters, unit with quantity, totals paid by, bits of events last dropped; nothing written; inside its length."""
    model = models()[number]
    for point in model.all_points(2):
        assert re.fullmatch(r"[a-z][a-z0-9_]*", point.name)
        assert (point.unit is None) == (point.quantity_kind is None), point.name
        assert point.brick_class is None or point.brick_class in BRICK
        energy = (point.quantity_kind or "").endswith("Energy") and point.counter is not None
        assert (point.class_ is Class.BILLING) == energy, point.name
        assert (point.class_ is Class.EVENT) == bool(re.search("event_bits|alarm", point.name))
        assert point.write is None
        assert 2 <= point.address < 2 + model.registers(2)


def test_every_model_has_a_case():
    """One that nobody has fed with registers is a guess."""
    assert {model.number for name in NAMES for model in read(name).models} == set(models())


@pytest.mark.parametrize("name", NAMES)
def test_a_chain_becomes_the_readings_of_the_case(name):
    """The chain is walked, the points are found in it, and read by the plan that follows: value or reason, and unit."""
    settings = DeviceSettings(id="d", sunspec=read(name))
    link = LinkSettings(id="l", driver="modbus", host="h", devices=(settings,))
    known = device(Mbap(), settings, link, MemoryFile().part("l"), Clock().monotonic_ns())
    registers = held(name)
    chain, _ = walked(walk(settings.sunspec.bases), lambda span: data(registers, span))
    assert known.locate(chain, 0)

    (group,) = known.groups
    heard = [Heard(each, data(registers, Span.of(each.block)), 0) for each in group.reads]
    assert all(isinstance(each.answer, bytes) for each in heard)
    sample = group.sample(heard)
    reasons = sample.reasons or bytes(len(sample.values))
    found = [
        [
            point.name,
            Reason(code).word if value is None else re.sub(r"\s", "_", str(value)),
            point.unit or "-",
        ]
        for point, value, code in zip(group.shape.points, sample.values, reasons, strict=True)
    ]
    assert found == rows(CASES / name / "readings.txt")

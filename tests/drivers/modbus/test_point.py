"""Points as they are written: what they become, and what is said of those that cannot be."""

import msgspec
import pytest

from agent import document
from agent.sample import ValueType
from drivers.modbus.point import PointSettings
from drivers.modbus.values.codec import Codec
from drivers.modbus.values.flag import Flag
from drivers.modbus.values.number import Bits, Number
from drivers.modbus.values.registers import Order, Table, Type
from drivers.modbus.values.scaled import Scaled
from drivers.modbus.values.text import Encoding, Text
from drivers.modbus.values.total import Total

HOLDING = {"table": "holding", "address": 10}


@pytest.fixture
def read(tmp_path):
    """Read a point from a file with these settings, a line for each; gives what was found, and the lines."""

    def read(**settings):
        lines = {"name": "a", **HOLDING, **settings}
        path = tmp_path / "point.yaml"
        path.write_text("".join(f"{key}: {_yaml(value)}\n" for key, value in lines.items()), encoding="utf-8")
        return document.read(PointSettings, path), list(lines)

    return read


def _yaml(value):
    return msgspec.json.encode(value).decode() if isinstance(value, list | dict) else value


@pytest.fixture
def written(read):
    """The same of a point without a mistake: its settings."""

    def written(**settings):
        found, _ = read(**settings)
        assert not found.problems
        return found.settings

    return written


@pytest.mark.parametrize(
    ("settings", "meaning", "addresses"),
    [
        ({"type": "int16"}, Number(type=Type.INT16), (10,)),
        ({"type": "bool", "bit": 3}, Flag(3), (10,)),
        ({"table": "coil"}, Flag(), (10,)),
        ({"type": "uint32", "bits": "4-7"}, Number(type=Type.UINT32, bits=Bits(4, 7)), (10,)),
        ({"type": "uint16", "bits": "15-8"}, Number(type=Type.UINT16, bits=Bits(8, 15)), (10,)),
        ({"type": "uint16", "bits": "4"}, Number(type=Type.UINT16, bits=Bits(4, 4)), (10,)),
        ({"type": "string", "length": 8}, Text(length=8), (10,)),
        (
            {"type": "string", "length": 8, "encoding": "utf-16"},
            Text(length=8, encoding=Encoding.UTF_16),
            (10,),
        ),
        ({"type": "int16", "scale_factor": 40}, Scaled(number=Number(type=Type.INT16)), (10, 40)),
        (
            {"type": "uint16", "sum": [{"address": 12, "scale": 1000}, {"address": 11}]},
            Total(first=Number(type=Type.UINT16), scales=(1000, 1)),
            (10, 12, 11),
        ),
    ],
)
def test_what_is_written_is_what_is_read(written, settings, meaning, addresses):
    """The type and what belongs to it say what the registers mean, and which they are."""
    table = Table(settings.get("table", "holding"))
    assert written(**settings).codec(Order.ABCD) == Codec(table=table, addresses=addresses, meaning=meaning)


@pytest.mark.parametrize(("of_device", "order"), [*zip(Order, ["ABCD", "ABCD", "BADC", "BADC"], strict=True)])
def test_a_text_has_no_words_to_reverse(written, of_device, order):
    """A device that sends the low word of its numbers first does not send the end of its name first."""
    assert written(type="string", length=4).codec(of_device).order is Order(order)


OWN = "expected registers apart from the others of the point"


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "type: expected the type of the holding registers, such as int16 or float32"),
        (
            {"address": 400012, "type": "int16"},
            "address: expected a whole number from 0 to 65535; found '400012': is it how a PLC numbers address 11 of table holding?",
        ),
        (
            {"address": 70000, "type": "int16"},
            "address: expected a whole number from 0 to 65535; found '70000'",
        ),
        (
            {"type": "int16", "scale_factor": 440085},
            "scale_factor: expected a whole number from 0 to 65535; found '440085': is it how a PLC numbers address 40084 of table holding?",
        ),
        (
            {"address": 65535, "type": "int32"},
            "address: expected no more than the last address 65535, found 2 registers from 65535 on",
        ),
        (
            {"table": "coil", "type": "uint16"},
            "type: the coil table holds single bits, so the type is bool, not uint16",
        ),
        ({"table": "discrete", "bit": 1}, "bit: a discrete is one bit already; bit counts in registers only"),
        (
            {"type": "bool"},
            "bit: a bool in the holding table needs to know which bit of the register, 0 to 15",
        ),
        ({"type": "int16", "bit": 0}, "bit: only a bool has one; the type is int16"),
        ({"type": "int16", "bits": "4-7"}, "bits: only a uint16 or uint32 has one; the type is int16"),
        (
            {"type": "uint16", "bits": "4-16"},
            "bits: expected 0 (least significant) to 15, found 16",
        ),
        ({"type": "bool", "bit": 0, "scale": 2}, "scale: only a number has one; the type is bool"),
        ({"type": "bool", "bit": 0, "value_type": "integer"}, "value_type: a bool is always boolean"),
        ({"type": "string"}, "length: missing from this string: expected how many registers it fills"),
        (
            {"type": "string", "length": 4, "sentinels": [0]},
            "sentinels: only a number has one; the type is string",
        ),
        ({"type": "string", "length": 4, "value_type": "number"}, "value_type: a string is always text"),
        ({"type": "int16", "length": 1}, "length: only a string has one; the type is int16"),
        ({"type": "int16", "encoding": "ascii"}, "encoding: only a string has one; the type is int16"),
        (
            {"type": "int16", "order": "CDAB"},
            (
                "order: a single register (int16) has no words to reverse: expected ABCD, or BADC where the two bytes of "
                "a register are exchanged; found CDAB"
            ),
        ),
        (
            {"type": "bool", "bit": 0, "order": "DCBA"},
            (
                "order: a single register (bool) has no words to reverse: expected ABCD, or BADC where the two bytes of a "
                "register are exchanged; found DCBA"
            ),
        ),
        (
            {"type": "string", "length": 2, "order": "CDAB"},
            (
                "order: a string has no words to reverse: expected ABCD, or BADC where the two bytes of a register are "
                "exchanged; found CDAB"
            ),
        ),
        ({"table": "coil", "order": "ABCD"}, "order: a coil is a single bit and has none"),
        (
            {"type": "int16", "sentinels": [65536]},
            "sentinels: 65536 (0x10000) is not a raw value of int16: expected -32768 to 32767 or a bit pattern up to 0xFFFF",
        ),
        (
            {"type": "float32", "scale_factor": 12},
            "scale_factor: only a whole number has one; the type is float32",
        ),
        ({"type": "int32", "scale_factor": 11}, f"scale_factor: {OWN}, found 11 among them"),
        ({"type": "int32", "sum": [{"address": 11}]}, f"sum: {OWN}, found 11 among them"),
        (
            {"type": "int32", "sum": [{"address": 65535}]},
            "sum: expected no more than the last address 65535, found 2 registers from 65535 on",
        ),
        (
            {"type": "int16", "sum": [{"address": 11}], "scale_factor": 12},
            "sum: expected either a sum or a scale_factor, found both",
        ),
        (
            {"type": "int16", "minimum": 50000},
            "minimum: no int16 with this scale and offset lies within the limits",
        ),
        (
            {"type": "float32", "labels": {0: "off"}},
            "labels: expected values that are whole numbers, or a bool; found values that are floats",
        ),
        (
            {"type": "int16", "sum": [{"address": 11}], "write": {}},
            "write: expected a point with registers of its own, found 2 x int16",
        ),
        (
            {"type": "int16", "scale_factor": 11, "write": {}},
            "write: expected a point with registers of its own, found int16 with a scale factor",
        ),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(read, settings, problem):
    """It begins with the setting, whose line is shown, and says what was expected."""
    found, lines = read(**settings)
    ((mark, message),) = found.problems
    assert message == problem
    key = problem.partition(":")[0]
    assert mark.line == (lines.index(key) + 1 if key in lines else 1)


@pytest.mark.parametrize("bits", ["4-", "4-7-9", "low", "-4", "100"])
def test_bits_are_two_numbers(read, bits):
    """Or one; in either direction."""
    found, _ = read(type="uint16", bits=bits)
    assert found.problems[0].message.startswith("bits: expected")


def test_flags_and_enumerations_have_labels(written):
    """The value stays the number; what it means is part of the point."""
    for settings in ({"type": "uint16"}, {"type": "bool", "bit": 1}, {"type": "uint16", "bits": "0-3"}):
        assert written(**settings, labels={0: "off", 1: "on"}).labels == {0: "off", 1: "on"}


def test_a_text_is_a_point_of_text(written):
    """So that rows and formats know it."""
    assert written(type="string", length=2).codec(Order.ABCD).value_type is ValueType.TEXT

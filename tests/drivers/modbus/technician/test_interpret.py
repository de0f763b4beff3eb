"""Registers that nobody has described: the reading that a person would choose comes first."""

import struct
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.modbus.technician.interpret import ORDERS, parts, readings, telling, text
from drivers.modbus.technician.plausible import Fit, expectation, fit
from drivers.modbus.values.codec import Codec
from drivers.modbus.values.number import Number
from drivers.modbus.values.registers import Order, Table, Type

# Bytes as they were on the line; what is known of the point; type, order and value that it truly has.
CASES = {
    "a meter's power, low word first (a public trace)": ("fc2dffff", None, None, "int32", "CDAB", -979),
    "the same with its unit": ("fc2dffff", "W", None, "int32", "CDAB", -979),
    "the same with the display's -97.9": ("fc2dffff", "W", "-97.9", "int32", "CDAB", -97.9),
    "a mains voltage": ("4366199a", "V", None, "float32", "ABCD", 230.1),
    "a mains voltage, low word first": ("199a4366", "V", None, "float32", "CDAB", 230.1),
    "a mains voltage, without its unit": ("4366199a", None, None, "float32", "ABCD", 230.1),
    "a mains voltage, little-endian throughout": ("9a196643", "V", None, "float32", "DCBA", 230.1),
    "a mains voltage, bytes exchanged": ("66439a19", "V", None, "float32", "BADC", 230.1),
    "a room in tenths": ("00d7", "Cel", "18..25", "int16", "ABCD", 21.5),
    "a room in tenths, without expectation": ("00d7", "Cel", None, "int16", "ABCD", 21.5),
    "a room in hundredths": ("0866", "Cel", "18..25", "int16", "ABCD", 21.5),
    "outdoors below zero": ("ffce", "Cel", None, "int16", "ABCD", -5.0),
    "a round float, whose low word is zero": ("41ac0000", "Cel", "21.5", "float32", "ABCD", 21.5),
    "an energy register, low word first": ("d4310007", "kW.h", None, "uint32", "CDAB", 513073),
    "an energy register of four": ("000000000001e240", "W.h", None, "uint64", "ABCD", 123456),
    "power in watts where kilowatts are shown": ("45ed1000", "kW", "7.6", "float32", "ABCD", 7.586),
    "carbon dioxide": ("01f4", "[ppm]", None, "uint16", "ABCD", 500),
}


@pytest.mark.parametrize("name", CASES)
def test_the_true_reading_comes_first(name):
    """Of every type and order; its scale is found with it."""
    sent, unit, expected, type_, order, value = CASES[name]
    best = readings(bytes.fromhex(sent), 40, unit=unit, expected=expected and expectation(expected))[0]
    assert (best.types[0].value, best.order.value) == (type_, order)
    assert best.value == pytest.approx(value, rel=1e-6)
    assert best.fit is (Fit.EXPECTED if expected else Fit.USUAL)


@given(
    st.binary(min_size=2, max_size=2) | st.binary(min_size=4, max_size=4) | st.binary(min_size=8, max_size=8)
)
@settings(deadline=None)
def test_every_type_and_order_is_there_once(sent):
    """Whatever the bytes are; and each says what the codec of a configured point would."""
    found = readings(sent, 0)
    each = [(type_, reading.order) for reading in found for type_ in reading.types]
    width = len(sent) // 2
    types = [type_ for type_ in Type if type_ is not Type.BOOL and type_.size == width]
    orders = ORDERS if width > 1 else (Order.ABCD, Order.BADC)
    assert sorted(each, key=str) == sorted(((t, o) for t in types for o in orders), key=str)
    for reading in found:
        if reading.raw is not None:
            for type_ in reading.types:
                codec = Codec(
                    table=Table.INPUT, addresses=(0,), order=reading.order, meaning=Number(type=type_)
                )
                assert codec.decode(sent) == reading.raw


@given(
    st.sampled_from(ORDERS),
    st.floats(min_value=18, max_value=25, width=32).filter(
        lambda value: len(set(struct.pack(">f", value))) > 2
    ),
)
@settings(deadline=None)
def test_an_expected_float_is_found_in_any_order(order, value):
    """Among those that fit what is expected is the one that was sent."""
    sent = Codec(table=Table.INPUT, addresses=(0,), order=order, meaning=Number(type=Type.FLOAT32)).pack(
        value
    )
    fitting = [
        r for r in readings(sent, 0, unit="Cel", expected=expectation("18..25")) if r.fit is Fit.EXPECTED
    ]
    assert (Type.FLOAT32, order) in [(reading.types[0], reading.order) for reading in fitting]


def test_nothing_is_read_of_three_registers():
    """No type has three; they are looked at in parts."""
    sent = bytes.fromhex("0001 0002 0003")
    assert readings(sent, 10) == ()
    assert list(parts(sent, 10, 2)) == [(10, sent[:4]), (11, sent[2:])]
    assert list(parts(sent, 10, 4)) == []


@pytest.mark.parametrize(
    ("sent", "tells"), [("00000000", False), ("ffffffff", False), ("ffff0000", True), ("0001", True)]
)
def test_all_zeros_and_all_ones_tell_nothing(sent, tells):
    """Every order of them is the same."""
    assert telling(bytes.fromhex(sent)) is tells


@pytest.mark.parametrize(
    ("sent", "read"),
    [(b"SDM630\0\0", "SDM630"), (b"  ", None), (b"A\0", None), (b"\x01BCD", None), (b"v1.2    ", "v1.2")],
)
def test_text_is_seen(sent, read):
    """Where every byte before the padding is printable."""
    assert text(sent) == read


@pytest.mark.parametrize(
    ("words", "least", "greatest"),
    [("18..25", 18, 25), ("-5 .. 5", -5, 5), ("20", 19, 21), ("-100", -105, -95), ("0", 0, 0)],
)
def test_what_is_expected_is_a_range_or_what_a_display_shows(words, least, greatest):
    """A single number may be missed by 5 %."""
    span = expectation(words)
    assert (span.least, span.greatest) == (least, greatest)


@pytest.mark.parametrize("words", ["", "warm", "25..18", "1..", "..2", "1e400", "18-25"])
def test_an_expectation_that_is_none_is_refused_in_words(words):
    """With an example of a right one, or with what is wrong."""
    with pytest.raises(ValueError, match=r"such as 18\.\.25|lesser number first"):
        expectation(words)


def test_an_annotated_unit_is_as_usual_as_the_plain_one():
    """V.A{reactive} is as large as V.A."""
    assert fit(5e5, "V.A{reactive}", None) is Fit.USUAL
    assert fit(5e7, "V.A{reactive}", None) is Fit.NOT
    assert fit(float("nan"), None, None) is Fit.NOT


def test_a_scale_is_exact():
    """0.1 is a tenth: 215 becomes 21.5 and not 21.500000000000004."""
    best = readings(bytes.fromhex("00d7"), 0, unit="Cel")[0]
    assert (best.scale, best.value) == (Fraction(1, 10), 21.5)

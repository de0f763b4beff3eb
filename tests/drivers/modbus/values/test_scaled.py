"""Scaled numbers: a second register says which power of ten the first one counts."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.sample import Reason, ValueType
from drivers.modbus.values.codec import Codec
from drivers.modbus.values.number import Number
from drivers.modbus.values.registers import Order, Table, Type
from drivers.modbus.values.scaled import EXPONENTS, Scaled

unhurried = settings(deadline=None)

WHOLE = [type_ for type_ in Type if type_ not in {Type.BOOL, Type.STRING} and not type_.floating]


def codec(type_, order=Order.ABCD, gap=0, **settings):
    number = Number(type=Type(type_), **settings)
    return Codec(
        table=Table.HOLDING,
        addresses=(0, number.type.size + gap),
        order=order,
        meaning=Scaled(number=number),
    )


@pytest.mark.parametrize(
    ("type_", "sent", "value"),
    [
        ("int16", "00d7 ffff", 21.5),
        ("int16", "00d7 0000", 215.0),
        ("int16", "00d7 0002", 21500.0),
        ("int16", "ff29 fffe", -2.15),
        ("uint16", "0001 fff6", 1e-10),
        ("uint32", "ffffffff fffd", 4294967.295),
        ("uint64", "ffffffffffffffff fffe", Decimal("184467440737095516.15")),
        ("uint64", "0000000000000001 0003", Decimal(1000)),
    ],
)
def test_the_value_is_the_number_times_ten_to_that_power(type_, sent, value):
    """It prints the digits that a person would write, whatever the power is just now."""
    decoded = codec(type_).decode(bytes.fromhex(sent))
    assert (decoded, type(decoded), str(decoded)) == (value, type(value), str(value))


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ("00d7 8000", Reason.SENSOR_FAILURE),
        ("00d7 000b", Reason.OUT_OF_RANGE),
        ("00d7 fff5", Reason.OUT_OF_RANGE),
        ("00d7 7fff", Reason.OUT_OF_RANGE),
        ("8000 ffff", Reason.SENSOR_FAILURE),
    ],
)
def test_without_a_power_there_is_no_value(sent, reason):
    """-32768 says that the device lacks the point; beyond -10 to 10 nothing is meant; a sentinel is what it always is."""
    assert codec("int16", sentinels=(Fraction(-32768),)).decode(bytes.fromhex(sent)) is reason


@unhurried
@given(
    data=st.data(),
    type_=st.sampled_from(WHOLE),
    order=st.sampled_from(Order),
    scale=st.sampled_from(["1", "0.5", "-3"]),
)
def test_the_value_is_exact_and_is_found_again(data, type_, order, scale):
    """Against fractions, both ways; the power may be another one than before."""
    made = codec(type_, order, gap=3, scale=Fraction(scale))
    raw = data.draw(st.integers(type_.least, type_.greatest))
    exponent = data.draw(st.sampled_from(EXPONENTS))
    exact = raw * Fraction(scale) * Fraction(10) ** exponent
    value = made.decode(made.pack(made.meaning.number.held(raw), exponent))
    if made.value_type is ValueType.DECIMAL:
        assert Fraction(value) == exact
    else:
        assert value == float(exact)
        assert Fraction(repr(value)) == exact
    assert made.decode(made.encode(value)) == value


@pytest.mark.parametrize(
    ("type_", "scale", "value_type"),
    [
        ("int16", "1", "number"),
        ("uint32", "0.001", "number"),
        ("uint64", "1", "decimal"),
        ("bcd64", "1", "decimal"),
        ("uint64", "1/3", "number"),
    ],
)
def test_the_value_type_does_not_depend_on_the_power(type_, scale, value_type):
    """A row is decoded by it; the power is known only when the row is made."""
    assert codec(type_, scale=Fraction(scale)).value_type is ValueType(value_type)


@pytest.mark.parametrize("value", [1e25, -1, "full"])
def test_what_no_power_can_store_is_refused(value):
    """Neither clamped nor wrapped."""
    with pytest.raises(ValueError, match=r"does not fit into uint16 with a scale factor|expected a number"):
        codec("uint16").encode(value)


def test_what_shares_a_scale_factor_is_shown_with_the_same():
    """An emulated device shows every number with the power of 0: 21.5 is 22 in whole ones."""
    assert codec("int16").pack(*codec("int16").meaning.nearest(None, None)(21.6)) == b"\x00\x16\x00\x00"


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: codec("float32"), "scale_factor: only a whole number has one; the type is float32"),
        (
            lambda: codec("int16", wanted=ValueType.INTEGER),
            "value_type: expected decimal, number where there is a scale_factor",
        ),
    ],
)
def test_what_does_not_fit_together_is_said(make, problem):
    """In one sentence that starts with the setting's name."""
    with pytest.raises(ValueError, match=r".") as raised:
        make()
    assert str(raised.value) == problem

"""Totals: several registers, each with its scale, that are one value."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.sample import Reason, ValueType
from drivers.modbus.values.codec import Codec
from drivers.modbus.values.number import Bits, Number
from drivers.modbus.values.registers import Order, Table, Type
from drivers.modbus.values.total import Total

unhurried = settings(deadline=None)


def codec(type_, *scales, order=Order.ABCD, wanted=None, **first):
    own, *others = (Fraction(scale) for scale in scales)
    number = Number(type=Type(type_), scale=own, **first)
    return Codec(
        table=Table.HOLDING,
        addresses=tuple(number.type.size * at for at in range(len(scales))),
        order=order,
        meaning=Total(first=number, scales=tuple(others), wanted=wanted),
    )


@pytest.mark.parametrize(
    ("made", "sent", "value"),
    [
        (codec("uint16", "1000", "1"), "0007 0215", 7533),
        (codec("uint16", "1", "0.001"), "0007 0215", 7.533),
        (codec("int16", "1", "-1"), "0007 0009", -2),
        (codec("uint16", "1", "1", "1"), "0001 0002 0003", 6),
        (codec("uint16", "1", "1", offset=Fraction(10)), "0001 0002", 13),
        (codec("bcd16", "10000", "1"), "0012 3456", 123456),
        (
            codec("uint64", "1000", "0.001"),
            "ffffffffffffffff 0000000000000001",
            Decimal(f"{2**64 - 1}000.001"),
        ),
        (codec("float32", "1000", "1"), "41ac0000 3f000000", 21500.5),
        (codec("uint16", "1", "1", wanted=ValueType.DECIMAL), "0001 0002", Decimal(3)),
    ],
)
def test_the_parts_are_added_up_each_with_its_scale(made, sent, value):
    """Exact, and rounded once: no digit is lost between the parts."""
    decoded = made.decode(bytes.fromhex(sent))
    assert (decoded, type(decoded), str(decoded)) == (value, type(value), str(value))


@pytest.mark.parametrize("sent", ["ffff 0001", "0001 ffff"])
def test_one_part_without_a_value_leaves_none(sent):
    """Half of a total is not the total."""
    assert codec("uint16", "1", "1", sentinels=(Fraction(0xFFFF),)).decode(bytes.fromhex(sent)) is (
        Reason.SENSOR_FAILURE
    )


@pytest.mark.parametrize(
    ("made", "sent"),
    [
        (codec("bcd16", "1", "1"), "0001 000a"),
        (codec("float32", "1", "1"), "3f800000 7fc00000"),
        (codec("float32", "1", "1"), "7f800000 ff800000"),
    ],
)
def test_a_part_that_is_no_number_leaves_none(made, sent):
    """Neither digits beyond nine nor what is not a number adds up to anything."""
    assert made.decode(bytes.fromhex(sent)) is Reason.SENSOR_FAILURE


def test_a_total_that_no_float_can_hold_is_out_of_range():
    """Twice the largest float64 is no float; nothing is raised."""
    assert codec("float64", "1", "1").decode(bytes.fromhex("7fefffffffffffff") * 2) is Reason.OUT_OF_RANGE


@unhurried
@given(
    data=st.data(),
    type_=st.sampled_from([Type.UINT16, Type.INT16, Type.UINT32, Type.INT64, Type.BCD16]),
    order=st.sampled_from(Order),
    scales=st.sampled_from(
        [("1000", "1"), ("1", "0.001"), ("1", "1", "1"), ("1", "-1"), ("0.1", "1000", "10")]
    ),
)
def test_a_total_goes_into_its_parts_and_comes_back(data, type_, order, scales):
    """The parts may be others than before, where there are several ways; the total is the same."""
    made = codec(type_, *scales, order=order, wanted=None if "0" not in scales[-1] else ValueType.DECIMAL)
    raws = [data.draw(st.integers(type_.least, type_.greatest)) for _ in scales]
    value = made.decode(made.pack(*(made.meaning.first.held(raw) for raw in raws)))
    assert Fraction(str(value)) == sum(Fraction(scale) * raw for scale, raw in zip(scales, raws, strict=True))
    assert made.decode(made.encode(value)) == value


@pytest.mark.parametrize(
    ("scales", "value"), [(("1000", "1"), -1), (("1000", "1"), 66_000_000), (("2", "4"), 1.5)]
)
def test_what_the_parts_cannot_hold_is_refused(scales, value):
    """Nothing is clamped, or rounded by more than half of the least step."""
    made = codec("uint16", *scales)
    if value == 1.5:  # halfway: the nearest that there is
        assert made.decode(made.encode(value)) in {0, 2}
        return
    with pytest.raises(ValueError, match=f"{value} does not fit into 2 x uint16"):
        made.encode(value)


@unhurried
@given(value=st.floats(-100, 1e9))
def test_what_is_shown_is_within_the_limits_and_no_sentinel(value):
    """For emulation anything will do, the nearest good value is shown."""
    made = codec("uint16", "1000", "1", sentinels=(Fraction(0xFFFF),))
    shown = made.decode(made.pack(*made.meaning.nearest(Fraction(2000), Fraction(60_000_000))(value)))
    assert 2000 <= shown <= 60_000_000


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: codec("uint16", "1", "0"), "sum: expected scales other than 0, which would add nothing"),
        (lambda: codec("uint16", "1", "1", bits=Bits(0, 3)), "bits: what is added up is whole registers"),
        (
            lambda: codec("uint16", "1", "0.1", wanted=ValueType.INTEGER),
            "value_type: expected decimal, number for this type and these scales",
        ),
        (
            lambda: codec("float32", "1", "1", wanted=ValueType.INTEGER),
            "value_type: expected number for this type and these scales",
        ),
    ],
)
def test_what_does_not_fit_together_is_said(make, problem):
    """In one sentence that starts with the setting's name."""
    with pytest.raises(ValueError, match=r".") as raised:
        make()
    assert str(raised.value) == problem

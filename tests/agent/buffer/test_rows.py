"""A row brings back exactly the sample that went in, or is known to be damaged."""

from __future__ import annotations

import struct
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.buffer import rows
from agent.sample import Point, Quality, Reason, Sample, Shape, ValueType, nothing_learnt

_VALUES = {
    ValueType.BOOLEAN: st.booleans(),
    ValueType.INTEGER: st.one_of(
        st.integers(-128, 255), st.integers(-(2**31), 2**32), st.integers(-(2**63), 2**64), st.integers()
    ),
    ValueType.NUMBER: st.one_of(
        st.floats(allow_nan=False, allow_infinity=False),
        st.floats(width=32, allow_nan=False, allow_infinity=False),
        st.integers(-(10**6), 10**6).map(lambda number: number / 10),
        st.integers(-(10**9), 10**9).map(lambda number: number / 1000),
        st.sampled_from([0.0, -0.0, 5e-324, 1.7976931348623157e308, 0.1, 2.0**40, -(2.0**40)]),
    ),
    ValueType.DECIMAL: st.decimals(allow_nan=False, allow_infinity=False),
    ValueType.TEXT: st.text(max_size=300),
}


@st.composite
def samples(draw) -> Sample:
    """Samples as drivers make them, and as they should not: a value of another type than its point's."""
    types = draw(st.lists(st.sampled_from(ValueType), min_size=1, max_size=12))
    if draw(st.booleans()):
        types = types[:1] * len(types)
    shape = Shape("d", tuple(Point(name=f"p{index}", type=type_) for index, type_ in enumerate(types)))
    reasons = bytes(draw(st.one_of(st.just([]), *[_reasons(len(types))] * 2)))
    values = []
    for index, type_ in enumerate(types):
        bad = bool(reasons) and Reason(reasons[index]).quality is Quality.BAD
        odd = draw(st.integers(0, 40)) == 0
        if bad != odd:
            values.append(None)
        else:
            values.append(draw(_VALUES[draw(st.sampled_from(ValueType)) if odd else type_]))
    ages = draw(
        st.one_of(
            st.just(()),
            st.lists(st.integers(0, 10**6), min_size=len(types), max_size=len(types)).map(tuple),
        )
    )
    return Sample(shape, draw(st.integers(-(2**63), 2**63 - 1)), tuple(values), reasons, ages)


def _reasons(count: int):
    return st.one_of(
        st.sampled_from(Reason).map(lambda reason: [reason] * count),
        st.lists(st.sampled_from(Reason), min_size=count, max_size=count),
    )


def _exact(sample: Sample) -> tuple:
    """Everything that must come back, with the sign of zero and the exponent of a decimal."""
    return sample.monotonic_ns, [(type(v), repr(v)) for v in sample.values], sample.reasons, sample.ages_ms


@settings(deadline=None, max_examples=500)
@given(samples())
def test_every_sample_comes_back_as_it_was(sample):
    """Decoding what was encoded gives each value with its type, the sign of zero and every digit."""
    assert rows.fault(sample) is None
    back = rows.decode(sample.shape, sample.monotonic_ns, rows.encode(sample))
    assert back.shape is sample.shape
    assert _exact(back) == _exact(sample)


@settings(deadline=None, max_examples=200)
@given(samples(), st.data())
def test_a_flipped_bit_is_found(sample, data):
    """Whichever bit of a row is flipped, in its cells or in what stands beside them, the checksum differs."""
    encoded = rows.encode(sample)
    fields = (123_456, len(sample.values), 77, 88, sample.monotonic_ns)
    crc = rows.checksum("a" * 32, fields, encoded)
    bit = data.draw(st.integers(0, len(encoded) * 8 - 1))
    flipped = bytearray(encoded)
    flipped[bit // 8] ^= 1 << bit % 8
    assert rows.checksum("a" * 32, fields, bytes(flipped)) != crc
    which = data.draw(st.integers(0, 3))
    changed = list(fields)
    changed[which] ^= 1 << data.draw(st.integers(0, 31))
    assert rows.checksum("a" * 32, tuple(changed), encoded) != crc
    assert rows.checksum("b" * 32, fields, encoded) != crc


@settings(deadline=None, max_examples=300)
@given(st.binary(min_size=1, max_size=80), samples())
def test_bytes_that_nobody_encoded_are_refused_or_read_but_never_worse(garbage, sample):
    """Decoding arbitrary bytes ends at once, with a sample or one of the errors that mean damage."""
    with suppress(ValueError, IndexError, KeyError, ArithmeticError, struct.error):
        rows.decode(sample.shape, 0, garbage)


@pytest.mark.parametrize(
    ("type_", "values", "most"),
    [
        (ValueType.NUMBER, [230.5 + index / 4 for index in range(50)], 50 * 4 + 2),
        (ValueType.NUMBER, [21.7 + index for index in range(50)], 50 * 2 + 5),
        (ValueType.NUMBER, [230.12 + index * 10 for index in range(50)], 50 * 4 + 5),
        (ValueType.NUMBER, [1 / (index + 3) for index in range(50)], 50 * 8 + 2),
        (ValueType.INTEGER, list(range(50)), 50 + 2),
        (ValueType.INTEGER, [70_000 + index for index in range(50)], 50 * 4 + 2),
        (ValueType.BOOLEAN, [True, False] * 25, 7 + 1),
    ],
    ids=["float32", "tenths", "hundredths", "float64", "bytes", "uint32", "bits"],
)
def test_what_registers_give_is_stored_in_about_their_own_size(type_, values, most):
    """A column of 50 takes no more than the registers it came from, and a few bytes."""
    shape = Shape("d", tuple(Point(name=f"p{index}", type=type_) for index in range(50)))
    assert len(rows.encode(Sample(shape, 0, tuple(values)))) <= most


def test_a_silent_device_costs_two_bytes():
    """A sample without any value is stored as its one reason."""
    shape = Shape("d", tuple(Point(name=f"p{index}", type=ValueType.DECIMAL) for index in range(50)))
    assert len(rows.encode(nothing_learnt(shape, 0, Reason.TIMEOUT))) == 2


@pytest.mark.parametrize(
    "sample",
    [
        Sample(Shape("d", ()), 0, ()),
        Sample(Shape("d", (Point(name="a"),)), 0, (1.0, 2.0)),
        Sample(Shape("d", (Point(name="a"),)), 0, (1.0,), b"\0\0"),
        Sample(Shape("d", (Point(name="a"),)), 0, (1.0,), b"", (1, 2)),
        Sample(Shape("d", (Point(name="a"),)), 0, (b"bytes",)),
        Sample(Shape("d", (Point(name="a"),)), 0, (1 + 2j,)),
    ],
    ids=["no points", "too many values", "too many reasons", "too many ages", "bytes", "complex"],
)
def test_a_sample_that_does_not_fit_its_shape_is_found_before_it_is_stored(sample):
    """Columns of another length than the shape, and values of unknown types, have a fault in words."""
    assert rows.fault(sample)


def test_decimals_keep_their_digits():
    """Every digit of a scaled 64-bit register comes back, the trailing zeros too."""
    shape = Shape("d", (Point(name="a", type=ValueType.DECIMAL),))
    value = Decimal("184467440737095516.150")
    assert repr(rows.decode(shape, 0, rows.encode(Sample(shape, 0, (value,)))).values[0]) == repr(value)

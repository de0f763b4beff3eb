"""One point of any kind: from registers to value and back, whatever they hold."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.sample import Reason, ValueType
from drivers.modbus.values.codec import Codec
from drivers.modbus.values.flag import Flag
from drivers.modbus.values.number import Bits, Number
from drivers.modbus.values.registers import Order, Table, Type
from drivers.modbus.values.scaled import Scaled
from drivers.modbus.values.text import Encoding, Text
from drivers.modbus.values.total import Total

unhurried = settings(deadline=None)

NUMBERS = [type_ for type_ in Type if type_ not in {Type.BOOL, Type.STRING}]
TYPES = {
    ValueType.BOOLEAN: bool,
    ValueType.INTEGER: int,
    ValueType.NUMBER: float,
    ValueType.DECIMAL: Decimal,
    ValueType.TEXT: str,
}
TENS = [Fraction(text) for text in ("1", "0.1", "1000", "-1")]

scales = st.sampled_from([Fraction(text) for text in ("1", "0.1", "1000", "-1", "1/3", "0.0198")])
numbers = st.builds(
    Number,
    type=st.sampled_from(NUMBERS),
    scale=scales,
    offset=st.sampled_from([Fraction(0), Fraction("-273.15")]),
    sentinels=st.sampled_from([(), (Fraction(0), Fraction(100))]),
) | st.builds(Number, type=st.just(Type.UINT32), bits=st.just(Bits(3, 17)), scale=scales)
whole = numbers.filter(lambda number: not number.type.floating)
meanings = (
    numbers
    | st.builds(Flag, st.integers(0, 15))
    | st.builds(Text, length=st.integers(1, 12), encoding=st.sampled_from(Encoding))
    | st.builds(
        Total,
        first=numbers.filter(lambda number: number.bits is None and number.scale in TENS),
        scales=st.lists(st.sampled_from(TENS), min_size=1, max_size=3).map(tuple),
    )
    | st.builds(Scaled, number=whole)
)


@st.composite
def codecs(draw):
    """Any meaning in any order; its parts apart from each other, in any sequence and with gaps."""
    meaning = draw(meanings)
    gaps = draw(st.permutations(range(0, 20, 5)))
    addresses = tuple(100 + place for place in gaps[: len(meaning.codes)])
    return Codec(
        table=Table.HOLDING, addresses=addresses, meaning=meaning, order=draw(st.sampled_from(Order))
    )


def registers(codec):
    """What can stand in its registers: anything, or what a device often has when there is nothing."""
    size = codec.width * 2
    return st.binary(min_size=size, max_size=size) | st.sampled_from([b"\0" * size, b"\xff" * size])


@settings(deadline=None, max_examples=400)
@given(data=st.data(), codec=codecs())
def test_whatever_the_registers_hold_is_a_value_of_its_type_or_a_reason(data, codec):
    """Nothing is raised, no float is infinite or not a number, no text has anything that cannot be printed."""
    value = codec.decode(data.draw(registers(codec)))
    if isinstance(value, Reason):
        assert value in {Reason.SENSOR_FAILURE, Reason.OUT_OF_RANGE}
        return
    assert type(value) is TYPES[codec.value_type]
    if isinstance(value, float):
        assert math.isfinite(value)
    if isinstance(value, str):
        assert value
        assert value.isprintable()


@settings(deadline=None, max_examples=400)
@given(data=st.data(), codec=codecs())
def test_what_is_written_reads_as_it_was(data, codec):
    """A value that came from the registers is found there again once it is stored, whatever the kind and order."""
    value = codec.decode(data.draw(registers(codec)))
    if isinstance(value, Reason):
        return
    try:
        sent = codec.encode(value)
    except ValueError:  # what was read in another way than it would be written
        assert isinstance(codec.meaning, Text | Total)
        return
    assert len(sent) == codec.width * 2
    again = codec.decode(sent)
    if codec.value_type is ValueType.NUMBER:
        assert again == pytest.approx(value, rel=1e-3 if _narrow(codec) else 1e-6, abs=1e-3)
    else:
        assert again == value


def _narrow(codec):
    meaning = codec.meaning.first if isinstance(codec.meaning, Total) else codec.meaning
    return isinstance(meaning, Number) and meaning.type is Type.FLOAT16


@unhurried
@given(codec=codecs(), value=st.floats(-1e6, 1e6) | st.booleans() | st.text(min_size=1, max_size=10))
def test_an_emulated_device_shows_whatever_it_is_given(codec, value):
    """Never refused: what is shown decodes to something, and what is not its own is 0."""
    if codec.value_type is ValueType.TEXT:
        value = str(value)
    elif isinstance(value, str):
        value = float(len(value))
    sent = codec.pack(*codec.meaning.nearest(None, None)(value))
    assert len(sent) == codec.width * 2
    codec.decode(sent)
    if codec.mask is not None:
        assert int.from_bytes(sent) & ~int.from_bytes(codec.mask) == 0


def test_one_request_reads_all_of_a_point():
    """From the first to the last of its registers, wherever its own address lies among them."""
    total = Total(first=Number(type=Type.UINT32), scales=(Fraction(1000), Fraction(1)))
    codec = Codec(table=Table.HOLDING, addresses=(20, 10, 30), meaning=total)
    assert (codec.address, codec.end, codec.width) == (10, 32, 22)
    assert [(each.address, each.end) for each in codec.fields] == [(20, 22), (10, 12), (30, 32)]


@pytest.mark.parametrize(
    ("addresses", "problem"),
    [
        ((65536, 0), "address: expected 0 to 65535 as sent on the wire, found 65536"),
        ((-1, 0), "address: expected 0 to 65535 as sent on the wire, found -1"),
        (
            (65535, 0),
            "address: expected no more than the last address 65535, found 2 registers from 65535 on",
        ),
        ((10, 11), "address: expected registers apart from the others of the point, found 11 among them"),
    ],
)
def test_a_point_lies_within_its_table_and_beside_itself(addresses, problem):
    """The sentence starts with the setting's name and says what was expected."""
    total = Total(first=Number(type=Type.UINT32), scales=(Fraction(1000),))
    with pytest.raises(ValueError, match=r".") as raised:
        Codec(table=Table.HOLDING, addresses=addresses, meaning=total)
    assert str(raised.value) == problem

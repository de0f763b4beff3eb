"""One point: from registers to value and back, exactly."""

import math
import struct
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pymodbus.client import AsyncModbusTcpClient

from agent.sample import Reason, ValueType
from drivers.modbus.codec import Codec
from drivers.modbus.registers import Order, Table, Type

unhurried = settings(deadline=None)

NUMBERS = [type_ for type_ in Type if type_ is not Type.BOOL]
INTEGERS = [type_ for type_ in NUMBERS if not type_.floating]
SCALES = [
    "1",
    "0.1",
    "0.01",
    "0.001",
    "10",
    "-1",
    "-0.1",
    "0.5",
    "0.25",
    "1/3",
    "0.0198",
    "1e-6",
    "1000",
    "2.5",
]


def codec(type_: Type | str, **given_settings) -> Codec:
    for name in ("scale", "offset"):
        if name in given_settings:
            given_settings[name] = Fraction(given_settings[name])
    if "sentinels" in given_settings:
        given_settings["sentinels"] = tuple(Fraction(sentinel) for sentinel in given_settings["sentinels"])
    defaults = {"table": Table.HOLDING, "address": 0}
    return Codec(type=Type(type_), **(defaults | given_settings))


def raw_bytes(type_: Type, raw: float, order: Order = Order.ABCD) -> bytes:
    return Codec(table=Table.HOLDING, address=0, type=type_, order=order).encode(raw)


def raws(type_: Type) -> st.SearchStrategy:
    if type_.floating:
        return st.floats(width=type_.size * 16, allow_nan=False, allow_infinity=False)
    return st.integers(type_.least, type_.greatest)


# --- vectors ---------------------------------------------------------------------------------------------------


def test_a_published_trace_reads_as_its_finder_said():
    """The bytes of evcc's issue 82 are -979 low word first and -64094209 high word first."""
    sent = bytes.fromhex("fc2dffff")
    assert codec("int32", order=Order.CDAB).decode(sent) == -979
    assert codec("int32", order=Order.ABCD).decode(sent) == -64094209


@pytest.mark.parametrize(
    ("type_", "scale", "offset", "sent", "value"),
    [
        ("int16", "0.1", "0", "00d7", 21.5),
        ("uint16", "0.1", "0", "0003", 0.3),  # 3 * 0.1 is 0.30000000000000004 in floats
        ("int16", "0.1", "0", "ff83", -12.5),
        ("int16", "0.01", "-40", "1770", 20.0),
        ("uint16", "0.0198", "0", "03e8", 19.8),
        ("uint32", "0.001", "0", "ffffffff", 4294967.295),
        ("uint16", "1/3", "0", "0001", 1 / 3),
        ("uint16", "10", "0", "0007", 70),
        ("uint16", "1", "-100", "0007", -93),
        ("uint64", "1", "0", "ffffffffffffffff", 2**64 - 1),
        ("uint64", "0.01", "0", "7fffffffffffffff", Decimal("92233720368547758.07")),
        ("int64", "0.001", "0", "8000000000000000", Decimal("-9223372036854775.808")),
        ("uint64", "1/3", "0", "0000000000000005", 5 / 3),
        ("float32", "1", "0", "41ac0000", 21.5),
        ("float32", "0.001", "0", "41ac0000", 0.0215),
        ("float64", "1", "0", "4035800000000000", 21.5),
    ],
)
def test_a_scaled_register_is_the_decimal_that_was_meant(type_, scale, offset, sent, value):
    """Value = raw * scale + offset, exact and rounded once: it prints the digits that a person would write."""
    decoded = codec(type_, scale=scale, offset=offset).decode(bytes.fromhex(sent))
    assert (decoded, type(decoded)) == (value, type(value))
    assert str(decoded) == str(value)


def test_one_bit_of_a_register_is_a_point():
    """Bits are counted from the least significant of the register's value, whatever order its bytes have."""
    for order in Order:
        register = raw_bytes(Type.UINT16, 0b1000, order)
        assert codec("bool", bit=3, order=order).decode(register) is True
        assert codec("bool", bit=2, order=order).decode(register) is False
        assert codec("bool", bit=3, order=order).encode(value=True) == register


# --- properties ------------------------------------------------------------------------------------------------


@unhurried
@given(
    data=st.data(),
    type_=st.sampled_from(NUMBERS),
    order=st.sampled_from(Order),
    scale=st.sampled_from(SCALES),
    offset=st.sampled_from(["0", "0", "-40", "0.05", "273.15"]),
)
def test_decoding_is_the_exact_result_rounded_once(data, type_, order, scale, offset):
    """Against fractions: integers and decimals are exact, floats are the nearest to the exact result."""
    raw = data.draw(raws(type_))
    made = codec(type_, order=order, scale=scale, offset=offset)
    exact = Fraction(raw) * Fraction(scale) + Fraction(offset)
    value = made.decode(raw_bytes(type_, raw, order))
    if value is Reason.OUT_OF_RANGE:  # only where no float is that large
        with pytest.raises(OverflowError):
            float(exact)
        return
    assert not isinstance(value, Reason)
    if made.value_type is ValueType.NUMBER:
        assert isinstance(value, float)
        assert value == float(exact)
    else:
        assert type(value) is (int if made.value_type is ValueType.INTEGER else Decimal)
        assert Fraction(value) == exact


@unhurried
@given(data=st.data(), type_=st.sampled_from(INTEGERS), scale=st.sampled_from(SCALES))
def test_a_float_of_an_integer_register_prints_the_digits_of_the_exact_result(data, type_, scale):
    """A type that may need more than 15 digits gives decimals, so no float ever shows digits that were not there."""
    made = codec(type_, scale=scale)
    assume(made.value_type is ValueType.NUMBER and Fraction(scale) != Fraction("1/3"))
    raw = data.draw(raws(type_))
    printed = Fraction(repr(made.decode(raw_bytes(type_, raw))))
    assert printed == raw * Fraction(scale)


@unhurried
@given(
    data=st.data(),
    type_=st.sampled_from(NUMBERS),
    order=st.sampled_from(Order),
    scale=st.sampled_from(SCALES),
)
def test_encoding_a_decoded_value_gives_the_same_bytes(data, type_, order, scale):
    """The codec runs backwards: no register value is lost on the way there and back."""
    made = codec(type_, order=order, scale=scale)
    raw = data.draw(raws(type_))
    sent = raw_bytes(type_, raw, order)
    value = made.decode(sent)
    exact_enough = (
        type_ not in {Type.UINT64, Type.INT64, Type.FLOAT64} or made.value_type is not ValueType.NUMBER
    )
    assume(not isinstance(value, Reason) and (exact_enough or scale == "1"))
    assume(raw != 0 or math.copysign(1, raw) > 0)  # minus zero is zero to an exact number
    assert made.encode(value) == sent


@unhurried
@given(data=st.data(), type_=st.sampled_from(NUMBERS), low_word_first=st.booleans())
def test_pymodbus_reads_the_same(data, type_, low_word_first):
    """Pymodbus' own conversion is the oracle for the two orders that it knows."""
    raw = data.draw(raws(type_))
    sent = raw_bytes(type_, raw, Order.CDAB if low_word_first else Order.ABCD)
    registers = list(struct.unpack(f">{type_.size}H", sent))
    oracle = AsyncModbusTcpClient.convert_from_registers(
        registers,
        AsyncModbusTcpClient.DATATYPE[type_.name],
        word_order="little" if low_word_first else "big",
    )
    assert codec(type_, order=Order.CDAB if low_word_first else Order.ABCD).decode(sent) == oracle


@unhurried
@given(
    data=st.data(),
    type_=st.sampled_from(INTEGERS),
    scale=st.sampled_from(SCALES),
    offset=st.integers(-99, 99),
    quarters=st.tuples(st.integers(-9, 9), st.integers(-9, 9)).filter(lambda pair: pair[0] < pair[1]),
)
def test_limits_hold_for_the_value_and_include_their_ends(data, type_, scale, offset, quarters):
    """Limits are compared with the exact value: on it, a quarter of a step beside it, on either side."""
    raw = data.draw(raws(type_))
    value, quarter = raw * Fraction(scale) + offset, abs(Fraction(scale)) / 4
    least, greatest = (value + count * quarter for count in quarters)
    inside = quarters[0] <= 0 <= quarters[1]
    made = codec(type_, scale=scale, offset=offset)
    assert (raw in made.raws_within(least, greatest)) == inside


# --- what is no value ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["-32768", "32768"])
def test_a_sentinel_may_be_written_signed_or_as_the_bit_pattern(written):
    """Documents print 0x8000 or -32768 and mean the same register."""
    made = codec("int16", scale="0.1", sentinels=[written])
    assert made.decode(b"\x80\x00") is Reason.SENSOR_FAILURE
    assert made.decode(b"\x7f\xff") == 3276.7


def test_a_sentinel_is_compared_with_the_raw_value():
    """Scale and offset play no part: 65535 in a register of tenths is not 6553.5 degrees."""
    made = codec("uint16", scale="0.1", offset="5", sentinels=[65535])
    assert made.decode(b"\xff\xff") is Reason.SENSOR_FAILURE


def test_a_sentinel_of_a_float_is_met_as_the_registers_can_hold_it():
    """-9999.9 has no exact float32; what the device sends is the nearest."""
    made = codec("float32", sentinels=["-9999.9"])
    assert made.decode(struct.pack(">f", -9999.9)) is Reason.SENSOR_FAILURE
    assert made.decode(struct.pack(">f", -9999.0)) == -9999.0


@pytest.mark.parametrize("type_", ["float32", "float64"])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("scale", ["1", "0.1"])
def test_what_is_not_a_number_is_no_value(type_, number, scale):
    """NaN and infinities say that the sensor has failed; they never leave as values."""
    made = codec(type_, scale=scale)
    assert made.decode(struct.pack(f">{made.type.code}", number)) is Reason.SENSOR_FAILURE


def test_a_float_that_no_float_can_hold_once_scaled_is_out_of_range():
    """The largest float64 times a thousand has no float; nothing is raised, and no infinity appears."""
    made = codec("float64", scale="1000")
    assert made.decode(struct.pack(">d", 1.7e308)) is Reason.OUT_OF_RANGE


# --- which type a point has ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "scale", "offset", "value_type"),
    [
        ("bool", "1", "0", "boolean"),
        ("uint16", "1", "0", "integer"),
        ("int16", "1000", "-5", "integer"),
        ("uint64", "1", "0", "integer"),
        ("int16", "0.1", "0", "number"),
        ("int16", "1", "0.5", "number"),
        ("uint32", "0.001", "0", "number"),
        ("uint32", "0.000001", "1000000000", "decimal"),
        ("uint64", "0.01", "0", "decimal"),
        ("int64", "0.001", "0", "decimal"),
        ("uint64", "1/3", "0", "number"),
        ("float32", "1", "0", "number"),
        ("float64", "0.001", "0", "number"),
    ],
)
def test_the_value_type_follows_from_the_settings_alone(type_, scale, offset, value_type):
    """A row is decoded by it, so it is known before anything is read, and never changes with the value."""
    made = codec(type_, scale=scale, offset=offset, bit=0 if type_ == "bool" else None)
    assert made.value_type is ValueType(value_type)


def test_a_value_type_can_be_chosen_where_it_loses_what_is_known_to_be_lost():
    """A consumer that cannot take decimals gets the nearest float; one that wants every digit gets decimals."""
    sent = bytes.fromhex("7fffffffffffffff")
    assert codec("uint64", scale="0.01", wanted=ValueType.NUMBER).decode(sent) == float(
        Fraction(2**63 - 1, 100)
    )
    assert codec("uint64", wanted=ValueType.NUMBER).decode(sent) == float(2**63 - 1)
    assert (
        repr(codec("int16", scale="0.1", wanted=ValueType.DECIMAL).decode(b"\x00\xd7")) == "Decimal('21.5')"
    )
    assert repr(codec("int16", wanted=ValueType.DECIMAL).decode(b"\x00\xd7")) == "Decimal('215')"


# --- what cannot be configured ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_settings", "problem"),
    [
        ({"type_": "int16", "address": 65536}, "address: expected 0 to 65535"),
        ({"type_": "int16", "address": -1}, "address: expected 0 to 65535"),
        (
            {"type_": "float32", "address": 65535},
            "address: expected no more than the last address 65535, found 2 registers from 65535 on",
        ),
        ({"type_": "uint16", "table": Table.COIL}, "type: the coil table holds single bits"),
        ({"type_": "bool"}, "bit: a bool in the holding table needs to know which bit"),
        ({"type_": "bool", "bit": 16}, "bit: expected 0 (least significant) to 15, found 16"),
        ({"type_": "bool", "table": Table.DISCRETE, "bit": 1}, "bit: a discrete is one bit already"),
        ({"type_": "bool", "bit": 0, "scale": "2"}, "scale: only a number has one"),
        ({"type_": "bool", "bit": 0, "wanted": ValueType.INTEGER}, "value_type: a bool is always boolean"),
        ({"type_": "int16", "bit": 0}, "bit: only a bool is one bit of a register"),
        ({"type_": "int16", "scale": "0"}, "scale: expected a number other than 0"),
        ({"type_": "int16", "sentinels": [65536]}, "sentinels: 65536 is not a raw value of int16"),
        ({"type_": "uint16", "sentinels": [-32769]}, "sentinels: -32769 is not a raw value of uint16"),
        ({"type_": "uint16", "sentinels": ["0.5"]}, "sentinels: 0.5 is not a raw value of uint16"),
        ({"type_": "float32", "wanted": ValueType.INTEGER}, "value_type: expected number"),
        (
            {"type_": "int16", "scale": "0.1", "wanted": ValueType.INTEGER},
            "value_type: expected decimal, number",
        ),
        ({"type_": "int16", "wanted": ValueType.TEXT}, "value_type: expected decimal, integer, number"),
    ],
)
def test_settings_that_do_not_fit_together_are_said_in_one_sentence(given_settings, problem):
    """The sentence starts with the setting's name and says what was expected."""
    with pytest.raises(ValueError, match=r".") as raised:
        codec(**given_settings)
    assert str(raised.value).startswith(problem)


@pytest.mark.parametrize(
    ("made", "value"),
    [
        (codec("uint16"), 65536),
        (codec("uint16"), -1),
        (codec("int16", scale="0.1"), 3276.8),
        (codec("float32"), 1e39),
        (codec("float64"), math.inf),
        (codec("int16"), math.nan),
        (codec("uint16"), "full"),
        (codec("bool", bit=1), 1),
    ],
)
def test_a_value_that_the_registers_cannot_hold_is_refused(made, value):
    """Encoding never wraps round or clamps."""
    with pytest.raises(ValueError, match=r"fit|expected"):
        made.encode(value)

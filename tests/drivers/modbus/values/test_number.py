"""Numbers: from registers to value and back, exactly."""

import math
import struct
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pymodbus.client import AsyncModbusTcpClient

from agent.sample import Reason, ValueType
from drivers.modbus.values.codec import Codec
from drivers.modbus.values.number import Bits, Number
from drivers.modbus.values.registers import Order, Table, Type

unhurried = settings(deadline=None)

NUMBERS = [type_ for type_ in Type if type_ not in {Type.BOOL, Type.STRING}]
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


def codec(type_: Type | str, order: Order = Order.ABCD, **given_settings) -> Codec:
    for name in ("scale", "offset"):
        if name in given_settings:
            given_settings[name] = Fraction(given_settings[name])
    if "sentinels" in given_settings:
        given_settings["sentinels"] = tuple(Fraction(sentinel) for sentinel in given_settings["sentinels"])
    if "bits" in given_settings:
        given_settings["bits"] = Bits.of(given_settings["bits"])
    meaning = Number(type=Type(type_), **given_settings)
    return Codec(table=Table.HOLDING, addresses=(0,), order=order, meaning=meaning)


def raw_bytes(type_: Type, raw: float, order: Order = Order.ABCD) -> bytes:
    return codec(type_, order).encode(raw)


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
        ("float16", "1", "0", "4d60", 21.5),
        ("float16", "0.1", "0", "4d60", 2.15),
        ("bcd16", "1", "0", "1234", 1234),
        ("bcd16", "0.1", "0", "0215", 21.5),
        ("bcd32", "1", "0", "12345678", 12345678),
        ("bcd64", "1", "0", "9999999999999999", 9999999999999999),
        ("bcd64", "0.1", "0", "9999999999999999", Decimal("999999999999999.9")),
    ],
)
def test_a_scaled_register_is_the_decimal_that_was_meant(type_, scale, offset, sent, value):
    """Value = raw * scale + offset, exact and rounded once: it prints the digits that a person would write."""
    decoded = codec(type_, scale=scale, offset=offset).decode(bytes.fromhex(sent))
    assert (decoded, type(decoded)) == (value, type(value))
    assert str(decoded) == str(value)


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
        type_ not in {Type.UINT64, Type.INT64, Type.FLOAT64, Type.BCD64}
        or made.value_type is not ValueType.NUMBER
    )
    assume(not isinstance(value, Reason) and (exact_enough or scale == "1"))
    assume(raw != 0 or math.copysign(1, raw) > 0)  # minus zero is zero to an exact number
    assert made.encode(value) == sent


@unhurried
@given(
    data=st.data(),
    type_=st.sampled_from(
        [type_ for type_ in NUMBERS if type_.name in AsyncModbusTcpClient.DATATYPE.__members__]
    ),
    low_word_first=st.booleans(),
)
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
    assert (raw in made.meaning.raws_within(least, greatest)) == inside


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


@pytest.mark.parametrize("type_", ["float16", "float32", "float64"])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("scale", ["1", "0.1"])
def test_what_is_not_a_number_is_no_value(type_, number, scale):
    """NaN and infinities say that the sensor has failed; they never leave as values."""
    made = codec(type_, scale=scale)
    assert made.decode(struct.pack(f">{made.meaning.type.code}", number)) is Reason.SENSOR_FAILURE


def test_a_float_that_no_float_can_hold_once_scaled_is_out_of_range():
    """The largest float64 times a thousand has no float; nothing is raised, and no infinity appears."""
    made = codec("float64", scale="1000")
    assert made.decode(struct.pack(">d", 1.7e308)) is Reason.OUT_OF_RANGE


# --- which type a point has ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "scale", "offset", "value_type"),
    [
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
        ("float16", "1", "0", "number"),
        ("bcd16", "0.1", "0", "number"),
        ("bcd64", "1", "0", "integer"),
        ("bcd64", "0.1", "0", "decimal"),
    ],
)
def test_the_value_type_follows_from_the_settings_alone(type_, scale, offset, value_type):
    """A row is decoded by it, so it is known before anything is read, and never changes with the value."""
    made = codec(type_, scale=scale, offset=offset)
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
        ({"type_": "int16", "scale": "0"}, "scale: expected a number other than 0"),
        (
            {"type_": "int16", "sentinels": [65536]},
            "sentinels: 65536 (0x10000) is not a raw value of int16: expected -32768 to 32767 or a bit pattern up to 0xFFFF",
        ),
        ({"type_": "uint16", "sentinels": [-32769]}, "sentinels: -32769 is not a raw value of uint16"),
        ({"type_": "uint16", "sentinels": ["0.5"]}, "sentinels: 0.5 is not a raw value of uint16"),
        (
            {"type_": "bcd16", "sentinels": [0x9999]},
            "sentinels: 39321 (0x9999) is not a raw value of bcd16: expected 0 to 9999",
        ),
        (
            {"type_": "uint16", "bits": "4-7", "sentinels": [0xFF]},
            "sentinels: 255 is not a raw value of bits 4-7 of uint16: expected 0 to 15",
        ),
        ({"type_": "float32", "sentinels": ["1e39"]}, "sentinels: 1e+39 is not a raw value of float32"),
        (
            {"type_": "float16", "sentinels": [65536]},
            "sentinels: 65536 (0x10000) is not a raw value of float16",
        ),
        ({"type_": "int16", "bits": "4-7"}, "bits: only a uint16 or uint32 has a field of them"),
        ({"type_": "uint16", "bits": "4-16"}, "bits: expected 0 (least significant) to 15, found 16"),
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
        (codec("bcd16"), 10000),
        (codec("bcd16"), -1),
        (codec("float16"), 65536),
        (codec("uint16", bits="4-7"), 16),
        (codec("uint16", bits="4-7"), -1),
    ],
)
def test_a_value_that_the_registers_cannot_hold_is_refused(made, value):
    """Encoding never wraps round or clamps."""
    with pytest.raises(ValueError, match=r"fit|expected"):
        made.encode(value)


# --- digits and bits -------------------------------------------------------------------------------------------


@unhurried
@given(data=st.data(), type_=st.sampled_from([Type.BCD16, Type.BCD32, Type.BCD64]))
def test_four_bits_beyond_nine_are_no_digit(data, type_):
    """A register that is not binary-coded decimal gives no number, and one that is gives the number it spells."""
    sent = data.draw(st.binary(min_size=type_.size * 2, max_size=type_.size * 2))
    spelt = sent.hex()
    value = codec(type_).decode(sent)
    assert value == (int(spelt) if spelt.isdecimal() else Reason.SENSOR_FAILURE)


@unhurried
@given(data=st.data(), type_=st.sampled_from([Type.UINT16, Type.UINT32]), order=st.sampled_from(Order))
def test_a_field_of_bits_is_the_number_that_they_are_alone(data, type_, order):
    """Bits are counted from the least significant of the value, whatever order its bytes have; the others do not matter."""
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, type_.size * 16 - 1)] * 2)))
    whole = data.draw(raws(type_))
    made = codec(type_, order, bits=f"{last}-{first}")
    value = made.decode(raw_bytes(type_, whole, order))
    assert value == int(f"{whole:0{type_.size * 16}b}"[::-1][first : last + 1][::-1], 2)
    assert made.decode(made.encode(value)) == value
    own, all_ = int.from_bytes(made.mask), int.from_bytes(raw_bytes(type_, type_.greatest, order))
    assert int.from_bytes(made.encode(value)) & ~own & all_ == 0


def test_a_sentinel_of_a_field_is_that_of_the_field():
    """Scale and sentinels are about the bits alone: 15 in four of them is all ones."""
    made = codec("uint16", bits="4-7", scale="0.5", sentinels=[15])
    assert made.decode(b"\x00\x30") == 1.5
    assert made.decode(b"\xff\xff") is Reason.SENSOR_FAILURE


# --- emulation -------------------------------------------------------------------------------------------------


@unhurried
@given(
    data=st.data(),
    type_=st.sampled_from(NUMBERS),
    scale=st.sampled_from(SCALES),
    value=st.floats(-1e6, 1e6),
    sentinels=st.sampled_from([(), (Fraction(0),)]),
)
def test_what_is_shown_is_a_good_value_within_the_limits(data, type_, scale, value, sentinels):
    """Whatever a curve gives: the nearest that the registers can hold, never what means that there is none."""
    made = codec(type_, scale=scale, sentinels=sentinels)
    least, greatest = Fraction(-20), Fraction(2000)
    assume(type_.floating or len(made.meaning.raws_within(least, greatest)) > 1)
    shown = made.decode(made.pack(*made.meaning.nearest(least, greatest)(value)))
    assume(not type_.floating or shown is not Reason.SENSOR_FAILURE)
    assert least - Fraction(1, 10**9) <= Fraction(shown) <= greatest + Fraction(1, 10**9)

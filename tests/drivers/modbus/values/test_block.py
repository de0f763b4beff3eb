"""Blocks: the bytes of one answer become the cells of a sample."""

import math
import struct
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.sample import Reason
from drivers.modbus.values.block import Member, block
from drivers.modbus.values.codec import Codec
from drivers.modbus.values.flag import Flag
from drivers.modbus.values.number import Number
from drivers.modbus.values.registers import Order, Table, Type
from drivers.modbus.values.scaled import Scaled
from drivers.modbus.values.text import Encoding, Text
from drivers.modbus.values.total import Total

unhurried = settings(deadline=None)

UNTOUCHED = 0xEE


def decode(codecs, payload, cells=None):
    """Decode all points as one block; returns its columns, in which other cells are marked as untouched."""
    cells = cells or range(len(codecs))
    made = block(Member(cell, codec) for cell, codec in zip(cells, codecs, strict=True))
    assert made.size == len(payload)
    values = ["untouched"] * (max(cells) + 1)
    reasons = bytearray([UNTOUCHED] * len(values))
    made.decode(payload, values, reasons)
    return values, reasons


scales = st.sampled_from([Fraction(1), Fraction("0.1"), Fraction(-3)])
numbers = st.builds(
    Number,
    type=st.sampled_from([type_ for type_ in Type if type_ not in {Type.BOOL, Type.STRING}]),
    scale=scales,
    sentinels=st.sampled_from([(), (Fraction(0),)]),
)


def codecs_of(meanings):
    """Any meaning at any addresses: its parts in any order, apart from each other."""
    return meanings.flatmap(
        lambda meaning: st.builds(
            Codec,
            table=st.just(Table.HOLDING),
            addresses=st.permutations(range(100, 160, 4)).map(
                lambda places: tuple(places[: len(meaning.codes)])
            ),
            meaning=st.just(meaning),
            order=st.sampled_from(Order),
        )
    )


registers_of_any_kind = st.lists(
    codecs_of(numbers)
    | codecs_of(st.builds(Flag, st.integers(0, 15)))
    | codecs_of(st.builds(Text, length=st.integers(1, 12), encoding=st.sampled_from(Encoding)))
    | codecs_of(st.builds(Total, first=numbers, scales=st.lists(scales, min_size=1, max_size=3).map(tuple)))
    | codecs_of(st.builds(Scaled, number=numbers.filter(lambda number: not number.type.floating))),
    min_size=1,
    max_size=20,
)


@unhurried
@given(codecs=registers_of_any_kind, data=st.data())
def test_a_block_decodes_each_point_as_its_codec_does_alone(codecs, data):
    """Whatever lies beside it, over it or in another order: the fast way and the simple way agree."""
    made = block(Member(cell, codec) for cell, codec in enumerate(codecs))
    payload = data.draw(st.binary(min_size=made.size, max_size=made.size))
    values, reasons = decode(codecs, payload)
    for codec, value, reason in zip(codecs, values, reasons, strict=True):
        start = (codec.address - made.address) * 2
        alone = codec.decode(payload[start : start + codec.width * 2])
        if isinstance(alone, Reason):
            assert (value, reason) == (None, alone)
        else:
            assert (value, type(value), reason) == (alone, type(alone), Reason.GOOD)


@unhurried
@given(addresses=st.lists(st.integers(0, 300), min_size=1, max_size=40), data=st.data())
def test_bits_are_packed_from_the_least_significant_on(addresses, data):
    """Modbus Application Protocol V1.1b3, 6.1: the first address is the least significant bit of the first byte."""
    codecs = [Codec(table=Table.COIL, addresses=(address,), meaning=Flag()) for address in addresses]
    first, count = min(addresses), max(addresses) - min(addresses) + 1
    payload = data.draw(st.binary(min_size=(count + 7) // 8, max_size=(count + 7) // 8))
    values, reasons = decode(codecs, payload)
    number = int.from_bytes(payload, "little")
    assert values == [bool(number >> (address - first) & 1) for address in addresses]
    assert not any(reasons)


def floats(count):
    return [
        Codec(table=Table.INPUT, addresses=(2 * at,), meaning=Number(type=Type.FLOAT32))
        for at in range(count)
    ]


def test_plain_floats_are_taken_over_at_once_and_one_bad_one_does_not_spoil_the_others():
    """The shortcut for a block of floats is left as soon as one of them is not a number."""
    numbers = [1.5, -2.25, 3.0]
    assert decode(floats(3), struct.pack(">3f", *numbers)) == (numbers, bytearray(3))
    for bad in (math.nan, math.inf, -math.inf):
        values, reasons = decode(floats(3), struct.pack(">3f", 1.5, bad, 3.0))
        assert values == [1.5, None, 3.0]
        assert list(reasons) == [Reason.GOOD, Reason.SENSOR_FAILURE, Reason.GOOD]


def test_two_infinities_do_not_cancel_out():
    """Infinity and minus infinity have no finite sum either."""
    values, reasons = decode(floats(2), struct.pack(">2f", math.inf, -math.inf))
    assert values == [None, None]
    assert set(reasons) == {Reason.SENSOR_FAILURE}


def test_finite_floats_whose_sum_is_not_are_values_all_the_same():
    """The largest float64 twice: the shortcut doubts, the long way finds them good."""
    codecs = [
        Codec(table=Table.INPUT, addresses=(4 * at,), meaning=Number(type=Type.FLOAT64)) for at in range(2)
    ]
    values, reasons = decode(codecs, struct.pack(">2d", 1.7e308, 1.7e308))
    assert values == [1.7e308, 1.7e308]
    assert not any(reasons)


def test_cells_of_other_blocks_are_left_alone():
    """A sample is filled block by block; the points of a device need not be in the order of their addresses."""
    codecs = floats(3)
    values, reasons = decode(codecs, struct.pack(">3f", 1, 2, 3), cells=[4, 2, 1])
    assert values == ["untouched", 3.0, 2.0, "untouched", 1.0]
    assert list(reasons) == [UNTOUCHED, 0, 0, UNTOUCHED, 0]


def test_a_good_answer_wipes_out_an_older_reason():
    """Columns may be used again for the next sample."""
    made = block([Member(0, floats(1)[0])])
    values, reasons = [None], bytearray([Reason.TIMEOUT])
    made.decode(struct.pack(">f", 2.5), values, reasons)
    assert (values, list(reasons)) == ([2.5], [Reason.GOOD])


def test_points_of_one_order_that_do_not_overlap_are_unpacked_at_once():
    """One `struct` call, and none for what is shared: a register of flags beside numbers."""
    flags = [Codec(table=Table.HOLDING, addresses=(0,), meaning=Flag(bit)) for bit in range(16)]
    words = [
        Codec(table=Table.HOLDING, addresses=(at,), meaning=Number(type=Type.INT16)) for at in range(1, 9)
    ]
    made = block(Member(cell, codec) for cell, codec in enumerate(flags + words))
    assert len(made.layers) == 1
    assert len(made.layers[0].unpack(bytes(made.size))) == 9

"""Types and orders: what the specification and the makers mean by them."""

import struct

import pytest

from drivers.modbus.values.registers import Order, Table, Type, swap

LETTERS_64 = {
    Order.ABCD: "ABCDEFGH",
    Order.CDAB: "GHEFCDAB",
    Order.BADC: "BADCFEHG",
    Order.DCBA: "HGFEDCBA",
}


def test_each_table_is_read_by_its_function_of_the_specification():
    """Coils 1, discrete inputs 2, holding registers 3, input registers 4."""
    assert {table.value: table.function for table in Table} == {
        "coil": 1,
        "discrete": 2,
        "holding": 3,
        "input": 4,
    }


def test_the_sizes_are_those_of_the_names():
    """A type fills as many registers of 16 bits as its name says bits; a bool lies in one; a string says itself."""
    sizes = {type_.value: type_.size * 16 for type_ in Type if type_ not in {Type.BOOL, Type.STRING}}
    assert sizes == {name: int(name.lstrip("abcdefghijklmnopqrstuvwxyz")) for name in sizes}
    assert (Type.BOOL.size, Type.STRING.size) == (1, 0)


@pytest.mark.parametrize(
    ("type_", "least", "greatest"),
    [
        ("int16", -32768, 32767),
        ("uint32", 0, 0xFFFFFFFF),
        ("int64", -(2**63), 2**63 - 1),
        ("bcd16", 0, 9999),
        ("bcd64", 0, 10**16 - 1),
    ],
)
def test_whole_numbers_end_where_their_bits_or_digits_do(type_, least, greatest):
    """Two's complement, or a decimal digit in each four bits."""
    assert (Type(type_).least, Type(type_).greatest) == (least, greatest)


@pytest.mark.parametrize("order", Order)
def test_the_letters_say_where_each_byte_of_32_bits_is_sent(order):
    """ABCD stands for the bytes of the value, most significant first; the order spells them as they come."""
    value = struct.pack(">I", int.from_bytes(b"ABCD"))
    sent = struct.pack(f"{order.endian}I", int.from_bytes(value))
    assert (swap(sent) if order.swapped else sent).decode() == order.value


@pytest.mark.parametrize("order", Order)
def test_the_letters_mean_the_same_two_things_for_64_bits(order):
    """All words are reversed, and the bytes of each word exchanged, or not, as for 32 bits."""
    sent = struct.pack(f"{order.endian}Q", int.from_bytes(b"ABCDEFGH"))
    assert (swap(sent) if order.swapped else sent).decode() == LETTERS_64[order]


@pytest.mark.parametrize(
    ("order", "sent"), [("ABCD", b"AB"), ("CDAB", b"AB"), ("BADC", b"BA"), ("DCBA", b"BA")]
)
def test_a_single_register_has_only_its_bytes_to_exchange(order, sent):
    """A 16-bit value has no words to reverse: two of the orders say all there is to say."""
    assert (swap(b"AB") if Order(order).of_bytes.swapped else b"AB") == sent
    packed = struct.pack(f"{Order(order).endian}H", int.from_bytes(b"AB"))
    assert (swap(packed) if Order(order).swapped else packed) == sent

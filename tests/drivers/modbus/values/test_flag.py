"""Flags: one bit of a register, or a coil."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.modbus.values.codec import Codec
from drivers.modbus.values.flag import Flag
from drivers.modbus.values.registers import Order, Table


@settings(deadline=None)
@given(bit=st.integers(0, 15), register=st.integers(0, 0xFFFF), order=st.sampled_from(Order))
def test_one_bit_of_a_register_is_a_point(bit, register, order):
    """Bits are counted from the least significant of the register's value, whatever order its bytes have."""
    made = Codec(table=Table.HOLDING, addresses=(0,), order=order, meaning=Flag(bit))
    sent = made.pack(register)
    assert made.decode(sent) is bool(register >> bit & 1)
    assert made.encode(value=True) == made.pack(1 << bit) == made.mask
    assert made.encode(value=False) == b"\0\0"


@pytest.mark.parametrize("order", Order)
def test_a_coil_is_a_byte_of_its_own(order):
    """0 or 1; no order has a say in it."""
    made = Codec(table=Table.COIL, addresses=(7,), order=order, meaning=Flag())
    assert (made.encode(value=True), made.encode(value=False)) == (b"\1", b"\0")
    assert (made.decode(b"\1"), made.decode(b"\0")) == (True, False)
    assert (made.width, made.mask) == (1, None)


@pytest.mark.parametrize("value", [1, 0, "on", 2.5])
def test_only_true_and_false_are_written(value):
    """A number is not taken for a flag."""
    with pytest.raises(ValueError, match="expected true or false, found"):
        Flag(1).stored(value)


@pytest.mark.parametrize("bit", [-1, 16])
def test_a_register_has_sixteen_bits(bit):
    """Counted from 0."""
    with pytest.raises(ValueError, match=rf"bit: expected 0 \(least significant\) to 15, found {bit}"):
        Flag(bit)

"""What a Modbus device holds: its four tables, the types that registers are read as, and the orders of their bytes.

Pure vocabulary of the specification (Modbus Application Protocol V1.1b3) and of what makers made of it, which says
nothing about values of more than 16 bits. How a point is read with it is the business of `codec`.
"""

from __future__ import annotations

import enum
import struct
from typing import Final, Self

ADDRESSES: Final = 0x10000
"""Addresses in a table: 0 to 65535 (Modbus Application Protocol V1.1b3, 4.3)."""

REGISTER_BITS: Final = 16
DIGIT_BITS: Final = 4
"""Of a binary-coded decimal digit."""


class Table(enum.Enum):
    """One of the four tables of a Modbus device (Modbus Application Protocol V1.1b3, 4.3)."""

    COIL = "coil"
    """Bits that can be written; read with function 1; documents number them 0xxxx."""
    DISCRETE = "discrete"
    """Bits that can only be read; function 2; documents number them 1xxxx."""
    INPUT = "input"
    """Registers that can only be read; function 4; documents number them 3xxxx."""
    HOLDING = "holding"
    """Registers that can be written; function 3; documents number them 4xxxx."""

    @property
    def function(self) -> int:
        """The function code that reads this table."""
        return _FUNCTIONS[self]

    @property
    def bits(self) -> bool:
        """Whether an address holds one bit, not a register of 16."""
        return self in {Table.COIL, Table.DISCRETE}


_FUNCTIONS = {Table.COIL: 1, Table.DISCRETE: 2, Table.HOLDING: 3, Table.INPUT: 4}


class Type(enum.Enum):
    """What the bits of a point mean. A new type is one line here: its name and the code by which `struct` reads it."""

    code: str
    """Format character of `struct`, in its standard size."""
    size: int
    """How many registers a value fills; 0 for a string, which says so itself."""
    floating: bool
    """Whether raw values are floats."""
    decimal: bool
    """Whether each four bits are a decimal digit."""
    least: int
    """The least raw value of a type of whole numbers."""
    greatest: int
    """The greatest raw value of a type of whole numbers."""

    BOOL = "bool", "H"
    """One coil or discrete input, or one bit of one register."""
    UINT16 = "uint16", "H"
    INT16 = "int16", "h"
    UINT32 = "uint32", "I"
    INT32 = "int32", "i"
    UINT64 = "uint64", "Q"
    INT64 = "int64", "q"
    FLOAT16 = "float16", "e"
    """IEEE 754 binary16."""
    FLOAT32 = "float32", "f"
    """IEEE 754 binary32."""
    FLOAT64 = "float64", "d"
    """IEEE 754 binary64."""
    BCD16 = "bcd16", "H"
    """Binary-coded decimal: a decimal digit in each four bits, 1234 as 0x1234."""
    BCD32 = "bcd32", "I"
    BCD64 = "bcd64", "Q"
    STRING = "string", "s"
    """Text: as many registers as the point says."""

    def __new__(cls, name: str, code: str) -> Self:
        """Make a member whose value is its name in the configuration."""
        member = object.__new__(cls)
        member._value_ = name
        member.code = code
        member.size = struct.calcsize(f">{code}") // 2
        member.floating = code in "efd"
        member.decimal = name.startswith("bcd")
        bits = member.size * REGISTER_BITS
        member.least = -(1 << bits - 1) if code in "hiq" else 0
        member.greatest = member.least + int(10 ** (bits // DIGIT_BITS) if member.decimal else 1 << bits) - 1
        return member


class Order(enum.Enum):
    """In which order the bytes of a value are sent; A is the most significant byte.

    The letters are those of a 32-bit value, as makers print them. With 64 bits the same two questions are answered:
    are the words reversed (all four of them), and are the bytes inside each word exchanged. So CDAB stands for
    GHEFCDAB, BADC for BADCFEHG, DCBA for HGFEDCBA. A 16-bit value has no words to reverse: only BADC and DCBA
    exchange its two bytes.
    """

    ABCD = "ABCD"
    """High word first, high byte first: what the specification says, and most devices do."""
    CDAB = "CDAB"
    """Low word first, high byte first: Carlo Gavazzi, Belimo, Systemair's counters."""
    BADC = "BADC"
    """High word first, low byte first: rare, and usually a gateway's doing."""
    DCBA = "DCBA"
    """Low word first, low byte first: little-endian throughout."""

    @property
    def swapped(self) -> bool:
        """Whether the bytes of each register are exchanged before `endian` applies."""
        return self in {Order.CDAB, Order.BADC}

    @property
    def of_bytes(self) -> Order:
        """The same order for what has no words to reverse, a single register or a text."""
        return Order.BADC if self in {Order.BADC, Order.DCBA} else Order.ABCD

    @property
    def endian(self) -> str:
        """The byte-order character of `struct` once the bytes are exchanged, if they are."""
        return ">" if self in {Order.ABCD, Order.BADC} else "<"


def swap(payload: bytes) -> bytes:
    """Exchange the two bytes of each register."""
    swapped = bytearray(len(payload))
    swapped[::2] = payload[1::2]
    swapped[1::2] = payload[::2]
    return bytes(swapped)

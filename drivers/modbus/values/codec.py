"""Where a point lies in a device's tables, and how its registers become its value and back.

Pure: knows numbers and bytes, no requests, no devices, no time. Two halves that know nothing of each other:

    registers --Codec: table, addresses, order--> what `struct` unpacks --Meaning--> value, or a reason

A `Codec` is the whole knowledge about one point. What its registers mean is one of a small family: a `number.Number`, a
`flag.Flag`, a `text.Text`, the `total.Total` of several numbers, a number `scaled.Scaled` by a register of its own. For
many points at once there is `block`, which does by one `struct` call what is done here for each point by itself.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple, Protocol, Self

from agent.sample import Reason, Value, ValueType
from drivers.modbus.values.registers import ADDRESSES, Order, Table, swap


class Meaning(Protocol):
    """What the registers of a point mean. A new kind of point is a new class of this form, and nothing else."""

    @property
    def name(self) -> str:
        """What it is called in the configuration: `float32`."""

    @property
    def codes(self) -> tuple[str, ...]:
        """What `struct` reads it by: one format, in standard size, for each address of the codec."""

    @property
    def value_type(self) -> ValueType:
        """Of its values; known before any is read, since rows are decoded by it."""

    @property
    def mask(self) -> int | None:
        """Which bits of its registers are its own; `None` for all."""

    @property
    def plain_float(self) -> bool:
        """Whether its value is the float in the registers as it stands, if that is finite."""

    def converter(self) -> Callable[[Any], Value | Reason] | None:
        """The function from what `struct` unpacks (of several addresses: a tuple) to the value, or why there is none.

        `None` when everything is the value. Made once for each point, so that at run time little is left to do. Whatever
        the registers hold, it raises nothing, and what it gives is finite and printable.
        """

    def stored(self, value: Value | Fraction) -> tuple[Any, ...]:
        """Backwards: what `struct` packs, for the value or the nearest one that the registers can hold.

        Bits that are not its own are 0. Raises `ValueError` in words when the value is not one of its type or beyond
        what the registers hold.
        """

    def nearest(self, least: Fraction | None, greatest: Fraction | None) -> Callable[[Any], tuple[Any, ...]]:
        """The function from anything of its type to what is stored for the nearest good value within these limits.

        For emulation: nothing is refused, and nothing is given that means "no value".
        """


class Field(NamedTuple):
    """Registers that `struct` reads by one format; ordered by address."""

    address: int
    end: int
    """The address after the last one."""
    code: str

    @classmethod
    def of(cls, address: int, code: str) -> Self:
        """What `struct` reads at this address by this format: a coil's byte is one address too."""
        return cls(address, address + _size(code), code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """Where one point lies and what is there. Raises `ValueError` where no table reaches."""

    table: Table
    addresses: tuple[int, ...]
    """Of each of its parts, as sent on the wire, 0-based; nearly always one."""
    meaning: Meaning
    order: Order = Order.ABCD
    fields: tuple[Field, ...] = field(init=False, repr=False)
    """The registers of each part."""
    address: int = field(init=False, repr=False)
    """The first that it fills."""
    end: int = field(init=False, repr=False)
    """The address after the last one; a single request reads all from `address` on."""

    def __post_init__(self) -> None:
        fields = tuple(map(Field.of, self.addresses, self.meaning.codes))
        check_fields(("address",) * len(fields), fields)
        object.__setattr__(self, "fields", fields)
        object.__setattr__(self, "address", min(each.address for each in fields))
        object.__setattr__(self, "end", max(each.end for each in fields))

    @property
    def width(self) -> int:
        """How many addresses it spans."""
        return self.end - self.address

    @property
    def value_type(self) -> ValueType:
        """Of its values."""
        return self.meaning.value_type

    @property
    def mask(self) -> bytes | None:
        """Which bits of its registers are its own, as they are sent; `None` for all."""
        return None if self.meaning.mask is None else self.pack(self.meaning.mask)

    def decode(self, encoded: bytes) -> Value | Reason:
        """The value of one point by itself, from what `encode` makes."""
        payload = swap(encoded) if self._swapped else encoded
        unpacked = tuple(
            struct.unpack_from(self._form(each), payload, (each.address - self.address) * 2)[0]
            for each in self.fields
        )
        held: Any = unpacked if len(unpacked) > 1 else unpacked[0]
        convert = self.meaning.converter()
        value: Value | Reason = held if convert is None else convert(held)
        return value

    def encode(self, value: Value | Fraction) -> bytes:
        """Make the register bytes that decode to the value, or to the nearest one that the registers can hold.

        Between registers that are its own stands 0, as do the other bits where it is some of them; a coil or discrete
        input is one byte, 0 or 1. Raises `ValueError` when the value is not one of this point's type or beyond what its
        registers hold.
        """
        return self.pack(*self.meaning.stored(value))

    def pack(self, *stored: Any) -> bytes:
        """Make the register bytes of what is stored in each part. Raises `ValueError` when it does not fit in there."""
        packed = bytearray(1 if self.table.bits else self.width * 2)
        for each, part in zip(self.fields, stored, strict=True):
            try:
                struct.pack_into(self._form(each), packed, (each.address - self.address) * 2, part)
            except (struct.error, OverflowError):
                raise ValueError(f"{part} does not fit into {self.meaning.name}") from None
        return swap(bytes(packed)) if self._swapped else bytes(packed)

    @property
    def _swapped(self) -> bool:
        return self.order.swapped and not self.table.bits

    def _form(self, part: Field) -> str:
        return f"{self.order.endian}{part.code}"


@cache
def _size(code: str) -> int:
    return max(struct.calcsize(f">{code}") // 2, 1)


def check_fields(names: Sequence[str], fields: Sequence[Field]) -> None:
    """Raise `ValueError`, in words that begin with its setting's name, for registers beyond the table or taken twice."""
    for index, (name, part) in enumerate(zip(names, fields, strict=True)):
        if not 0 <= part.address < ADDRESSES:
            raise ValueError(
                f"{name}: expected 0 to {ADDRESSES - 1} as sent on the wire, found {part.address}"
            )
        if part.end > ADDRESSES:
            found = f"{part.end - part.address} registers from {part.address} on"
            raise ValueError(f"{name}: expected no more than the last address {ADDRESSES - 1}, found {found}")
        for other in fields[:index]:
            if part.address < other.end and other.address < part.end:
                raise ValueError(
                    f"{name}: expected registers apart from the others of the point, found {part.address} among them"
                )

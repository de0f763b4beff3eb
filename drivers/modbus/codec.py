"""Where a point lies in a device's tables, and how its registers become its value and back.

Pure: knows numbers and bytes, no requests, no devices, no time. A `Codec` is the whole knowledge about one point;
`Codec.converter` turns a raw number, as `struct` unpacks it, into the point's value or the reason why there is none,
and `Codec.encode` runs the same way backwards.

    registers --order, type--> raw --sentinels, scale, offset--> value, or a reason

The arithmetic is exact and rounded once, at the end; `Codec.value_type` says to what.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from typing import TypeAlias

from agent.sample import Reason, Value, ValueType
from drivers.modbus.registers import ADDRESSES, REGISTER_BITS, Order, Table, Type, swap

Raw: TypeAlias = int | float
"""What `struct` makes of the registers of one point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """Where one point lies and how it is read: value = raw * scale + offset. Raises `ValueError` unless it makes sense."""

    table: Table
    address: int
    """As sent on the wire, 0-based."""
    type: Type
    order: Order = Order.ABCD
    bit: int | None = None
    """Which bit of the register, 0 for the least significant: for a `bool` in a register table."""
    scale: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)
    sentinels: tuple[Fraction, ...] = ()
    """Raw values that mean "no value". Of an integer type as the signed number or as the bit pattern."""
    wanted: ValueType | None = None
    """A value type other than the one that follows from the rest."""

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise ValueError(problem)

    def _problems(self) -> list[str]:
        """Say what does not fit together, each in one sentence that starts with the setting's name."""
        problems = []
        if not 0 <= self.address < ADDRESSES:
            problems.append(
                f"address: expected 0 to {ADDRESSES - 1} as sent on the wire, found {self.address}"
            )
        elif self.end > ADDRESSES:
            reach = f"{self.width} registers from {self.address} on"
            problems.append(f"address: expected no more than the last address {ADDRESSES - 1}, found {reach}")
        if self.type is Type.BOOL:
            problems += self._problems_of_a_bit()
        else:
            problems += self._problems_of_a_number()
        return problems

    def _problems_of_a_bit(self) -> list[str]:
        problems = []
        if self.table.bits and self.bit is not None:
            problems.append(f"bit: a {self.table.value} is one bit already; bit counts in registers only")
        if not self.table.bits and self.bit is None:
            problems.append(
                f"bit: a bool in the {self.table.value} table needs to know which bit of the register, 0 to 15"
            )
        if self.bit is not None and not 0 <= self.bit < REGISTER_BITS:
            problems.append(f"bit: expected 0 (least significant) to 15, found {self.bit}")
        of_numbers = {
            "scale": self.scale != 1,
            "offset": self.offset != 0,
            "sentinels": bool(self.sentinels),
        }
        problems += [
            f"{name}: only a number has one, and a bool is none" for name in of_numbers if of_numbers[name]
        ]
        if self.wanted not in {None, ValueType.BOOLEAN}:
            problems.append("value_type: a bool is always boolean")
        return problems

    def _problems_of_a_number(self) -> list[str]:
        problems = []
        if self.table.bits:
            problems.append(
                f"type: the {self.table.value} table holds single bits, so the type is bool, not {self.type.value}"
            )
        if self.bit is not None:
            problems.append(f"bit: only a bool is one bit of a register; the type is {self.type.value}")
        if self.scale == 0:
            problems.append("scale: expected a number other than 0, which would make every value the same")
        problems += [
            f"sentinels: {_number(sentinel)} is not a raw value of {self.type.value}"
            for sentinel in self.sentinels
            if not self._can_be_raw(sentinel)
        ]
        if self.scale != 0 and self.wanted not in {None, *self._possible_value_types()}:
            possible = ", ".join(sorted(kind.value for kind in self._possible_value_types()))
            problems.append(f"value_type: expected {possible} for this type and scale")
        return problems

    def _can_be_raw(self, sentinel: Fraction) -> bool:
        if self.type.floating:
            return True
        bits = self.type.size * REGISTER_BITS
        return sentinel.denominator == 1 and -(1 << bits - 1) <= sentinel < 1 << bits

    @property
    def width(self) -> int:
        """How many addresses it fills."""
        return self.type.size

    @property
    def end(self) -> int:
        """The address after the last one that it fills."""
        return self.address + self.width

    @property
    def value_type(self) -> ValueType:
        """To which type its values are rounded; known before any is read.

        A bit is boolean. A float type gives floats: the nearest one to the exact result. An integer type gives
        integers when scale and offset are whole numbers. Otherwise it gives floats where these print the very digits
        of the exact result (215 * 0.1 is 21.5), which a float can for 15 significant digits; where there may be more
        (a 64-bit energy counter in hundredths) it gives decimals with every digit. A result that has no last
        decimal digit (scale 1/3) is the nearest float.
        """
        if self.wanted is not None:
            return self.wanted
        if self.type is Type.BOOL:
            return ValueType.BOOLEAN
        if self.type.floating:
            return ValueType.NUMBER
        if self._denominator == 1:
            return ValueType.INTEGER
        digits = self._decimals
        if digits is None or max(map(abs, self.ends)) * 10**digits < _EXACT_IN_A_FLOAT:
            return ValueType.NUMBER
        return ValueType.DECIMAL

    @property
    def plain_float(self) -> bool:
        """Whether its value is the float in the registers as it stands, if that is finite."""
        return self.type.floating and not self.sentinels and self._arithmetic() is None

    def _possible_value_types(self) -> set[ValueType]:
        possible = {ValueType.NUMBER}
        if not self.type.floating and self._decimals is not None:
            possible.add(ValueType.DECIMAL)
            if self._denominator == 1:
                possible.add(ValueType.INTEGER)
        return possible

    @property
    def _denominator(self) -> int:
        """The common denominator of scale and offset: results are whole multiples of one over it."""
        return math.lcm(self.scale.denominator, self.offset.denominator)

    @property
    def _decimals(self) -> int | None:
        """How many digits after the point every result can be written with; `None` if there is no such number."""
        rest, twos, fives = self._denominator, 0, 0
        while rest % 2 == 0:
            rest, twos = rest // 2, twos + 1
        while rest % 5 == 0:
            rest, fives = rest // 5, fives + 1
        return max(twos, fives) if rest == 1 else None

    @property
    def ends(self) -> tuple[Fraction, Fraction]:
        """The least and the greatest value that the registers of an integer type can hold."""
        ends = [raw * self.scale + self.offset for raw in (self.type.least, self.type.greatest)]
        return min(ends), max(ends)

    def converter(self) -> Callable[[Raw], Value | Reason] | None:
        """The function from raw to value, or to the reason why there is none; `None` when every raw is the value.

        Made once for each point, so that at run time little is left to do. A coil or discrete input needs none.
        """
        if self.bit is not None:
            mask = 1 << self.bit
            return lambda raw: bool(int(raw) & mask)
        arithmetic = self._arithmetic()
        if self.type.floating:
            return self._checked_float(arithmetic)
        sentinels = self.sentinel_raws
        if not sentinels:
            return arithmetic

        def convert(raw: Raw) -> Value | Reason:
            if raw in sentinels:
                return Reason.SENSOR_FAILURE
            return raw if arithmetic is None else arithmetic(raw)

        return convert

    @property
    def sentinel_raws(self) -> frozenset[Raw]:
        """The sentinels as `struct` unpacks them."""
        if self.type.floating:
            return frozenset(_as_sent(self.type, sentinel) for sentinel in self.sentinels)
        least, count = self.type.least, 1 << self.type.size * REGISTER_BITS
        return frozenset((int(sentinel) - least) % count + least for sentinel in self.sentinels)

    def raws_within(self, minimum: Fraction | None, maximum: Fraction | None) -> range:
        """The raw values of an integer type whose value lies within these limits."""
        ends = [None if limit is None else (limit - self.offset) / self.scale for limit in (minimum, maximum)]
        low, high = ends if self.scale > 0 else reversed(ends)
        least = self.type.least if low is None else max(self.type.least, math.ceil(low))
        greatest = self.type.greatest if high is None else min(self.type.greatest, math.floor(high))
        return range(least, greatest + 1)

    def _arithmetic(self) -> Callable[[Raw], Value] | None:
        """Choose the cheapest exact way to raw * scale + offset, rounded once; `None` when that is raw itself.

        Over the common denominator it is one integer product, one sum and one quotient; the quotient of two integers
        is correctly rounded in CPython (Objects/longobject.c, long_true_divide).
        """
        denominator = self._denominator
        factor, constant = int(self.scale * denominator), int(self.offset * denominator)
        kind = self.value_type
        if (factor, constant, denominator) == (1, 0, 1) and (self.type.floating or kind is ValueType.INTEGER):
            return None
        if self.type.floating:
            return lambda raw: _exact_float(raw, factor, constant, denominator)
        if kind is ValueType.INTEGER:
            return lambda raw: raw * factor + constant
        if kind is ValueType.DECIMAL:
            exponent = self._decimals or 0
            factor, constant = (part * 10**exponent // denominator for part in (factor, constant))
            return lambda raw: _CONTEXT.scaleb(Decimal(raw * factor + constant), -exponent)
        return lambda raw: (raw * factor + constant) / denominator

    def _checked_float(self, arithmetic: Callable[[Raw], Value] | None) -> Callable[[Raw], Value | Reason]:
        sentinels = self.sentinel_raws
        isfinite = math.isfinite

        def convert(raw: Raw) -> Value | Reason:
            if not isfinite(raw) or raw in sentinels:
                return Reason.SENSOR_FAILURE
            try:
                return raw if arithmetic is None else arithmetic(raw)
            except OverflowError:  # no float is that large
                return Reason.OUT_OF_RANGE

        return convert

    def decode(self, encoded: bytes) -> Value | Reason:
        """The value of one point by itself, from what `encode` makes; for many at once there is `block`."""
        if self.table.bits:
            return bool(encoded[0])
        (raw,) = struct.unpack(
            f"{self.order.endian}{self.type.code}", swap(encoded) if self.order.swapped else encoded
        )
        convert = self.converter()
        return raw if convert is None else convert(raw)

    def encode(self, value: Value | Fraction) -> bytes:
        """Make the register bytes that decode to the value, or to the nearest one that the registers can hold.

        Of a bit in a register only that bit is set; a coil or discrete input is one byte, 0 or 1. Raises
        `ValueError` when the value is not one of this point's type or beyond what its registers hold.
        """
        if self.type is Type.BOOL:
            return self._encode_bit(value)
        if isinstance(value, str):
            raise ValueError(f"expected a number, found {value!r}")  # noqa: TRY004  # a value, not a type, is wrong
        try:
            exact = (Fraction(value) - self.offset) / self.scale
            raw = float(exact) if self.type.floating else round(exact)
        except (ValueError, OverflowError):  # not a number, infinite, or larger than any float
            raise ValueError(f"{value} does not fit into {self.type.value}") from None
        return self.pack(raw)

    def pack(self, raw: Raw) -> bytes:
        """Make the register bytes of a raw value. Raises `ValueError` when it does not fit into the type."""
        try:
            packed = struct.pack(f"{self.order.endian}{self.type.code}", raw)
        except (struct.error, OverflowError):
            raise ValueError(f"{raw} does not fit into {self.type.value}") from None
        return swap(packed) if self.order.swapped else packed

    def _encode_bit(self, value: Value | Fraction) -> bytes:
        if not isinstance(value, bool):
            raise ValueError(f"expected true or false, found {value!r}")  # noqa: TRY004  # the same
        if self.bit is None:
            return bytes([value])
        return self.pack(value << self.bit)


_EXACT_IN_A_FLOAT = 10**15
"""A decimal of up to 15 significant digits survives becoming a binary64 and being printed (IEEE 754, DBL_DIG)."""

_CONTEXT = Context(prec=400)
"""Wider than any 64-bit register under any scale that `agent.fields.fraction` reads: nothing is rounded."""


def _exact_float(raw: Raw, factor: int, constant: int, denominator: int) -> float:
    """Compute raw * factor + constant over denominator on the exact value of a float, rounded once."""
    numerator, power = raw.as_integer_ratio()
    return (numerator * factor + constant * power) / (power * denominator)


def _as_sent(type_: Type, number: Fraction) -> float:
    """Round a number to what a float register of this type can hold."""
    try:
        (raw,) = struct.unpack(f">{type_.code}", struct.pack(f">{type_.code}", float(number)))
    except OverflowError:
        return math.inf
    return float(raw)


def _number(number: Fraction) -> str:
    return str(int(number)) if number.denominator == 1 else f"{float(number):g}"

"""A point that is a number: value = raw * scale + offset. See `codec.Meaning`.

    what `struct` unpacks --digits, bits--> raw --sentinels, `arithmetic`--> value, or why there is none

For most types what is unpacked is the raw number. Of binary-coded decimals each four bits are a digit, and four bits
beyond 9 are no number; of a field of bits the others are taken away.
"""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, NamedTuple, Self

from agent.sample import Reason, Value, ValueType
from drivers.modbus.values.arithmetic import Linear, Raw
from drivers.modbus.values.registers import REGISTER_BITS, Type


class Bits(NamedTuple):
    """Some bits of an unsigned register or two, from the lowest to the highest, both of them within; 0 is the least."""

    low: int
    high: int

    @property
    def ones(self) -> int:
        """As many ones as there are bits: the greatest number that they hold."""
        return (1 << self.high - self.low + 1) - 1

    @classmethod
    def of(cls, text: str) -> Self:
        """Read `4-7`, `7-4`, or `4` for a single one."""
        ends = sorted(int(end) for end in text.split("-"))
        return cls(ends[0], ends[-1])

    def __str__(self) -> str:
        return f"{self.low}-{self.high}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """Registers that are one number. Raises `ValueError`, in words about a setting, for what does not fit together."""

    type: Type
    bits: Bits | None = None
    """Which bits of the registers are the number; all if `None`."""
    scale: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)
    sentinels: tuple[Fraction, ...] = ()
    """Raw values that mean "no value". Of a binary whole number as that or as its bit pattern."""
    wanted: ValueType | None = None
    """A value type other than the one that follows from the rest."""

    def __post_init__(self) -> None:
        if self.bits is not None:
            last = self.type.size * REGISTER_BITS - 1
            if self.type not in {Type.UINT16, Type.UINT32}:
                raise ValueError(
                    f"bits: only a uint16 or uint32 has a field of them; the type is {self.type.value}"
                )
            if self.bits.high > last:
                raise ValueError(f"bits: expected 0 (least significant) to {last}, found {self.bits.high}")
        if self.scale == 0:
            raise ValueError("scale: expected a number other than 0, which would make every value the same")
        for sentinel in self.sentinels:
            if not self._can_be_raw(sentinel):
                raise ValueError(f"sentinels: {_number(sentinel)} is not a raw value of {self._range}")
        if self.wanted is not None and self.wanted not in self._possible:
            possible = ", ".join(sorted(kind.value for kind in self._possible))
            raise ValueError(f"value_type: expected {possible} for this type and scale")

    def _can_be_raw(self, number: Fraction) -> bool:
        if self.type.floating:
            return math.isfinite(_as_sent(self.type, number))
        least, greatest = self.least, self.greatest
        if self._binary:  # or the bit pattern
            bits = self.type.size * REGISTER_BITS
            least, greatest = -(1 << bits - 1), (1 << bits) - 1
        return number.denominator == 1 and least <= int(number) <= greatest

    @property
    def _binary(self) -> bool:
        return self.bits is None and not self.type.decimal

    @property
    def _range(self) -> str:
        if self.type.floating:
            return self.name
        pattern = (
            f" or a bit pattern up to 0x{(1 << self.type.size * REGISTER_BITS) - 1:X}" if self._binary else ""
        )
        return f"{self.name}: expected {self.least} to {self.greatest}{pattern}"

    @property
    def _possible(self) -> set[ValueType]:
        return {ValueType.NUMBER} if self.type.floating else self.linear.possible()

    @property
    def linear(self) -> Linear:
        """From raw to value."""
        return Linear((self.scale,), self.offset)

    @property
    def least(self) -> int:
        """The least raw value of a type of whole numbers."""
        return 0 if self.bits else self.type.least

    @property
    def greatest(self) -> int:
        """The greatest raw value of a type of whole numbers."""
        return self.bits.ones if self.bits else self.type.greatest

    @property
    def name(self) -> str:
        """Its type, and which bits of it."""
        return f"bits {self.bits} of {self.type.value}" if self.bits else self.type.value

    @property
    def codes(self) -> tuple[str, ...]:
        """Of its type."""
        return (self.type.code,)

    @property
    def value_type(self) -> ValueType:
        """What was chosen; else a float for floats, and for whole numbers as `Linear.natural` says."""
        if self.wanted is not None:
            return self.wanted
        return ValueType.NUMBER if self.type.floating else self.linear.natural(self.least, self.greatest)

    @property
    def mask(self) -> int | None:
        """The field of bits."""
        return self.bits.ones << self.bits.low if self.bits else None

    @property
    def plain_float(self) -> bool:
        """A float without sentinels, scale and offset."""
        return self.type.floating and not self.sentinels and self.linear.of_one_float() is None

    @property
    def sentinel_raws(self) -> frozenset[Raw]:
        """The sentinels as raw numbers."""
        if self.type.floating:
            return frozenset(_as_sent(self.type, sentinel) for sentinel in self.sentinels)
        if not self._binary:
            return frozenset(int(sentinel) for sentinel in self.sentinels)
        least, count = self.type.least, 1 << self.type.size * REGISTER_BITS
        return frozenset((int(sentinel) - least) % count + least for sentinel in self.sentinels)

    def raws_within(self, minimum: Fraction | None, maximum: Fraction | None) -> range:
        """The raw values of a type of whole numbers whose value lies within these limits."""
        ends = [None if limit is None else (limit - self.offset) / self.scale for limit in (minimum, maximum)]
        low, high = ends if self.scale > 0 else reversed(ends)
        least = self.least if low is None else max(self.least, math.ceil(low))
        greatest = self.greatest if high is None else min(self.greatest, math.floor(high))
        return range(least, greatest + 1)

    def _floats_within(self, minimum: Fraction | None, maximum: Fraction | None) -> tuple[float, float]:
        """The same of a float type; a little narrower, since rounding must not step over a limit."""
        most, rounding = _FLOATS[self.type]
        ends = [None if limit is None else (limit - self.offset) / self.scale for limit in (minimum, maximum)]
        low, high = ends if self.scale > 0 else reversed(ends)
        least = -most if low is None else float(max(low, Fraction(-most)))
        greatest = most if high is None else float(min(high, Fraction(most)))
        return least + abs(least) * rounding, greatest - abs(greatest) * rounding

    def raw(self) -> Callable[[Any], Raw | None] | None:
        """The function from what is unpacked to the raw number, `None` for what is none; no function where both are one."""
        if self.bits is not None:
            low, ones = self.bits.low, self.bits.ones
            return lambda held: held >> low & ones
        return _from_digits if self.type.decimal else None

    def held(self, raw: Raw) -> Raw:
        """Backwards, from a raw number to what is packed. Raises `ValueError` for one that does not fit."""
        if self._binary:
            return raw
        if not self.least <= raw <= self.greatest:
            raise ValueError(f"{raw} does not fit into {self.name}")
        return int(raw) << self.bits.low if self.bits else int(str(int(raw)), 16)

    def converter(self) -> Callable[[Any], Value | Reason] | None:
        """What is left to do at run time: nothing for a plain whole number."""
        raw, convert = self.raw(), self._of_raw()
        if raw is None:
            return convert

        def convert_held(held: Any) -> Value | Reason:
            number = raw(held)
            if number is None:
                return Reason.SENSOR_FAILURE
            return number if convert is None else convert(number)

        return convert_held

    def _of_raw(self) -> Callable[[Raw], Value | Reason] | None:
        if self.type.floating:
            return self._of_float()
        arithmetic: Callable[[Any], Value] | None = self.linear.of_one(self.value_type)
        sentinels = self.sentinel_raws
        if not sentinels:
            return arithmetic

        def convert(raw: Raw) -> Value | Reason:
            if raw in sentinels:
                return Reason.SENSOR_FAILURE
            return raw if arithmetic is None else arithmetic(raw)

        return convert

    def _of_float(self) -> Callable[[Raw], Value | Reason]:
        arithmetic, sentinels, isfinite = self.linear.of_one_float(), self.sentinel_raws, math.isfinite

        def convert(raw: Raw) -> Value | Reason:
            if not isfinite(raw) or raw in sentinels:
                return Reason.SENSOR_FAILURE
            try:
                return raw if arithmetic is None else arithmetic(raw)
            except OverflowError:  # no float is that large
                return Reason.OUT_OF_RANGE

        return convert

    def stored(self, value: Value | Fraction) -> tuple[Any, ...]:
        """The raw number nearest to (value - offset) / scale."""
        exact = (exactly(value, self.name) - self.offset) / self.scale
        try:
            raw = float(exact) if self.type.floating else round(exact)
        except OverflowError:
            raise ValueError(f"{value} does not fit into {self.name}") from None
        return (self.held(raw),)

    def nearest(self, least: Fraction | None, greatest: Fraction | None) -> Callable[[Any], tuple[Any, ...]]:
        """The nearest raw number that is within the limits and no sentinel, if there is one."""
        scale, offset = float(self.scale), float(self.offset)
        if self.type.floating:
            low, high = self._floats_within(least, greatest)
            return lambda value: (min(max((value - offset) / scale, low), high),)
        within, sentinels = self.raws_within(least, greatest), self.sentinel_raws

        def stored(value: float) -> tuple[Any, ...]:
            raw = min(max(round((value - offset) / scale), within.start), within.stop - 1)
            near = (raw, raw + 1, raw - 1)
            return (self.held(next((one for one in near if one in within and one not in sentinels), raw)),)

        return stored


_FLOATS: Final = {
    Type.FLOAT16: (65504.0, 2**-10),
    Type.FLOAT32: ((2 - 2**-23) * 2.0**127, 2**-22),
    Type.FLOAT64: (sys.float_info.max, 2**-50),
}
"""The greatest finite one of each (IEEE 754), and twice or more of what it is rounded by, relative to its size."""


def exactly(value: Value | Fraction, name: str) -> Fraction:
    """The exact number that a value is; raises `ValueError` for what is none."""
    if isinstance(value, str):
        raise ValueError(f"expected a number, found {value!r}")  # noqa: TRY004  # a value, not a type, is wrong
    try:
        return Fraction(value)
    except (ValueError, OverflowError):  # not a number, or infinite
        raise ValueError(f"{value} does not fit into {name}") from None


def _from_digits(held: int) -> int | None:
    try:
        return int(f"{held:x}")
    except ValueError:  # one of a to f in it
        return None


def _as_sent(type_: Type, number: Fraction) -> float:
    """Round a number to what a float register of this type can hold; infinity where it is larger."""
    try:
        (raw,) = struct.unpack(f">{type_.code}", struct.pack(f">{type_.code}", float(number)))
    except OverflowError:
        return math.inf
    return float(raw)


def _number(number: Fraction) -> str:
    if number.denominator != 1 or abs(number) >= 1 << 64:
        return f"{float(number):g}"
    pattern = f" (0x{int(number):X})" if number > 0xFF else ""  # noqa: PLR2004  # nobody writes less as a pattern
    return f"{int(number)}{pattern}"

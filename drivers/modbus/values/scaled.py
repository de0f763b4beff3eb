"""A number whose scale the device tells: a further register holds a power of ten. See `codec.Meaning`.

SunSpec calls that register a scale factor (sunssf; Device Information Model Specification V1.1, 4.3): from -10 to 10, and
-32768 where the device does not have the point. It may move at any time, so it counts only together with the number,
read by the same request.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any, Final

from agent.sample import Reason, Value, ValueType
from drivers.modbus.values.arithmetic import EXACT_IN_A_FLOAT, Raw, decimals
from drivers.modbus.values.number import Number, exactly
from drivers.modbus.values.registers import Type

EXPONENTS: Final = range(-10, 11)
"""What a scale factor may be."""
NOT_THERE: Final = -32768
"""Instead of a scale factor: the device does not have this point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """A whole number, times ten to the power of the register behind it. Raises `ValueError` for what does not fit together."""

    number: Number
    """As it is where the power is 0."""
    shown: int = 0
    """The power with which an emulated device shows it."""

    def __post_init__(self) -> None:
        if self.number.type.floating:
            raise ValueError(
                f"scale_factor: only a whole number has one; the type is {self.number.type.value}"
            )
        possible = {ValueType.NUMBER}
        if self.number.linear.decimals is not None:
            possible.add(ValueType.DECIMAL)
        if self.number.wanted not in {None, *possible}:
            words = ", ".join(sorted(kind.value for kind in possible))
            raise ValueError(f"value_type: expected {words} where there is a scale_factor")

    @property
    def name(self) -> str:
        """The number's type."""
        return f"{self.number.name} with a scale factor"

    @property
    def codes(self) -> tuple[str, ...]:
        """The number, and the power of ten."""
        return (*self.number.codes, Type.INT16.code)

    @property
    def value_type(self) -> ValueType:
        """A float where it prints the digits of the exact result whatever the power, decimals with every digit where not."""
        if self.number.wanted is not None:
            return self.number.wanted
        scale = self.number.scale
        digits = decimals(scale.denominator)
        most = max(abs(self.number.least), self.number.greatest)
        if digits is None or most * abs(scale.numerator) * 10**digits // scale.denominator < EXACT_IN_A_FLOAT:
            return ValueType.NUMBER
        return ValueType.DECIMAL

    @property
    def mask(self) -> int | None:
        """All of them."""
        return None

    @property
    def plain_float(self) -> bool:
        """Never."""
        return False

    def at(self, exponent: int) -> Number:
        """What the number is while its scale factor is this."""
        scale = self.number.scale * Fraction(10) ** exponent
        return replace(self.number, scale=scale, wanted=self.value_type)

    def converter(self) -> Callable[[Any], Value | Reason] | None:
        """Look at the power first: it is nearly always the one of last time."""

        @cache
        def of_power(exponent: int) -> Callable[[Raw], Value | Reason]:
            return self.at(exponent).converter() or _itself

        def convert(held: tuple[Raw, int]) -> Value | Reason:
            number, exponent = held
            if exponent not in EXPONENTS:
                return Reason.SENSOR_FAILURE if exponent == NOT_THERE else Reason.OUT_OF_RANGE
            return of_power(exponent)(number)

        return convert

    def stored(self, value: Value | Fraction) -> tuple[Any, ...]:
        """With the power that keeps every digit and the smallest number; else with the one that keeps most digits."""
        wanted = Fraction(repr(value)) if isinstance(value, float) and math.isfinite(value) else value
        exact = exactly(wanted, self.name)
        fitting = list(self._fitting(exact))
        if not fitting:
            raise ValueError(f"{value} does not fit into {self.name}")
        exponent, held, _ = min(fitting, key=lambda one: (one[2], abs(one[0])))
        return held, exponent

    def _fitting(self, exact: Fraction) -> Iterator[tuple[int, Any, Fraction]]:
        """Each power with which the value can be stored, what the number is then, and how far that is from the value."""
        for exponent in EXPONENTS:
            number = self.at(exponent)
            raw = round((exact - number.offset) / number.scale)
            if exponent == EXPONENTS.start and number.least == 0 > raw:
                return  # an unsigned number times a power of ten is never below zero
            if number.least <= raw <= number.greatest and raw not in number.sentinel_raws:
                yield exponent, number.held(raw), abs(raw * number.scale + number.offset - exact)

    def nearest(self, least: Fraction | None, greatest: Fraction | None) -> Callable[[Any], tuple[Any, ...]]:
        """With the power that is `shown`: points that share a scale factor have to agree on it."""
        of_number = self.at(self.shown).nearest(least, greatest)
        return lambda value: (*of_number(value), self.shown)


def _itself(raw: Raw) -> Value:
    return raw

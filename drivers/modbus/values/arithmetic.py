"""The arithmetic of values: raw numbers times their scales, plus an offset; exact, and rounded once, at the end.

Pure numbers. Over the common denominator everything is whole: one product, one sum and one quotient for each value,
and the quotient of two integers is correctly rounded in CPython (Objects/longobject.c, long_true_divide).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from operator import mul
from typing import Final, TypeAlias

from agent.sample import ValueType

Raw: TypeAlias = int | float
"""A number as it stands in the registers."""

Amount: TypeAlias = int | float | Decimal

EXACT_IN_A_FLOAT: Final = 10**15
"""A decimal of up to 15 significant digits survives becoming a binary64 and being printed (IEEE 754, DBL_DIG)."""

_CONTEXT = Context(prec=400)
"""Wider than any 64-bit register under any scale that `agent.fields.fraction` reads: nothing is rounded."""


@dataclass(frozen=True, slots=True)
class Linear:
    """Raw numbers, each times its scale, and the offset, all added up."""

    scales: tuple[Fraction, ...]
    offset: Fraction = Fraction(0)

    @property
    def denominator(self) -> int:
        """The common denominator: results of whole numbers are whole multiples of one over it."""
        return math.lcm(self.offset.denominator, *(scale.denominator for scale in self.scales))

    @property
    def decimals(self) -> int | None:
        """How many digits after the point every such result can be written with; `None` if there is no such number."""
        return decimals(self.denominator)

    def ends(self, least: int, greatest: int) -> tuple[Fraction, Fraction]:
        """The least and the greatest result of whole numbers between these two."""
        ends = [sorted((least * scale, greatest * scale)) for scale in self.scales]
        return self.offset + sum(low for low, _ in ends), self.offset + sum(high for _, high in ends)

    def natural(self, least: int, greatest: int) -> ValueType:
        """To which type results of whole numbers between these two are rounded, so that no digit is lost or made up.

        Integers where scales and offset are whole. Otherwise floats where these print the very digits of the exact
        result (215 * 0.1 is 21.5), which a float can for 15 significant digits; where there may be more (a 64-bit
        energy counter in hundredths) decimals with every digit. A result that has no last decimal digit (scale 1/3)
        is the nearest float.
        """
        if self.denominator == 1:
            return ValueType.INTEGER
        digits = self.decimals
        if digits is None or max(map(abs, self.ends(least, greatest))) * 10**digits < EXACT_IN_A_FLOAT:
            return ValueType.NUMBER
        return ValueType.DECIMAL

    def possible(self) -> set[ValueType]:
        """The types that results of whole numbers can be rounded to by choice."""
        possible = {ValueType.NUMBER}
        if self.decimals is not None:
            possible.add(ValueType.DECIMAL)
            if self.denominator == 1:
                possible.add(ValueType.INTEGER)
        return possible

    def of_one(self, kind: ValueType) -> Callable[[int], Amount] | None:
        """The cheapest way from one whole number to its result as this type; `None` when it is the result itself."""
        (factor,), constant, denominator = self._whole()
        if kind is ValueType.INTEGER:
            return None if (factor, constant) == (1, 0) else lambda raw: raw * factor + constant
        if kind is ValueType.DECIMAL:
            exponent = self.decimals or 0
            factor, constant = (part * 10**exponent // denominator for part in (factor, constant))
            return lambda raw: _CONTEXT.scaleb(Decimal(raw * factor + constant), -exponent)
        return lambda raw: (raw * factor + constant) / denominator

    def of_several(self, kind: ValueType) -> Callable[[Sequence[int]], Amount]:
        """The same from as many whole numbers as there are scales."""
        factors, constant, denominator = self._whole()
        finish = Linear((Fraction(1, denominator),), Fraction(constant, denominator)).of_one(kind)

        def result(raws: Sequence[int]) -> Amount:
            numerator = sum(map(mul, raws, factors))
            return numerator if finish is None else finish(numerator)

        return result

    def of_one_float(self) -> Callable[[float], float] | None:
        """The float nearest to the exact result of one float; `None` when that is the float itself.

        Raises `OverflowError` where no float is that large.
        """
        (factor,), constant, denominator = self._whole()
        if (factor, constant, denominator) == (1, 0, 1):
            return None

        def result(raw: float) -> float:
            numerator, power = raw.as_integer_ratio()
            return (numerator * factor + constant * power) / (power * denominator)

        return result

    def of_several_floats(self) -> Callable[[Sequence[float]], float]:
        """The same of as many floats as there are scales."""

        def result(raws: Sequence[float]) -> float:
            return float(self.offset + sum(map(mul, map(Fraction, raws), self.scales)))

        return result

    def _whole(self) -> tuple[tuple[int, ...], int, int]:
        """Scales and offset over the common denominator, and that."""
        denominator = self.denominator
        factors = tuple(int(scale * denominator) for scale in self.scales)
        return factors, int(self.offset * denominator), denominator


def decimals(denominator: int) -> int | None:
    """How many digits after the point one over this number has; `None` if they never end."""
    rest, twos, fives = denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    return max(twos, fives) if rest == 1 else None

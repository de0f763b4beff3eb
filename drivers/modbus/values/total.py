"""A point that is the total of several numbers, each with its own scale: megawatt-hours in one register, the rest in another.

See `codec.Meaning`. All parts are of one type, and each may mean "no value": then the total is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from operator import mul
from typing import Any

from agent.sample import Reason, Value, ValueType
from drivers.modbus.values.arithmetic import Linear, Raw
from drivers.modbus.values.number import Number, exactly


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """A number, and others of its type that are added to it. Raises `ValueError` for a value type that it cannot have."""

    first: Number
    """With the offset of the whole."""
    scales: tuple[Fraction, ...]
    """Of each of the others."""
    wanted: ValueType | None = None
    """A value type other than the one that follows from the rest."""

    def __post_init__(self) -> None:
        if self.first.bits is not None:
            raise ValueError("bits: what is added up is whole registers")
        if 0 in self.scales:
            raise ValueError("sum: expected scales other than 0, which would add nothing")
        possible = {ValueType.NUMBER} if self.first.type.floating else self.linear.possible()
        if self.wanted not in {None, *possible}:
            words = ", ".join(sorted(kind.value for kind in possible))
            raise ValueError(f"value_type: expected {words} for this type and these scales")

    @property
    def linear(self) -> Linear:
        """From the raw numbers to the value."""
        return Linear((self.first.scale, *self.scales), self.first.offset)

    @property
    def name(self) -> str:
        """How many of what type."""
        return f"{len(self.scales) + 1} x {self.first.name}"

    @property
    def codes(self) -> tuple[str, ...]:
        """The same for each part."""
        return self.first.codes * (len(self.scales) + 1)

    @property
    def value_type(self) -> ValueType:
        """What was chosen; else a float for floats, and for whole numbers as `Linear.natural` says."""
        if self.wanted is not None:
            return self.wanted
        if self.first.type.floating:
            return ValueType.NUMBER
        return self.linear.natural(self.first.least, self.first.greatest)

    @property
    def mask(self) -> int | None:
        """All of them."""
        return None

    @property
    def plain_float(self) -> bool:
        """Never."""
        return False

    def converter(self) -> Callable[[Any], Value | Reason] | None:
        """Add up; where one part has no value, there is none."""
        raw, sentinels, floating = self.first.raw(), self.first.sentinel_raws, self.first.type.floating
        add: Callable[[Any], Value] = (
            self.linear.of_several_floats() if floating else self.linear.of_several(self.value_type)
        )

        def convert(held: Sequence[Raw]) -> Value | Reason:
            raws = held if raw is None else [raw(each) for each in held]
            if any(each is None or each in sentinels for each in raws):
                return Reason.SENSOR_FAILURE
            if floating and not all(map(math.isfinite, held)):
                return Reason.SENSOR_FAILURE
            try:
                return add(raws)
            except OverflowError:  # no float is that large
                return Reason.OUT_OF_RANGE

        return convert

    def stored(self, value: Value | Fraction) -> tuple[Any, ...]:
        """As much as possible in the part with the largest scale, and so on; of floats all in the first one."""
        exact, floating = exactly(value, self.name), self.first.type.floating
        raws = [*self.first.stored(exact), *(0.0 for _ in self.scales)] if floating else self._dealt(exact)
        if not self.first.sentinel_raws.isdisjoint(raws):
            raise ValueError(f"{value} has a part that the device means by no value")
        if not floating and abs(self._of(raws) - exact) > min(map(abs, self.linear.scales)) / 2:
            raise ValueError(f"{value} does not fit into {self.name}")
        return tuple(self.first.held(raw) for raw in raws)

    def _dealt(self, exact: Fraction) -> list[int]:
        """Divide a value among the parts, each of which takes no more than it can hold."""
        scales, step = self.linear.scales, Fraction(1, self.linear.denominator)
        rest = round((exact - self.first.offset) / step) * step
        order = sorted(range(len(scales)), key=lambda part: -abs(scales[part]))
        raws = [0] * len(scales)
        for part in order:
            whole = round(rest / scales[part]) if part == order[-1] else math.trunc(rest / scales[part])
            raws[part] = min(max(whole, self.first.least), self.first.greatest)
            rest -= raws[part] * scales[part]
        return raws

    def _of(self, raws: Sequence[int]) -> Fraction:
        return Fraction(self.first.offset + sum(map(mul, raws, self.linear.scales)))

    def nearest(self, least: Fraction | None, greatest: Fraction | None) -> Callable[[Any], tuple[Any, ...]]:
        """Within the limits and what the parts hold; a part that would mean "no value" holds one less or more."""
        low = -math.inf if least is None else least
        high = math.inf if greatest is None else greatest
        sentinels, of_first = self.first.sentinel_raws, self.first.nearest(least, greatest)

        def stored(value: float) -> tuple[Any, ...]:
            if self.first.type.floating:
                return (*of_first(value), *(0.0 for _ in self.scales))
            raws = self._dealt(Fraction(min(max(value, low), high)))
            return tuple(self.first.held(self._good(raw, sentinels)) for raw in raws)

        return stored

    def _good(self, raw: int, sentinels: frozenset[Raw]) -> int:
        near = (raw, raw + 1, raw - 1)
        held = range(self.first.least, self.first.greatest + 1)
        return next((one for one in near if one in held and one not in sentinels), raw)

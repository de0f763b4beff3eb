"""How much a number looks like a value: of this unit, near what is expected, or of an ordinary size at all.

Pure arithmetic on what buildings have; it decides nothing about a reading that is configured, it only puts the many
ways to read unknown registers into an order for a person.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class Fit(IntEnum):
    """How well a number fits; the better, the greater."""

    NOT = 0
    """No device would show this."""
    ODD = 1
    """Possible, and rarely seen."""
    USUAL = 2
    """What such a point usually shows."""
    EXPECTED = 3
    """What somebody said that it shows now."""


@dataclass(frozen=True, slots=True)
class Span:
    """From the least to the greatest, both within."""

    least: float
    greatest: float

    def __contains__(self, number: float) -> bool:
        return self.least <= number <= self.greatest

    def __str__(self) -> str:
        return f"{self.least:g}..{self.greatest:g}"


_NUMBER = r"[-+]?[0-9]+(?:\.[0-9]*)?"
_EXPECTATION = re.compile(rf"({_NUMBER})(?:\s*\.\.\s*({_NUMBER}))?")
NEAR: Final = 0.05
"""How far a single expected number may be missed: a display is read a moment before the registers are."""


def expectation(text: str) -> Span:
    """Read `18..25`, or `21.4`, which means within 5 % of it. Raises `ValueError`."""
    match = _EXPECTATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"expected a range such as 18..25 or what a display shows, such as 21.4, found {text!r}"
        )
    least = float(match[1])
    if match[2] is None:
        margin = abs(least) * NEAR
        return Span(least - margin, least + margin)
    greatest = float(match[2])
    if greatest < least:
        raise ValueError(f"expected the lesser number first, found {text!r}")
    return Span(least, greatest)


USUAL: Final = {
    "Cel": Span(-40, 120),
    "K": Span(230, 400),
    "%": Span(0, 100),
    "%{RH}": Span(0, 100),
    "1": Span(-1, 1),
    "[ppm]": Span(200, 10_000),
    "[ppb]": Span(0, 10_000),
    "[pH]": Span(4, 10),
    "V": Span(0, 500),
    "mV": Span(-100_000, 100_000),
    "kV": Span(0, 30),
    "A": Span(-1_000, 1_000),
    "mA": Span(-100_000, 100_000),
    "W": Span(-1_000_000, 1_000_000),
    "kW": Span(-5_000, 5_000),
    "MW": Span(-20, 20),
    "V.A": Span(-1_000_000, 1_000_000),
    "kV.A": Span(-5_000, 5_000),
    "W.h": Span(0, 1e11),
    "kW.h": Span(0, 1e8),
    "MW.h": Span(0, 1e6),
    "V.A.h": Span(0, 1e11),
    "kV.A.h": Span(0, 1e8),
    "J": Span(0, 1e14),
    "MJ": Span(0, 1e8),
    "GJ": Span(0, 1e6),
    "Hz": Span(45, 65),
    "Pa": Span(-5_000, 120_000),
    "hPa": Span(0, 1_200),
    "mbar": Span(-50, 1_200),
    "kPa": Span(-5, 1_600),
    "bar": Span(-1, 25),
    "m3": Span(0, 1e7),
    "L": Span(0, 1e10),
    "m3.h-1": Span(-50_000, 50_000),
    "m3.s-1": Span(-20, 20),
    "L.s-1": Span(-20_000, 20_000),
    "L.min-1": Span(-100_000, 100_000),
    "L.h-1": Span(-500_000, 500_000),
    "m.s-1": Span(-40, 40),
    "kg.s-1": Span(-100, 100),
    "lx": Span(0, 120_000),
    "W.m-2": Span(-100, 1_500),
    "ug.m-3": Span(0, 2_000),
    "g.m-3": Span(0, 60),
    "g.kg-1": Span(0, 40),
    "kJ.kg-1": Span(-30, 150),
    "{#}.min-1": Span(0, 6_000),
    "Ohm": Span(0, 1e6),
    "deg": Span(-360, 360),
    "m": Span(-100, 1_000),
    "s": Span(0, 1e9),
    "min": Span(0, 1e7),
    "h": Span(0, 1e6),
    "d": Span(0, 50_000),
}
"""What a healthy point of this unit shows somewhere in a building, by UCUM code: the largest meter, the coldest roof."""

ORDINARY: Final = Span(1e-3, 1e7)
"""Magnitudes of numbers that people measure: most wrong orders of bytes give numbers far outside."""
POSSIBLE: Final = Span(1e-6, 1e10)
"""Beyond it no meter of a building counts."""


def usual(unit: str | None) -> Span | None:
    """What is usual for this unit; of one with an annotation (`V.A{reactive}`) what is for it without."""
    if unit is None:
        return None
    return USUAL.get(unit) or USUAL.get(re.sub(r"\{[^}]*\}", "", unit))


def fit(number: float, unit: str | None, expected: Span | None) -> Fit:
    """How well a number fits what is known of the point: what is expected, else its unit, else nothing."""
    if not math.isfinite(number):
        return Fit.NOT
    if expected is not None:
        return Fit.EXPECTED if number in expected else Fit.NOT
    size = abs(number)
    span = usual(unit)
    if span is not None:
        return Fit.NOT if number not in span or 0 < size < POSSIBLE.least else Fit.USUAL
    if number == 0 or size in ORDINARY:
        return Fit.USUAL
    return Fit.ODD if size in POSSIBLE else Fit.NOT

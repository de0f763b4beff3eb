"""Registers that nobody has described: every type and order they could be read in, the most plausible first.

Pure. What a type or an order does to the bytes is the codec's knowledge; here each is tried, and each result is held
against what is known of the point:

1.  A value that is expected (`18..25 Cel`, what the display shows) is before one that is merely usual for the unit;
    without a unit usual means of an ordinary size, 0.001 to 10 million.
2.  Then common types before BCD and float16, which few devices use.
3.  Then the raw number as it stands before one that a scale (0.1, 0.01, ...) has to bring there.
4.  Then ABCD, CDAB, DCBA, BADC: the order of how often devices send them.
5.  Then the number nearer to 30, in powers of ten.

Types that give the same number in the same order are one reading: no single look can tell them apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from agent.sample import Reason
from drivers.modbus.technician.plausible import Fit, Span, fit, usual
from drivers.modbus.values.codec import Codec
from drivers.modbus.values.number import Number
from drivers.modbus.values.registers import Order, Table, Type

ORDERS: Final = (Order.ABCD, Order.CDAB, Order.DCBA, Order.BADC)
"""By how often devices send them."""
_ORDERS_OF_ONE: Final = (Order.ABCD, Order.BADC)
"""One register has no words to reverse."""

_SCALES: Final = tuple(map(Fraction, ("1", "0.1", "0.01")))
"""What integers are multiplied by, by how often."""
_MORE_SCALES: Final = tuple(map(Fraction, ("0.001", "10", "100", "1000")))
"""Tried too where a value is expected: without that they would make everything fit."""
_FLOAT_SCALES: Final = tuple(map(Fraction, ("1", "0.001", "1000")))
"""A float is in another unit at most: W for kW."""

_MIDDLE: Final = 1.5
"""log10 of a number that is neither large nor small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One way to read some registers, and how well it fits."""

    address: int
    width: int
    """How many registers."""
    types: tuple[Type, ...]
    """The types that give this number; the first is the one to propose, signed if such a point can be negative."""
    order: Order
    raw: int | float | None
    """`None` where the registers are no number of this type."""
    scale: Fraction
    """What brings it where it fits best; 1 where nothing does."""
    fit: Fit

    @property
    def value(self) -> float | None:
        """The raw number times the scale."""
        return None if self.raw is None else float(Fraction(self.raw) * self.scale)


def readings(
    payload: bytes, address: int, *, unit: str | None = None, expected: Span | None = None
) -> tuple[Reading, ...]:
    """Every reading of one register, of two, or of four together; best first. Of other lengths there is none."""
    width = len(payload) // 2
    types = [type_ for type_ in Type if type_ is not Type.BOOL and type_.size == width]
    span = usual(unit) or expected
    signed = span is None or span.least < 0
    found: list[Reading] = []
    for order in ORDERS if width > 1 else _ORDERS_OF_ONE:
        alike: dict[int | float | None, list[Type]] = {}
        for type_ in types:
            alike.setdefault(_raw(payload, type_, order), []).append(type_)
        for raw, of in alike.items():
            scale, how = _scaled(raw, of[0], unit, expected)
            found.append(
                Reading(
                    address=address,
                    width=width,
                    types=tuple(sorted(of, key=lambda type_: signed is not _is_signed(type_))),
                    order=order,
                    raw=raw,
                    scale=scale,
                    fit=how,
                )
            )
    return tuple(sorted(found, key=_rank))


def parts(payload: bytes, address: int, width: int) -> Iterator[tuple[int, bytes]]:
    """Each address at which `width` registers can begin, and their bytes."""
    for at in range(0, len(payload) - 2 * width + 1, 2):
        yield address + at // 2, payload[at : at + 2 * width]


def telling(payload: bytes) -> bool:
    """Whether the registers can tell anything: all zeros fit every type and order, all ones mean mostly "no value"."""
    return any(payload) and any(byte != 0xFF for byte in payload)  # noqa: PLR2004  # every bit


def text(payload: bytes) -> str | None:
    """The registers as text, where they are nothing but printable letters, padded at the end."""
    stripped = payload.rstrip(b"\0 ")
    if len(stripped) < 2 or not all(0x20 <= byte < 0x7F for byte in stripped):  # noqa: PLR2004  # ASCII
        return None
    return stripped.decode("ascii")


def _raw(payload: bytes, type_: Type, order: Order) -> int | float | None:
    codec = Codec(table=Table.HOLDING, addresses=(0,), order=order, meaning=Number(type=type_))
    decoded = codec.decode(payload)
    if isinstance(decoded, Reason) or not isinstance(decoded, int | float):
        return None
    return decoded


def _scaled(raw: float | None, type_: Type, unit: str | None, expected: Span | None) -> tuple[Fraction, Fit]:
    """The scale under which the number fits best, the commonest of them; and how well."""
    if raw is None:
        return Fraction(1), Fit.NOT
    best = Fraction(1), fit(raw, unit, expected)
    if unit is None and expected is None:
        return best
    scales = _FLOAT_SCALES if type_.floating else (*_SCALES, *(_MORE_SCALES if expected else ()))
    if type_.floating and expected is None:
        scales = scales[:1]
    for scale in scales[1:]:
        how = fit(float(Fraction(raw) * scale), unit, expected)
        if how > best[1]:
            best = scale, how
    return best


def _rank(reading: Reading) -> tuple[float, ...]:
    value = reading.value
    size = abs(math.log10(abs(value)) - _MIDDLE) if value else math.inf
    scales = (*_SCALES, *_MORE_SCALES)
    return (
        -reading.fit,
        all(_is_rare(type_) for type_ in reading.types),
        scales.index(reading.scale),
        ORDERS.index(reading.order),
        size,
    )


def _is_signed(type_: Type) -> bool:
    return not str(type_.value).startswith("uint")


def _is_rare(type_: Type) -> bool:
    return str(type_.value).startswith("bcd") or type_.value == "float16"

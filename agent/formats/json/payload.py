"""Rows to JSON text: how the cells of one shape are written, fast and with every digit.

What can be known beforehand (names, units, punctuation) is put into one byte template for each shape; a row fills in
three columns: numbers, values, and what is said of each value. Nothing here knows of topics, limits or messages.
docs/json.md describes the result.

A value is written only if it is one: `None`, and a float or Decimal that is not finite (which no driver may deliver),
become a reading without a value whose quality is bad. So no `NaN` and no false zero can leave.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from itertools import chain, repeat

import msgspec

from agent.sample import Point, Quality, Reason, Row, Shape, Value

ENCODER = msgspec.json.Encoder(decimal_format="number")
"""Writes a Decimal as a JSON number with all its digits, and integers of any size."""

_BAD = Reason.NOT_CONNECTED
"""The least of the codes whose quality is bad (agent.sample.Reason): such a cell has no value."""


class Layout:
    """How the cells of one shape are written; `cells` are the indexes of those that are, `None` for all."""

    __slots__ = ("_head", "_readings", "cells", "count")

    def __init__(self, shape: Shape, cells: tuple[int, ...] | None) -> None:
        points = shape.points if cells is None else tuple(shape.points[index] for index in cells)
        self.cells = cells
        self.count = len(points)
        """How many readings it writes."""
        self._head = b'{"device":' + _text(shape.device) + b',"time":"'
        self._readings = b",".join(_reading(point) for point in points)

    def write(self, row: Row) -> bytes:
        """One element of `samples`: the row's device, time, clock, and its readings."""
        sample = row.sample
        cells = self.cells
        numbers: Sequence[int]
        values: Sequence[Value | None]
        if cells is None:
            numbers, values = range(row.number, row.end), sample.values
        else:
            numbers = [row.number + index for index in cells]
            values = [sample.values[index] for index in cells]
        milliseconds = row.time_ns // 1_000_000
        given, said = _columns(values, _chosen(sample.reasons, cells))
        if any(sample.ages_ms):
            ages = _chosen(sample.ages_ms, cells)
            own = {age: _own_time(milliseconds, age) if age else b"" for age in set(ages)}
            said = [words + own[age] for words, age in zip(said, ages, strict=False)]
        readings = self._readings % tuple(chain.from_iterable(zip(numbers, given, said, strict=False)))
        return b"".join((self._head, stamp(milliseconds), _CLOCK[row.trusted], readings, b"]}"))


def _columns(values: Sequence[Value | None], reasons: Sequence[int]) -> tuple[Sequence[bytes], list[bytes]]:
    """For each value, its text (empty where there is none) and what is said of it."""
    count = len(values)
    joined = _values(values)
    texts = joined.split(b",")
    if len(texts) != count:
        # There is a comma inside a text, or there are no values at all.
        texts = [_text(value) if isinstance(value, str) else ENCODER.encode(value) for value in values]
    # Of what JSON can hold only texts and null have an n or N in them; so has everything that is not a number.
    if not reasons and b"n" not in joined and b"N" not in joined:
        return [b',"value":' + text for text in texts], [_SAID[Reason.GOOD]] * count
    given: list[bytes] = []
    said: list[bytes] = []
    for text, reason in zip(texts, reasons or repeat(Reason.GOOD), strict=False):
        if reason >= _BAD:
            given.append(b"")
            said.append(_SAID[reason])
        elif text.lstrip(b"-")[:1] in _NO_VALUE:
            given.append(b"")
            said.append(_SAID[Reason.SENSOR_FAILURE])
        else:
            given.append(b',"value":' + text)
            said.append(_SAID[reason])
    return given, said


_NO_VALUE = (b"n", b"N", b"s", b"I")
"""How null, NaN, sNaN and Infinity begin; a number begins with a digit, a text with a quotation mark, else t or f."""


def _values(values: Sequence[Value | None]) -> bytes:
    try:
        return ENCODER.encode(values)[1:-1]
    except UnicodeEncodeError:
        return b",".join(
            _text(value) if isinstance(value, str) else ENCODER.encode(value) for value in values
        )


def _chosen(column: Sequence[int], cells: tuple[int, ...] | None) -> Sequence[int]:
    return column if cells is None or not column else [column[index] for index in cells]


def _reading(point: Point) -> bytes:
    """The template of one reading: its number, its value if any, and what is said of it are filled in."""
    unit = b"" if point.unit is None else b',"unit":' + _text(point.unit)
    # JSON writes a NUL as an escape, so it can stand for the % that names and units may contain themselves.
    fixed = b'{"number":\0d,"point":' + _text(point.name) + b"\0b" + unit + b"\0b}"
    return fixed.replace(b"%", b"%%").replace(b"\0", b"%")


def _text(text: str) -> bytes:
    """A JSON string; a lone surrogate, which UTF-8 cannot write, becomes a question mark."""
    return ENCODER.encode(text.encode("utf-8", "replace").decode())


def _saying(code: int) -> bytes:
    """What is said of a cell with this reason; a code from a newer release keeps its quality (its two top bits)."""
    quality = Quality(min(code >> 6, Quality.BAD))
    said = f',"quality":"{quality.name.lower()}"'
    if code != Reason.GOOD:
        known = code in Reason.__members__.values()
        said += f',"reason":"{Reason(code).word if known else f"code_{code:02x}"}"'
    return said.encode()


_SAID = tuple(_saying(code) for code in range(256))
_CLOCK = {
    True: b'","clock":"synchronised","readings":[',
    False: b'","clock":"unsynchronised","readings":[',
}


def _own_time(milliseconds: int, age_ms: int) -> bytes:
    return b',"time":"' + stamp(milliseconds - age_ms) + b'"'


def stamp(milliseconds: int) -> bytes:
    """RFC 3339, UTC, milliseconds: `2026-11-25T03:20:47.123Z`; `milliseconds` since 1970, cut, never rounded up."""
    seconds, rest = divmod(milliseconds, 1000)
    return _second(seconds) + b"%03dZ" % rest


@functools.lru_cache(maxsize=256)
def _second(seconds: int) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(seconds)).encode("ascii")

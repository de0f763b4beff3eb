"""A sample's columns as bytes, and back; and the checksum that finds a flipped bit.

Pure, and ignorant of SQLite. What the shape already says (how many cells, of which type) is not written again. The
cells are grouped by type, and each group is packed in the smallest way that brings back every value exactly:

    flags     1 byte: what follows
    reasons   nothing when all are good; one byte when all are the same; else one for each cell
    ages      as a group of integers, where the sample has ages
    types     nothing where each value has the type its point declares, or none where its quality is bad;
              else one letter for each cell
    groups    floats, integers, booleans, decimals, texts, those that there are

A group of floats is 4 bytes a cell where single precision holds them exactly, which is so for what comes from a
32-bit float register. Otherwise they are tried as whole numbers of tenths, hundredths and thousandths, which is what
scaled integer registers give; only what is neither takes 8 bytes. All integers are little-endian.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from typing import Any, NamedTuple

from agent.sample import Quality, Sample, Shape, Value, ValueType

_ONE_REASON = 0x01
_EACH_REASON = 0x02
_AGES = 0x04
_NONE_WHERE_BAD = 0x08
_TYPES = 0x10

_LETTERS: dict[type, str] = {float: "f", int: "i", bool: "b", Decimal: "d", str: "s", type(None): "n"}
_TYPES_BY_LETTER = {ord(letter): type_ for type_, letter in _LETTERS.items()}
_GROUPS: tuple[type, ...] = (float, int, bool, Decimal, str)
_DECLARED: dict[ValueType, type] = {
    ValueType.BOOLEAN: bool,
    ValueType.INTEGER: int,
    ValueType.NUMBER: float,
    ValueType.DECIMAL: Decimal,
    ValueType.TEXT: str,
}
_SCALES = (10, 100, 1000)
_SCALED_LIMIT = 2.0**40
"""Beyond this a whole number of thousandths takes as many bytes as the float, and its division may round."""
_BIG = ord("V")


class _Plan(NamedTuple):
    """How the cells of a row with these types are grouped."""

    letters: bytes
    groups: tuple[tuple[type, tuple[int, ...] | None], ...]
    """Type, and which cells have it; `None` for all."""


@lru_cache(maxsize=1024)
def plan(types: tuple[type, ...]) -> _Plan:
    """Group cells by their types. Raises `TypeError` for a type that a value cannot have."""
    if strange := {type_ for type_ in types if type_ not in _LETTERS}:
        names = ", ".join(sorted(type_.__name__ for type_ in strange))
        raise TypeError(f"a value is bool, int, float, Decimal, text or None, not {names}")
    groups = []
    for type_ in _GROUPS:
        cells = tuple(index for index, found in enumerate(types) if found is type_)
        if cells:
            groups.append((type_, None if len(cells) == len(types) else cells))
    return _Plan("".join(_LETTERS[type_] for type_ in types).encode(), tuple(groups))


@lru_cache(maxsize=1024)
def _declared(shape: Shape) -> tuple[type, ...]:
    return tuple(_DECLARED[point.type] for point in shape.points)


def fault(sample: Sample) -> str | None:
    """Say what makes a sample impossible to store, or `None`: columns as long as the shape, values of known types."""
    cells = len(sample.shape.points)
    if not cells or len(sample.values) != cells:
        return f"{len(sample.values)} values for {cells} points"
    if len(sample.reasons) not in {0, cells} or len(sample.ages_ms) not in {0, cells}:
        return f"{len(sample.reasons)} reasons and {len(sample.ages_ms)} ages for {cells} points"
    try:
        plan(tuple(map(type, sample.values)))
    except TypeError as error:
        return str(error)
    return None


def encode(sample: Sample) -> bytes:
    """Write the columns of a sample that has no `fault`."""
    values = sample.values
    types = tuple(map(type, values))
    flags = 0
    parts = [b""]
    if reasons := sample.reasons:
        if reasons.count(reasons[0]) == len(reasons):
            flags |= _ONE_REASON
            parts.append(reasons[:1])
        else:
            flags |= _EACH_REASON
            parts.append(reasons)
    if sample.ages_ms:
        flags |= _AGES
        parts.append(_encode_integers(sample.ages_ms))
    grouping = plan(types)
    if types != (declared := _declared(sample.shape)):
        if types == _with_none(declared, reasons):
            flags |= _NONE_WHERE_BAD
        else:
            flags |= _TYPES
            parts.append(grouping.letters)
    for type_, cells in grouping.groups:
        encoder = _ENCODERS[type_]
        parts.append(encoder(values if cells is None else [values[index] for index in cells]))
    parts[0] = flags.to_bytes(1, "little")
    return b"".join(parts)


def decode(shape: Shape, monotonic_ns: int, data: bytes) -> Sample:
    """Make the sample again from its shape, its moment and what `encode` wrote.

    Raises ValueError, IndexError or struct.error on bytes that `encode` did not write, where it notices.
    """
    count = len(shape.points)
    flags = data[0]
    place = 1
    reasons = b""
    if flags & _ONE_REASON:
        reasons = data[1:2] * count
        place = 2
    elif flags & _EACH_REASON:
        place = 1 + count
        reasons = data[1:place]
    ages: tuple[int, ...] = ()
    if flags & _AGES:
        found, place = _decode_integers(data, place, count)
        ages = tuple(found)
    types = _declared(shape)
    if flags & _NONE_WHERE_BAD:
        types = _with_none(types, reasons)
    elif flags & _TYPES:
        types = tuple(_TYPES_BY_LETTER[letter] for letter in data[place : place + count])
        place += count
    values: tuple[Value | None, ...] = (None,) * count
    for type_, cells in plan(types).groups:
        group, place = _DECODERS[type_](data, place, count if cells is None else len(cells))
        if cells is None:
            values = tuple(group)
        else:
            mixed = list(values)
            for index, value in zip(cells, group, strict=True):
                mixed[index] = value
            values = tuple(mixed)
    return Sample(shape, monotonic_ns, values, reasons, ages)


_HEAD = struct.Struct("<QIQQq")


def checksum(store_id: str, fields: tuple[int, int, int, int, int], data: bytes) -> int:
    """CRC-32 over everything that a row is, as a signed 32-bit number (SQLite then keeps it in 4 bytes).

    The fields: number, count, shape, boot, monotonic_ns. Raises `struct.error` when one of them cannot be that.
    """
    head = _HEAD.pack(*fields)
    return zlib.crc32(data, zlib.crc32(head, _seed(store_id))) - 0x8000_0000


@lru_cache(maxsize=64)
def _seed(store_id: str) -> int:
    return zlib.crc32(store_id.encode())


def _with_none(types: tuple[type, ...], reasons: bytes) -> tuple[type, ...]:
    if not reasons:
        return types
    return tuple(
        type(None) if reason >> 6 >= Quality.BAD else type_
        for type_, reason in zip(types, reasons, strict=True)
    )


# --- groups of one type: a letter for the way it is packed, then the cells -------------------------------------


@lru_cache(maxsize=1024)
def _packed(letter: str, count: int) -> struct.Struct:
    return struct.Struct(f"<{count}{letter}")


def _encode_integers(cells: Sequence[int]) -> bytes:
    lowest, highest = min(cells), max(cells)
    if lowest >= 0:
        letter = "B" if highest < 1 << 8 else "H" if highest < 1 << 16 else "I" if highest < 1 << 32 else "Q"
        fits = highest < 1 << 64
    else:
        widest = max(highest, ~lowest)
        letter = "b" if widest < 1 << 7 else "h" if widest < 1 << 15 else "i" if widest < 1 << 31 else "q"
        fits = widest < 1 << 63
    if fits:
        return letter.encode() + _packed(letter, len(cells)).pack(*cells)
    parts = [b"V"]
    for cell in cells:
        length = cell.bit_length() // 8 + 1
        parts.append(_encode_length(length))
        parts.append(cell.to_bytes(length, "little", signed=True))
    return b"".join(parts)


def _decode_integers(data: bytes, place: int, count: int) -> tuple[Sequence[int], int]:
    letter = data[place]
    place += 1
    if letter != _BIG:
        packed = _packed(chr(letter), count)
        return packed.unpack_from(data, place), place + packed.size
    cells = []
    for _ in range(count):
        length, place = _decode_length(data, place)
        cells.append(int.from_bytes(data[place : place + length], "little", signed=True))
        place += length
    return cells, place


def _encode_floats(cells: Sequence[float]) -> bytes:
    single = _packed("f", len(cells))
    try:
        data = single.pack(*cells)
    except OverflowError:  # larger than single precision can be
        pass
    else:
        if single.unpack(data) == tuple(cells):
            return b"f" + data
    if min(cells) > -_SCALED_LIMIT and max(cells) < _SCALED_LIMIT:
        for scale in _SCALES:
            if whole := _whole(cells, scale):
                return b"s" + scale.to_bytes(2, "little") + _encode_integers(whole)
    return b"d" + _packed("d", len(cells)).pack(*cells)


def _whole(cells: Sequence[float], scale: int) -> list[int] | None:
    """The cells as whole numbers of 1/scale, where division brings each back exactly; else `None`."""
    whole = []
    for cell in cells:
        if not isfinite(cell):  # no driver gives that, but a row takes it
            return None
        number = round(cell * scale)
        if number / scale != cell or (not number and str(cell)[0] == "-"):
            return None
        whole.append(number)
    return whole


def _decode_floats(data: bytes, place: int, count: int) -> tuple[Sequence[float], int]:
    letter = chr(data[place])
    place += 1
    if letter == "s":
        scale = int.from_bytes(data[place : place + 2], "little")
        whole, place = _decode_integers(data, place + 2, count)
        return [number / scale for number in whole], place
    packed = _packed(letter, count)
    return packed.unpack_from(data, place), place + packed.size


def _encode_booleans(cells: Sequence[bool]) -> bytes:
    bits = sum(1 << index for index, cell in enumerate(cells) if cell)
    return bits.to_bytes((len(cells) + 7) // 8, "little")


def _decode_booleans(data: bytes, place: int, count: int) -> tuple[Sequence[bool], int]:
    length = (count + 7) // 8
    bits = int.from_bytes(data[place : place + length], "little")
    return [bool(bits >> index & 1) for index in range(count)], place + length


def _encode_texts(cells: Sequence[object]) -> bytes:
    parts = []
    for cell in cells:
        text = str(cell).encode("utf-8", "surrogatepass")
        parts.append(_encode_length(len(text)))
        parts.append(text)
    return b"".join(parts)


def _decode_texts(data: bytes, place: int, count: int) -> tuple[Sequence[str], int]:
    cells = []
    for _ in range(count):
        length, place = _decode_length(data, place)
        cells.append(data[place : place + length].decode("utf-8", "surrogatepass"))
        place += length
    return cells, place


def _decode_decimals(data: bytes, place: int, count: int) -> tuple[Sequence[Decimal], int]:
    texts, place = _decode_texts(data, place, count)
    return [Decimal(text) for text in texts], place


_LONG = 0xFF


def _encode_length(length: int) -> bytes:
    """One byte up to 254; else 255 and four bytes."""
    return bytes((length,)) if length < _LONG else b"\xff" + length.to_bytes(4, "little")


def _decode_length(data: bytes, place: int) -> tuple[int, int]:
    length = data[place]
    if length < _LONG:
        return length, place + 1
    return int.from_bytes(data[place + 1 : place + 5], "little"), place + 5


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    float: _encode_floats,
    int: _encode_integers,
    bool: _encode_booleans,
    Decimal: _encode_texts,
    str: _encode_texts,
}
_DECODERS: dict[type, Callable[[bytes, int, int], tuple[Sequence[Any], int]]] = {
    float: _decode_floats,
    int: _decode_integers,
    bool: _decode_booleans,
    Decimal: _decode_decimals,
    str: _decode_texts,
}

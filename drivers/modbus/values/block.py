"""Registers read together, and how their bytes become cells of a sample.

Pure, and the hot path: everything that can be known before the answer comes is worked out when the block is made.
What is left is one `struct` call for each layer of the block (nearly always one) and one conversion for each cell;
a block of plain floats needs one check for all of them.

    payload --[swap bytes]--> layer: one struct --> unpacked, ... --convert--> values[cell] or reasons[cell]

Fields of one byte order that do not overlap make a layer. Points that share registers share a field (bits of one
register, a scale factor for many); those that overlap otherwise lie in a further layer.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias

from agent.sample import Reason, Value
from drivers.modbus.values.codec import Codec, Field
from drivers.modbus.values.registers import Order, Table, swap


class Member(NamedTuple):
    """One point of a block."""

    cell: int
    """Its index among the points of the device."""
    codec: Codec


Step: TypeAlias = tuple[int, int | slice, Callable[[Any], Value | Reason] | None]
"""From what a layer unpacks to one cell: which cell, what of it, and how that becomes the value.

Of several fields a cell is made by a slice of all that is unpacked, from which the function takes its own.
"""

BitStep: TypeAlias = tuple[int, int, int]
"""From an answer to the cell of one bit: which cell, which byte, and the mask; bits are packed from the least
significant one of the first byte on. Plain tuples, both: the interpreter unpacks them in half the time of named ones."""


class Layer(NamedTuple):
    """Fields of a block that one `struct` reads."""

    swapped: bool
    unpack: Callable[[bytes], tuple[Any, ...]]
    steps: tuple[Step, ...]
    plain: slice | None
    """The cells, if what is unpacked are floats that need nothing but to be finite, and lie in the cells' order."""


@dataclass(frozen=True, slots=True)
class Block:
    """Neighbouring addresses of one table that one request reads. Made by `block`, planned by `plan`."""

    table: Table
    address: int
    count: int
    """Registers or, where `table.bits`, bits."""
    members: tuple[Member, ...]
    """The points that lie in it, by address."""
    layers: tuple[Layer, ...]
    bits: tuple[BitStep, ...]

    @property
    def cells(self) -> tuple[int, ...]:
        """The indexes, among the points of the device, of those that it holds."""
        return tuple(member.cell for member in self.members)

    @property
    def size(self) -> int:
        """How many bytes of data its answer has: the byte count on the wire."""
        return (self.count + 7) // 8 if self.table.bits else self.count * 2

    def decode(self, payload: bytes, values: list[Value | None], reasons: bytearray) -> None:
        """Fill the block's cells in the columns of a sample from the data of an answer, which has `size` bytes.

        The columns have one entry for each point of the device; other cells than the block's are left alone.
        """
        if self.bits:
            for cell, byte, mask in self.bits:
                values[cell] = bool(payload[byte] & mask)
                reasons[cell] = 0
            return
        for swapped, unpack, steps, plain in self.layers:
            unpacked = unpack(swap(payload) if swapped else payload)
            if plain is not None and math.isfinite(sum(unpacked)):
                values[plain] = unpacked
                reasons[plain] = bytes(len(unpacked))
                continue
            for cell, index, convert in steps:
                value: Any = unpacked[index] if convert is None else convert(unpacked[index])
                if value.__class__ is Reason:
                    values[cell] = None
                    reasons[cell] = value
                else:
                    values[cell] = value
                    reasons[cell] = 0


def block(members: Iterable[Member], alignment: int = 1) -> Block:
    """Make the smallest block that holds these points, which are of one table; its ends are multiples of `alignment`."""
    ordered = tuple(sorted(members, key=lambda member: (member.codec.address, member.codec.end, member.cell)))
    table, address = ordered[0].codec.table, ordered[0].codec.address // alignment * alignment
    count = -(-max(member.codec.end for member in ordered) // alignment) * alignment - address
    return Block(
        table=table,
        address=address,
        count=count,
        members=ordered,
        layers=() if table.bits else _layers(ordered, address, count),
        bits=tuple(_bit_step(member, address) for member in ordered) if table.bits else (),
    )


def _bit_step(member: Member, start: int) -> BitStep:
    byte, bit = divmod(member.codec.address - start, 8)
    return member.cell, byte, 1 << bit


class _Row:
    """Fields of one order that do not overlap, and the points that are made of them."""

    def __init__(self) -> None:
        self.fields: set[Field] = set()
        self.members: list[Member] = []
        self._end = 0

    def takes(self, codec: Codec) -> bool:
        """Whether each field of this point is here already, or has room."""
        return codec.address >= self._end or all(
            part in self.fields or self._has_room(part) for part in codec.fields
        )

    def _has_room(self, part: Field) -> bool:
        return all(part.end <= other.address or other.end <= part.address for other in self.fields)

    def add(self, member: Member) -> None:
        """Take in a point that it `takes`."""
        self.fields.update(member.codec.fields)
        self.members.append(member)
        self._end = max(self._end, member.codec.end)


def _layers(members: Sequence[Member], start: int, count: int) -> tuple[Layer, ...]:
    """Deal the points, which come by address, to as few layers as their orders and overlaps allow."""
    layers: list[Layer] = []
    for order in Order:
        rows: list[_Row] = []
        for member in members:
            if member.codec.order is order:
                row = next((row for row in rows if row.takes(member.codec)), None)
                if row is None:
                    rows.append(row := _Row())
                row.add(member)
        layers += [_layer(order, row, start, count) for row in rows]
    return tuple(layers)


def _layer(order: Order, row: _Row, start: int, count: int) -> Layer:
    fields = sorted(row.fields)
    form, position = order.endian, start
    for each in fields:
        form += "xx" * (each.address - position) + each.code
        position = each.end
    form += "xx" * (start + count - position)
    places = {each: index for index, each in enumerate(fields)}
    steps = tuple(_step(member, places) for member in row.members)
    return Layer(order.swapped, struct.Struct(form).unpack, steps, _plain(row.members, steps, len(fields)))


def _step(member: Member, places: Mapping[Field, int]) -> Step:
    convert = member.codec.meaning.converter()
    indexes = [places[each] for each in member.codec.fields]
    if len(indexes) == 1 or convert is None:
        return member.cell, indexes[0], convert
    take = itemgetter(*indexes)
    return member.cell, slice(None), lambda unpacked: convert(take(unpacked))


def _plain(members: Sequence[Member], steps: Sequence[Step], fields: int) -> slice | None:
    if not all(member.codec.meaning.plain_float for member in members):
        return None
    first = steps[0][0]
    if [step[:2] for step in steps] != [(first + index, index) for index in range(fields)]:
        return None
    return slice(first, first + fields)

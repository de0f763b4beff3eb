"""Registers read together, and how their bytes become cells of a sample.

Pure, and the hot path: everything that can be known before the answer comes is worked out when the block is made.
What is left is one `struct` call for each layer of the block (nearly always one) and one conversion for each cell;
a block of plain floats needs one check for all of them.

    payload --[swap bytes]--> layer: one struct --> raw, raw, raw, ... --convert--> values[cell] or reasons[cell]

Fields of one byte order that do not overlap make a layer. Points that share registers share a field; those that
overlap otherwise lie in a further layer.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from agent.sample import Reason, Value
from drivers.modbus.codec import Codec, Raw
from drivers.modbus.registers import Order, Table, swap


class Member(NamedTuple):
    """One point of a block."""

    cell: int
    """Its index among the points of the device."""
    codec: Codec


class Layer(NamedTuple):
    """Fields of a block that one `struct` reads."""

    swapped: bool
    unpack: Callable[[bytes], tuple[Any, ...]]
    steps: tuple[tuple[int, int, Callable[[Raw], Value | Reason] | None], ...]
    """For each cell: its index, which of the unpacked numbers is its raw value, and how that becomes the value."""
    plain: slice | None
    """The cells, if the unpacked numbers are floats that need nothing but to be finite, and lie in the cells' order."""


class BitStep(NamedTuple):
    """Where the bit of a cell stands in the answer: packed from the least significant bit of the first byte on."""

    cell: int
    byte: int
    mask: int


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
            raws = unpack(swap(payload) if swapped else payload)
            if plain is not None and math.isfinite(sum(raws)):
                values[plain] = raws
                reasons[plain] = bytes(len(raws))
                continue
            for cell, index, convert in steps:
                value = raws[index] if convert is None else convert(raws[index])
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
    return BitStep(member.cell, byte, 1 << bit)


class _Field(NamedTuple):
    """What one character of a `struct` format reads; offset and end in registers from the start of the block."""

    offset: int
    end: int
    code: str


def _layers(members: Sequence[Member], start: int, count: int) -> tuple[Layer, ...]:
    layers: list[Layer] = []
    for order in Order:
        by_field: dict[_Field, list[Member]] = {}
        for member in members:
            codec = member.codec
            if codec.order is order:
                field = _Field(codec.address - start, codec.end - start, codec.type.code)
                by_field.setdefault(field, []).append(member)
        layers += [_layer(order, row, by_field, count) for row in _without_overlap(sorted(by_field))]
    return tuple(layers)


def _without_overlap(fields: Sequence[_Field]) -> list[list[_Field]]:
    """Deal the fields, which come by offset, to as few rows as can hold them without overlap."""
    rows: list[list[_Field]] = []
    for field in fields:
        for row in rows:
            if row[-1].end <= field.offset:
                row.append(field)
                break
        else:
            rows.append([field])
    return rows


def _layer(order: Order, fields: Sequence[_Field], by_field: dict[_Field, list[Member]], count: int) -> Layer:
    form, position = order.endian, 0
    for field in fields:
        form += "xx" * (field.offset - position) + field.code
        position = field.end
    form += "xx" * (count - position)
    steps = tuple(
        (member.cell, index, member.codec.converter())
        for index, field in enumerate(fields)
        for member in by_field[field]
    )
    return Layer(order.swapped, struct.Struct(form).unpack, steps, _plain(steps, fields, by_field))


def _plain(
    steps: Sequence[tuple[int, int, Any]], fields: Sequence[_Field], by_field: dict[_Field, list[Member]]
) -> slice | None:
    cells = [cell for cell, _, _ in steps]
    in_order = cells == list(range(cells[0], cells[0] + len(fields)))
    if in_order and all(member.codec.plain_float for field in fields for member in by_field[field]):
        return slice(cells[0], cells[0] + len(cells))
    return None

"""Which points are read together: arithmetic about addresses, nothing else.

Pure and deterministic. The plan has the fewest requests that the limits allow. Points are taken by rising address
and each joins the open block unless that would grow too long, cross too wide a gap or hold what no block may hold;
then it opens the next one. No plan does with less: a point that does not fit ends after every point of the open block,
and those that follow begin no earlier than it does, so putting one of them into the open block would only save room
in a block that is there anyway.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from drivers.modbus.values.block import Block, Member, block
from drivers.modbus.values.codec import Codec
from drivers.modbus.values.registers import ADDRESSES, Table

MOST_REGISTERS = 125
"""In one answer (Modbus Application Protocol V1.1b3, 6.3 and 6.4)."""
MOST_BITS = 2000
"""In one answer (Modbus Application Protocol V1.1b3, 6.1 and 6.2)."""


class Span(NamedTuple):
    """Addresses of one table, from `address` up to, not including, `end`."""

    table: Table
    address: int
    end: int

    @classmethod
    def of(cls, block: Block) -> Self:
        """What a block asks for."""
        return cls(block.table, block.address, block.address + block.count)

    @property
    def possible(self) -> bool:
        """Whether one request can ask for it."""
        most = MOST_BITS if self.table.bits else MOST_REGISTERS
        return 0 <= self.address < self.end <= min(ADDRESSES, self.address + most)

    def holds(self, other: Span) -> bool:
        """Whether all of the other lies in it."""
        return self.table is other.table and self.address <= other.address and other.end <= self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockLimits:
    """What one request to a device may ask for."""

    registers: int = MOST_REGISTERS
    bits: int = MOST_BITS
    gap: int = 0
    """How many addresses that nobody asked for may be read between two points, rather than asking twice."""
    alignment: int = 1
    """The first register and the number of registers are multiples of this."""
    borders: tuple[int, ...] = ()
    """No block holds both this address and the one before it."""

    def count(self, table: Table) -> int:
        """The most addresses of this table in one request."""
        return self.bits if table.bits else self.registers // self.alignment * self.alignment

    def span(self, codec: Codec) -> Span:
        """What has to be asked for to read this point alone."""
        step = 1 if codec.table.bits else self.alignment
        return Span(codec.table, codec.address // step * step, -(-codec.end // step) * step)


def plan(
    codecs: Sequence[Codec],
    limits: BlockLimits,
    refused: Sequence[Span] = (),
    without: Collection[int] = (),
) -> tuple[Block, ...]:
    """Divide the points of a device, `without` some, into blocks: each into exactly one, and wholly.

    Points may overlap or be the same. No block of several points holds one of the spans that are `refused`. Raises
    `ValueError` when one point alone is longer than the limit.
    """
    members = [Member(cell, codec) for cell, codec in enumerate(codecs) if cell not in without]
    return tuple(group for table in Table for group in _blocks(table, members, limits, refused))


def halves(whole: Block, limits: BlockLimits) -> tuple[Block, Block] | None:
    """The two blocks that hold the lower and the upper half of a block's points; `None` if it holds only one."""
    middle = len(whole.members) // 2
    if not middle:
        return None
    return _block(whole.members[:middle], limits), _block(whole.members[middle:], limits)


def _blocks(
    table: Table, members: Sequence[Member], limits: BlockLimits, refused: Sequence[Span]
) -> list[Block]:
    most = limits.count(table)
    barred = [Span(table, border - 1, border + 1) for border in limits.borders]
    barred += [span for span in refused if span.table is table]
    groups: list[list[Member]] = []
    alone: list[list[Member]] = []
    open_ = Span(table, 0, 0)
    here = [member for member in members if member.codec.table is table]
    for member in sorted(here, key=lambda member: (member.codec.address, member.codec.end)):
        own = limits.span(member.codec)
        if own.end - own.address > most:
            raise ValueError(
                f"{member.codec.meaning.name}: expected at most the {most} registers of one request, found {own.end - own.address}"
            )
        if any(
            own.holds(span) for span in barred
        ):  # by itself: then what is round it is read together all the same
            alone.append([member])
            continue
        grown = Span(table, open_.address, max(open_.end, own.end))
        if (
            not groups
            or own.address - open_.end > limits.gap
            or grown.end - grown.address > most
            or any(grown.holds(span) for span in barred)
        ):
            groups.append([])
            grown = own
        groups[-1].append(member)
        open_ = grown
    return [_block(group, limits) for group in sorted(groups + alone, key=_first)]


def _first(group: Sequence[Member]) -> tuple[int, int]:
    return group[0].codec.address, group[0].codec.end


def _block(members: Sequence[Member], limits: BlockLimits) -> Block:
    return block(members, 1 if members[0].codec.table.bits else limits.alignment)

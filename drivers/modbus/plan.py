"""Which points are read together: arithmetic about addresses, nothing else.

Pure and deterministic. The plan has the fewest requests that the limits allow. Points are taken by rising address
and each joins the open block unless that would grow too long or cross too wide a gap; then it opens the next one.
No plan does with less: a point that does not fit ends after every point of the open block, and those that follow
begin no earlier than it does, so putting one of them into the open block would only save room in a block that is
there anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drivers.modbus.block import Block, Member, block
from drivers.modbus.codec import Codec
from drivers.modbus.registers import Table

MOST_REGISTERS = 125
"""In one answer (Modbus Application Protocol V1.1b3, 6.3 and 6.4)."""
MOST_BITS = 2000
"""In one answer (Modbus Application Protocol V1.1b3, 6.1 and 6.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockLimits:
    """What one request to a device may ask for."""

    registers: int = MOST_REGISTERS
    bits: int = MOST_BITS
    gap: int = 0
    """How many addresses that nobody asked for may be read between two points, rather than asking twice."""

    def count(self, table: Table) -> int:
        """The most addresses of this table in one request."""
        return self.bits if table.bits else self.registers


def plan(codecs: Sequence[Codec], limits: BlockLimits) -> tuple[Block, ...]:
    """Divide the points of a device into blocks: each into exactly one, and wholly.

    Points may overlap or be the same. Raises `ValueError` when one alone is longer than the limit.
    """
    blocks = []
    for table in Table:
        members = [Member(cell, codec) for cell, codec in enumerate(codecs) if codec.table is table]
        blocks += [block(group) for group in _groups(members, limits.count(table), limits.gap)]
    return tuple(blocks)


def _groups(members: list[Member], most: int, gap: int) -> list[list[Member]]:
    groups: list[list[Member]] = []
    start = end = 0
    for member in sorted(members, key=lambda member: (member.codec.address, member.codec.end)):
        codec = member.codec
        if codec.width > most:
            raise ValueError(
                f"{codec.type.value}: expected at most the {most} registers of one request, found {codec.width}"
            )
        if not groups or codec.address - end > gap or codec.end - start > most:
            groups.append([])
            start = end = codec.address
        groups[-1].append(member)
        end = max(end, codec.end)
    return groups

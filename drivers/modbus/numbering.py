"""The numbers that PLCs and many manuals give to registers, where the line has a table and an address.

    40012 = holding 11      30001 = input 0      10005 = discrete 4      400012 = holding 11

The first digit is the table, and what follows counts from 1 (Modicon PI-MBUS-300, appendix A; with six digits where
tables have more than 9,999 entries).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from drivers.modbus.values.registers import ADDRESSES, Table

_DIGITS: Final = {Table.DISCRETE: 1, Table.INPUT: 3, Table.HOLDING: 4}
"""The first digit. Coils have 0, so that their numbers cannot be told from addresses."""
_SHORT: Final = 10_000
_LONG: Final = 100_000


class Place(NamedTuple):
    """A table and an address in it, as sent on the wire."""

    table: Table
    address: int

    def __str__(self) -> str:
        return f"address {self.address} of table {self.table.value}"


def ask(number: int) -> str:
    """Whether somebody wrote a PLC's number for an address, as the end of a message; nothing if it is none."""
    place = meant(number)
    return f": is it how a PLC numbers {place}?" if place else ""


def meant(number: int) -> Place | None:
    """What a number stands for, if it is one that a PLC has."""
    for table, digit in _DIGITS.items():
        for unit, most in ((_SHORT, _SHORT - 1), (_LONG, ADDRESSES)):
            if 1 <= number - digit * unit <= most:
                return Place(table, number - digit * unit - 1)
    return None

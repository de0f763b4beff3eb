"""Searching a line: which unit ids are asked in which order, at which speeds, and what an answer says.

Pure; `search` does it. Every question is a read (functions 1 to 4): nothing is ever written to find a device. The
Modbus Application Protocol (V1.1b3, 7) has every device answer a read that it does not know with an exception, so one
read finds whoever keeps to that; for those that are silent instead, more addresses may be named.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from drivers.modbus.technician.inquiry import Response
from drivers.modbus.values.registers import ADDRESSES, Table

UNITS: Final = tuple(range(1, 248))
"""Of a serial line (Modbus over Serial Line V1.02, 2.2)."""
PEER: Final = 255
"""The unit id of a TCP peer itself (Modbus Messaging on TCP/IP V1.0b, 4.4.1.2)."""
FIRST: Final = 10
"""Lines are numbered from 1: on a line of unknown speed, these first unit ids are asked at every speed before others."""
UNLIKELY: Final = (246, 231, 203)
"""If these answer, and all alike, one device answers to every unit id."""


class Place(NamedTuple):
    """Where a register or bit lies."""

    table: Table
    address: int

    def __str__(self) -> str:
        return f"{self.table.value}:{self.address}"


FIRST_ASKED: Final = (Place(Table.HOLDING, 0),)
"""What is asked of each unit: function 3 is the one that nearly every device has."""


class Presence(enum.Enum):
    """What the outcome of one read says about whether a device is there."""

    PRESENT = "present"
    """It answered, with data or with an exception of its own."""
    ABSENT = "absent"
    """Nothing came."""
    BEHIND = "behind"
    """A gateway answered in its place (exceptions 0A, 0B)."""
    GARBLED = "garbled"
    """Something came that is no answer: another speed or parity, noise, or two that answer at once."""


_GATEWAY: Final = {0x0A, 0x0B}


def presence(response: Response) -> Presence:
    """Judge one outcome."""
    if response.data is not None:
        return Presence.PRESENT
    if response.exception is not None:
        return Presence.BEHIND if response.exception in _GATEWAY else Presence.PRESENT
    return Presence.GARBLED if response.reason in {"malformed", "foreign"} else Presence.ABSENT


def likeness(response: Response) -> tuple[int | None, bytes | None]:
    """What two answers have to share to be of one device: the data, or the exception."""
    return response.exception, response.data


def unit_ids(text: str) -> tuple[int, ...]:
    """Read `1-247`, `5` or `1-20,100`, in that order and each once. Raises `ValueError`."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,3})\s*(?:-\s*([0-9]{1,3})\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not 0 <= first <= last <= PEER:
            raise ValueError(
                f"expected unit ids such as 1-247 or 1-20,100, each from 0 to 255, found {text!r}"
            )
        found += range(first, last + 1)
    return tuple(dict.fromkeys(found))


def place(text: str) -> Place:
    """Read `holding:0` or `input:40000`. Raises `ValueError`."""
    table, _, address = text.partition(":")
    if table not in {each.value for each in Table} or not address.isdigit() or int(address) >= ADDRESSES:
        tables = ", ".join(each.value for each in Table)
        raise ValueError(
            f"expected a table ({tables}) and an address as sent on the wire, such as holding:0, found {text!r}"
        )
    return Place(Table(table), int(address))


def sweeps(units: Sequence[int], lines: int) -> tuple[tuple[int, ...], ...]:
    """Divide the unit ids into what is asked on every line before the rest is: all at once where there is one line."""
    if lines == 1 or len(units) <= FIRST:
        return (tuple(units),)
    return tuple(units[:FIRST]), tuple(units[FIRST:])


def longest_s(questions: int, each_s: float) -> float:
    """How long it takes if nobody answers."""
    return questions * each_s


# --- a serial line of unknown speed ----------------------------------------------------------------------------

SPEEDS: Final = (9600, 19200, 38400, 115200, 57600, 4800, 2400, 1200)
"""By how often devices are shipped with them: 9600 (Eastron SDM630, Carlo Gavazzi, most), then the 19200 that the
specification asks for (Modbus over Serial Line V1.02, 2.5.1); 2400 is the Eastron SDM120's."""
PARITIES: Final = ("none", "even", "odd")
"""None is what most devices are shipped with, even the specification's; odd is hardly seen."""


class Manner(NamedTuple):
    """How characters are sent."""

    speed: int
    parity: str


_LIKELIEST: Final = (Manner(9600, "none"), Manner(19200, "even"), Manner(9600, "even"), Manner(19200, "none"))
_RARER: Final = {"none": 0, "even": 1, "odd": len(SPEEDS)}
"""By how many places of `SPEEDS` a parity is behind the same speed without."""


def manners(speeds: Iterable[int], parities: Iterable[str]) -> tuple[Manner, ...]:
    """Every combination, the likeliest first."""
    wanted = dict.fromkeys(Manner(speed, parity) for parity in parities for speed in speeds)
    return tuple(sorted(wanted, key=_rarity))


def _rarity(manner: Manner) -> tuple[int, int]:
    if manner in _LIKELIEST:
        return 0, _LIKELIEST.index(manner)
    speed = SPEEDS.index(manner.speed) if manner.speed in SPEEDS else len(SPEEDS)
    return 1, speed + _RARER[manner.parity]

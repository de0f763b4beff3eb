"""The types that settings are made of, and how each is read from its text.

A scalar of the configuration is read from its text by the type that is wanted here, never by YAML's own guess
(which makes an integer of the Bluetooth address 10:20:30:40:50:59, and 64 of 0100). Each reader takes the text and
returns the value, or raises `ValueError` with a sentence that says what was expected.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Annotated, TypeAlias

import msgspec

ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"

Id: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        pattern=f"^{ID_PATTERN}$",
        description="A stable name: letters, digits, `_` and `-`, at most 64, starting with a letter or digit.",
    ),
]


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where something is; each part the id of a place in the owner's register, or absent."""

    site: Id | None = None
    building: Id | None = None
    storey: Id | None = None
    room: Id | None = None
    equipment: Id | None = None

    def within(self, outer: Place) -> Place:
        """This place, with what it leaves open taken from the place around it."""
        return Place(
            **{name: getattr(self, name) or getattr(outer, name) for name in self.__struct_fields__},
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """The least and the greatest that a duration or size may be, as it is written in the configuration."""

    least: str | None = None
    greatest: str | None = None


class Size(int):
    """A number of bytes."""

    def __str__(self) -> str:
        for unit, factor in reversed(_SIZE_UNITS.items()):
            if self and self % factor == 0:
                return f"{int(self) // factor}{unit}"
        return f"{int(self)}B"


_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)")
_SIZE_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_SIZE = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB)")


def duration(text: str) -> timedelta:
    """Read `500ms`, `10s`, `15min`, `1h` or `30d`."""
    if match := _DURATION.fullmatch(text):
        return timedelta(seconds=float(match[1]) * _DURATION_UNITS[match[2]])
    raise ValueError("a duration with its unit, such as 500ms, 10s, 15min, 1h or 30d")


def duration_text(length: timedelta) -> str:
    """Write a duration so that `duration` reads it back, in the largest unit that leaves a whole number."""
    milliseconds = round(length / timedelta(milliseconds=1))
    for unit, factor in reversed(_DURATION_UNITS.items()):
        each = round(factor * 1000)
        if milliseconds and milliseconds % each == 0:
            return f"{milliseconds // each}{unit}"
    return f"{milliseconds}ms"


def size(text: str) -> Size:
    """Read `64KiB`, `512MiB` or `1GiB`."""
    if match := _SIZE.fullmatch(text):
        return Size(int(match[1]) * _SIZE_UNITS[match[2]])
    raise ValueError("a size with its unit, such as 64KiB, 512MiB or 1GiB")


def fraction(text: str) -> Fraction:
    """Read an exact number: `0.1`, `1/3`, `1e-3`; what it says in decimal, not the nearest float."""
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ValueError("an exact number, such as 0.1, 1/3 or 1e-3") from None


class Secret:
    """The name of something that must not be written down here; where it is looked up is `agent.secrets`' business.

    Never prints: `repr` and `str` give the name only.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"!secret {self.name}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


@dataclass(frozen=True, slots=True)
class Plugged:
    """The type of a field is chosen by the text under `key`: the name of a module of this plugin group.

    A scalar alone is that name, with every other setting at its default: `format: json`.
    """

    group: str
    """`drivers`, `uplinks` or `formats`."""
    key: str


@dataclass(frozen=True, slots=True)
class Filed:
    """A scalar in place of the value names a YAML file that holds it, without `.yaml`.

    It is looked for beside the file that names it, then in `folder`, a package path such as `drivers.modbus.profiles`.
    """

    folder: str

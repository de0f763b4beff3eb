"""The types that settings are made of, and how each is read from its text.

A scalar of the configuration is read from its text by the type that is wanted here, never by YAML's own guess
(which makes an integer of the Bluetooth address 10:20:30:40:50:59, and 64 of 0100). Each reader takes the text and
returns the value, or raises `ValueError` with a sentence that says what was expected.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Annotated, Any, TypeAlias

import msgspec

from agent import units

ID_LENGTH = 64
ID_PATTERN = rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{ID_LENGTH - 1}}}"

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
class Unique:
    """No two values of such a field, anywhere in the configuration, are the same: two devices of one id, say."""

    of: str
    """What it is the name of, for the message: `device`."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A text that a function looks at: it raises `ValueError` with what is wrong, or returns a doubt, or `None`."""

    check: Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Meant:
    """What a number beyond its bounds, or a word that is no choice, may have been meant as: in words, or nothing."""

    ask: Callable[[Any], str]


Unit: TypeAlias = Annotated[
    str,
    Checked(units.check),
    msgspec.Meta(
        description="The unit as a UCUM code: Cel, %, kW.h, m3.h-1, `[ppm]`, V.A{reactive}; 1 for a plain ratio."
    ),
]


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


_DURATION_UNITS = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
"""In milliseconds."""
_DURATION = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*(ms|s|min|h|d)")
_SIZE_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_SIZE = re.compile(r"([0-9]{1,20})\s*(B|KiB|MiB|GiB)")
_FRACTION = re.compile(
    # A longer exponent would not be a number of this world, but would fill the memory with its digits.
    r"[-+]?(?:0x[0-9A-Fa-f]{1,16}|[0-9]{1,40}/[0-9]{1,40}|(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][-+]?[0-9]{1,2})?)"
)


def duration(text: str) -> timedelta:
    """Read `500ms`, `10s`, `15min`, `1h` or `30d`."""
    if match := _DURATION.fullmatch(text):
        try:
            return timedelta(microseconds=round(Fraction(match[1]) * _DURATION_UNITS[match[2]] * 1000))
        except OverflowError:
            pass
    raise ValueError("a duration with its unit, such as 500ms, 10s, 15min, 1h or 30d")


def duration_text(length: timedelta) -> str:
    """Write a duration so that `duration` reads it back, in the largest unit that leaves a whole number."""
    milliseconds = round(length / timedelta(milliseconds=1))
    for unit, factor in reversed(_DURATION_UNITS.items()):
        if milliseconds and milliseconds % factor == 0:
            return f"{milliseconds // factor}{unit}"
    return f"{milliseconds}ms"


def size(text: str) -> Size:
    """Read `64KiB`, `512MiB` or `1GiB`."""
    if match := _SIZE.fullmatch(text):
        return Size(int(match[1]) * _SIZE_UNITS[match[2]])
    raise ValueError("a size with its unit, such as 64KiB, 512MiB or 1GiB")


def fraction(text: str) -> Fraction:
    """Read an exact number: `0.1`, `1/3`, `1e-3`, `0x8000`; what it says in decimal, not the nearest float."""
    if _FRACTION.fullmatch(text):
        if "x" in text:
            return Fraction(int(text, 16))
        try:
            return Fraction(text)
        except ZeroDivisionError:
            pass
    raise ValueError("an exact number, such as 0.1, 1/3 or 1e-3")


class Secret:
    """The name of something that must not be written down here; where it is looked up is `agent.secrets`' business.

    Never prints: `repr` and `str` give the name only. Two are equal when their names are.
    """

    __slots__ = ("_look_up", "name")

    def __init__(self, name: str, look_up: Callable[[str], str] | None = None) -> None:
        self.name = name
        self._look_up = look_up

    def reveal(self) -> str:
        """The secret text, looked up anew at each call, so that one that was exchanged serves at the next connection.

        Raises `Misconfigured` when there is none; `LookupError` for one that was made without a place to look.
        """
        if self._look_up is None:
            raise LookupError(f"{self!r} was made without a place where secrets are kept")
        return self._look_up(self.name)

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

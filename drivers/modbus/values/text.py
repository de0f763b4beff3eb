"""A point that is a text: a serial number, a firmware version. See `codec.Meaning`.

Two bytes in each register, the first letter in the high one; devices that have it in the low one have the order BADC.
A text ends at the first NUL: what a device has behind it is left over from something else. Before the text, and at its
end, stand NULs or spaces that are no part of it. What cannot be printed, such as a line break or the beginning of a
terminal's command, is replaced by a space: no reading can do anything to whoever looks at it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, Self

from agent.sample import Reason, Value, ValueType
from drivers.modbus.values.registers import Type

_UNREADABLE: Final = "\N{REPLACEMENT CHARACTER}"
"""What Python's decoders put in the place of what they cannot read."""


class Encoding(enum.Enum):
    """Which letters the bytes stand for."""

    codec: str
    """Python's name for it."""

    ASCII = "ascii", "ascii"
    LATIN_1 = "latin-1", "latin-1"
    """ISO 8859-1: a byte for each letter of western Europe."""
    UTF_8 = "utf-8", "utf-8"
    UTF_16 = "utf-16", "utf-16-be"
    """A register for each letter."""

    def __new__(cls, name: str, codec: str) -> Self:
        """Make a member whose value is its name in the configuration."""
        member = object.__new__(cls)
        member._value_ = name
        member.codec = codec
        return member


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Registers that are letters."""

    length: int
    """How many registers."""
    encoding: Encoding = Encoding.ASCII

    @property
    def name(self) -> str:
        """Its type."""
        return str(Type.STRING.value)

    @property
    def codes(self) -> tuple[str, ...]:
        """All its bytes."""
        return (f"{self.length * 2}{Type.STRING.code}",)

    @property
    def value_type(self) -> ValueType:
        """Text."""
        return ValueType.TEXT

    @property
    def mask(self) -> int | None:
        """All of it."""
        return None

    @property
    def plain_float(self) -> bool:
        """Never."""
        return False

    def converter(self) -> Callable[[Any], Value | Reason] | None:
        """The text; nothing in it, or all ones, is no value, and what its encoding does not know is none of its texts."""
        codec, nothing = self.encoding.codec, b"\xff" * (self.length * 2)

        def convert(held: bytes) -> Value | Reason:
            letters = held.decode(codec, "replace").lstrip("\0 ").partition("\0")[0]
            text = "".join(letter if letter.isprintable() else " " for letter in letters).strip()
            if not text or held == nothing:
                return Reason.SENSOR_FAILURE
            return Reason.OUT_OF_RANGE if _UNREADABLE in text else text

        return convert

    def stored(self, value: Value | Fraction) -> tuple[Any, ...]:
        """The letters, and NULs up to the end."""
        if not isinstance(value, str):
            raise ValueError(f"expected a text, found {value}")  # noqa: TRY004  # a value, not a type, is wrong
        try:
            held = value.encode(self.encoding.codec)
        except UnicodeEncodeError:
            raise ValueError(f"{value!r} has letters that {self.encoding.value} has not") from None
        if len(held) > self.length * 2:
            raise ValueError(f"{value!r} does not fit into {self.length} registers")
        held = held.ljust(self.length * 2, b"\0")
        convert = self.converter()
        if convert is not None and convert(held) != value:
            raise ValueError(f"expected a printable text without spaces round it, found {value!r}")
        return (held,)

    def nearest(
        self,
        least: Fraction | None,  # noqa: ARG002  # a text has no limits
        greatest: Fraction | None,  # noqa: ARG002
    ) -> Callable[[Any], tuple[Any, ...]]:
        """As much of the text as fits."""
        most, codec = self.length * 2, self.encoding.codec

        def stored(value: object) -> tuple[Any, ...]:
            text = str(value)
            while len(text.encode(codec, "replace")) > most:
                text = text[:-1]
            return (text.encode(codec, "replace").ljust(most, b"\0"),)

        return stored

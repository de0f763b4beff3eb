"""What a device type is known by: registers that hold the same in every device of the type, and in few others.

Pure: which registers to read, whether what they hold fits, and which of several types it is that does. Each sign is
read by a request of its own, since some devices answer it only so: on a Carlo Gavazzi EM340 address 11 is the code of
the model when it is read alone, and half of a voltage when it is read with its neighbours.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final

from msgspec import Meta

from agent.interfaces import Settings
from drivers.modbus.values.plan import MOST_REGISTERS, Span
from drivers.modbus.values.registers import ADDRESSES, Table

REFUSED: Final = "no such register"
"""What is found where the device answers that it has none there."""


class Identity(enum.Enum):
    """What follows when a device does not show the signs of its profile."""

    DEMANDED = "demanded"
    """Its readings are bad: numbers read by another type's list look like values, and are none."""
    NOTED = "noted"
    """It is said, and its readings are taken all the same: for a device that is known to be like the type."""
    IGNORED = "ignored"
    """It is not even asked."""


class Sign(Settings, frozen=True, kw_only=True):
    """Registers, and what stands in them."""

    table: Annotated[Table, Meta(description="In which table: input or holding.")]
    address: Annotated[int, Meta(ge=0, le=65535, description="As sent on the wire, starting at 0.")]
    values: Annotated[
        tuple[Annotated[int, Meta(ge=0, le=0xFFFF)], ...],
        Meta(description="The register, as a number without sign, is one of these."),
    ] = ()
    texts: Annotated[
        tuple[Annotated[str, Meta(min_length=1)], ...],
        Meta(description="The registers hold a text that begins with one of these; two characters each."),
    ] = ()
    length: Annotated[
        int, Meta(ge=1, le=MOST_REGISTERS, description="How many registers are read for the text.")
    ] = 1

    def __post_init__(self) -> None:
        if self.table.bits:
            raise ValueError(f"table: expected input or holding, found {self.table.value}")
        if bool(self.values) == bool(self.texts):
            raise ValueError("values: expected either values or texts")
        if self.values and self.length != 1:
            raise ValueError("length: only a text has more than one register")
        if self.address + self.length > ADDRESSES:
            raise ValueError(f"address: expected no more than the last address {ADDRESSES - 1}")
        for text in self.texts:
            if not text.isascii() or len(text) > 2 * self.length:
                raise ValueError(
                    f"texts: expected ASCII that fits into {self.length} registers, found {text!r}"
                )

    @property
    def span(self) -> Span:
        """What is to be asked for, by itself."""
        return Span(self.table, self.address, self.address + self.length)

    def fits(self, data: bytes) -> bool:
        """Whether the registers hold what they should."""
        if self.values:
            return int.from_bytes(data) in self.values
        return data.startswith(tuple(text.encode("ascii") for text in self.texts))

    @property
    def expected(self) -> str:
        """What they should hold, in words: `1648 to 1653 or 1700 at input 11`."""
        return f"{' or '.join(self.texts or _runs(self.values))} at {self.table.value} {self.address}"

    def found(self, data: bytes | None) -> str:
        """What they hold instead, in words; `None` is a refusal."""
        if data is None:
            return REFUSED
        return str(int.from_bytes(data)) if self.values else printable(data)

    @property
    def example(self) -> bytes:
        """Registers that fit."""
        if self.values:
            return self.values[0].to_bytes(2)
        return self.texts[0].encode("ascii").ljust(2 * self.length, b"\0")


def _runs(values: Sequence[int]) -> list[str]:
    """The values in words, those that follow each other as a range."""
    runs: list[list[int]] = []
    for value in sorted(values):
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]


def printable(data: bytes) -> str:
    """What registers say, for a person: the text in them, or their hexadecimal digits if there is none."""
    text = data.rstrip(b"\0 ")
    if text and text.isascii() and text.decode("ascii").isprintable():
        return text.decode("ascii")
    return data.hex(" ", 2)


def asked(types: Iterable[Sequence[Sign]]) -> tuple[Span, ...]:
    """Every span that has to be read to tell these types apart, each once."""
    return tuple(dict.fromkeys(sign.span for signs in types for sign in signs))


def identify(types: Mapping[str, Sequence[Sign]], answers: Mapping[Span, bytes | None]) -> list[str]:
    """The names of the types that a device can be, by its answers to what is `asked`; `None` is a refusal.

    A type without signs cannot be told, and is none of them. Those that are known by more signs come first.
    """
    fitting = [
        name
        for name, signs in types.items()
        if signs and all((data := answers.get(sign.span)) is not None and sign.fits(data) for sign in signs)
    ]
    return sorted(fitting, key=lambda name: -len(types[name]))

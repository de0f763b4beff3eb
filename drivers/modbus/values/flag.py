"""A point that is on or off: a coil, a discrete input, or one bit of a register. See `codec.Meaning`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from agent.sample import Reason, Value, ValueType
from drivers.modbus.values.registers import REGISTER_BITS, Type


@dataclass(frozen=True, slots=True)
class Flag:
    """One bit. Raises `ValueError` for a bit that no register has."""

    bit: int | None = None
    """Which bit of its register, 0 for the least significant; `None` for a coil or discrete input, which is one."""

    def __post_init__(self) -> None:
        if self.bit is not None and not 0 <= self.bit < REGISTER_BITS:
            raise ValueError(f"bit: expected 0 (least significant) to {REGISTER_BITS - 1}, found {self.bit}")

    @property
    def name(self) -> str:
        """What it is called."""
        return str(Type.BOOL.value)

    @property
    def codes(self) -> tuple[str, ...]:
        """A register, or the byte that stands for a coil."""
        return ("?",) if self.bit is None else (Type.BOOL.code,)

    @property
    def value_type(self) -> ValueType:
        """True or false."""
        return ValueType.BOOLEAN

    @property
    def mask(self) -> int | None:
        """The bit alone."""
        return None if self.bit is None else 1 << self.bit

    @property
    def plain_float(self) -> bool:
        """Never."""
        return False

    def converter(self) -> Callable[[Any], Value | Reason] | None:
        """Look at the bit; a coil needs no looking."""
        mask = self.mask
        return None if mask is None else lambda register: bool(register & mask)

    def stored(self, value: Value | Fraction) -> tuple[Any, ...]:
        """Set the bit, and no other."""
        if not isinstance(value, bool):
            raise ValueError(f"expected true or false, found {value!r}")  # noqa: TRY004  # a value, not a type, is wrong
        return (value if self.bit is None else value << self.bit,)

    def nearest(
        self,
        least: Fraction | None,  # noqa: ARG002  # a flag has no limits
        greatest: Fraction | None,  # noqa: ARG002
    ) -> Callable[[Any], tuple[Any, ...]]:
        """Set the bit for whatever is true."""
        return lambda value: self.stored(bool(value))

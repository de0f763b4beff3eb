"""A question that somebody asks beside the schedule, to look around on a line: any unit, any table, any address.

Values on both sides, in a form that travels as JSON; the answer is raw registers, and what they mean is the asker's
business. That a device does not answer is an answer too, in words. Pure; who asks is `guest`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

import msgspec
from msgspec import Meta

from agent.interfaces import Settings
from drivers.modbus.values.plan import MOST_BITS, MOST_REGISTERS
from drivers.modbus.values.registers import ADDRESSES, Table


class Request(Settings, frozen=True, kw_only=True):
    """What is to be read."""

    unit_id: Annotated[int, Meta(ge=0, le=255)]
    table: Table
    address: Annotated[int, Meta(ge=0, le=ADDRESSES - 1)]
    count: Annotated[int, Meta(ge=1, le=MOST_BITS)] = 1
    timeout_ms: Annotated[int, Meta(ge=1, le=60_000)] | None = None
    """How long the answer may take; the link's time limit if left out."""

    def __post_init__(self) -> None:
        most = MOST_BITS if self.table.bits else MOST_REGISTERS
        if self.count > most:
            raise ValueError(f"count: expected at most the {most} of one request, found {self.count}")
        if self.address + self.count > ADDRESSES:
            raise ValueError(
                f"count: expected at most the {ADDRESSES - self.address} up to the last address of the table, found {self.count}"
            )

    @classmethod
    def of(cls, mapping: Mapping[str, Any]) -> Self:
        """Read it from JSON's types. Raises `ValueError` that says what is wrong."""
        return msgspec.convert(dict(mapping), cls)

    def as_json(self) -> dict[str, Any]:
        """In JSON's types."""
        as_json: dict[str, Any] = msgspec.to_builtins(self)
        return as_json


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    data: bytes | None = None
    """What the device sent, exactly as much as was asked for; `None` if it did not."""
    exception: int | None = None
    """The code, where it answered with an exception."""
    reason: str = ""
    """Why there is no data, as it is counted: `timeout`, `malformed`, `illegal_data_address`; `fenced`: it was not asked."""
    words: str = ""
    """The same in words."""
    took_ms: float = 0.0
    late: int = 0
    """How many answers have come too late on this line, from anybody, since it was opened."""

    @classmethod
    def of(cls, mapping: Mapping[str, Any]) -> Self:
        """Read it from JSON's types."""
        data = mapping.get("data")
        return cls(**{**mapping, "data": None if data is None else bytes.fromhex(data)})

    def as_json(self) -> dict[str, Any]:
        """In JSON's types: the data as hexadecimal digits."""
        return {**msgspec.structs.asdict(self), "data": None if self.data is None else self.data.hex()}

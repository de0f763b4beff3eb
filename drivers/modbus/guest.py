"""A question that somebody asks beside the schedule, to look around on a line: any unit, any table, any address.

Values on both sides, in a form that travels as JSON; the answer is raw registers, and what they mean is the asker's
business. That a device does not answer is an answer too, in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

import msgspec
from msgspec import Meta

from agent.interfaces import Settings
from drivers.modbus.exceptions import meaning
from drivers.modbus.framing import Framing, question
from drivers.modbus.line import Line
from drivers.modbus.plan import MOST_BITS, MOST_REGISTERS
from drivers.modbus.registers import ADDRESSES, Table
from drivers.modbus.transaction import Conversation, Refusal


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


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    data: bytes | None = None
    """What the device sent, exactly as much as was asked for; `None` if it did not."""
    exception: int | None = None
    """The code, where it answered with an exception."""
    words: str = ""
    """Why there is no data."""
    took_ms: float = 0.0

    @classmethod
    def of(cls, mapping: Mapping[str, Any]) -> Self:
        """Read it from JSON's types."""
        data = mapping.get("data")
        return cls(**{**mapping, "data": None if data is None else bytes.fromhex(data)})

    def as_json(self) -> dict[str, Any]:
        """In JSON's types: the data as hexadecimal digits."""
        return {**msgspec.structs.asdict(self), "data": None if self.data is None else self.data.hex()}


async def ask(
    request: Request, line: Line, conversation: Conversation, framing: Framing, limit_ns: int
) -> Response:
    """Ask, and wait for what comes of it. Raises `Unavailable` when the line is lost."""
    asked = question(
        framing,
        unit=request.unit_id,
        function=request.table.function,
        address=request.address,
        count=request.count,
    )
    conversation.suspects(request.unit_id, line.now_ns())  # forgets what is too old to come
    if conversation.fenced(asked):
        return Response(
            words="the answer to an earlier question of this length may still come: ask for another count"
        )
    answer = await line.ask(asked, limit_ns / 1e9)
    took_ms = round(line.took_ns / 1e6, 3)
    if isinstance(answer, bytes):
        return Response(data=answer, took_ms=took_ms)
    what = meaning(answer)
    words = what.words or what.name.replace("_", " ")
    if not isinstance(answer, Refusal):
        return Response(words=words, took_ms=took_ms)
    if conversation.suspects(request.unit_id, line.now_ns()):
        words += ", to this question or to an earlier one"
    return Response(exception=answer.code, words=words, took_ms=took_ms)

"""A configured device read once by a guest: its readings, and the registers that each was made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from agent.commissioning import Guest
from agent.sample import Reason, Sample, Shape, Value
from drivers.modbus.block import Block
from drivers.modbus.codec import Codec
from drivers.modbus.exceptions import meaning
from drivers.modbus.inquiry import Request, Response
from drivers.modbus.settings import DeviceSettings, points
from drivers.modbus.transaction import Refusal, Unfit

NOTHING: Final = ""
"""What stands for registers that did not come."""
_REASONS: Final = {kind: meaning(Unfit(kind, "")).reason for kind in ("malformed", "foreign", "lost")}


async def read_raw(
    device: DeviceSettings, guest: Guest, now_ns: Callable[[], int]
) -> tuple[Sample, Sequence[str]]:
    """Ask for each block. Raises `Unavailable` when the line is lost."""
    shape = Shape(device.id, points(device))
    values: list[Value | None] = [None] * len(shape.points)
    reasons = bytearray(len(values))
    raw = [NOTHING] * len(values)
    timeout_ms = None if device.timeout is None else round(device.timeout.total_seconds() * 1000)
    for block in device.blocks:
        request = Request(
            unit_id=device.unit_id,
            table=block.table,
            address=block.address,
            count=block.count,
            timeout_ms=timeout_ms,
        )
        response = Response.of(await guest.ask(request.as_json()))
        if response.data is None:
            for cell in block.cells:
                reasons[cell] = _reason(response)
        else:
            block.decode(response.data, values, reasons)
            for cell, codec in block.members:
                raw[cell] = _part(response.data, block, codec)
    return Sample(shape, now_ns(), tuple(values), bytes(reasons) if any(reasons) else b""), raw


def _reason(response: Response) -> Reason:
    if response.exception is not None:
        return meaning(Refusal(response.exception)).reason
    return _REASONS.get(response.reason, Reason.TIMEOUT)


def _part(data: bytes, block: Block, codec: Codec) -> str:
    """Where a point lies, and what stood there: `input 40: fc2d ffff`; of a bit, 0 or 1."""
    at = codec.address - block.address
    if block.table.bits:
        held = str(data[at // 8] >> at % 8 & 1)
    else:
        held = data[2 * at : 2 * (codec.end - block.address)].hex(" ", 2)
    return f"{block.table.value} {codec.address}: {held}"

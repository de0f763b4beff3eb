"""A configured device read once by a guest: its readings, and the registers that each was made of."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from agent.commissioning import Guest
from agent.sample import Reason, Sample, Shape, Value
from drivers.modbus.line.transaction import Refusal, Unfit
from drivers.modbus.polling.exceptions import meaning
from drivers.modbus.settings import DeviceSettings, points
from drivers.modbus.sunspec import walk
from drivers.modbus.technician.inquiry import Request, Response
from drivers.modbus.technician.recognition import follow
from drivers.modbus.values.block import Block, block
from drivers.modbus.values.codec import Codec
from drivers.modbus.values.plan import Span, plan

NOTHING: Final = ""
"""What stands for registers that did not come."""
_ILLEGAL: Final = {0x01, 0x02, 0x03}
"""What a device answers that has part of a block only."""
_REASONS: Final = {kind: meaning(Unfit(kind, "")).reason for kind in ("malformed", "foreign", "lost")}


async def read_raw(
    device: DeviceSettings, guest: Guest, now_ns: Callable[[], int]
) -> tuple[Sample, Sequence[str]]:
    """Ask for each block; where a block is refused, for each of its points. Raises `Unavailable` when the line is lost.

    After a block that was not answered no other is asked for: the device is not there.
    """
    reading = _Reading(device, guest)
    blocks = deque(await reading.blocks())
    while blocks:
        asked = blocks.popleft()
        response = await reading.read(asked)
        if response.exception in _ILLEGAL and len(asked.members) > 1:
            blocks.extendleft(block([member]) for member in reversed(asked.members))
        elif response.data is None and response.exception is None:
            for rest in blocks:
                reading.failed(rest, response)
            break
    values, reasons = tuple(reading.values), bytes(reading.reasons)
    return Sample(reading.shape, now_ns(), values, reasons if any(reasons) else b""), reading.raw


class _Reading:
    """The columns of a sample, and what they are made of, while they are filled."""

    def __init__(self, device: DeviceSettings, guest: Guest) -> None:
        self._device = device
        self._guest = guest
        self.shape = Shape(device.id, points(device))
        self.values: list[Value | None] = [None] * len(self.shape.points)
        self.reasons = bytearray(len(self.values))
        self.raw = [NOTHING] * len(self.values)

    async def blocks(self) -> Sequence[Block]:
        """What is to be asked for: of a SunSpec device, where its chain says that the points lie; none if it is silent."""
        device = self._device
        if device.sunspec is None:
            return device.blocks
        walked = await follow(walk(device.sunspec.bases), self.ask)
        if isinstance(walked, Response):
            self.reasons[:] = bytes([_reason(walked)]) * len(self.reasons)
            return ()
        located = device.located(walked.chain)
        absent = [cell for cell, codec in enumerate(located) if codec is None]
        for cell in absent:
            self.reasons[cell] = Reason.CONFIGURATION_ERROR
        codecs = [codec or before for codec, before in zip(located, device.codecs, strict=True)]
        return plan(codecs, device.limits, without=absent)

    async def ask(self, span: Span) -> Response:
        """Ask for the addresses of a span."""
        limit = self._device.timeout
        request = Request(
            unit_id=self._device.unit_id,
            table=span.table,
            address=span.address,
            count=span.end - span.address,
            timeout_ms=None if limit is None else round(limit.total_seconds() * 1000),
        )
        return Response.of(await self._guest.ask(request.as_json()))

    async def read(self, block: Block) -> Response:
        """Ask for a block and take in what comes."""
        response = await self.ask(Span.of(block))
        if response.data is None:
            self.failed(block, response)
        else:
            block.decode(response.data, self.values, self.reasons)
            for cell, codec in block.members:
                self.raw[cell] = _part(response.data, block, codec)
        return response

    def failed(self, block: Block, response: Response) -> None:
        """Nothing came for this block."""
        for cell in block.cells:
            self.reasons[cell] = _reason(response)


def _reason(response: Response) -> Reason:
    if response.exception is not None:
        return meaning(Refusal(response.exception)).reason
    return _REASONS.get(response.reason, Reason.TIMEOUT)


def _part(data: bytes, block: Block, codec: Codec) -> str:
    """Where a point lies, and what stood there: `input 40: fc2d ffff`; of a bit, 0 or 1.

    Of one that lies in several places, such as a number and the register that scales it: each of them.
    """
    if block.table.bits:
        at = codec.address - block.address
        return f"{block.table.value} {codec.address}: {data[at // 8] >> at % 8 & 1}"
    runs: list[tuple[int, int]] = []
    for part in codec.fields:
        if runs and part.address == runs[-1][1]:
            runs[-1] = runs[-1][0], part.end
        else:
            runs.append((part.address, part.end))
    held = (
        f"{first}: {data[2 * (first - block.address) : 2 * (end - block.address)].hex(' ', 2)}"
        for first, end in runs
    )
    return f"{block.table.value} {', '.join(held)}"

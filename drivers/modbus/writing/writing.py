"""From a value to the one request that writes it, and from the point to the question that reads it back.

Pure; pymodbus makes the requests. A value that fills several registers is always written by one request, so that no
device ever holds half of it. Bits of a register are written by function 22, which leaves the others alone; where the
settings say 6 or 16 instead, the register is read, changed and written as a whole. Between the two, whoever else
changes its other bits is overruled: that is why it has to be said.
"""

from __future__ import annotations

from dataclasses import dataclass

from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import WriteMultipleCoilsRequest, WriteSingleCoilRequest
from pymodbus.pdu.register_message import (
    MaskWriteRegisterRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from agent.sample import Reason, Value
from drivers.modbus.line.framing import Framing, Question, question, write_question
from drivers.modbus.settings import DeviceSettings
from drivers.modbus.values.block import Block, Member, block
from drivers.modbus.values.codec import Codec
from drivers.modbus.writing.writable import functions

MASK_WRITE = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A point of one device as it is read and written by itself."""

    unit: int
    codec: Codec
    function: int
    limit_ns: int
    """How long an answer may take."""
    block: Block
    read: Question
    framing: Framing

    @property
    def merges(self) -> bool:
        """Whether what is there must be read first, since other bits of it are to stay."""
        return self.codec.mask is not None and self.function != MASK_WRITE

    def decode(self, data: bytes) -> Value | Reason:
        """What the point is, by the answer to `read`."""
        values: list[Value | None] = [None]
        reasons = bytearray(1)
        self.block.decode(data, values, reasons)
        value = values[0]
        return Reason(reasons[0]) if value is None else value

    def write(self, value: Value, held: bytes = b"") -> Question:
        """The question that writes a value; `held` is the answer to `read`, where it `merges`.

        Raises `ValueError` for a value that the registers cannot hold.
        """
        return write_question(self.framing, unit=self.unit, pdu=self._request(self.codec.encode(value), held))

    def _request(self, encoded: bytes, held: bytes) -> ModbusPDU:
        address = self.codec.address
        if self.codec.table.bits:
            bits = [bool(encoded[0])]
            single = WriteSingleCoilRequest if self.function == 5 else WriteMultipleCoilsRequest  # noqa: PLR2004
            return single(address=address, bits=bits)
        if (mask := self.codec.mask) is not None:
            others = bytes(byte ^ 0xFF for byte in mask)
            if self.function == MASK_WRITE:
                (and_mask,), (or_mask,) = _registers(others), _registers(encoded)
                return MaskWriteRegisterRequest(address=address, and_mask=and_mask, or_mask=or_mask)
            there = held[2 * (address - self.block.address) :]
            encoded = bytes(one & keep | own for one, keep, own in zip(there, others, encoded, strict=False))
        registers = _registers(encoded)
        if self.function == 6:  # noqa: PLR2004  # the function's name is its number
            return WriteSingleRegisterRequest(address=address, registers=registers)
        return WriteMultipleRegistersRequest(address=address, registers=registers)


def spot(framing: Framing, device: DeviceSettings, point: str, limit_ns: int) -> Spot:
    """Work out how one point is read and written by itself. Raises `ValueError` where it cannot be written."""
    codec = device.codec(point)
    write = next(each.write for each in device.selected if each.name == point)
    return spot_of(
        framing,
        codec,
        unit=device.unit_id,
        function=(write.function if write else None) or functions(codec)[0],
        limit_ns=limit_ns,
        alignment=device.limits.alignment,
    )


def spot_of(
    framing: Framing, codec: Codec, *, unit: int, function: int, limit_ns: int, alignment: int
) -> Spot:
    """The same, by what it needs to know of point and device."""
    alone = block([Member(0, codec)], alignment)
    return Spot(
        unit=unit,
        codec=codec,
        function=function,
        limit_ns=limit_ns,
        block=alone,
        read=question(
            framing, unit=unit, function=codec.table.function, address=alone.address, count=alone.count
        ),
        framing=framing,
    )


def _registers(encoded: bytes) -> list[int]:
    return [int.from_bytes(encoded[place : place + 2]) for place in range(0, len(encoded), 2)]

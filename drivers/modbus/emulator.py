"""The devices of a Modbus TCP link, emulated: to try a configuration, a format or an upstream without hardware.

The registers are made by the codecs of the configured points, run backwards over plausible `curves`; so whatever
can be configured can be emulated. Only reading is answered, and as strictly as by the strictest device: outside of
the blocks that a correct plan asks for stands exception 02, beyond the device's maximum count 03. A unit id that is
nobody's answers as a gateway does for a device that is silent: 0B. Faults are not in here; tests bring their own.

    bytes --pymodbus: frame, PDU--> request --Image--> registers --pymodbus--> bytes
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import cast

import structlog
from pymodbus.constants import ExcCodes
from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsResponse, ReadDiscreteInputsResponse
from pymodbus.pdu.register_message import ReadHoldingRegistersResponse, ReadInputRegistersResponse

from agent.clock import Clock
from agent.interfaces import Unavailable
from agent.sample import ValueType
from drivers.modbus.codec import Codec
from drivers.modbus.curves import Value, curve
from drivers.modbus.identity import Sign
from drivers.modbus.profile import PointSettings
from drivers.modbus.registers import Table
from drivers.modbus.settings import DeviceSettings, LinkSettings

log = structlog.get_logger()

MOST_UNSENT = 64 * 1024
"""Bytes of answers that a client may leave unread before its connection is dropped."""

_RESPONSES: dict[Table, type[ModbusPDU]] = {
    Table.COIL: ReadCoilsResponse,
    Table.DISCRETE: ReadDiscreteInputsResponse,
    Table.INPUT: ReadInputRegistersResponse,
    Table.HOLDING: ReadHoldingRegistersResponse,
}
_TABLES = {table.function: table for table in Table}


class Image:
    """What one unit id holds, at any time: the points of the devices that are configured with it. Pure."""

    def __init__(self, devices: Iterable[DeviceSettings]) -> None:
        self._points: list[tuple[Codec, Callable[[float], bytes]]] = []
        self._served: dict[Table, set[int]] = {table: set() for table in Table}
        self._most = dict.fromkeys(Table, 0)
        self._signs: list[Sign] = []
        for device in devices:
            self._signs += device.signs
            for sign in device.signs:
                self._served[sign.table].update(range(sign.address, sign.span.end))
            for point, codec in zip(device.selected, device.codecs, strict=True):
                self._points.append((codec, _registers(point, codec, curve(device.id, point))))
            for block in device.blocks:
                self._served[block.table].update(range(block.address, block.address + block.count))
            for table in Table:
                self._most[table] = max(self._most[table], device.limits.count(table))

    def read(self, table: Table, address: int, count: int, time_s: float) -> bytes | ExcCodes:
        """Two bytes for each register, one (0 or 1) for each bit; or the exception that such a device answers with."""
        if count > self._most[table]:
            return ExcCodes.ILLEGAL_VALUE
        if not self._served[table].issuperset(range(address, address + count)):
            return ExcCodes.ILLEGAL_ADDRESS
        width = 1 if table.bits else 2
        content = bytearray(width * count)
        for codec, bytes_at in self._points:
            if codec.table is table and codec.address < address + count and codec.end > address:
                for place, byte in enumerate(bytes_at(time_s), (codec.address - address) * width):
                    if 0 <= place < len(content):
                        content[place] |= byte  # bits of one register are points of their own
        for sign in self._signs:
            if sign.table is table and sign.address >= address and sign.span.end <= address + count:
                content[2 * (sign.address - address) : 2 * (sign.span.end - address)] = sign.example
        return bytes(content)


def _registers(
    point: PointSettings, codec: Codec, value_at: Callable[[float], Value]
) -> Callable[[float], bytes]:
    """Turn a curve into what the point's registers show: the nearest good value, within its limits and no sentinel."""
    if codec.value_type is ValueType.BOOLEAN:
        return lambda time_s: codec.encode(bool(value_at(time_s)))
    scale, offset = float(codec.scale), float(codec.offset)
    if codec.type.floating:
        least = -math.inf if point.minimum is None else float(point.minimum)
        greatest = math.inf if point.maximum is None else float(point.maximum)
        margin = min(greatest - least, 1.0) * 1e-3  # rounding to 32 bits must not step over a limit
        return lambda time_s: codec.pack(
            (min(max(value_at(time_s), least + margin), greatest - margin) - offset) / scale
        )
    within, sentinels = codec.raws_within(point.minimum, point.maximum), codec.sentinel_raws

    def show(time_s: float) -> bytes:
        raw = min(max(round((value_at(time_s) - offset) / scale), within.start), within.stop - 1)
        near = (raw, raw + 1, raw - 1)
        return codec.pack(next((one for one in near if one in within and one not in sentinels), raw))

    return show


class Emulator:
    """Answers requests for the devices of a link. Decides only; `serve` moves the bytes."""

    def __init__(self, devices: Sequence[DeviceSettings]) -> None:
        units = {device.unit_id for device in devices}
        self._images = {unit: Image(d for d in devices if d.unit_id == unit) for unit in units}

    def answer(self, unit: int, request: ModbusPDU | None, function: int, time_s: float) -> ModbusPDU:
        """The answer to a request, which is `None` if it made no sense as one of this function."""
        table = _TABLES.get(function)
        if table is None:
            return ExceptionResponse(function, ExcCodes.ILLEGAL_FUNCTION)
        if request is None:
            return ExceptionResponse(function, ExcCodes.ILLEGAL_VALUE)
        if unit not in self._images:
            return ExceptionResponse(function, ExcCodes.GATEWAY_NO_RESPONSE)
        content = self._images[unit].read(table, request.address, request.count, time_s)
        if isinstance(content, ExcCodes):
            return ExceptionResponse(function, content)
        if table.bits:
            return _RESPONSES[table](bits=[bool(bit) for bit in content])
        return _RESPONSES[table](
            registers=[int.from_bytes(content[at : at + 2]) for at in range(0, len(content), 2)]
        )


class _Connection(asyncio.Protocol):
    """One client: frames in, frames out. A client that sends no Modbus, or does not read, is dropped."""

    def __init__(
        self, emulator: Emulator, time_s: Callable[[], float], connections: set[_Connection]
    ) -> None:
        self._emulator = emulator
        self._time_s = time_s
        self._connections = connections
        self._decoder = DecodePDU(True)  # noqa: FBT003  # pymodbus's own: decode requests
        self._framer = FramerSocket(self._decoder)
        self._received = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the connection, so that closing the server closes it."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # whatever the cause
        """Forget the connection."""
        self._connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Answer every whole frame; keep the rest for later."""
        self._received += data
        while frame := self._frame():
            unit, transaction, pdu = frame
            answer = self._emulator.answer(unit, self._decoder.decode(pdu), pdu[0], self._time_s())
            answer.dev_id, answer.transaction_id = unit, transaction
            self.transport.write(self._framer.buildFrame(answer))
        not_modbus = len(self._received) > self._framer.MAX_SIZE
        if not_modbus or self.transport.get_write_buffer_size() > MOST_UNSENT:
            self.transport.abort()

    def _frame(self) -> tuple[int, int, bytes] | None:
        used, unit, transaction, pdu = self._framer.decode(self._received)
        self._received = self._received[used:]
        return (unit, transaction, pdu) if used and pdu else None


@asynccontextmanager
async def serve(link: LinkSettings, clock: Clock) -> AsyncIterator[str]:
    """Serve the devices of a link at its host and port until the block is left; yields `host:port`.

    Time goes on from the wall clock as it was at the beginning, and never back. Raises `Unavailable` when the
    address cannot be had.
    """
    ahead_ns = clock.wall_ns() - clock.monotonic_ns()
    emulator = Emulator(link.devices)
    connections: set[_Connection] = set()

    def time_s() -> float:
        return (clock.monotonic_ns() + ahead_ns) / 1e9

    where = link.address
    try:
        server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(emulator, time_s, connections), link.host, link.network_port
        )
    except OSError as error:
        raise Unavailable(f"{link.id}: cannot listen at {where}: {error}") from error
    log.info("emulator.opened", link=link.id, address=where, devices=len(link.devices))
    try:
        yield where
    finally:
        server.close()
        for connection in tuple(connections):
            connection.transport.abort()
        await server.wait_closed()

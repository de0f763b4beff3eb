"""What an emulated unit holds: the registers and bits of its devices' points, and what was written to them.

The registers are made by the codecs of the configured points, run backwards over plausible `curves`; so whatever can be
configured can be emulated. What is written stays, until the emulation ends. As strict as the strictest device: outside
of what a correct plan asks for stands exception 02, beyond the device's maximum count 03.

Pure: bytes at a time that is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pymodbus.constants import ExcCodes

from drivers.modbus.codec import Codec
from drivers.modbus.curves import Value, curve
from drivers.modbus.plan import Span
from drivers.modbus.point import PointSettings
from drivers.modbus.registers import Table
from drivers.modbus.settings import DeviceSettings

WRITABLE = {Table.COIL, Table.HOLDING}
"""The two tables that can be written (Modbus Application Protocol V1.1b3, 4.3)."""


class Image:
    """What one unit id holds, at any time: the points of the devices that are configured with it."""

    def __init__(self, devices: Iterable[DeviceSettings]) -> None:
        self._points: list[tuple[Codec, Callable[[float], bytes]]] = []
        self._served: dict[Table, set[int]] = {table: set() for table in Table}
        self._most = dict.fromkeys(Table, 0)
        self._signs: dict[Span, bytes] = {}
        self._written: dict[Table, dict[int, bytes]] = {table: {} for table in WRITABLE}
        for device in devices:
            for sign in device.signs:
                self._signs[sign.span] = sign.example
                self._served[sign.table].update(range(sign.address, sign.span.end))
            for point, codec in zip(device.selected, device.codecs, strict=True):
                self._points.append((codec, _registers(point, codec, curve(device.id, point))))
            for block in device.blocks:
                self._served[block.table].update(range(block.address, block.address + block.count))
            for table in Table:
                self._most[table] = max(self._most[table], device.limits.count(table))

    def read(self, table: Table, address: int, count: int, time_s: float) -> bytes | ExcCodes:
        """Two bytes for each register, one (0 or 1) for each bit; or the exception that such a device answers with."""
        if refusal := self._refusal(table, address, count):
            return refusal
        if sign := self._signs.get(Span(table, address, address + count)):
            return (
                sign  # what a device is known by, it may show only to who asks for it alone: see `identity`
            )
        width = 1 if table.bits else 2
        content = bytearray(width * count)
        for codec, bytes_at in self._points:
            if codec.table is table and codec.address < address + count and codec.end > address:
                for place, byte in enumerate(bytes_at(time_s), (codec.address - address) * width):
                    if 0 <= place < len(content):
                        content[place] |= byte  # bits of one register are points of their own
        if written := self._written.get(table):
            for each in range(address, address + count):
                if each in written:
                    start = (each - address) * width
                    content[start : start + width] = written[each]
        return bytes(content)

    def write(self, table: Table, address: int, content: bytes) -> ExcCodes | None:
        """Keep registers or bits, as `read` gives them; or the exception that such a device answers with."""
        width = 1 if table.bits else 2
        count = len(content) // width
        if refusal := self._refusal(table, address, count):
            return refusal
        for number in range(count):
            self._written[table][address + number] = content[number * width : (number + 1) * width]
        return None

    def _refusal(self, table: Table, address: int, count: int) -> ExcCodes | None:
        if not 0 < count <= self._most[table]:
            return ExcCodes.ILLEGAL_VALUE
        if not self._served[table].issuperset(range(address, address + count)):
            return ExcCodes.ILLEGAL_ADDRESS
        return None


def _registers(
    point: PointSettings, codec: Codec, value_at: Callable[[float], Value]
) -> Callable[[float], bytes]:
    """Turn a curve into what the point's registers show: the nearest good value, within its limits and no sentinel."""
    nearest = codec.meaning.nearest(point.minimum, point.maximum)
    return lambda time_s: codec.pack(*nearest(value_at(time_s)))

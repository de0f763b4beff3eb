"""What an emulated unit holds: the registers and bits of its devices' points, and what was written to them.

The registers are made by the codecs of the configured points, run backwards over plausible `curves`; so whatever can be
configured can be emulated. Where several points look at one register it shows what the narrowest says: bits before the
number they are part of, a scale factor before whoever reads it as a number. What is written stays, until the emulation
ends. As strict as the strictest device: outside of what a correct plan asks for stands exception 02, beyond the
device's maximum count 03.

Pure: bytes at a time that is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

from pymodbus.constants import ExcCodes

from drivers.modbus.emulation.curves import curve, power
from drivers.modbus.point import PointSettings
from drivers.modbus.settings import DeviceSettings
from drivers.modbus.values.codec import Codec
from drivers.modbus.values.plan import Span
from drivers.modbus.values.registers import Table
from drivers.modbus.values.scaled import Scaled

WRITABLE = {Table.COIL, Table.HOLDING}
"""The two tables that can be written (Modbus Application Protocol V1.1b3, 4.3)."""


class _Shown(NamedTuple):
    """A point as it is shown."""

    codec: Codec
    others: bytes
    """Which bits of its registers are not its own."""
    bytes_at: Callable[[float], bytes]
    """Its registers at a time."""


class Image:
    """What one unit id holds, at any time: the points of the devices that are configured with it."""

    def __init__(self, devices: Iterable[DeviceSettings]) -> None:
        points: list[_Shown] = []
        powers: dict[tuple[Table, int], int] = {}
        self._served: dict[Table, set[int]] = {table: set() for table in Table}
        self._most = dict.fromkeys(Table, 0)
        self._signs: dict[Span, bytes] = {}
        self._written: dict[Table, dict[int, bytes]] = {table: {} for table in WRITABLE}
        for device in devices:
            for span, held in device.shown:
                self._signs[span] = held
                self._served[span.table].update(range(span.address, span.end))
            for point, codec in zip(device.selected, device.codecs, strict=True):
                points.append(_shown(device.id, point, codec, powers))
            for block in device.blocks:
                self._served[block.table].update(range(block.address, block.address + block.count))
            for table in Table:
                self._most[table] = max(self._most[table], device.limits.count(table))
        self._points = sorted(
            points, key=lambda shown: (len(shown.codec.fields), shown.codec.mask is not None)
        )

    def read(self, table: Table, address: int, count: int, time_s: float) -> bytes | ExcCodes:
        """Two bytes for each register, one (0 or 1) for each bit; or the exception that such a device answers with."""
        if refusal := self._refusal(table, address, count):
            return refusal
        if sign := self._signs.get(Span(table, address, address + count)):
            return sign  # shown, by some devices, only to whoever asks for it alone: see `identity`
        width = 1 if table.bits else 2
        content = bytearray(width * count)
        for codec, others, bytes_at in self._points:
            if codec.table is table and codec.address < address + count and codec.end > address:
                start = (codec.address - address) * width
                for place, (byte, kept) in enumerate(zip(bytes_at(time_s), others, strict=True), start):
                    if 0 <= place < len(content):
                        content[place] = content[place] & kept | byte
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


def _shown(device: str, point: PointSettings, codec: Codec, powers: dict[tuple[Table, int], int]) -> _Shown:
    """Turn a curve into what the point's registers show: the nearest good value, within its limits and no sentinel."""
    if isinstance(codec.meaning, Scaled):
        factor = codec.table, codec.addresses[1]
        shown = powers.setdefault(factor, power(point))
        codec = replace(codec, meaning=replace(codec.meaning, shown=shown))
    value_at, nearest = curve(device, point), codec.meaning.nearest(point.minimum, point.maximum)
    return _Shown(codec, _others(codec), lambda time_s: codec.pack(*nearest(value_at(time_s))))


def _others(codec: Codec) -> bytes:
    """Which bits, from the first register of a point to its last, are not its own."""
    if codec.table.bits:
        return b"\0"
    if codec.mask is not None:
        return bytes(byte ^ 0xFF for byte in codec.mask)
    others = bytearray(b"\xff" * codec.width * 2)
    for part in codec.fields:
        start = (part.address - codec.address) * 2
        others[start : start + (part.end - part.address) * 2] = bytes((part.end - part.address) * 2)
    return bytes(others)

"""How long things take on the line of a link: an exchange, a pause, a question in vain. Pure.

What a network takes is not counted, and what a device takes to answer is given: nobody knows either beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drivers.modbus.line.ends import FramingKind
from drivers.modbus.settings import DeviceSettings, LinkSettings
from drivers.modbus.timing import ns

_REQUEST: Final = 5
"""Bytes of a request's PDU: function, address and count (Modbus Application Protocol V1.1b3, 6.1 to 6.4)."""
_ANSWER: Final = 2
"""Bytes of an answer's PDU beside its data: function and byte count."""
_LONGEST: Final = 253
"""Bytes of the longest PDU (Modbus Application Protocol V1.1b3, 4.1)."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Of one link, whose devices begin to answer after `answer_ns`."""

    link: LinkSettings
    answer_ns: int

    @property
    def silence_ns(self) -> int:
        """What parts two frames."""
        return self.link.line_time.silence_ns if self.link.line_time else 0

    @property
    def pause_ns(self) -> int:
        """From an answer to the next request."""
        return max(ns(self.link.request_delay), self.silence_ns)

    def exchange_ns(self, size: int) -> int:
        """From a request to the end of its answer, which has so many bytes of data."""
        return self._frames_ns(size) + self.silence_ns + self.answer_ns

    def in_vain_ns(self, device: DeviceSettings) -> int:
        """What a question takes that is not answered in time, with the quiet that has to follow."""
        size = max(block.size for block in device.blocks)
        vain_ns = self._frames_ns(size) + ns(device.limit(self.link.timeout))
        if self.link.frames is FramingKind.TCP:
            return vain_ns
        slowest = max(each.limit(self.link.timeout) for each in self.link.devices)
        return vain_ns + ns(self.link.quiet or slowest) + self._frame_ns(_LONGEST)

    def _frames_ns(self, size: int) -> int:
        return self._frame_ns(_REQUEST) + self._frame_ns(_ANSWER + size)

    def _frame_ns(self, pdu: int) -> int:
        """What a frame takes on the wire: in RTU with unit id and checksum, in ASCII as digits between colon and end."""
        if self.link.line_time is None:
            return 0
        characters = 2 * (pdu + 2) + 3 if self.link.frames is FramingKind.ASCII else pdu + 3
        return self.link.line_time.of(characters)

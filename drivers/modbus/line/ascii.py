"""Modbus ASCII: a colon, two hexadecimal digits for each byte, a checksum, and the end of a line.

Pure. Modbus over Serial Line V1.02, 2.5.2. Rare, and slower by half than RTU; some modems and old controllers speak
nothing else.
"""

from __future__ import annotations

from typing import Final

from pymodbus.framer.ascii import FramerAscii
from pymodbus.pdu import DecodePDU, ModbusPDU

from drivers.modbus.line.framing import Frame, Malformed, Question

NOISE: Final = 16
_START: Final = b":"
_END: Final = b"\r\n"
_SHORTEST: Final = 4
"""Unit, function, code and checksum: an exception."""


class Ascii:
    """See `drivers.modbus.line.framing.Framing`."""

    identified = False
    longest = 513 + NOISE
    """Colon, 2 x (unit, 253 bytes of PDU, checksum) digits, CR and LF; and what noise may be before it."""

    def __init__(self) -> None:
        self._framer = FramerAscii(DecodePDU(is_server=False))

    def request(self, pdu: ModbusPDU) -> bytes:
        """Frame a request."""
        return bytes(self._framer.buildFrame(pdu))

    def stamp(self, frame: bytes, identity: int) -> bytes:  # noqa: ARG002  # there is none
        """Leave it as it is: there is no transaction id."""
        return frame

    def length(self, pdu: int) -> int:
        """Bytes of a frame whose PDU has so many."""
        return len(_START) + 2 * (1 + pdu + 1) + len(_END)

    def take(self, received: memoryview, asked: Question | None) -> Frame | None:  # noqa: ARG002  # the colon tells
        """Take the first frame; `None` while it is not whole. What lies before a colon is noise. Raises `Malformed`."""
        octets = bytes(received)
        start = octets.find(_START)
        end = octets.find(_END, max(start, 0))
        if start < 0 or end < 0:
            if len(octets) >= self.longest:
                raise Malformed(f"no frame in {len(octets)} characters")
            return None
        start = octets.rfind(_START, 0, end)  # a frame that was broken off is followed by a whole one
        try:
            content = bytes.fromhex(octets[start + 1 : end].decode("ascii"))
        except ValueError as error:
            raise Malformed(f"not hexadecimal: {octets[start:end][:16]!r}") from error
        if len(content) < _SHORTEST or sum(content) & 0xFF:  # the checksum makes the sum of all bytes zero
            raise Malformed(f"wrong checksum: {octets[start:end][:16]!r}")
        return Frame(0, content[0], content[1:-1], end + len(_END))

    def begins(self, rest: memoryview, asked: Question) -> bool:  # noqa: ARG002  # the colon tells
        """Whether there is a colon in it."""
        return _START in bytes(rest)

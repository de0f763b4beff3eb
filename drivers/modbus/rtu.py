"""Modbus RTU: unit, PDU and a checksum, with silence between frames; on a serial line, or over TCP as it is.

Pure. Modbus over Serial Line V1.02, 2.5.1. Where a frame ends is said by nothing but silence, which no operating
system shows to the millisecond; so the length is taken from the function, and the checksum decides. A driver chip that
turns round may leave a byte of noise before an answer: one that fits the question exactly, with a right checksum, is
found behind it.
"""

from __future__ import annotations

from typing import Final

from pymodbus.framer.rtu import FramerRTU
from pymodbus.pdu import DecodePDU, ModbusPDU

from drivers.modbus.framing import Frame, Malformed, Question

NOISE: Final = 4
"""So many bytes more than the answer has are waited for, before what came is called no answer."""

_EXCEPTION: Final = 0x80
_CHECKSUM: Final = 2
_SHORTEST: Final = 5
"""Unit, function, code and checksum: an exception."""
_COUNTED: Final = {1, 2, 3, 4}
"""Functions whose answers say how many bytes follow."""
_FIXED: Final = {5: 8, 6: 8, 15: 8, 16: 8, 22: 10}
"""Lengths of the answers to writes (Modbus Application Protocol V1.1b3, 6.5, 6.6, 6.11, 6.12, 6.16)."""


class Rtu:
    """See `drivers.modbus.framing.Framing`."""

    identified = False
    longest = 256
    """Unit, 253 bytes of PDU, and the checksum."""

    def __init__(self) -> None:
        self._framer = FramerRTU(DecodePDU(is_server=False))

    def request(self, pdu: ModbusPDU) -> bytes:
        """Frame a request."""
        return bytes(self._framer.buildFrame(pdu))

    def stamp(self, frame: bytes, identity: int) -> bytes:  # noqa: ARG002  # there is none
        """Leave it as it is: there is no transaction id."""
        return frame

    def length(self, pdu: int) -> int:
        """Bytes of a frame whose PDU has so many."""
        return 1 + pdu + _CHECKSUM

    def take(self, received: memoryview, asked: Question | None) -> Frame | None:
        """Take the first frame; `None` while it is not whole. Raises `Malformed`."""
        length = _length(received, 0)
        if length is not None and _sound(received, 0, length):
            return _frame(received, 0, length)
        if asked is None:
            if length is None or len(received) < length:
                return None
        else:
            if behind := _behind_noise(received, asked):
                return behind
            if len(received) < asked.answer_length + NOISE:
                return None
        raise Malformed(f"no frame with a right checksum: {received[:16].hex(' ')}")


def _length(received: memoryview, start: int) -> int | None:
    """How long the frame is that begins here; `None` while that cannot be told, 0 if none does."""
    if len(received) < start + 3:
        return None
    function = received[start + 1]
    if function & _EXCEPTION:
        return _SHORTEST
    if function in _COUNTED:
        return 3 + received[start + 2] + _CHECKSUM
    return _FIXED.get(function, 0)


def _sound(received: memoryview, start: int, length: int) -> bool:
    """Whether a whole frame of this length, with a right checksum, begins here."""
    end = start + length
    if length < _SHORTEST or len(received) < end:
        return False
    checksum = int.from_bytes(received[end - _CHECKSUM : end], "big")
    return bool(FramerRTU.check_CRC(bytes(received[start : end - _CHECKSUM]), checksum))


def _frame(received: memoryview, start: int, length: int) -> Frame:
    """The frame that begins here; what lies before it counts as a part of it."""
    end = start + length
    return Frame(0, received[start], bytes(received[start + 1 : end - _CHECKSUM]), end)


def _behind_noise(received: memoryview, asked: Question) -> Frame | None:
    """The answer that fits the question, if it begins somewhere behind the first byte."""
    octets = bytes(received)
    right = bytes([asked.unit]) + (asked.expected or bytes([asked.function, asked.size]))
    refusal = bytes([asked.unit, asked.function | _EXCEPTION])
    for beginning, length in ((right, asked.answer_length), (refusal, _SHORTEST)):
        start = octets.find(beginning, 1)
        while start > 0:
            if _sound(received, start, length):
                return _frame(received, start, length)
            start = octets.find(beginning, start + 1)
    return None

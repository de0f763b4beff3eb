"""Modbus RTU: unit, PDU and a checksum, with silence between frames; on a serial line, or over TCP as it is.

Pure. Modbus over Serial Line V1.02, 2.5.1. Where a frame ends is said by nothing but silence, which no operating
system shows to the millisecond; so the length is taken from the function, and the checksum decides. A driver chip that
turns round may leave a byte of noise before an answer, or behind it: one that fits the question exactly, with a right
checksum, is found behind a few bytes that are none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pymodbus.framer.rtu import FramerRTU
from pymodbus.pdu import DecodePDU, ModbusPDU

from drivers.modbus.line.framing import EXCEPTION, Frame, Malformed, Question

NOISE: Final = 4
"""An answer is looked for behind so many bytes of noise; and so many more bytes than it has are waited for, before what
came is called no answer."""

_CHECKSUM: Final = 2
_SHORTEST: Final = 5
"""Unit, function, code and checksum: an exception."""
_READ: Final = 8
"""Unit, function, address, count and checksum: a request to read."""
_COUNTED: Final = {1, 2, 3, 4}
"""Functions whose answers say how many bytes follow (Modbus Application Protocol V1.1b3, 6.1 to 6.4)."""
_FIXED: Final = {5: 8, 6: 8, 15: 8, 16: 8, 22: 10}
"""Lengths of the answers to writes (6.5, 6.6, 6.11, 6.12, 6.16)."""
_WRITE: Final = 9
"""Bytes of a request that writes several, beside its data."""
_WRITE_COUNT: Final = 6
"""Where it says how many they are."""
_UNITS: Final = range(1, 248)
"""Who may be on a line (Modbus over Serial Line V1.02, 2.2)."""


class Rtu:
    """See `drivers.modbus.line.framing.Framing`."""

    identified = False
    longest = 256 + NOISE
    """Unit, 253 bytes of PDU, and the checksum; and what noise may be before it."""

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
        """Take the first frame; `None` while it is not whole. Raises `Malformed`, while something is asked."""
        if asked is None:
            return _somewhere(received)
        if len(received) < asked.answer_length and bytes(received).startswith(_beginning(asked)):
            return None  # it is on its way, and may by chance look like another one so far
        if frame := _fitting(received, asked) or _first(received):
            return frame
        if len(received) < asked.answer_length + NOISE:
            return None
        raise Malformed(f"no frame with a right checksum: {bytes(received[:16]).hex(' ')}")

    def begins(self, rest: memoryview, asked: Question) -> bool:
        """Whether it begins with the unit that was asked, and its function."""
        return rest[0] == asked.unit and (len(rest) == 1 or rest[1] & ~EXCEPTION == asked.function)


def _lengths(received: memoryview, start: int) -> Iterator[int]:
    """How long the frame may be that begins here: as an answer, and as a request."""
    function = received[start + 1]
    if function & EXCEPTION:
        yield _SHORTEST
    elif function in _COUNTED:
        yield 3 + received[start + 2] + _CHECKSUM
        yield _READ
    elif fixed := _FIXED.get(function):
        yield fixed
        if function in {15, 16} and len(received) > start + _WRITE_COUNT:
            yield _WRITE + received[start + _WRITE_COUNT]


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


def _beginning(asked: Question) -> bytes:
    """What the answer begins with."""
    return bytes([asked.unit]) + (asked.expected or bytes([asked.function, asked.size]))


def _fitting(received: memoryview, asked: Question) -> Frame | None:
    """The answer or the refusal that fits the question, if it begins here or a few bytes later."""
    octets = bytes(received)
    refusal = bytes([asked.unit, asked.function | EXCEPTION])
    for start in range(NOISE + 1):
        for beginning, length in ((_beginning(asked), asked.answer_length), (refusal, _SHORTEST)):
            if octets.startswith(beginning, start) and _sound(received, start, length):
                return _frame(received, start, length)
    return None


def _first(received: memoryview, start: int = 0) -> Frame | None:
    """The whole frame that begins here, if one does."""
    if len(received) >= start + _SHORTEST:
        for length in _lengths(received, start):
            if _sound(received, start, length):
                return _frame(received, start, length)
    return None


def _somewhere(received: memoryview) -> Frame | None:
    """The first whole frame, wherever it begins: of what nobody asked for, nothing is known."""
    for start in range(len(received) - _SHORTEST + 1):
        if received[start] in _UNITS and (frame := _first(received, start)):
            return frame
    return None

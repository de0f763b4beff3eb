"""Modbus TCP: a header with a transaction id and a length before each PDU.

Pure. Modbus Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3; over UDP and TLS it is the same.
"""

from __future__ import annotations

import struct

from pymodbus.framer.socket import FramerSocket
from pymodbus.pdu import DecodePDU, ModbusPDU

from drivers.modbus.line.framing import Frame, Malformed, Question


class Mbap:
    """See `drivers.modbus.line.framing.Framing`."""

    identified = True
    longest = 260
    """7 bytes of header and 253 of PDU."""

    _header = struct.Struct(">HHHB")
    """Transaction id, protocol id (always 0), length of what follows, unit id."""
    _before_length = 6
    _shortest = 3
    """Unit, function and one byte: an exception."""

    def __init__(self) -> None:
        self._framer = FramerSocket(DecodePDU(is_server=False))

    def request(self, pdu: ModbusPDU) -> bytes:
        """Frame a request."""
        return bytes(self._framer.buildFrame(pdu))

    def stamp(self, frame: bytes, identity: int) -> bytes:
        """Give a framed request its transaction id."""
        return identity.to_bytes(2, "big") + frame[2:]

    def length(self, pdu: int) -> int:
        """Bytes of a frame whose PDU has so many."""
        return self._header.size + pdu

    def take(self, received: memoryview, asked: Question | None) -> Frame | None:  # noqa: ARG002  # a stream is not damaged
        """Take the first frame; `None` while it is not whole. Raises `Malformed`."""
        if len(received) < self._header.size:
            return None
        identity, protocol, length, unit = self._header.unpack_from(received)
        if protocol or not self._shortest <= length <= self.longest - self._before_length:
            raise Malformed(f"not a Modbus TCP header: {received[: self._header.size].hex(' ')}")
        whole = self._before_length + length
        if len(received) < whole:
            return None
        return Frame(identity, unit, bytes(received[self._header.size : whole]), whole)

    def begins(self, rest: memoryview, asked: Question) -> bool:  # noqa: ARG002  # there is no noise in a stream
        """Anything may be the beginning of another answer."""
        return True

"""How long an exchange takes on a line: bytes at its speed, the silence round frames, the device's own time. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from drivers.modbus.timing import ns


class Pace(NamedTuple):
    """Of one line."""

    octet_ns: int = 0
    """One byte on the wire; nothing to speak of on a network."""
    silence_ns: int = 0
    """Before and after every frame."""
    question: int = 12
    """Bytes of a request (Modbus Messaging on TCP/IP Implementation Guide V1.0b, 3.1.2 and 3.1.3)."""
    answer: int = 9
    """Bytes of an answer beside its data."""
    answer_ns: int = 0
    """Until an answer begins."""
    quiet: bool = False
    """Whether the line has to stay quiet after a time-out."""

    def exchange_ns(self, size: int) -> int:
        """From the request to the end of an answer with so many bytes of data."""
        octets = self.question + self.answer + size
        return octets * self.octet_ns + self.silence_ns + self.answer_ns


def pace(answer: timedelta) -> Pace:
    """Of a TCP connection whose devices take so long until they answer."""
    return Pace(answer_ns=ns(answer))

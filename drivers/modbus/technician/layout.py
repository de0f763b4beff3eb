"""How questions and answers lie in frames, as seen from the other end of the line: for replaying what was recorded.

Pure. The agent's own end is `mbap`, `rtu` and `ascii`, which make questions and take answers; this takes questions
and makes answers.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from pymodbus.framer.ascii import FramerAscii
from pymodbus.framer.rtu import FramerRTU

from drivers.modbus.line.ends import FramingKind


class Body(NamedTuple):
    """What a frame carries."""

    unit: int
    pdu: bytes


class Layout(Protocol):
    """Of frames."""

    identity: int
    """Bytes of transaction id that a frame begins with."""

    def whole(self, received: bytes) -> int:
        """How long the first frame of a stream of questions is; 0 while it is not whole."""

    def body(self, frame: bytes) -> Body | None:
        """What a frame carries; `None` if it is damaged."""

    def frame(self, body: Body, identity: bytes) -> bytes:
        """Make a frame."""


class _Tcp:
    identity = 2
    _header = 7

    def whole(self, received: bytes) -> int:
        length = 6 + int.from_bytes(received[4:6])
        return length if len(received) >= max(length, self._header) else 0

    def body(self, frame: bytes) -> Body | None:
        if len(frame) <= self._header or len(frame) != 6 + int.from_bytes(frame[4:6]):
            return None
        return Body(frame[6], frame[self._header :])

    def frame(self, body: Body, identity: bytes) -> bytes:
        return identity + b"\0\0" + (len(body.pdu) + 1).to_bytes(2) + bytes([body.unit]) + body.pdu


class _Rtu:
    identity = 0
    _shortest = 5
    _fixed: Final = {1: 8, 2: 8, 3: 8, 4: 8, 5: 8, 6: 8, 22: 10}
    _counted: Final = {15, 16}

    def whole(self, received: bytes) -> int:
        if len(received) < 7:  # noqa: PLR2004  # as far as the byte count of a write
            return 0
        function = received[1]
        length = 9 + received[6] if function in self._counted else self._fixed.get(function, len(received))
        return length if len(received) >= length else 0

    def body(self, frame: bytes) -> Body | None:
        if len(frame) < self._shortest or self._sealed(frame[:-2]) != frame:
            return None
        return Body(frame[0], frame[1:-2])

    def frame(self, body: Body, identity: bytes) -> bytes:
        return identity + self._sealed(bytes([body.unit]) + body.pdu)

    def _sealed(self, octets: bytes) -> bytes:
        return octets + FramerRTU.compute_CRC(octets).to_bytes(2, "big")


class _Ascii:
    identity = 0
    _end = b"\r\n"

    def whole(self, received: bytes) -> int:
        end = received.find(self._end)
        return 0 if end < 0 else end + len(self._end)

    def body(self, frame: bytes) -> Body | None:
        if not frame.startswith(b":") or not frame.endswith(self._end):
            return None
        try:
            octets = bytes.fromhex(frame[1 : -len(self._end)].decode("ascii"))
        except ValueError:
            return None
        if len(octets) < 3 or FramerAscii.compute_LRC(octets[:-1]) != octets[-1]:  # noqa: PLR2004  # unit, function, sum
            return None
        return Body(octets[0], octets[1:-1])

    def frame(self, body: Body, identity: bytes) -> bytes:
        octets = bytes([body.unit]) + body.pdu
        octets += bytes([FramerAscii.compute_LRC(octets)])
        return identity + b":" + octets.hex().upper().encode() + self._end


LAYOUTS: Final[dict[FramingKind, Layout]] = {
    FramingKind.TCP: _Tcp(),
    FramingKind.RTU: _Rtu(),
    FramingKind.ASCII: _Ascii(),
}

"""Takes the questions out of what a client of an emulated link sends, and has them answered."""

from __future__ import annotations

import time
from typing import Final

from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerAscii, FramerRTU, FramerSocket
from pymodbus.framer.base import FramerBase
from pymodbus.pdu import DecodePDU

from drivers.modbus.emulation.emulator import Emulator
from drivers.modbus.emulation.wire import Say, Wire
from drivers.modbus.line.ends import FramingKind

SILENCE_S: Final = 0.2
"""What came before so long a silence is no part of a frame, where nothing but silence parts them. A line's own is 2 to
4 ms; no operating system shows that."""

_FRAMERS: Final[dict[FramingKind, type[FramerBase]]] = {
    FramingKind.TCP: FramerSocket,
    FramingKind.RTU: FramerRTU,
    FramingKind.ASCII: FramerAscii,
}


class Ear:
    """Takes the questions out of what one client sends, and has them answered."""

    def __init__(self, framing: FramingKind, emulator: Emulator, wire: Wire, say: Say) -> None:
        self._framer = _FRAMERS[framing](DecodePDU(is_server=True))
        self._emulator = emulator
        self._wire = wire
        self._say = say
        self._by_silence = framing is FramingKind.RTU
        self._heard_s = 0.0
        self._received = b""

    def hear(self, octets: bytes) -> bool:
        """Answer every whole frame, and keep the rest for later; `False` if that can be no Modbus."""
        now_s = time.monotonic()
        if self._by_silence and now_s - self._heard_s > SILENCE_S:
            self._received = b""
        self._heard_s = now_s
        self._received += octets
        while self._received:
            try:
                used, unit, identity, question = self._framer.decode(self._received)
            except (ModbusException, ValueError, IndexError):
                used, unit, identity, question = len(self._received), 0, 0, b""
            if not used:
                break
            frame, self._received = self._received[:used], self._received[used:]
            if question:
                sayings = self._emulator.hear(unit, identity, question, self._framer)
                self._wire.carry(len(frame), sayings, self._say)
        return len(self._received) <= self._framer.MAX_SIZE

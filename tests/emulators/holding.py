"""A Modbus TCP device that keeps what is written to it, and notes every write as it came on the wire.

    async with Holding({10: 200}) as device:
        ... write to device.port ...
        device.registers[10], device.written

It can be told to clamp, to refuse a function, to swallow its answers, or to hang up instead of answering.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Mapping
from typing import Self

_HEADER = struct.Struct(">HHHB")
READS, WRITES = {1, 3}, {5, 6, 15, 16, 22}
_TURNS = 6
"""Of the event loop, from a connection that was just accepted to the end of its socket: accepted, made, served, closed."""


class Holding:
    """One unit with coils and holding registers; those that are not given do not exist."""

    def __init__(self, registers: Mapping[int, int], coils: Mapping[int, bool] | None = None) -> None:
        self.registers = dict(registers)
        self.coils = dict(coils or {})
        self.written: list[bytes] = []
        """PDUs of functions that write, as they came."""
        self.asked: list[bytes] = []
        """All PDUs."""
        self.takes: Callable[[int, int], int] = lambda _, value: value
        """What becomes of a value for a register."""
        self.refused: set[int] = set()
        """Functions that it does not know."""
        self.swallows: set[int] = set()
        """Functions that it carries out, and does not answer."""
        self.hangs_up: set[int] = set()
        """Functions over which it ends the connection, and does nothing."""
        self.port = 0
        self._connections: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for _ in range(_TURNS):
            for writer in self._connections:
                writer.transport.abort()
            await asyncio.sleep(0)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while True:
                identity, _, length, unit = _HEADER.unpack(await reader.readexactly(_HEADER.size))
                pdu = await reader.readexactly(length - 1)
                self.asked.append(pdu)
                if pdu[0] in self.hangs_up:
                    return
                answer = self.answer(pdu)
                if pdu[0] not in self.swallows:
                    writer.write(_HEADER.pack(identity, 0, len(answer) + 1, unit) + answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._connections.discard(writer)
            writer.transport.abort()

    def answer(self, pdu: bytes) -> bytes:
        """Do what is asked; the PDU of the answer."""
        function, address, word = pdu[0], int.from_bytes(pdu[1:3]), int.from_bytes(pdu[3:5])
        if function in WRITES:
            self.written.append(pdu)
        if function in self.refused or function not in READS | WRITES:
            return bytes([function | 0x80, 1])
        count = word if function in {1, 3, 15, 16} else 1
        addresses = range(address, address + count)
        if any(each not in (self.coils if function in {1, 5, 15} else self.registers) for each in addresses):
            return bytes([function | 0x80, 2])
        if function in READS:
            data = self._bits(addresses) if function == 1 else self._words(addresses)
            return bytes([function, len(data)]) + data
        self._write(function, addresses, pdu[3:] if function in {5, 6, 22} else pdu[6:])
        return pdu[:5] if function in {15, 16} else pdu

    def _bits(self, addresses: range) -> bytes:
        packed = bytearray((len(addresses) + 7) // 8)
        for index, address in enumerate(addresses):
            packed[index // 8] |= self.coils[address] << index % 8
        return bytes(packed)

    def _words(self, addresses: range) -> bytes:
        return b"".join(self.registers[address].to_bytes(2, "big") for address in addresses)

    def _write(self, function: int, addresses: range, data: bytes) -> None:
        for index, address in enumerate(addresses):
            if function in {5, 15}:
                self.coils[address] = (
                    bool(data[index // 8] >> index % 8 & 1) if function == 15 else data[0] > 0
                )
            elif function == 22:
                and_mask, or_mask = struct.unpack(">HH", data)
                held = self.registers[address]
                self.registers[address] = self.takes(address, held & and_mask | or_mask & ~and_mask & 0xFFFF)
            else:
                word = int.from_bytes(data[2 * index : 2 * index + 2])
                self.registers[address] = self.takes(address, word)

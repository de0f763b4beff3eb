"""A serial line with devices on it: a pseudo-terminal, whose other end is what an adapter is to the agent.

    async with SerialLine(answer) as line:   # answer: the bytes of a request -> what comes on the line, and when
        ... open line.port ...

The same answers are to be had over TCP and UDP, for gateways that pass on what they hear: `stream`, `datagrams`.
"""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self, TypeAlias

from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU

from tests.emulators import modbus

Answer: TypeAlias = Callable[[bytes], Iterable[tuple[float, bytes]]]
"""From a whole request frame to what follows it: after so many seconds, these bytes."""

FRAMER = FramerRTU(DecodePDU(is_server=True))
CHECKSUM = 2
READ_LENGTH = 8


def sealed(octets: bytes) -> bytes:
    """A frame: unit and PDU with their checksum."""
    return octets + FRAMER.compute_CRC(bytearray(octets)).to_bytes(2, "big")


def right(request: bytes) -> bytes:
    """The right answer to a request to read."""
    unit, function = request[0], request[1]
    address, count = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
    payload = modbus.data(unit, function, address, count)
    return sealed(bytes([unit, function, len(payload)]) + payload)


def good(request: bytes) -> list[tuple[float, bytes]]:
    """A device that answers at once."""
    return [(0.0, right(request))]


class SerialLine:
    """What is at the other end of a serial port."""

    def __init__(self, answer: Answer = good) -> None:
        self.answer = answer
        self.requests: list[bytes] = []

    async def __aenter__(self) -> Self:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.port = Path(os.ttyname(self._slave))
        self._received = b""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._master, self._readable)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.unplug()

    def unplug(self) -> None:
        """Pull the adapter out."""
        if self._master >= 0:
            self._loop.remove_reader(self._master)
            os.close(self._slave)
            os.close(self._master)
            self._master = -1

    def say(self, octets: bytes) -> None:
        """Put bytes on the line."""
        if self._master >= 0:
            os.write(self._master, octets)

    def _readable(self) -> None:
        try:
            self._received += os.read(self._master, 4096)
        except OSError:  # nobody has the port open
            return
        while len(self._received) >= READ_LENGTH:
            request, self._received = self._received[:READ_LENGTH], self._received[READ_LENGTH:]
            self.requests.append(request)
            for delay_s, octets in self.answer(request):
                self._loop.call_later(delay_s, self.say, octets)


@asynccontextmanager
async def stream(answer: Answer = good) -> AsyncIterator[int]:
    """The same behind a TCP port, which is yielded: RTU over TCP."""
    loop = asyncio.get_running_loop()
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            while request := await reader.readexactly(READ_LENGTH):
                for delay_s, octets in answer(request):
                    loop.call_later(
                        delay_s, lambda octets=octets: writer.is_closing() or writer.write(octets)
                    )
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()

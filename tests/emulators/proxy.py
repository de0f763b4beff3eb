"""A faulty link: a TCP proxy on loopback that cuts, stalls, slows and swallows, in either direction.

    async with Proxy(broker.port) as link:
        link.port                         # where the client connects
        link.up.cut_after = 100           # reset both sides once 100 bytes have gone up; `down` is the other way
        link.down.stalled = True          # hold everything back until it is False again
        link.half_open()                  # bytes vanish, nobody is told: the cable is out
        link.cut()                        # reset every connection now

Each direction counts its bytes over all connections since `reset()`. What is set applies at once, to running
connections too. Nothing here knows which protocol passes through.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Self


@dataclass
class Direction:
    """One way through the link."""

    cut_after: int | None = None
    """Reset the connection when so many bytes have passed; exactly so many have."""
    swallows: bool = False
    """Read, and pass nothing on."""
    bytes_per_s: float | None = None
    piece: int | None = None
    """Pass on at most so many bytes at a time, as separate writes."""
    passed: int = 0
    _moving: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._moving.set()

    @property
    def stalled(self) -> bool:
        """Whether everything is held back."""
        return not self._moving.is_set()

    @stalled.setter
    def stalled(self, stalled: bool) -> None:
        if stalled:
            self._moving.clear()
        else:
            self._moving.set()

    async def moving(self) -> None:
        await self._moving.wait()


class Proxy:
    """Listens on `port`, passes everything on to `target` on loopback."""

    def __init__(self, target: int) -> None:
        self.up = Direction()
        self.down = Direction()
        self.refuses = False
        """Reset every new connection at once."""
        self.connections = 0
        """How many were ever made."""
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        listener = socket.socket()
        # A large buffer would take everything at once, and a slow link would look like a fast one to its sender.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
        listener.bind(("127.0.0.1", 0))
        self.port: int = listener.getsockname()[1]
        self._server = await asyncio.start_server(self._accept, sock=listener)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def accepted(self, count: int) -> None:
        """Wait until so many connections have been made in all."""
        await self._until(lambda: self.connections >= count)

    async def closed(self) -> None:
        """Wait until no connection is open."""
        await self._until(lambda: not self._writers)

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(holds)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def cut(self) -> None:
        """Reset every connection."""
        for writer in self._writers:
            writer.transport.abort()

    def half_open(self) -> None:
        """Let every byte vanish from now on, in both directions, of new connections too."""
        self.up.swallows = self.down.swallows = True

    def reset(self) -> None:
        """As new: nothing is cut or held back, nothing counted."""
        for direction in (self.up, self.down):
            direction.cut_after = direction.bytes_per_s = direction.piece = None
            direction.swallows = direction.stalled = False
            direction.passed = 0

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer), name=f"link {self.connections}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._known(writer):
            await self._notify()
            if not self.refuses:
                with contextlib.suppress(OSError):
                    await self._join(reader, writer)
        await self._notify()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beyond, onward = await asyncio.open_connection("127.0.0.1", self._target)
        with self._known(onward):
            # The first way that ends ends both, as a reset does.
            ways = [
                asyncio.create_task(self._pass(reader, onward, self.up), name="up"),
                asyncio.create_task(self._pass(beyond, writer, self.down), name="down"),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)

    @contextlib.contextmanager
    def _known(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        self._writers.add(writer)
        try:
            yield
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Direction) -> None:
        while data := await reader.read(65536):
            while data:
                await way.moving()
                size = min(len(data), way.piece or len(data))
                if way.cut_after is not None:
                    size = min(size, way.cut_after - way.passed)
                    if size <= 0:
                        return
                piece, data = data[:size], data[size:]
                if way.bytes_per_s is not None:
                    await asyncio.sleep(len(piece) / way.bytes_per_s)
                if not way.swallows:
                    writer.write(piece)
                    await writer.drain()
                way.passed += len(piece)
                if way.cut_after is not None and way.passed >= way.cut_after:
                    # Out of this process before the reset, or it would take them with it.
                    writer.transport.set_write_buffer_limits(high=0)
                    await writer.drain()
                    return

"""The socket that paho believes it has: an asyncio transport with a socket's few methods in front.

paho opens its socket in a blocking way, reads each packet in three calls of `recv` and writes each with a `send` of
its own. Here asyncio opens the connection, so that opening can be given up at any moment (name, TCP, TLS handshake);
it receives in large pieces, and what comes together in one turn of the loop is written at once. Nothing here knows
of MQTT.
"""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from collections.abc import Callable
from typing import cast

RECEIVE_BYTES = 4096
"""A broker sends a publisher nothing but acknowledgements of 4 bytes; asyncio's own 256 KiB are mapped anew each time."""


def _nothing() -> None:
    pass


class Wire(asyncio.BufferedProtocol):
    """One connection. `readable` is called when something came in, `ended` once when nothing can come any more."""

    def __init__(self) -> None:
        self.readable: Callable[[], None] = _nothing
        self.writable: Callable[[], None] = _nothing
        self.ended: Callable[[], None] = _nothing
        self.congested = False
        """More is waiting to leave than the transport likes: `writable` will be called."""
        self.written = 0
        """Bytes ever given to `send`."""
        self.error: Exception | None = None
        """Why it ended, if it did not simply end."""
        self._transport: asyncio.Transport | None = None
        self._over = asyncio.Event()
        self._space = memoryview(bytearray(RECEIVE_BYTES))  # not the bytearray: TLS fills slices of it
        self._received = bytearray()
        self._leaving: list[bytes] = []

    # --- what paho calls -------------------------------------------------------------------------------------

    def recv(self, size: int) -> bytes:
        """As socket.recv of a socket that does not block."""
        if not self._received:
            if self._over.is_set():
                return b""
            raise BlockingIOError
        piece = bytes(self._received[:size])
        del self._received[:size]
        return piece

    def send(self, packet: bytes) -> int:
        """Take all of it; it leaves with `flush`. On a dying connection it is dropped: `ended` is about to say why."""
        self._leaving.append(packet)
        self.written += len(packet)
        return len(packet)

    def close(self) -> None:
        """Send what is still here, and leave closing to the broker or to `abort`.

        A socket that is closed before it has read everything resets the connection, and the DISCONNECT that was on
        its way may be lost with it: the broker would publish the will after all.
        """
        self.flush()

    def pending(self) -> int:
        """Bytes that `recv` can give without waiting."""
        return len(self._received)

    def fileno(self) -> int:
        """None of its own: nobody shall wait for this socket but asyncio."""
        return -1

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001  # as socket.setblocking
        """It never blocks."""

    # --- what the session calls ------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what `send` took, in one piece."""
        if self._leaving and self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._leaving[0] if len(self._leaving) == 1 else b"".join(self._leaving))
        self._leaving.clear()

    @property
    def connected(self) -> bool:
        """Whether it has ever been open."""
        return self._transport is not None

    def unsent(self) -> int:
        """Bytes that the other end has not confirmed yet: here, in the transport and in the kernel (tcp(7), SIOCOUTQ)."""
        if self._transport is None or self._over.is_set():
            return 0
        number = self._transport.get_extra_info("socket").fileno()
        in_kernel: int = struct.unpack("i", fcntl.ioctl(number, termios.TIOCOUTQ, bytes(4)))[0]
        return sum(map(len, self._leaving)) + self._transport.get_write_buffer_size() + in_kernel

    def abort(self) -> None:
        """Close at once; what was not sent is gone."""
        if self._transport is not None:
            self._transport.abort()

    async def over(self) -> None:
        """Wait until the connection is closed on this side too."""
        await self._over.wait()

    # --- what asyncio calls ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open, TLS included."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # asyncio's signature
        """Where the next bytes go."""
        return self._space

    def buffer_updated(self, nbytes: int) -> None:
        """That many bytes are there."""
        self._received += self._space[:nbytes]
        self.readable()

    def pause_writing(self) -> None:
        """The transport has enough for now."""
        self.congested = True

    def resume_writing(self) -> None:
        """The transport takes more."""
        self.congested = False
        self.writable()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing comes and nothing goes any more."""
        self.error = exc
        self._over.set()
        self.ended()

"""A connection over UDP: each datagram is one frame, and a lost one is an answer that does not come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from agent.aside import look_up
from drivers.modbus.line.connection import Connection
from drivers.modbus.line.transaction import Conversation
from drivers.modbus.settings import LinkSettings


async def connect(
    settings: LinkSettings, conversation: Conversation, now_ns: Callable[[], int], stir: Callable[[], None]
) -> Datagram:
    """Have a socket that hears nobody but the host. Raises `OSError`."""
    (*_, address), *_ = await look_up(settings.host or "", settings.network_port)
    _, connection = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Datagram(conversation, now_ns, stir), remote_addr=address[:2]
    )
    return connection


class Datagram(Connection, asyncio.DatagramProtocol):
    """See `drivers.modbus.line.connection`."""

    _transport: asyncio.DatagramTransport

    def _send(self, request: bytes) -> None:
        self._transport.sendto(request)

    def _hang_up(self) -> None:
        self._transport.abort()

    # --- called by the event loop ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport over."""
        self._transport = cast("asyncio.DatagramTransport", transport)  # uvloop's is one in all but name

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ARG002  the socket is connected
        """Hand a frame to the conversation; what is longer than any frame is none."""
        space = self._conversation.space()
        if not self.ended and len(data) <= len(space):
            space[: len(data)] = data
            self._received(len(data))
            if self._conversation.unfinished:
                self._end("half a frame in a datagram", failed=False)

    def error_received(self, exc: Exception) -> None:
        """The host says that nobody listens there (ICMP port unreachable)."""
        refused = isinstance(exc, ConnectionRefusedError)
        self._end("nobody listens on this UDP port" if refused else str(exc), failed=True, refused=refused)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._end(str(exc or "closed"), failed=exc is not None)

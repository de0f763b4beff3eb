"""A connection over TCP, plain or encrypted."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, cast

from agent.aside import look_up
from agent.tls import tls_words, trust_in
from drivers.modbus.line.connection import Connection
from drivers.modbus.line.transaction import Conversation
from drivers.modbus.settings import LinkSettings

KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)
"""An idle connection whose peer vanished ends within a minute (tcp(7), seconds and counts)."""
_HINT: Final = ": as a device does that wants a certificate of ours, or another one"
USER_TIMEOUT_MS: Final = 10_000
"""One whose peer does not even acknowledge what was asked ends after this (tcp(7), Linux only)."""


async def connect(
    settings: LinkSettings, conversation: Conversation, now_ns: Callable[[], int], stir: Callable[[], None]
) -> Stream:
    """Connect to any address of the host. Raises `OSError`; `Misconfigured` for certificates that are none."""
    loop = asyncio.get_running_loop()
    host, tls = settings.host or "", settings.tls
    trust = await trust_in(tls.ca_file, tls.certificate_file, tls.key_file) if tls else None
    name = (tls.server_name or host) if tls else None
    refusal = OSError(f"no address for {host}")
    for *_, address in await look_up(host, settings.network_port):
        try:
            _, connection = await loop.create_connection(
                lambda: Stream(conversation, now_ns, stir),
                address[0],
                settings.network_port,
                ssl=trust,
                server_hostname=name,
            )
        except ssl.SSLError as error:
            # Another address of the same name would show the same certificate.
            raise OSError(tls_words(error, datetime.now(UTC))) from error
        except OSError as error:
            if tls and not error.args:  # asyncio's word for a peer that hangs up in the handshake
                error = OSError(f"closed by the peer while TLS began{_HINT}")
            refusal = error  # another address of the name may answer
        else:
            return connection
    raise refusal


class Stream(Connection, asyncio.BufferedProtocol):
    """See `drivers.modbus.line.connection`."""

    _transport: asyncio.Transport
    _encrypted: bool

    def _send(self, request: bytes) -> None:
        self._transport.write(request)

    def _hang_up(self) -> None:
        self._transport.abort()

    # --- called by the event loop ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport over."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self._encrypted = transport.get_extra_info("ssl_object") is not None
        sock: socket.socket = transport.get_extra_info("socket")
        for level, option, value in KEEPALIVE:
            sock.setsockopt(level, option, value)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  the conversation knows how much it takes
        """Where to receive into."""
        return self._conversation.space()

    def buffer_updated(self, nbytes: int) -> None:
        """Hand what came to the conversation."""
        self._received(nbytes)

    def eof_received(self) -> None:
        """The peer has closed."""
        self._end(self._hinting("closed by the peer"), failed=False)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone, by whichever side."""
        if isinstance(exc, ssl.SSLError):
            self._end(tls_words(exc, datetime.now(UTC)), failed=True, refused=not self.proven)
            return
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc or "closed")
        self._end(self._hinting(why), failed=exc is not None)

    def _hinting(self, why: str) -> str:
        """Why it ended, and what that often means with TLS 1.3, which looks at our certificate behind the handshake."""
        return why + _HINT if self._encrypted and not self.proven else why

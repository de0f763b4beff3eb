"""From a name and a port to an open wire, and from whatever can go wrong there to one line that says what to do.

Every step can be given up at once: what would block goes `aside`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from datetime import UTC, datetime
from typing import Any, NamedTuple

from agent.aside import look_up
from agent.interfaces import Unavailable
from agent.tls import tls_words
from agent.uplinks.mqtt.wire import Wire


class Target(NamedTuple):
    """Where to, and with how much patience."""

    host: str
    port: int
    connect_s: float
    """How long all addresses of the name may take together."""
    silence_s: float
    """How long the other end may leave unconfirmed what was sent, once connected."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


async def connect_wire(wire: Wire, target: Target, trust: ssl.SSLContext | None) -> None:
    """Connect to the first address that answers, with TLS where there is something to trust in.

    Raises `Unavailable` with what every address said.
    """
    refusals: list[str] = []
    addresses = await _addresses(target)
    for family, _, _, _, address in addresses:
        try:
            async with asyncio.timeout(target.connect_s / len(addresses)):
                return await _connect(wire, target, trust, family, address)
        except TimeoutError:
            words = "no answer"
        except OSError as error:
            words = _os_words(error)
        refusals.append(words if address[0] == target.host else f"{words} ({address[0]})")
    raise Unavailable(f"{target}: {', '.join(refusals)}")


def _os_words(error: OSError) -> str:
    # asyncio puts the address into the words of the error.
    return os.strerror(error.errno).lower() if error.errno else str(error)


async def _connect(
    wire: Wire, target: Target, trust: ssl.SSLContext | None, family: socket.AddressFamily, address: Any
) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as undo:
        connection = socket.socket(family, socket.SOCK_STREAM)
        undo.callback(connection.close)
        connection.setblocking(False)  # noqa: FBT003  # as socket has it
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # tcp(7): data that is not confirmed for so long ends the connection, whatever the retransmission timers say.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(target.silence_s * 1000))
        await loop.sock_connect(connection, address)
        name = None if trust is None else target.host
        try:
            await loop.create_connection(lambda: wire, sock=connection, ssl=trust, server_hostname=name)
        except ssl.SSLError as error:
            # Another address of the same name would show the same certificate.
            raise Unavailable(f"{target}: {tls_words(error, datetime.now(UTC))}") from error
        except ConnectionError as error:
            words = f"{_os_words(error)} in the TLS handshake; does it speak TLS on this port?"
            raise Unavailable(f"{target}: {words}") from error
        undo.pop_all()


async def _addresses(target: Target) -> list[Any]:
    try:
        return await look_up(target.host, target.port)
    except socket.gaierror as error:
        hint = ": is there a network?" if error.errno == socket.EAI_AGAIN else ""
        raise Unavailable(
            f"{target}: no address for this name: {(error.strerror or str(error)).lower()}{hint}"
        ) from error
    except (OSError, ValueError) as error:
        raise Unavailable(f"{target}: no address for this name: {error}") from error

"""MQTT: QoS 1 over one connection, many messages in flight, every refusal heard.

    settings     what an operator writes
    connecting   name, TCP, TLS: an open wire, or one line that says what to do
    wire         an asyncio connection that paho takes for a socket
    client       aiomqtt on that wire, with acknowledgements handed out
    session      window, acknowledgements, loss: the `Connection` of the seam
    codes        what reason codes mean: tables

An acknowledgement means that the broker has the message, not that the broker's disk has: mosquitto, for one, writes
what it holds for absent subscribers only now and then unless told otherwise (`autosave_interval`).

This file is all that a gateway without an MQTT uplink ever loads: aiomqtt, paho and ssl are imported with the first
connection.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import structlog

from agent.uplinks.mqtt.settings import UplinkSettings, Version
from agent.upstream import Connection, Gateway, Message

__all__ = ["UplinkSettings", "connect", "owner"]

log = structlog.get_logger()


@asynccontextmanager
async def connect(
    settings: UplinkSettings,
    gateway: Gateway,
    will: Message | None,
    received: Callable[[str, bytes], None],
) -> AsyncIterator[Connection]:
    """One session with the broker (agent.upstream.Uplink).

    Left normally or by cancellation it ends with a DISCONNECT, and the broker forgets the will. Left by any other
    exception it is broken off, and the broker publishes the will: nobody has said goodbye.
    """
    from agent.uplinks.mqtt.session import begin  # noqa: PLC0415  # aiomqtt and paho: 5 MB, 40 ms

    if settings.protocol is Version.V311:
        _warn_of_silence(settings.id)
    session = await begin(settings, gateway, will, received)
    try:
        yield session
    except asyncio.CancelledError:
        await session.farewell()
        raise
    else:
        await session.farewell()
    finally:
        session.abort()


def look(settings: UplinkSettings) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong on this machine (agent.settings): a file of certificates that is not there, or is none."""
    if settings.tls:
        from agent.tls import look  # noqa: PLC0415  # OpenSSL is loaded for those who use it

        for setting, words in look(settings.tls.ca_file):
            yield ("tls", setting), words


def owner(settings: UplinkSettings) -> str:
    """What no second uplink may have (agent.settings): of two clients with one id a broker throws the first one out."""
    host, port = settings.address
    client = (
        "the gateway's id as client id" if settings.client_id is None else f"client id {settings.client_id}"
    )
    return f"{client} (`client_id`) at {host}:{port}"


@functools.cache
def _warn_of_silence(uplink: str) -> None:
    """Once in the life of the process for each uplink."""
    log.warning("uplink.refusals_inaudible", uplink=uplink, protocol=Version.V311.value, remedy="protocol: 5")

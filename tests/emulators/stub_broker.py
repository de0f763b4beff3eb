"""A broker that does what mosquitto cannot be made to do: chosen reason codes, acknowledgements that never come.

MQTT 5 and 3.1.1, the publishing side only. What it answers is a function of what it gets:

    async with StubBroker(puback=lambda published: 0x97) as broker: ...
    async with StubBroker(connack=0x86) as broker: ...
    async with StubBroker(properties={0x21: 3}) as broker: ...       # receive maximum 3

`puback` returns a reason code, `None` for no answer, or `Cut`. Everything that happened stands in the lists.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

CONNECT, CONNACK, PUBLISH, PUBACK, PINGREQ, PINGRESP, DISCONNECT = 1, 2, 3, 4, 12, 13, 14

_SIZES = {0x21: 2, 0x27: 4, 0x13: 2, 0x24: 1, 0x25: 1}
"""Bytes of the CONNACK properties that are numbers (MQTT 5.0, 2.2.2.2)."""


class Cut(NamedTuple):
    """Reset the connection instead of answering."""


class Published(NamedTuple):
    """A PUBLISH as it came in."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    duplicate: bool
    identifier: int
    count: int
    """How many came before it in the life of the stub."""


class Connected(NamedTuple):
    """What a CONNECT said."""

    client_id: str
    version: int
    clean: bool
    keepalive_s: int


@dataclass
class StubBroker:
    """Listens on `port` while it is entered."""

    puback: Callable[[Published], int | Cut | None] = lambda _: 0
    reason: str = ""
    """Reason string of every PUBACK that refuses, of the CONNACK and of DISCONNECT."""
    connack: int | None = 0
    """Reason code; `None` for no CONNACK at all."""
    properties: Mapping[int, int] = field(default_factory=dict)
    raw_connack: bytes | None = None
    """Sent as it stands; `connack` then only says whether the connection goes on."""
    pings: bool = True
    """Whether pings are answered."""
    connects: list[Connected] = field(default_factory=list)
    published: list[Published] = field(default_factory=list)
    disconnects: list[int] = field(default_factory=list)
    pinged: int = 0
    unanswered: int = 0
    most_unanswered: int = 0

    async def __aenter__(self) -> Self:
        self._clients: dict[asyncio.StreamWriter, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._clients:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something that the stub has seen makes this true."""
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(holds)

    async def send(self, packet: bytes) -> None:
        """Send these bytes to every client."""
        for writer in self._clients:
            writer.write(packet)
            await writer.drain()

    async def disconnect(self, code: int) -> None:
        """Send a DISCONNECT (MQTT 5) and close."""
        body = bytes([code]) + _packed(_reason_string(self.reason))
        for writer in list(self._clients):
            writer.write(_packet(DISCONNECT << 4, body))
            writer.close()

    async def acknowledge(self, *identifiers: int, code: int = 0) -> None:
        """Acknowledge what was left unanswered."""
        for identifier in identifiers:
            self.unanswered -= 1
            await self.send(self._puback(5, identifier, code))

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="stub broker")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients[writer] = 4
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, OSError):
                while await self._answered(reader, writer):
                    async with self._changed:
                        self._changed.notify_all()
        finally:
            del self._clients[writer]
            writer.close()
            async with self._changed:
                self._changed.notify_all()

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Take one packet; whether the connection goes on."""
        first, body = await _read(reader)
        kind = first >> 4
        if kind == CONNECT:
            return self._on_connect(writer, body)
        if kind == PUBLISH:
            return self._on_publish(writer, first, body)
        if kind == PINGREQ:
            self.pinged += 1
            if self.pings:
                writer.write(b"\xd0\x00")
            return True
        if kind == DISCONNECT:
            self.disconnects.append(body[0] if body else 0)
        return False

    def _on_connect(self, writer: asyncio.StreamWriter, body: bytes) -> bool:
        version, flags, keepalive_s = struct.unpack_from(">BBH", body, 6)
        at = 10 + (1 + body[10] if version == 5 else 0)
        end = at + 2 + int.from_bytes(body[at : at + 2], "big")
        self.connects.append(Connected(body[at + 2 : end].decode(), version, bool(flags & 2), keepalive_s))
        self._clients[writer] = version
        if self.raw_connack is not None:
            writer.write(self.raw_connack)
        elif self.connack is not None:
            properties = b"".join(
                bytes([key]) + value.to_bytes(_SIZES[key], "big") for key, value in self.properties.items()
            )
            beside = _packed(properties + _reason_string(self.reason)) if version == 5 else b""
            writer.write(_packet(CONNACK << 4, bytes([0, self.connack]) + beside))
        return self.connack in {0, None}

    def _on_publish(self, writer: asyncio.StreamWriter, first: int, body: bytes) -> bool:
        at = 2 + int.from_bytes(body[:2], "big")
        topic = body[2:at].decode()
        qos = first >> 1 & 3
        identifier = 0
        if qos:
            identifier = int.from_bytes(body[at : at + 2], "big")
            at += 2
        version = self._clients[writer]
        if version == 5:
            at += 1 + body[at]
        published = Published(
            topic, body[at:], qos, bool(first & 1), bool(first & 8), identifier, len(self.published)
        )
        self.published.append(published)
        answer = self.puback(published)
        if isinstance(answer, Cut):
            writer.transport.abort()
            return False
        if qos:
            self.unanswered += 1
            self.most_unanswered = max(self.most_unanswered, self.unanswered)
            if answer is not None:
                self.unanswered -= 1
                writer.write(self._puback(version, identifier, answer))
        return True

    def _puback(self, version: int, identifier: int, code: int) -> bytes:
        body = identifier.to_bytes(2, "big")
        if version == 5 and code:
            body += bytes([code]) + (_packed(_reason_string(self.reason)) if self.reason else b"")
        return _packet(PUBACK << 4, body)


async def _read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return first, await reader.readexactly(length)


def _packet(first: int, body: bytes) -> bytes:
    assert len(body) < 128, "enough for what a stub says"
    return bytes([first, len(body)]) + body


def _packed(properties: bytes) -> bytes:
    assert len(properties) < 128, "enough for what a stub says"
    return bytes([len(properties)]) + properties


def _reason_string(text: str) -> bytes:
    return b"\x1f" + struct.pack(">H", len(text)) + text.encode() if text else b""

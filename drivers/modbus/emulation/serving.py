"""Where an emulated link can be reached, and how bytes go to and from it.

TCP, TLS, UDP, pseudo-terminal --bytes--> Ear: questions --Emulator--> sayings --Wire: when--> bytes
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, cast

import structlog
from msgspec.structs import replace

from agent.clock import Clock
from agent.faults import Fault
from agent.interfaces import Unavailable
from drivers.modbus.emulation.ear import Ear
from drivers.modbus.emulation.emulator import Emulator, Unit
from drivers.modbus.emulation.pseudo_terminal import pseudo_terminal
from drivers.modbus.emulation.wire import Say, Wire
from drivers.modbus.line.ends import FramingKind, Serial, Transport
from drivers.modbus.settings import LinkSettings

log = structlog.get_logger()

MOST_UNSENT: Final = 64 * 1024
"""Bytes of answers that a client may leave unread before its connection is dropped."""


class _Connection(asyncio.Protocol):
    """One client over TCP or TLS. One that sends no Modbus, or does not read, is dropped."""

    def __init__(self, ear: Callable[[Say], Ear], connections: set[_Connection]) -> None:
        self._ear = ear(self._say)
        self._connections = connections
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the connection, so that closing the server closes it."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # whatever the cause
        """Forget the connection."""
        self._connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Hand on what came."""
        if not self._ear.hear(data) or self.transport.get_write_buffer_size() > MOST_UNSENT:
            self.transport.abort()

    def _say(self, octets: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(octets)


class _Datagrams(asyncio.DatagramProtocol):
    """All clients over UDP: a frame in each datagram."""

    def __init__(self, ear: Callable[[Say], Ear]) -> None:
        self._ear = ear
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket over."""
        self.transport = cast("asyncio.DatagramTransport", transport)  # uvloop's is one in all but name

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answer to whoever asked."""

        def say(octets: bytes) -> None:
            if not self.transport.is_closing():
                self.transport.sendto(octets, addr)

        self._ear(say).hear(data)

    def error_received(self, exc: Exception) -> None:
        """Who asked is gone."""


class Serving:
    """See `agent.interfaces.Emulation`."""

    def __init__(self, address: str, emulator: Emulator, wire: Wire) -> None:
        self.address = address
        self._emulator = emulator
        self._wire = wire

    def inflict(self, name: str, fault: Fault | None) -> None:
        """See `agent.interfaces.Emulation`."""
        self._emulator.inflict(name, fault)
        if fault is None:
            self._wire.start_over(self._emulator.units(name))

    @property
    def faults(self) -> Mapping[str, Sequence[Fault]]:
        """See `agent.interfaces.Emulation`."""
        return self._emulator.faults


@asynccontextmanager
async def serve(
    link: LinkSettings,
    clock: Clock,
    *,
    listen: str | None = None,
    certificate: Path | None = None,
    units: Mapping[int, Unit] | None = None,
) -> AsyncIterator[Serving]:
    """Serve the devices of a link where its settings lead, or at `listen`, until the block is left.

    Time goes on from the wall clock as it was at the beginning, and never back. `units` stand in for what the devices
    are configured to hold. Raises `Unavailable` when the address cannot be had.
    """
    ahead_ns = clock.wall_ns() - clock.monotonic_ns()
    emulator = Emulator(link, lambda: (clock.monotonic_ns() + ahead_ns) / 1e9, units)
    wire = Wire(link, emulator, clock.monotonic_ns)
    at = link if listen is None else _elsewhere(link, listen)

    def ear(say: Say) -> Ear:
        return Ear(link.frames, emulator, wire, say)

    try:
        async with _listening(at, ear, certificate):
            log.info("emulator.opened", link=link.id, address=at.address, devices=len(link.devices))
            yield Serving(at.address, emulator, wire)
    finally:
        wire.close()


def _elsewhere(link: LinkSettings, listen: str) -> LinkSettings:
    """The same link at another place: a path, or host and port. Raises `Unavailable` for what is neither."""
    if "/" in listen:
        if link.frames is FramingKind.TCP:
            raise Unavailable(
                f"{link.id}: expected HOST:PORT for a link with the framing tcp, found {listen}"
            )
        serial = replace(link.serial, port=Path(listen)) if link.serial else Serial(port=Path(listen))
        return replace(link, serial=serial, host=None, port=None)
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise Unavailable(f"{link.id}: expected HOST:PORT or a path, found {listen!r}")
    return replace(link, serial=None, host=host, port=int(port), framing=link.frames)


@asynccontextmanager
async def _listening(
    link: LinkSettings, ear: Callable[[Say], Ear], certificate: Path | None
) -> AsyncIterator[None]:
    """Have what comes to the address of a link heard. Raises `Unavailable`."""
    loop = asyncio.get_running_loop()
    if link.serial:
        with ExitStack() as stack:
            try:
                terminal = stack.enter_context(pseudo_terminal(link.serial.port))
            except Unavailable as error:
                raise Unavailable(f"{link.id}: {error}") from error
            stack.enter_context(terminal.heard(ear(terminal.say).hear))
            yield
        return
    context = _shown(link, certificate) if link.tls else None
    connections: set[_Connection] = set()
    try:
        if link.transport is Transport.UDP:
            datagrams, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(ear), local_addr=(link.host or "", link.network_port)
            )
            close: Callable[[], None] = datagrams.close
        else:
            server = await loop.create_server(
                lambda: _Connection(ear, connections), link.host, link.network_port, ssl=context
            )
            close = server.close
    except OSError as error:
        raise Unavailable(f"{link.id}: cannot listen at {link.address}: {error}") from error
    try:
        yield
    finally:
        close()
        for connection in tuple(connections):
            connection.transport.abort()
        if link.transport is not Transport.UDP:
            await server.wait_closed()


def _shown(link: LinkSettings, certificate: Path | None) -> ssl.SSLContext:
    """What the emulated device shows, and whom it lets in: only the agent, if that has a certificate."""
    if certificate is None:
        raise Unavailable(f"{link.id}: its devices need a certificate to show that the agent trusts")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate)
        if link.tls and link.tls.certificate_file:
            context.verify_mode = ssl.CERT_REQUIRED
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.load_verify_locations(link.tls.certificate_file)
    except OSError as error:
        raise Unavailable(f"{link.id}: cannot use the certificate: {error}") from error
    return context

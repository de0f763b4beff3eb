"""A link to somebody who answers as in a recording: the driver itself, on a connection within this machine.

The answers are those of `recorded`, with the delays that they had; everything else is as in a boiler room.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import cast

from msgspec.structs import replace

from agent.commissioning import Replay
from agent.interfaces import Context
from agent.recording import Frame
from drivers.modbus.line.ends import Transport
from drivers.modbus.link import open_link
from drivers.modbus.settings import LinkSettings
from drivers.modbus.technician.layout import LAYOUTS, Layout
from drivers.modbus.technician.recorded import Recorded


class _Peer(asyncio.Protocol):
    """One connection: questions in, recorded answers out."""

    def __init__(self, recorded: Recorded, layout: Layout) -> None:
        self._recorded = recorded
        self._layout = layout
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while whole := self._layout.whole(self._received):
            question, self._received = self._received[:whole], self._received[whole:]
            loop = asyncio.get_running_loop()
            for piece in self._recorded.answer(question):
                loop.call_later(piece.delay_ns / 1e9, self._send, piece.data)

    def _send(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)


@asynccontextmanager
async def open_replay(
    settings: LinkSettings, frames: Iterable[Frame], context: Context
) -> AsyncIterator[Replay]:
    """Open the link as configured, but over TCP within this machine, and with what was recorded at its other end."""
    layout = LAYOUTS[settings.frames]
    recorded = Recorded(frames, layout)
    units = {device.id: device.unit_id for device in settings.devices}
    server = await asyncio.get_running_loop().create_server(lambda: _Peer(recorded, layout), "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        here = replace(
            settings,
            host="127.0.0.1",
            port=port,
            serial=None,
            tls=None,
            transport=Transport.TCP,
            framing=settings.frames,
        )
        async with open_link(here, context) as link:
            yield Replay(
                link=link,
                over=lambda device: units[device] in recorded.over,
                devices=tuple(device.id for device in settings.devices if device.unit_id in recorded.units),
                remarks=lambda: recorded.missing,
            )
    finally:
        server.close()

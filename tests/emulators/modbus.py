"""Modbus TCP servers that misbehave in every way that has been seen in buildings; and one that does not.

A server answers each unit id by its own script: a list of behaviours, one for each request, of which the last goes on
for ever. A behaviour gets the request and writes whatever it likes. Devices that are well, or ill in one of the ways of
`agent.faults` for as long as one likes, are served by the driver's own `emulate`; here is what only a test wants.

    async with Server({5: [nothing], 7: [late(1.2), good]}) as server:  # everybody else is good
        ... connect to server.port ...

`python -m tests.emulators.modbus [SERVERS]` serves well-behaved devices as a process of its own, for benchmarks, and
prints the port of each server.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Self, TypeAlias

_HEADER = struct.Struct(">HHHB")
_REQUEST = struct.Struct(">HHHBBHH")
BIT_FUNCTIONS = {1, 2}


def register(unit: int, address: int) -> int:
    """What this register of this unit holds: no two near each other, and no two units, hold the same."""
    return (unit * 4099 + address * 7 + 1) & 0xFFFF


def bit(unit: int, address: int) -> bool:
    """What this coil or discrete input of this unit is."""
    return (unit + address * address) % 3 == 0


def data(unit: int, function: int, address: int, count: int) -> bytes:
    """The data of the right answer."""
    if function in BIT_FUNCTIONS:
        packed = bytearray((count + 7) // 8)
        for index in range(count):
            packed[index // 8] |= bit(unit, address + index) << (index % 8)
        return bytes(packed)
    return struct.pack(f">{count}H", *(register(unit, address + index) for index in range(count)))


class Request(NamedTuple):
    """One request to read, and the connection that it came on."""

    connection: _Connection
    identity: int
    unit: int
    function: int
    address: int
    count: int

    @property
    def pdu(self) -> bytes:
        """The right answer's PDU."""
        payload = data(self.unit, self.function, self.address, self.count)
        return bytes([self.function, len(payload)]) + payload

    def frame(
        self, pdu: bytes | None = None, *, identity: int | None = None, unit: int | None = None
    ) -> bytes:
        """An answer's frame, right where nothing else is said."""
        pdu = self.pdu if pdu is None else pdu
        identity = self.identity if identity is None else identity
        return _HEADER.pack(identity & 0xFFFF, 0, len(pdu) + 1, self.unit if unit is None else unit) + pdu

    def send(self, octets: bytes) -> None:
        """Write, if the connection is still there."""
        if not self.connection.transport.is_closing():
            self.connection.transport.write(octets)

    def close(self) -> None:
        """Close the connection in good order, once everything is sent."""
        self.connection.transport.close()

    def reset(self) -> None:
        """End the connection with a RST."""
        self.connection.reset()


Behaviour: TypeAlias = Callable[[Request], Awaitable[None]]


# --- behaviours ------------------------------------------------------------------------------------------------


async def good(request: Request) -> None:
    request.send(request.frame())


async def nothing(_: Request) -> None:
    """A unit that is dead."""


async def id_zero(request: Request) -> None:
    """A gateway that does not echo transaction ids."""
    request.send(request.frame(identity=0))


async def other_id(request: Request) -> None:
    request.send(request.frame(identity=request.identity + 1000))


async def other_unit(request: Request) -> None:
    request.send(request.frame(unit=request.unit + 1))


async def other_function(request: Request) -> None:
    """Input registers where holding registers were asked for, and the other way round."""
    request.send(request.frame(bytes([request.function ^ 7]) + request.pdu[1:]))


async def fewer(request: Request) -> None:
    """One register less, with a byte count that fits what is sent."""
    request.send(request.frame(bytes([request.function, request.pdu[1] - 2]) + request.pdu[2:-2]))


async def more(request: Request) -> None:
    """One register more, with a byte count that fits what is sent."""
    request.send(request.frame(bytes([request.function, request.pdu[1] + 2]) + request.pdu[2:] + b"\x02\x9a"))


async def lying_byte_count(request: Request) -> None:
    """The right length, and another byte count."""
    request.send(request.frame(bytes([request.function, request.pdu[1] + 2]) + request.pdu[2:]))


async def half(request: Request) -> None:
    """The first half of the right answer, and never the rest."""
    frame = request.frame()
    request.send(frame[: len(frame) // 2])


async def closes(request: Request) -> None:
    """The right answer, and then it hangs up: a device that takes one question a connection."""
    request.send(request.frame())
    request.close()


async def hangs_up(request: Request) -> None:
    """Closes in place of answering."""
    request.close()


async def resets(request: Request) -> None:
    """A RST in place of an answer."""
    request.reset()


async def twice(request: Request) -> None:
    """The right answer, and the same again."""
    request.send(request.frame() + request.frame())


async def after_a_late_one(request: Request) -> None:
    """An answer to the question before, and the right one, in one segment."""
    request.send(request.frame(identity=request.identity - 1) + request.frame())


async def before_a_foreign_one(request: Request) -> None:
    """The right answer, and one to a question that nobody asked, in one segment."""
    request.send(request.frame() + request.frame(identity=request.identity + 1000))


async def piecemeal(request: Request) -> None:
    """One byte at a time, each in a segment of its own."""
    for octet in request.frame():
        request.send(bytes([octet]))
        await asyncio.sleep(0)


def garbage(octets: bytes) -> Behaviour:
    """These bytes in place of an answer."""

    async def behaviour(request: Request) -> None:
        request.send(octets)

    return behaviour


def refuses(code: int) -> Behaviour:
    """An exception."""

    async def behaviour(request: Request) -> None:
        request.send(request.frame(bytes([request.function | 0x80, code])))

    return behaviour


def at(address: int, behaviour: Behaviour, otherwise: Behaviour | None = None) -> Behaviour:
    """Behaves like this where this address is the first that is asked for, and else like `otherwise`: good."""

    async def chosen(request: Request) -> None:
        await (behaviour if request.address == address else otherwise or good)(request)

    return chosen


def without(*addresses: int, code: int = 2) -> Behaviour:
    """A device that does not have these addresses, and refuses whatever is asked for with one of them."""

    async def behaviour(request: Request) -> None:
        asked = range(request.address, request.address + request.count)
        await (refuses(code) if any(address in asked for address in addresses) else good)(request)

    return behaviour


class SerialGateway:
    """A gateway in front of a serial line: one request after the other, and each dead unit holds it up for a while.

    Its time limit is not the client's: what was asked meanwhile is answered late, by units that are quite well.
    """

    def __init__(self, dead: Sequence[int], hold_s: float) -> None:
        self._dead = dead
        self._hold_s = hold_s
        self._line = asyncio.Lock()

    async def __call__(self, request: Request) -> None:
        async with self._line:
            if request.unit in self._dead:
                await asyncio.sleep(self._hold_s)
            else:
                await good(request)


def late(seconds: float, then: Behaviour = good) -> Behaviour:
    """Behaves after this long."""

    async def behaviour(request: Request) -> None:
        await asyncio.sleep(seconds)
        await then(request)

    return behaviour


# --- the server ------------------------------------------------------------------------------------------------


class Server:
    """Serves every unit id on a free port of the loopback, each by its script."""

    def __init__(
        self,
        scripts: Mapping[int, Sequence[Behaviour]] | None = None,
        default: Behaviour = good,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.scripts = {unit: list(script) for unit, script in (scripts or {}).items()}
        self.default = default
        self.tls = tls
        self.port = 0
        self.connections = 0
        self.requests: Counter[int] = Counter()
        """By unit id."""
        self.asked = asyncio.Event()
        """Set at every request."""
        self.idle = asyncio.Event()
        """Set while nobody is connected."""
        self.open: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.refuse()
        for connection in list(self.open):
            connection.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def listen(self) -> None:
        """Accept connections, again on the same port."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(self), "127.0.0.1", self.port, ssl=self.tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Refuse connections from now on; those that are there stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def close_all(self) -> None:
        """Close every connection in good order."""
        for connection in list(self.open):
            connection.transport.close()

    def reset_all(self) -> None:
        """End every connection with a RST."""
        for connection in list(self.open):
            connection.reset()

    def _take(self, request: Request) -> None:
        self.requests[request.unit] += 1
        self.asked.set()
        script = self.scripts.get(request.unit)
        behaviour = self.default if not script else script.pop(0) if len(script) > 1 else script[0]
        task = asyncio.get_running_loop().create_task(behaviour(request))  # type: ignore[arg-type]  coroutines all
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Connection(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._received = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._server.connections += 1
        self._server.open.add(self)
        self._server.idle.clear()

    def reset(self) -> None:
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def connection_lost(self, _: Exception | None) -> None:
        self._server.open.discard(self)
        if not self._server.open:
            self._server.idle.set()

    def data_received(self, octets: bytes) -> None:
        self._received += octets
        while len(self._received) >= _REQUEST.size:
            identity, _, _, unit, function, address, count = _REQUEST.unpack_from(self._received)
            self._received = self._received[_REQUEST.size :]
            self._server._take(Request(self, identity, unit, function, address, count))


# --- well-behaved and fast, as a process of its own ------------------------------------------------------------


class _Fast(asyncio.Protocol):
    """Answers every unit alike, from one buffer of registers: as little work as can be."""

    _registers = data(1, 3, 0, 125)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, octets: bytes) -> None:
        for start in range(0, len(octets) - _REQUEST.size + 1, _REQUEST.size):
            identity, _, _, unit, function, _, count = _REQUEST.unpack_from(octets, start)
            size = (count + 7) // 8 if function in BIT_FUNCTIONS else count * 2
            header = _HEADER.pack(identity, 0, size + 3, unit)
            self._transport.write(header + bytes([function, size]) + self._registers[:size])


async def _serve(servers: int) -> None:
    loop = asyncio.get_running_loop()
    opened = [await loop.create_server(_Fast, "127.0.0.1", 0) for _ in range(servers)]
    print(*(server.sockets[0].getsockname()[1] for server in opened), flush=True)
    # Ends when whoever started it does: standard input is then at its end.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]) if len(sys.argv) > 1 else 1))

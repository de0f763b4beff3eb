"""Modbus over UDP: each datagram is a frame, and the network may lose, double and misdirect them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta

import pytest

from agent.clock import Clock
from agent.interfaces import Context, Unavailable
from agent.memory import MemoryFile
from agent.sample import Reason
from drivers.modbus import open as open_link
from drivers.modbus.line.ends import FramingKind, Transport
from drivers.modbus.profile import PointSettings
from drivers.modbus.settings import DeviceSettings, LinkSettings
from drivers.modbus.values.registers import Table, Type
from tests.emulators.modbus import data, register
from tests.emulators.ports import free_port
from tests.emulators.serial_line import right

LIMIT_S = 30.0
SOON_S = 0.06
VALUE = (register(5, 100),)


class Host(asyncio.DatagramProtocol):
    """Answers each datagram with those that `answer` makes of it."""

    def __init__(self, answer: Callable[[bytes], Iterable[bytes]]) -> None:
        self._answer = answer
        self.client = ("", 0)

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, octets: bytes, address) -> None:
        self.client = address
        for datagram in self._answer(octets):
            self.transport.sendto(datagram, address)


def mbap(request: bytes) -> bytes:
    unit, function = request[6], request[7]
    payload = data(unit, function, int.from_bytes(request[8:10]), int.from_bytes(request[10:12]))
    pdu = bytes([function, len(payload)]) + payload
    return request[:4] + (len(pdu) + 1).to_bytes(2) + bytes([unit]) + pdu


@asynccontextmanager
async def hosted(answer: Callable[[bytes], Iterable[bytes]]):
    transport, host = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Host(answer), local_addr=("127.0.0.1", 0)
    )
    try:
        yield host
    finally:
        transport.close()


def opened(port: int, timeout_s: float = LIMIT_S, framing: FramingKind | None = None):
    point = PointSettings(name="at-100", table=Table.HOLDING, address=100, register_type=Type.UINT16)
    device = DeviceSettings(
        id="unit-5",
        unit_id=5,
        points=(point,),
        interval=timedelta(seconds=0.1),
        timeout=timedelta(seconds=timeout_s),
    )
    settings = LinkSettings(
        id="plant",
        driver="modbus",
        host="127.0.0.1",
        port=port,
        transport=Transport.UDP,
        framing=framing,
        devices=(device,),
    )
    return open_link(settings, Context(Clock(), MemoryFile().part("test")))


@asynccontextmanager
async def sampled(here):
    """Gives the next sample that is wanted, as often as it is called."""
    async with asyncio.timeout(LIMIT_S), aclosing(here.source("unit-5")) as samples:

        async def take(wanted: Callable[..., bool] = lambda _: True):
            while not wanted(sample := await anext(samples)):
                pass
            return sample

        yield take


@pytest.mark.parametrize(
    ("framing", "answer"),
    [
        (FramingKind.TCP, lambda request: [mbap(request)]),
        (FramingKind.TCP, lambda request: [mbap(request)] * 3),
        (FramingKind.TCP, lambda request: [b"\0" * 400, mbap(request)]),
        (FramingKind.RTU, lambda request: [right(request)]),
    ],
    ids=["one", "thrice", "behind one that is too long", "rtu"],
)
async def test_readings_come(framing, answer):
    """Whatever else comes with them."""
    async with hosted(answer) as host, opened(host.port, framing=framing) as here, sampled(here) as take:
        assert [(await take()).values for _ in range(3)] == [VALUE] * 3


async def test_a_lost_datagram_is_a_time_out():
    """And the next is asked on the same socket."""
    lost = [True]
    async with (
        hosted(lambda request: [] if lost and lost.pop() else [mbap(request)]) as host,
        opened(host.port, SOON_S) as here,
        sampled(here) as take,
    ):
        sample = await take(lambda sample: sample.reasons)
        assert Reason(sample.reasons[0]) is Reason.TIMEOUT
        assert (await take(lambda sample: not sample.reasons)).values == VALUE
        assert here.counts["reconnects"] == 0


async def test_half_a_frame_is_none():
    """What is cut off is never continued by the next datagram: it is asked again, on another socket."""
    cut = [True, False]

    def answer(request: bytes) -> list[bytes]:
        return [mbap(request)[:9], mbap(request)[9:]] if cut and cut.pop() else [mbap(request)]

    async with hosted(answer) as host, opened(host.port) as here, sampled(here) as take:
        assert [(await take()).values for _ in range(3)] == [VALUE] * 3
        assert here.counts["reconnects"] == 1


async def test_a_datagram_from_elsewhere_is_ignored():
    """Whoever guesses our port cannot answer for the device."""
    requests: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:

        def misdirected(request: bytes) -> list[bytes]:
            requests.append(request)
            forged = bytearray(mbap(request))
            forged[-1] ^= 0xFF
            stranger.sendto(forged, host.client)
            return [mbap(request)]

        async with hosted(misdirected) as host, opened(host.port) as here, sampled(here) as take:
            assert [(await take()).values for _ in range(3)] == [VALUE] * 3


async def test_nobody_listens():
    """The host says so, and the link is lost with words that say it."""
    with pytest.raises(Unavailable, match="nobody listens on this UDP port"):
        async with opened(free_port()) as here, sampled(here) as take:
            await take()

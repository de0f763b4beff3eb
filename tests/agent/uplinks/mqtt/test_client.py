"""The client on its wire, without a network: whatever bytes come, in whatever pieces, nothing is raised."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.interfaces import Unavailable
from agent.uplinks.mqtt.client import Client
from agent.uplinks.mqtt.connecting import Target
from agent.uplinks.mqtt.session import Session
from agent.uplinks.mqtt.settings import Version
from agent.uplinks.mqtt.wire import RECEIVE_BYTES, Wire
from agent.upstream import Message
from tests.emulators import mqtt_session

CONNACK = {Version.V5: b"\x20\x03\x00\x00\x00", Version.V311: b"\x20\x02\x00\x00"}
PACKETS = st.builds(
    lambda first, body: bytes([first, len(body)]) + body,
    st.sampled_from([0x20, 0x30, 0x32, 0x34, 0x40, 0x50, 0x62, 0x70, 0x90, 0xB0, 0xD0, 0xE0, 0xF0]),
    st.binary(max_size=30),
)


def deliver(wire: Wire, data: bytes) -> None:
    for start in range(0, len(data), RECEIVE_BYTES):
        piece = data[start : start + RECEIVE_BYTES]
        wire.get_buffer(-1)[: len(piece)] = piece
        wire.buffer_updated(len(piece))


@given(
    st.sampled_from(Version),
    st.sampled_from(["before", "after"]),
    st.lists(PACKETS | st.binary(max_size=20), max_size=8),
)
@settings(deadline=None, max_examples=300)
def test_whatever_a_broker_sends_nothing_is_raised(version: Version, when: str, pieces: list[bytes]) -> None:
    """Before and after the CONNACK, in both protocols: the session goes on, or ends with words."""

    async def session() -> None:
        wire = Wire()
        client = Client(wire, mqtt_session.settings(1883, protocol=version), "gw-1", None)
        ends: list[str] = []
        client.ended = ends.append
        opening = asyncio.ensure_future(client.open())
        await asyncio.sleep(0)
        if when == "after":
            deliver(wire, CONNACK[version])
            await opening
            client.send(Message("t", b"x"))
        for piece in pieces:
            deliver(wire, piece)
            await asyncio.sleep(0)
        wire.connection_lost(None)
        await asyncio.gather(opening, return_exceptions=True)
        assert ends
        assert all(ends)

    asyncio.run(session())


@pytest.mark.parametrize("goodbye", [b"", b"\xe0\x02\x8b\x00"], ids=["closed", "disconnected"])
def test_an_end_before_anybody_listens_is_not_missed(goodbye: bytes) -> None:
    """The CONNACK and the end of the connection may come in one turn of the loop, before there is a session."""

    async def session() -> None:
        wire = Wire()
        settings = mqtt_session.settings(1883)
        client = Client(wire, settings, "gw-1", None)
        opening = asyncio.ensure_future(client.open())
        await asyncio.sleep(0)
        deliver(wire, CONNACK[Version.V5] + goodbye)
        wire.connection_lost(None)
        await opening
        session = Session(settings, Target("host", 1883, 1, 1), wire, client)
        async with asyncio.timeout(10):
            with pytest.raises(Unavailable, match=r"^host:1883: "):
                await session.lost()

    asyncio.run(session())


def test_pieces_of_any_size_are_one_stream() -> None:
    """A CONNACK and acknowledgements that come byte by byte, or all at once, are the same."""

    async def session(size: int) -> list[tuple[int, int, str]]:
        wire = Wire()
        client = Client(wire, mqtt_session.settings(1883), "gw-1", None)
        answers: list[tuple[int, int, str]] = []
        client.acknowledged = lambda *answer: answers.append(answer)
        opening = asyncio.ensure_future(client.open())
        await asyncio.sleep(0)
        stream = (
            CONNACK[Version.V5]
            + b"\x40\x02\x00\x01"
            + b"\x40\x0a\x00\x02\x97\x06\x1f\x00\x03why"
            + b"\x40\x03\x00\x03\x10"
        )
        for start in range(0, len(stream), size):
            deliver(wire, stream[start : start + size])
        await opening
        return answers

    expected = [(1, 0, ""), (2, 0x97, "why"), (3, 0x10, "")]
    for size in (1, 2, 3, 5, 100):
        assert asyncio.run(session(size)) == expected

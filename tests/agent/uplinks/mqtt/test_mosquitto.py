"""The MQTT uplink against a real mosquitto."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.fields import Secret
from agent.interfaces import Answer, FormatBase, Gateway, Message, Unavailable
from agent.uplinks import mqtt
from agent.uplinks.mqtt.settings import TlsSettings, Version
from tests.emulators.broker import Broker, Seen
from tests.emulators.certificates import Authority

IN_TIME_S = 20.0


def settings(port: int, **changes: Any) -> mqtt.UplinkSettings:
    return mqtt.UplinkSettings(
        **{"id": "city", "kind": "mqtt", "format": FormatBase(kind="json"), "host": "127.0.0.1", "port": port}
        | changes
    )


def connect(settings: mqtt.UplinkSettings, gateway: Gateway, will: Message | None = None):
    return mqtt.connect(settings, gateway, will, lambda topic, payload: None)


def message(number: int, topic: str = "t/live", size: int = 0) -> Message:
    return Message(topic, b"%d" % number + b"." * size, content_type="application/json")


WILL = Message("t/status", b"gone", retain=True)


@pytest.mark.parametrize("protocol", list(Version))
async def test_messages_arrive_and_are_accepted(broker: Broker, gateway: Gateway, protocol: Version) -> None:
    """What is published arrives at a subscriber as it was, and the broker answers for each."""
    async with (
        broker.subscriber("t/#") as seen,
        connect(settings(broker.port, protocol=protocol), gateway) as session,
        asyncio.timeout(IN_TIME_S),
    ):
        messages = [message(number, size=2000) for number in range(100)]
        verdicts = await asyncio.gather(*(session.publish(one) for one in messages))
        assert {verdict.answer for verdict in verdicts} == {Answer.ACCEPTED}
        got = [await seen.get() for _ in messages]
        assert sorted(got) == sorted(Seen(one.topic, one.payload, retain=False) for one in messages)


async def test_a_clean_end_keeps_the_will_unsaid(broker: Broker, gateway: Gateway) -> None:
    """What is published last arrives, and then a DISCONNECT: the broker forgets the will."""
    async with broker.subscriber("t/#") as seen, asyncio.timeout(IN_TIME_S):
        async with connect(settings(broker.port), gateway, WILL) as session:
            await session.publish(Message("t/status", b"bye", retain=True))
        async with connect(settings(broker.port), gateway) as session:
            await session.publish(message(1))
        assert [(await seen.get()).payload for _ in range(2)] == [b"bye", b"1"]

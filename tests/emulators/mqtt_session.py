"""Sessions of the MQTT uplink with a broker on loopback: what the tests of it, and of what uses it, have in common."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

from agent.fields import Place
from agent.uplinks import mqtt
from agent.upstream import FormatBase, Gateway, Message

GATEWAY = Gateway(id="gw-1", place=Place(), version="0")


def settings(port: int | None, **changes: Any) -> mqtt.UplinkSettings:
    """An uplink to this port, with whatever else is said."""
    plain = {
        "id": "city",
        "kind": "mqtt",
        "format": FormatBase(kind="json"),
        "host": "127.0.0.1",
        "port": port,
    }
    return mqtt.UplinkSettings(**(plain | changes))


def connect(port: int, will: Message | None = None, **changes: Any) -> AbstractAsyncContextManager[Any]:
    """A session of gateway gw-1."""
    return mqtt.connect(settings(port, **changes), GATEWAY, will, lambda topic, payload: None)


def numbered(number: int, size: int = 0, topic: str = "t/live") -> Message:
    """A message that can be told from the others."""
    return Message(topic, b"%d" % number + b"." * size, content_type="application/json")

"""What an operator writes about an MQTT broker."""

from __future__ import annotations

import enum
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from agent.fields import Limits, Secret, Size
from agent.interfaces import Settings
from agent.upstream import UplinkBase

PLAIN_PORT = 1883
TLS_PORT = 8883
"""Both as registered with IANA: mqtt and secure-mqtt."""


class Version(enum.Enum):
    """Which MQTT is spoken."""

    V5 = "5"
    """The broker says whether it takes a message, and why not."""
    V311 = "3.1.1"
    """The broker cannot refuse a message: one that it drops looks like one that it took."""


class TlsSettings(Settings, frozen=True, kw_only=True):
    """How the broker proves who it is. Its name and its certificate are always checked."""

    ca_file: Annotated[
        Path | None,
        Meta(description="PEM file with the only authorities that are trusted; the system's if left out."),
    ] = None


class UplinkSettings(UplinkBase, frozen=True, kw_only=True):
    """An MQTT broker."""

    host: Annotated[str, Meta(min_length=1, max_length=253, description="Name or address of the broker.")]
    port: Annotated[int | None, Meta(ge=1, le=65535, description="1883 if left out; 8883 with tls.")] = None
    tls: Annotated[
        TlsSettings | None,
        Meta(description="Left out: the connection is not encrypted. {}: system authorities."),
    ] = None
    protocol: Annotated[
        Version,
        Meta(
            description="5, or 3.1.1 for a broker that knows no better; that one cannot refuse a message aloud."
        ),
    ] = Version.V5
    client_id: Annotated[
        str | None,
        Meta(
            min_length=1,
            max_length=128,
            description="Unique at the broker: two clients of one id throw each other out. The gateway's id if left out.",
        ),
    ] = None
    username: Annotated[str, Meta(min_length=1)] | None = None
    password: Secret | None = None
    keepalive: Annotated[
        timedelta,
        Limits("5s", "1h"),
        Meta(
            description="How long the connection may be silent before both sides test it; the broker may demand less."
        ),
    ] = timedelta(seconds=20)
    window: Annotated[
        int, Meta(ge=1, le=1000, description="Messages on the way at once; the broker may demand fewer.")
    ] = 32
    max_packet_size: Annotated[
        Size,
        Limits("1KiB", "16MiB"),
        Meta(description="Longest packet that is sent; the broker may demand less."),
    ] = Size(256 * 1024)
    connect_timeout: Annotated[
        timedelta,
        Limits("1s", "5min"),
        Meta(description="How long name, connection, TLS and the broker's answer may take together."),
    ] = timedelta(seconds=10)
    ack_timeout: Annotated[
        timedelta,
        Limits("1s", "10min"),
        Meta(
            description="A broker that acknowledges nothing for so long is given up, although it may answer pings."
        ),
    ] = timedelta(seconds=15)

    def __post_init__(self) -> None:
        """Raises `ValueError` for a password that belongs to nobody."""
        if self.password is not None and self.username is None:
            raise ValueError("a password needs a username beside it")

    @property
    def address(self) -> tuple[str, int]:
        """Where the broker listens."""
        return self.host, self.port or (PLAIN_PORT if self.tls is None else TLS_PORT)

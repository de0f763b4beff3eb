"""Where a link leads: a network address or a serial line, and how frames lie on it. What an operator writes about it."""

from __future__ import annotations

import enum
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from agent.fields import Limits
from agent.interfaces import Settings
from drivers.modbus.line.line_time import LineTime


class Transport(enum.Enum):
    """What carries frames to a host."""

    TCP = "tcp"
    UDP = "udp"
    """A lost datagram is a question that is not answered in time."""


class FramingKind(enum.Enum):
    """How frames lie on the line."""

    TCP = "tcp"
    """With a header and a transaction id: what Modbus TCP devices and most gateways speak."""
    RTU = "rtu"
    """Binary, with a checksum: serial lines, and gateways that pass their bytes on as they are."""
    ASCII = "ascii"
    """Hexadecimal digits in lines of text: old controllers and modems."""


class Parity(enum.Enum):
    """The bit that is added to each character."""

    NONE = "none"
    EVEN = "even"
    ODD = "odd"


class Level(enum.Enum):
    """Of a control line."""

    HIGH = "high"
    LOW = "low"


class Rs485(Settings, frozen=True, kw_only=True):
    """Has the port's own driver switch the direction of an RS-485 transceiver by its RTS line (Linux: TIOCSRS485)."""

    rts_when_sending: Annotated[
        Level, Meta(description="high or low: what the transceiver takes as `send`.")
    ] = Level.HIGH
    delay_before: Annotated[
        timedelta, Limits("0ms", "100ms"), Meta(description="Between switching to `send` and the first bit.")
    ] = timedelta(0)
    delay_after: Annotated[
        timedelta, Limits("0ms", "100ms"), Meta(description="Between the last bit and switching back.")
    ] = timedelta(0)


class Serial(Settings, frozen=True, kw_only=True):
    """A serial line. Speed, parity and stop bits are those of every device on it."""

    port: Annotated[
        Path,
        Meta(
            description="Such as /dev/serial/by-id/usb-FTDI_...: a name that stays when something else is plugged in."
        ),
    ]
    speed: Annotated[int, Meta(ge=300, le=4_000_000, description="Bits a second.")] = 9600
    parity: Annotated[Parity, Meta(description="none, even or odd.")] = Parity.NONE
    stop_bits: Annotated[int, Meta(ge=1, le=2, description="1 or 2.")] = 1
    data_bits: Annotated[int, Meta(ge=7, le=8, description="8; ASCII may have 7.")] = 8
    rs485: Annotated[
        Rs485 | None,
        Meta(
            description="For ports whose driver switches the direction; adapters that do it themselves need none."
        ),
    ] = None

    @property
    def character_bits(self) -> int:
        """Bits of one character on the line."""
        return 1 + self.data_bits + (self.parity is not Parity.NONE) + self.stop_bits

    def line_time(self, framing: FramingKind) -> LineTime:
        """How long bytes take on it."""
        return LineTime(speed=self.speed, bits=self.character_bits, silent=framing is not FramingKind.ASCII)


class Tls(Settings, frozen=True, kw_only=True):
    """Modbus/TCP Security: both ends prove who they are (MB-TCP-Security-v21). The device's certificate is always checked."""

    ca_file: Annotated[
        Path | None,
        Meta(description="PEM file with the only authorities that are trusted; the system's if left out."),
    ] = None
    certificate_file: Annotated[
        Path | None, Meta(description="PEM file with our own certificate, for devices that ask for one.")
    ] = None
    key_file: Annotated[
        Path | None,
        Meta(description="PEM file with its key, without a password; in certificate_file if left out."),
    ] = None
    server_name: Annotated[
        str | None, Meta(description="The name in the device's certificate; the host if left out.")
    ] = None

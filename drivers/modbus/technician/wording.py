"""How a line is called to a person, and how links stand in the configuration. Pure."""

from __future__ import annotations

from typing import Any

from drivers.modbus.line.ends import FramingKind, Parity, Serial, Transport
from drivers.modbus.settings import LinkSettings


def line_name(link: LinkSettings) -> str:
    """`192.0.2.10:502`; `/dev/ttyUSB0 at 9600 8N1`; with what is not usual of it."""
    name = link.address
    if link.serial is not None:
        name += f" at {link.serial.speed} {characters(link.serial)}"
    usual = FramingKind.RTU if link.serial else FramingKind.TCP
    if link.frames is not usual:
        name += f", {link.frames.value} frames"
    return name


def characters(serial: Serial) -> str:
    """How characters are sent, as makers write it: `8N1`."""
    return f"{serial.data_bits}{serial.parity.value[0].upper()}{serial.stop_bits}"


def link_entry(link: LinkSettings) -> dict[str, Any]:
    """The settings of a link, as far as they are not the defaults, without its devices."""
    entry: dict[str, Any] = {"id": link.id, "driver": "modbus"}
    if link.serial is not None:
        entry["serial"] = {"port": str(link.serial.port), "speed": link.serial.speed}
        if link.serial.parity is not Parity.NONE:
            entry["serial"]["parity"] = link.serial.parity.value
        if link.serial.stop_bits != 1:
            entry["serial"]["stop_bits"] = link.serial.stop_bits
    else:
        entry["host"] = link.host
    if link.port is not None:
        entry["port"] = link.port
    if link.transport is not Transport.TCP:
        entry["transport"] = link.transport.value
    if link.framing is not None:
        entry["framing"] = link.framing.value
    return entry

"""How a line is called to a person, and how links stand in the configuration. Pure."""

from __future__ import annotations

from typing import Any

from drivers.modbus.settings import LinkSettings


def line_name(link: LinkSettings) -> str:
    """`192.0.2.10:502`."""
    return f"{link.host}:{link.port}"


def link_entry(link: LinkSettings) -> dict[str, Any]:
    """The settings of a link, as far as they are not the defaults, without its devices."""
    entry: dict[str, Any] = {"id": link.id, "driver": "modbus", "host": link.host}
    if link.port != 502:  # noqa: PLR2004  # the port of Modbus TCP
        entry["port"] = link.port
    return entry

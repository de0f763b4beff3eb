"""What of a link fits together: who owns where it leads, what cannot be, and what works and may hurt later.

As `agent.settings` asks of a driver: the path to the setting, and what is wrong with it. What the line has no time
for is found in `bus_time`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from agent.fields import duration_text
from drivers.modbus.line.ends import FramingKind, Transport
from drivers.modbus.line.ports import FOLDERS, UNSTABLE, lasting_name
from drivers.modbus.settings import LinkSettings

RTU_BITS: Final = 8
"""Of a character of RTU (Modbus over Serial Line V1.02, 2.5.1)."""
BROADCAST: Final = 0
"""The unit id that every device hears and none answers to (the same, 2.2)."""
MOST_UNIT: Final = 247
"""The last one that a device may have (the same)."""

LOOPBACK: Final = {"localhost", "127.0.0.1", "::1"}
"""Names of this machine itself: what listens at one of them is meant by all."""


def owner(link: LinkSettings) -> str:
    """What only one link may hold: two links to the same address or port would disturb each other."""
    if link.serial:
        return str(link.serial.port.resolve())
    host = (link.host or "").lower()
    return f"{'localhost' if host in LOOPBACK else host}:{link.network_port}"


def problems(link: LinkSettings) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What does not fit together between the devices of a link: the path to the setting, and what is wrong with it."""
    yield from _problems_of_the_way(link)
    slowest = max((device.limit(link.timeout) for device in link.devices), default=link.timeout)
    if link.quiet is not None and link.quiet < slowest:
        expected, found = duration_text(slowest), duration_text(link.quiet)
        yield (
            ("quiet",),
            f"quiet: expected no less than the longest timeout of the link, {expected}, found {found}",
        )


def _problems_of_the_way(link: LinkSettings) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What does not fit together about where the link leads."""
    if link.serial is None:
        yield from _problems_of_the_host(link)
        return
    for name, given in (("host", link.host), ("port", link.port), ("tls", link.tls)):
        if given is not None:
            yield (
                (name,),
                f"{name}: expected none beside `serial`: a link leads to a host or to a serial line",
            )
    if link.transport is not Transport.TCP:
        yield ("transport",), "transport: expected none beside `serial`: that is for hosts"
    if link.frames is FramingKind.TCP:
        yield ("framing",), "framing: expected rtu or ascii on a serial line, found tcp"
    if not link.serial.port.is_absolute():
        yield (
            ("serial", "port"),
            f"port: expected a path that begins with /, such as {FOLDERS[0]}/..., found {str(link.serial.port)!r}",
        )
    if link.serial.data_bits != RTU_BITS and link.frames is FramingKind.RTU:
        yield (
            ("serial", "data_bits"),
            f"data_bits: expected {RTU_BITS} with the framing rtu, found {link.serial.data_bits}",
        )


def _problems_of_the_host(link: LinkSettings) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The same of a link over the network."""
    if link.host is None:
        yield (
            (),
            "host: expected the name or address of the device, or `serial` with a port; found neither",
        )
    elif found := _more_than_a_host(link.host):
        yield ("host",), f"host: expected a name or an address alone, found {link.host!r}{found}"
    if link.tls and (link.transport is Transport.UDP or link.frames is not FramingKind.TCP):
        yield ("tls",), "tls: expected transport tcp and framing tcp with it; nothing else is encrypted"
    if link.tls and link.tls.key_file and not link.tls.certificate_file:
        yield ("tls", "key_file"), "key_file: expected certificate_file beside it, found none"


def _more_than_a_host(host: str) -> str:
    """What else stands where a host should, and where that belongs: `tcp://192.0.2.10`, `192.0.2.10:502`; else nothing."""
    bare = host.partition("://")[2] or host
    name, _, port = bare.rstrip("/").partition(":")
    if port.isdecimal():  # an IPv6 address has more colons than one
        return f": write host: {name}, port: {port}"
    return f": write {bare.rstrip('/')}" if "/" in host else ""


def warnings(link: LinkSettings) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What will work, and may hurt later: as `problems`."""
    if link.serial and UNSTABLE.fullmatch(str(link.serial.port)):
        instead = lasting_name(link.serial.port) or f"its name under {FOLDERS[0]}"
        yield (
            ("serial", "port"),
            f"port: {link.serial.port} may be another adapter after the next start: write {instead} instead",
        )
    said: set[str] = set()
    first: dict[int, str] = {}
    for index, device in enumerate(link.devices):
        unit, where = device.unit_id, ("devices", index, "unit_id")
        other = first.setdefault(unit, device.id)
        if other != device.id:
            yield where, f"unit_id: {device.id} has {unit}, as {other} has: both read the same device"
        elif link.serial and not BROADCAST < unit <= MOST_UNIT:
            yield where, f"unit_id: no device on a serial line answers to {unit}: expected 1 to {MOST_UNIT}"
        doubt = device.profile and device.profile.unverified
        if doubt and doubt not in said:
            said.add(doubt)
            yield ("devices", index, "profile"), f"profile: not verified: {doubt}"


def look(link: LinkSettings) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What is wrong on this machine: a file for TLS that is not there, or does not hold what it should."""
    if link.tls:
        from agent.tls import look  # noqa: PLC0415  # OpenSSL is loaded for those who use it

        for setting, words in look(link.tls.ca_file, link.tls.certificate_file, link.tls.key_file):
            yield ("tls", setting), words

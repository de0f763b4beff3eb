"""Modbus: registers and bits of devices that answer when asked.

    settings --plan--> blocks --link: one request after another--> bytes --block, codec--> values of a sample

What a device type has is data (`profile`, `profiles/`, SunSpec `models/`), what an operator writes is in `settings`,
`point` and `timing`; what waits for devices is `link`. Behind it, in the order of the picture:

    values/       registers become values, and back; points are planned into blocks (pure)
    polling/      who is asked when, and what follows from how it answers
    line/         how a question gets to a device and its answer back, and which answer is believed
    writing/      how one point is written
    emulation/    the devices of a link, served
    technician/   what can be done in front of a device

pymodbus is imported only when a link is opened or emulated, as reading the configuration does not need it.
"""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from agent.clock import Clock
from agent.commissioning import Commissioning
from agent.interfaces import Context, Emulation, Link
from drivers.modbus import addressing, fitting
from drivers.modbus.fitting import look, owner
from drivers.modbus.polling import bus_time
from drivers.modbus.polling.bus_time import notes
from drivers.modbus.settings import (
    DeviceSettings,
    LinkSettings,
    allowance,
    as_written,
    doubt,
    intervals,
    point_settings,
    points,
)

__all__ = [
    "VITALS",
    "DeviceSettings",
    "LinkSettings",
    "allowance",
    "as_written",
    "commissioning",
    "doubt",
    "emulate",
    "intervals",
    "look",
    "notes",
    "open",
    "owner",
    "point_settings",
    "points",
    "problems",
    "warnings",
]


VITALS = (
    "requests",
    "answers",
    "timeouts",
    "exceptions",
    "malformed",
    "foreign",
    "late",
    "reconnects",
    "missed_slots",
    "utilisation",
    "lateness_ms",
)
"""Of what a link counts and measures, what is reported of it."""


def problems(link: LinkSettings) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What is wrong with a link beyond its single settings: what does not fit together, and what its line cannot do."""
    yield from fitting.problems(link)
    yield from addressing.problems(link)
    yield from bus_time.problems(link)


def warnings(link: LinkSettings) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What will work, and is a mistake more often than not; as `problems`."""
    yield from fitting.warnings(link)
    yield from addressing.warnings(link)


def open(link: LinkSettings, context: Context) -> AbstractAsyncContextManager[Link]:  # noqa: A001  # the seam's name
    """Open a link; see `agent.interfaces.Driver`."""
    from drivers.modbus.link import open_link  # noqa: PLC0415  # pymodbus costs 50 ms

    return open_link(link, context)


def emulate(
    link: LinkSettings, clock: Clock, *, listen: str | None = None, certificate: Path | None = None
) -> AbstractAsyncContextManager[Emulation]:
    """Serve the devices of a link; see `agent.interfaces.Driver`. Raises `Unavailable` when the address cannot be had."""
    from drivers.modbus.emulation.serving import serve  # noqa: PLC0415  # pymodbus costs 50 ms

    return serve(link, clock, listen=listen, certificate=certificate)


def commissioning() -> Commissioning:
    """What a technician can do in front of the device; see `agent.commissioning`."""
    from drivers.modbus.technician import tools  # noqa: PLC0415  # only a technician's commands need it

    return tools

"""What a technician in front of the device can do with Modbus: the options, and who does what they ask for.

See `agent.commissioning.Commissioning`, which this module is.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

from msgspec.structs import replace

from agent import fields, units
from agent.commissioning import Guest, Probed, Replay, Search, Visit
from agent.interfaces import Context, Unavailable
from agent.recording import Frame
from agent.sample import Sample
from drivers.modbus.line.ends import FramingKind, Parity, Serial, Transport
from drivers.modbus.settings import DeviceSettings, LinkSettings
from drivers.modbus.technician import scan as scanning
from drivers.modbus.technician.inquiry import Request, Response
from drivers.modbus.technician.plausible import expectation
from drivers.modbus.technician.probing import probed
from drivers.modbus.technician.search import Searching
from drivers.modbus.values.registers import Table

T = TypeVar("T")

TIMEOUT: Final = timedelta(seconds=1)
SERIAL_TIMEOUT: Final = timedelta(milliseconds=300)
"""Most devices answer within 100 ms, and a search of a serial line asks many that are not there."""


def add_place(parser: argparse.ArgumentParser) -> None:
    """Where a line is that no configuration knows."""
    parser.add_argument(
        "--host", metavar="HOST", help="name or address of a device or gateway on the network"
    )
    parser.add_argument("--port", type=int, metavar="N", help="its port (default: 502)")
    parser.add_argument("--serial", type=Path, metavar="PATH", help="a serial port: /dev/serial/by-id/...")
    parser.add_argument(
        "--speeds",
        type=_said(_speeds),
        default=scanning.SPEEDS,
        metavar="LIST",
        help=f"speeds of the serial line, such as 9600,19200 (default: {_listed(scanning.SPEEDS)})",
    )
    parser.add_argument(
        "--parities",
        type=_said(_parities),
        default=("none", "even"),
        metavar="LIST",
        help="parities of the serial line: none, even, odd (default: none,even)",
    )
    parser.add_argument(
        "--stop-bits", type=int, choices=(1, 2), default=1, help="of the serial line (default: 1)"
    )
    parser.add_argument(
        "--framing",
        choices=[kind.value for kind in FramingKind],
        help="how frames lie on the line (default: tcp to a host, rtu on a serial line)",
    )
    parser.add_argument(
        "--transport",
        choices=[transport.value for transport in Transport],
        default=Transport.TCP.value,
        help="what carries frames to a host (default: tcp)",
    )
    parser.add_argument(
        "--timeout",
        type=_said(fields.duration),
        metavar="TIME",
        help="how long an answer may take (default: that of the configured link; 1s to a host, 300ms on a serial line)",
    )


def places(arguments: argparse.Namespace) -> Sequence[LinkSettings]:
    """The one at the host; or the serial line, once for each speed and parity."""
    if arguments.host is not None and arguments.serial is not None:
        raise ValueError("expected --host or --serial, found both")
    framing = FramingKind(arguments.framing) if arguments.framing else None
    if arguments.host is not None:
        return (
            LinkSettings(
                id="line-1",
                driver="modbus",
                host=arguments.host,
                port=arguments.port,
                transport=Transport(arguments.transport),
                framing=framing,
                timeout=arguments.timeout or TIMEOUT,
                devices=(),
            ),
        )
    if arguments.serial is None:
        return ()
    return tuple(
        LinkSettings(
            id="line-1",
            driver="modbus",
            serial=Serial(
                port=arguments.serial,
                speed=speed,
                parity=Parity(parity),
                stop_bits=arguments.stop_bits,
            ),
            framing=framing,
            timeout=arguments.timeout or SERIAL_TIMEOUT,
            # Each unit is asked once: a late answer shows by its unit id, and silence would double the time.
            quiet=timedelta(0),
            devices=(),
        )
        for speed, parity in scanning.manners(arguments.speeds, arguments.parities)
    )


def add_scan(parser: argparse.ArgumentParser) -> None:
    """Which units, and what is asked of each."""
    parser.add_argument(
        "--units",
        type=_said(scanning.unit_ids),
        default=scanning.UNITS,
        metavar="IDS",
        help="unit ids to ask, such as 1-20,100 (default: 1-247)",
    )
    parser.add_argument(
        "--ask",
        type=_said(scanning.place),
        action="append",
        default=[],
        metavar="TABLE:ADDRESS",
        help="what is read of each unit (default: holding:0); give several for devices that are silent "
        "where they should refuse",
    )


async def scan(
    arguments: argparse.Namespace, places: Sequence[LinkSettings], visit: Visit, search: Search
) -> None:
    """Search these lines. Raises `Unavailable`."""
    if arguments.timeout is not None:
        places = [replace(place, timeout=arguments.timeout) for place in places]
    await Searching(
        places=places,
        units=arguments.units,
        asked=tuple(arguments.ask) or scanning.FIRST_ASKED,
        visit=visit,
        search=search,
    ).run()


def add_probe(parser: argparse.ArgumentParser) -> None:
    """What to read, and what is known of it."""
    parser.add_argument("--unit", type=int, default=1, metavar="ID", help="the device's unit id (default: 1)")
    parser.add_argument(
        "--table",
        choices=[table.value for table in Table],
        default=Table.HOLDING.value,
        help="which of its tables (default: holding)",
    )
    parser.add_argument(
        "--address",
        type=int,
        required=True,
        metavar="N",
        help="the first address, as sent on the wire: from 0",
    )
    parser.add_argument(
        "--count", type=int, default=2, metavar="N", help="how many registers or bits (default: %(default)s)"
    )
    parser.add_argument(
        "--unit-of-measure",
        type=_said(_unit),
        metavar="UCUM",
        help="what the value is measured in: Cel, V, kW.h",
    )
    parser.add_argument(
        "--expect",
        type=_said(expectation),
        metavar="RANGE",
        help="what it should be now: 18..25, or what a display shows, such as 21.4",
    )


async def probe(arguments: argparse.Namespace, guest: Guest) -> Probed:
    """Read once, and lay it out. Raises `Unavailable` in words that say what to try next; `ValueError` for bad numbers."""
    table = Table(arguments.table)
    limit_ms = None if arguments.timeout is None else round(arguments.timeout.total_seconds() * 1000)
    request = Request(
        unit_id=arguments.unit,
        table=table,
        address=arguments.address,
        count=arguments.count,
        timeout_ms=limit_ms,
    )
    response = Response.of(await guest.ask(request.as_json()))
    if response.data is None:
        raise Unavailable(f"unit {arguments.unit}: {_no_data(response, table)}")
    return probed(
        response.data,
        table,
        arguments.address,
        arguments.count,
        unit=arguments.unit_of_measure,
        expected=arguments.expect,
    )


async def raw(
    device: DeviceSettings, guest: Guest, now_ns: Callable[[], int]
) -> tuple[Sample, Sequence[str]]:
    """Read a configured device once, block by block."""
    from drivers.modbus.technician.raw import read_raw  # noqa: PLC0415  # pymodbus costs 50 ms, and --help needs none of it

    return await read_raw(device, guest, now_ns)


def replay(
    link: LinkSettings, frames: Iterable[Frame], context: Context
) -> AbstractAsyncContextManager[Replay]:
    """Open a link with a recording at its other end."""
    from drivers.modbus.technician.replaying import open_replay  # noqa: PLC0415  # pymodbus costs 50 ms

    return open_replay(link, frames, context)


def _no_data(response: Response, table: Table) -> str:
    other = "input" if table is Table.HOLDING else "holding"
    match response.exception:
        case 0x01:
            return f"it has no function {table.function} (exception 01): try another table, such as --table {other}"
        case 0x02:
            return (
                "it has nothing at that address, or not so much (exception 02): try one address less (lists often count "
                f"from 1), a smaller --count, --table {other}"
            )
        case 0x03:
            return "it does not give so much at once (exception 03): try a smaller --count"
        case 0x0A | 0x0B:
            return (
                f"the gateway says that nobody is there (exception {response.exception:02X}): wrong unit id, no power, or "
                "wrong speed and parity set in the gateway; `scan` finds who is there"
            )
        case None if response.reason in {"malformed", "foreign"}:
            return (
                f"what came is no answer ({response.words}): another speed or parity, two devices with this unit id, "
                "or noise on the cable"
            )
        case None:
            return (
                f"{response.words}: nobody there with this unit id, or another speed or parity; `scan` finds who is "
                "there, --timeout waits longer"
            )
        case code:
            return f"it answers with exception {code:02X}, {response.words}"


def _speeds(text: str) -> tuple[int, ...]:
    found = text.split(",")
    if not all(each.strip().isdigit() and 300 <= int(each) <= 4_000_000 for each in found):  # noqa: PLR2004  # as `Serial`
        raise ValueError(f"expected speeds such as 9600,19200, found {text!r}")
    return tuple(map(int, found))


def _parities(text: str) -> tuple[str, ...]:
    found = [each.strip() for each in text.split(",")]
    if not set(found) <= set(scanning.PARITIES):
        raise ValueError(f"expected of {_listed(scanning.PARITIES)}, found {text!r}")
    return tuple(found)


def _listed(values: Iterable[object]) -> str:
    return ",".join(map(str, values))


def _unit(text: str) -> str:
    units.check(text)
    return text


def _said(read: Callable[[str], T]) -> Callable[[str], T]:
    """Have argparse print what is wrong in the reader's own words."""

    def convert(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert

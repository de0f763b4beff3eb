"""What looks wrong about where the points of a device lie, though each of them for itself could be right.

Pure: as `agent.settings` asks of a driver, the path to the setting, and what is wrong with it. Two things are nearly
always mistakes, and silent ones, since the device answers with numbers that look like values:

- Two points share some of their registers, but not all: one of the addresses, or one of the types, is wrong. Points on
  the very same registers are two ways to look at them, and bits of a register lie where the register does.
- An address is a PLC's number (40001 for holding 0) where the others of the list are addresses.

Where it is meant so, the point says it (`allow`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from drivers.modbus.numbering import Place, meant
from drivers.modbus.point import Allowed, PointSettings
from drivers.modbus.settings import DeviceSettings, LinkSettings
from drivers.modbus.values.codec import Codec, Field
from drivers.modbus.values.registers import Table

Path = tuple[str | int, ...]

ORDINARY = 10_000
"""Addresses below it are below every number that a PLC gives to a table but the coils."""


class _Placed(NamedTuple):
    """A point, where it is written, and how it is read."""

    point: PointSettings
    path: Path
    codec: Codec


def problems(link: LinkSettings) -> Iterator[tuple[Path, str]]:
    """What is wrong with the addresses of each device of a link."""
    for index, device in enumerate(link.devices):
        placed = _placed(device)
        for path, message in (*_overlaps(placed), *_numbers(placed)):
            yield ("devices", index, *path, "address"), f"address: {message}"


def warnings(link: LinkSettings) -> Iterator[tuple[Path, str]]:
    """Lists of nothing but a PLC's numbers for one table: devices have such addresses, and more often it is a mistake."""
    for index, device in enumerate(link.devices):
        placed = [one for one in _placed(device) if one.path[0] == "points"]
        suspects = [(one, place) for one in placed if (place := _number(one)) is not None]
        if suspects and len(suspects) == len(placed) and not any(_numbers(placed)):
            one, place = suspects[0]
            yield (
                ("devices", index, *one.path, "address"),
                (
                    f"address: {one.point.address} may be the number that PLCs give to {place}, and the line knows "
                    f"addresses: if so, write {place.address}; else say allow: [plc_number]"
                ),
            )


def _placed(device: DeviceSettings) -> list[_Placed]:
    """The points that somebody wrote; where those of SunSpec models lie, the device itself says."""
    paths: dict[str, Path] = {}
    if device.profile is not None:
        paths = {point.name: ("profile", "points", at) for at, point in enumerate(device.profile.points)}
    paths |= {point.name: ("points", at) for at, point in enumerate(device.points)}
    return [
        _Placed(point, paths[point.name], codec)
        for point, codec in zip(device.selected, device.codecs, strict=True)
        if point.name in paths
    ]


def _overlaps(placed: Sequence[_Placed]) -> Iterator[tuple[Path, str]]:
    """Points that share registers with one before them, and have others beside: each is said once."""
    for table in (Table.INPUT, Table.HOLDING):
        parts = [
            (part, one)
            for one in placed
            if one.codec.table is table and one.codec.mask is None and Allowed.OVERLAP not in one.point.allow
            for part in one.codec.fields
        ]
        parts.sort(key=lambda each: each[0][:2])
        said: set[str] = set()
        longest: tuple[Field, _Placed] | None = None
        for part, one in parts:
            if longest is None or part.address >= longest[0].end:
                longest = part, one
                continue
            if part[:2] != longest[0][:2] and one.point.name not in said:
                said.add(one.point.name)
                yield one.path, _shared(one, part, *longest)
            if part.end > longest[0].end:
                longest = part, one


def _shared(one: _Placed, part: Field, other_part: Field, other: _Placed) -> str:
    last = min(part.end, other_part.end) - 1
    registers = f"{part.address}" + (f" to {last}" if last > part.address else "")
    return (
        f"{one.point.name} ({_words(one, part)}) shares {registers} with {other.point.name} ({_words(other, other_part)}): "
        "expected registers of its own, or all of another's. Where it is meant so: allow: [overlap]"
    )


def _words(one: _Placed, part: Field) -> str:
    span = f"{part.address}" + (f" to {part.end - 1}" if part.end - part.address > 1 else "")
    return f"{one.codec.meaning.name}, {one.codec.table.value} {span}"


def _numbers(placed: Sequence[_Placed]) -> Iterator[tuple[Path, str]]:
    """Addresses that are a PLC's numbers for their own table, where as many others are none, or where all tables have them."""
    suspects = [(one, place) for one in placed if (place := _number(one)) is not None]
    ordinary = sum(one.point.address < ORDINARY for one in placed)
    tables = {place.table for _, place in suspects}
    throughout = len(suspects) == len(placed) and len(tables) > 1
    if ordinary < len(suspects) and not throughout:
        return
    for one, place in suspects:
        words = f"{one.point.address} looks like the number that PLCs give to {place}, and the line knows addresses: write"
        yield one.path, f"{words} {place.address}. Where it is an address all the same: allow: [plc_number]"


def _number(one: _Placed) -> Place | None:
    place = meant(one.point.address)
    if place is None or place.table is not one.point.table or Allowed.PLC_NUMBER in one.point.allow:
        return None
    return place

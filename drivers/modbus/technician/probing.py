"""A look at registers that nobody has described, laid out for a person: the words, what they can mean, and what to write.

Pure. Which reading is how plausible is decided in `interpret`.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final

from agent.commissioning import Candidate, Probed, Word
from drivers.modbus.technician.interpret import Reading, parts, readings, telling, text
from drivers.modbus.technician.plausible import Fit, Span, usual
from drivers.modbus.values.registers import Table

WHOLE: Final = (1, 2, 4)
"""So many registers are one value: all of them are read together, and nothing else."""
GROUPS: Final = 2
"""So many ways to read a longer range are shown."""


def probed(
    payload: bytes, table: Table, address: int, count: int, *, unit: str | None, expected: Span | None
) -> Probed:
    """Lay out what was read from `address` on."""
    title = f"{table.value} {address}" + (f" to {address + count - 1}" if count > 1 else "")
    if table.bits:
        return Probed(
            title=title, words=_bits(payload, address, count), candidates=(), remarks=(), proposals=()
        )
    found = _readings(payload, address, unit, expected)
    best = _best(found, payload)
    as_best = [] if best is None else [r for r in found if _way(r) == _way(best)]
    return Probed(
        title=title,
        words=_words(payload, address),
        candidates=[_candidate(reading, best=reading in as_best) for reading in found],
        remarks=_remarks(payload, found, best, unit, expected),
        proposals=[_proposal(table, reading, unit) for reading in as_best],
    )


def _readings(payload: bytes, address: int, unit: str | None, expected: Span | None) -> list[Reading]:
    """Every reading of one value, or those of a longer range that fit."""
    if len(payload) // 2 in WHOLE:
        return list(readings(payload, address, unit=unit, expected=expected))
    groups: dict[tuple[str, Fraction], list[Reading]] = {}
    for width in (2, 1, 4):
        for at, part in parts(payload, address, width):
            if telling(part):
                for reading in readings(part, at, unit=unit, expected=expected):
                    if reading.fit >= Fit.USUAL:
                        groups.setdefault(_way(reading), []).append(reading)
    return _likely(list(map(_side_by_side, groups.values())))


def _side_by_side(found: Sequence[Reading]) -> list[Reading]:
    """Readings of one kind that do not share registers, from whichever start holds the most."""
    width = found[0].width
    by_start = [[r for r in found if r.address % width == start] for start in range(width)]
    return max(by_start, key=len)


def _likely(groups: list[list[Reading]]) -> list[Reading]:
    """A device reads most of its registers in one way: the ways that fit the most of them, each with all it fits."""
    groups.sort(key=lambda group: -sum(r.width * (int(r.fit) if r.scale == 1 else 1) for r in group))
    return [reading for group in groups[:GROUPS] for reading in group]


def _best(found: Sequence[Reading], payload: bytes) -> Reading | None:
    """The one to propose, if it fits at all."""
    if not telling(payload) or not found or found[0].fit < Fit.USUAL:
        return None
    return found[0]


def _remarks(
    payload: bytes, found: Sequence[Reading], best: Reading | None, unit: str | None, expected: Span | None
) -> list[str]:
    remarks = []
    if not telling(payload):
        what = "zero" if not any(payload) else "ones (ffff)"
        remarks.append(
            f"All {what}: that reads alike in every type and order, and often means that there is no value. Look again "
            "when the device has one (a load on the meter, a sensor connected)."
        )
    if words := text(payload):
        remarks.append(f"It may be text: {words!r} (type: string).")
    if best is None:
        if expected is not None and telling(payload):
            remarks.append(
                f"Nothing fits {expected}{f' {unit}' if unit else ''}: is it the address before or after (lists often count "
                "from 1), another table, another unit?"
            )
        return remarks
    rivals = {_way(r): r for r in reversed(found) if r.fit is best.fit and _way(r) != _way(best)}
    if rivals:
        nearest = list(reversed(rivals.values()))[:3]
        ways = ", ".join(f"{_read_as(reading)} ({_number(reading.value)})" for reading in nearest)
        hint = "" if expected else " Tell what the display shows with --expect."
        remarks.append(
            f"Also possible: {ways}.{hint} A second look when the value has changed tells them apart."
        )
    if unit is not None and usual(unit) is None and expected is None:
        remarks.append(f"What is usual for {unit} is not known here: judged by size alone.")
    return remarks


def _candidate(reading: Reading, *, best: bool) -> Candidate:
    last = reading.address + reading.width - 1
    return Candidate(
        address=f"{reading.address}" + (f"-{last}" if last != reading.address else ""),
        read_as=_read_as(reading),
        raw=reading.raw,
        scale=_scale(reading.scale),
        value=reading.raw if reading.scale == 1 else reading.value,
        fit=int(reading.fit),
        best=best,
    )


def _way(reading: Reading) -> tuple[str, Fraction]:
    """In which way it is read: what the registers of a device have in common."""
    return _read_as(reading), reading.scale


def _read_as(reading: Reading) -> str:
    return f"{'/'.join(type_.value for type_ in reading.types)} {reading.order.value}"


def _scale(scale: Fraction) -> str:
    return f"{float(scale):g}"


def _number(value: float | None) -> str:
    return "no number" if value is None else f"{value:.7g}"


def _proposal(table: Table, reading: Reading, unit: str | None) -> dict[str, Any]:
    """The settings of a point that reads it so; an order only where it is not the usual one."""
    proposal: dict[str, Any] = {
        "name": f"{table.value}_{reading.address}",
        "table": table.value,
        "address": reading.address,
        "type": reading.types[0].value,
    }
    if reading.order.value != "ABCD":
        proposal["order"] = reading.order.value
    if reading.scale != 1:
        proposal["scale"] = float(reading.scale) if reading.scale < 1 else int(reading.scale)
    if unit is not None:
        proposal["unit"] = unit
    return proposal


def _words(payload: bytes, address: int) -> list[Word]:
    words = []
    for at, part in parts(payload, address, 1):
        unsigned = int.from_bytes(part)
        bits = f"{unsigned:016b}"
        words.append(
            Word(
                address=at,
                hex=part.hex(),
                unsigned=unsigned,
                signed=int.from_bytes(part, signed=True),
                bits=" ".join(bits[i : i + 4] for i in range(0, 16, 4)),
                text="".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part),  # noqa: PLR2004  # ASCII
            )
        )
    return words


def _bits(payload: bytes, address: int, count: int) -> list[Word]:
    """Coils and discrete inputs: packed from the least significant bit of the first byte on."""
    values = [payload[at // 8] >> at % 8 & 1 for at in range(count)]
    return [
        Word(
            address=address + at,
            hex=f"{bit:x}",
            unsigned=bit,
            signed=bit,
            bits=str(bit),
            text="on" if bit else "off",
        )
        for at, bit in enumerate(values)
    ]

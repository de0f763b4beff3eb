"""Values that an emulated device plausibly has at a time: never random, the same for the same device and moment.

Pure. A curve is a mean and a few sines, so that it has a value and, as exactly, an integral: a counter is the
integral of the power that the same device shows, and can only rise. One sine is the day, the others are short, so
that something moves while one looks. What a point is taken for follows from its unit and its name.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple, TypeAlias

from drivers.modbus.point import PointSettings

DAY_S = 86_400.0
AFTERNOON_S = 14 * 3600
"""When the day's sine has its peak, seconds after midnight UTC."""
COUNTING_SINCE_S = 1_767_225_600.0
"""2026-01-01 UTC: when the emulated counters stood at zero."""
RIPPLE_PERIODS_S = (61.0, 17.0)
"""Short enough to be seen moving at an interval of seconds, and without a common period."""

Value: TypeAlias = bool | float | str


class Sine(NamedTuple):
    """Its value at a time is amplitude * sin(2 pi * time / period + phase)."""

    amplitude: float
    period_s: float
    phase: float


@dataclass(frozen=True, slots=True)
class Curve:
    """A mean and the sines round it; times are seconds since 1970 UTC."""

    mean: float
    sines: tuple[Sine, ...] = ()

    def at(self, time_s: float) -> float:
        """The value at a time."""
        return self.mean + sum(a * math.sin(math.tau * time_s / period + p) for a, period, p in self.sines)

    def integral(self, start_s: float, end_s: float) -> float:
        """The area under the curve between two times, in its unit times seconds."""
        area = self.mean * (end_s - start_s)
        for amplitude, period, phase in self.sines:
            turn = math.tau / period
            area -= amplitude / turn * (math.cos(turn * end_s + phase) - math.cos(turn * start_s + phase))
        return area

    def times(self, factor: float) -> Curve:
        """The curve, everywhere this many times as high."""
        return Curve(
            self.mean * factor, tuple(s._replace(amplitude=s.amplitude * factor) for s in self.sines)
        )


def wave(seed: str, mean: float, daily: float, ripple: float) -> Curve:
    """Make a curve that swings by `daily` over the day and by `ripple` from look to look; the seed shifts it."""
    shift = zlib.crc32(seed.encode()) / 2**32
    peak = math.tau * (0.25 - (AFTERNOON_S + 3600 * shift) / DAY_S)
    ripples = (
        Sine(ripple / len(RIPPLE_PERIODS_S), period * (1 + shift / 7), math.tau * shift)
        for period in RIPPLE_PERIODS_S
    )
    return Curve(mean, (Sine(daily, DAY_S, peak), *ripples))


class Plausible(NamedTuple):
    """What points of a unit, whose names match, look like; the first match counts."""

    unit: str
    name: str
    mean: float
    daily: float
    ripple: float


PLAUSIBLE = (
    Plausible("Cel", "*outdoor*", 6.0, 4.0, 0.3),
    Plausible("Cel", "*setpoint*", 20.0, 0.0, 0.0),
    Plausible("Cel", "*supply_air*", 18.5, 0.8, 0.3),
    Plausible("Cel", "*supply*", 48.0, 4.0, 0.8),
    Plausible("Cel", "*return*", 34.0, 3.0, 0.6),
    Plausible("Cel", "*", 21.0, 1.0, 0.2),
    Plausible("K", "*", 294.0, 1.0, 0.2),
    Plausible("[ppm]", "*", 720.0, 260.0, 40.0),
    Plausible("%", "*humidity*", 41.0, 6.0, 1.0),
    Plausible("%", "*thd*", 2.1, 0.4, 0.2),
    Plausible("%", "*", 48.0, 18.0, 3.0),
    Plausible("{#}.min-1", "*", 1450.0, 220.0, 30.0),
    Plausible("Pa", "*", 120.0, 15.0, 4.0),
    Plausible("kPa", "*", 180.0, 6.0, 1.5),
    Plausible("bar", "*", 1.8, 0.06, 0.02),
    Plausible("lx", "*", 260.0, 180.0, 15.0),
    Plausible("V", "*_l[123]_l[123]", 400.0, 2.5, 1.2),
    Plausible("V", "*", 231.0, 1.5, 0.8),
    Plausible("A", "*neutral*", 0.4, 0.1, 0.05),
    Plausible("Hz", "*", 50.0, 0.01, 0.02),
    Plausible("1", "*power_factor*", 0.95, 0.0, 0.0),
    Plausible("m3.h-1", "*", 310.0, 60.0, 8.0),
)

POWER_FACTOR = 0.95
EXPORTED = 0.01
"""Share of the consumption that a counter of exported energy shows: enough to see that it counts."""
PHASE_W = {"l1": 1150.0, "l2": 870.0, "l3": 640.0}
"""Mean active power of each phase of an emulated meter."""
ELECTRIC = {
    "W": 1.0,
    "kW": 1e-3,
    "MW": 1e-6,
    "V.A": 1 / POWER_FACTOR,
    "kV.A": 1e-3 / POWER_FACTOR,
    "V.A{reactive}": math.tan(math.acos(POWER_FACTOR)),
    "kV.A{reactive}": 1e-3 * math.tan(math.acos(POWER_FACTOR)),
    "A": 1 / (231.0 * POWER_FACTOR),
}
"""Of each unit, how many make a watt of active power."""
JOULES = {
    "W.h": 3.6e3,
    "kW.h": 3.6e6,
    "MW.h": 3.6e9,
    "J": 1.0,
    "kJ": 1e3,
    "MJ": 1e6,
    "GJ": 1e9,
    "kV.A.h": 3.6e6 * POWER_FACTOR,
    "V.A.h{reactive}": 3.6e3 / math.tan(math.acos(POWER_FACTOR)),
    "kV.A.h{reactive}": 3.6e6 / math.tan(math.acos(POWER_FACTOR)),
}
"""Of each unit of a counter, how many joules of active energy make it count one."""
FLOW_PER_SECOND = {"m3": 4e-6, "L": 4e-3}
"""How fast a counter of this unit rises: a household's water."""
POWERS = {"A": -2, "V": -1, "Hz": -2, "Cel": -1, "%": -1, "1": -3, "m3.h-1": -2}
"""Powers of ten by which devices with scale factors show these units: as fine as 16 bits allow for what is plausible."""
TEXTS = (
    ("*version*", "1.0.0"),
    ("*firmware*", "1.0.0"),
    ("*manufacturer*", "Emulated"),
    ("*model*", "Emulated"),
)
"""What texts of these names say; others tell the device's id: a serial number, a name."""
ALARMS = ("*alarm*", "*fault*", "*error*", "*defrosting*", "*override*")
"""Names of flags and states that a device in order does not show."""


def curve(device: str, point: PointSettings) -> Callable[[float], Value]:
    """Choose what a point of a device shows over time: a function of seconds since 1970 UTC."""
    unit, name = point.unit, point.name
    if point.is_text:
        text = next((text for pattern, text in TEXTS if fnmatchcase(name, pattern)), device)
        return lambda _: text
    if unit is None:
        return _state(device, point)
    for plausible in PLAUSIBLE:
        if plausible.unit == unit.replace("%{RH}", "%") and fnmatchcase(name, plausible.name):
            return wave(f"{device} {name}", *plausible[2:]).at
    if unit in ELECTRIC:
        return _power(device, name).times(ELECTRIC[unit]).at
    if unit in JOULES:
        share = EXPORTED if "export" in name else 1.0
        return _counter(_power(device, name).times(share / JOULES[unit]))
    if unit in FLOW_PER_SECOND:
        rate = FLOW_PER_SECOND[unit]
        return _counter(wave(f"{device} {name}", rate, rate * 0.6, rate * 0.3))
    if unit in {"s", "min", "h", "d"} and "remaining" in name:
        return lambda time_s: (90 * DAY_S - time_s % (90 * DAY_S)) / _SECONDS[unit]
    return wave(f"{device} {name}", 50.0, 20.0, 2.0).at


_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}


def power(point: PointSettings) -> int:
    """The power of ten with which a point is shown that has a scale factor."""
    return POWERS.get(point.unit or "", 0)


def _power(device: str, name: str) -> Curve:
    """Give the active power, in watts, of the phase that the name ends with, or of all phases: it is never below zero."""
    phase = name[-2:]
    mean = PHASE_W.get(phase, sum(PHASE_W.values()))
    return wave(device, mean, mean * 0.6, mean * 0.2)


def _counter(rate: Curve) -> Callable[[float], Value]:
    return lambda time_s: rate.integral(COUNTING_SINCE_S, max(time_s, COUNTING_SINCE_S))


def _state(device: str, point: PointSettings) -> Callable[[float], Value]:
    """Give a number or flag without unit: quiet where it tells of trouble, changing every few minutes if it is a flag."""
    quiet = any(fnmatchcase(point.name, pattern) for pattern in ALARMS)
    if point.is_flag:
        period_s = 300 + zlib.crc32(f"{device} {point.name}".encode()) % 300
        return lambda time_s: not quiet and time_s // period_s % 2 == 1
    state = 0.0 if quiet else float(max(point.minimum or 0, min(1, point.maximum or 1)))
    if point.labels and state not in point.labels:
        state = float(next(iter(point.labels)))
    return lambda time_s: state  # noqa: ARG005  # a constant over time

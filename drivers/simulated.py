"""A plausible building without hardware: for demonstrations, for tests, and to copy for a driver of your own.

Three models of device: a room whose air follows the people in it, an electricity meter whose energy is the integral
of its power, a ventilation unit that runs by the clock. What they say is a pure function of wall time (UTC) and seed:
two runs agree, and a restarted gateway finds the meter where it has to be. Where a real driver would wait for its
hardware, a comment says so.
"""

from __future__ import annotations

import asyncio
import enum
import math
import random
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Final

from msgspec import Meta

from agent.fields import Limits
from agent.interfaces import Context, DeviceBase, LinkBase
from agent.points import Counter, PointBase
from agent.sample import Class, Point, Reason, Sample, Shape, Value, ValueType, nothing_learnt


class Model(enum.Enum):
    """What the device pretends to be."""

    ROOM = "room"
    METER = "meter"
    VENTILATION = "ventilation"


class DeviceSettings(DeviceBase, frozen=True, kw_only=True):
    """A pretended device."""

    model: Model
    interval: Annotated[timedelta, Limits("100ms", "24h")] = timedelta(seconds=10)
    seed: Annotated[int, Meta(description="Another seed, another building.")] = 0
    silent_share: Annotated[
        float, Meta(ge=0, le=1, description="Share of the polls it leaves unanswered.")
    ] = 0.0


class LinkSettings(LinkBase, frozen=True, kw_only=True):
    """A link that leads nowhere."""

    devices: tuple[DeviceSettings, ...]


_POINTS: Final = {
    Model.ROOM: (
        PointBase(name="temperature", unit="Cel", quantity_kind="Temperature"),
        PointBase(name="co2", unit="[ppm]", quantity_kind="MoleFraction"),
        PointBase(name="humidity", unit="%", quantity_kind="RelativeHumidity"),
        PointBase(name="people", type_=ValueType.INTEGER, unit="1", quantity_kind="Count"),
    ),
    Model.METER: (
        PointBase(name="active_power", unit="W", quantity_kind="ActivePower"),
        # Decimal: every digit of the counter, however high it rises.
        PointBase(
            name="active_energy",
            type_=ValueType.DECIMAL,
            unit="kW.h",
            class_=Class.BILLING,
            counter=Counter(),
        ),
        PointBase(name="voltage", unit="V", quantity_kind="Voltage"),
    ),
    Model.VENTILATION: (
        PointBase(name="supply_temperature", unit="Cel", quantity_kind="Temperature"),
        PointBase(name="fan_speed", unit="%", quantity_kind="DimensionlessRatio"),
        PointBase(name="mode", type_=ValueType.TEXT),
        PointBase(name="filter_alarm", type_=ValueType.BOOLEAN, class_=Class.EVENT),
    ),
}

VITALS: Final = ("requests", "timeouts", "missed")
"""Of what a link counts, what is reported of it."""

_DAY_S: Final = 86_400.0
_MORNING_S, _EVENING_S, _WORKDAYS = 8 * 3600.0, 17 * 3600.0, range(5)
_INSTALLED_S: Final = 1_577_836_800.0  # 2020-01-01: the meter's counter stood at zero


def allowance(link: LinkSettings) -> timedelta:
    """How long nothing may come before the watchdog calls the link stuck: nothing here can take long."""
    return 3 * min(device.interval for device in link.devices) + timedelta(minutes=1)


def points(device: DeviceSettings) -> tuple[Point, ...]:
    """The points of a configured device, in the order of its samples."""
    return tuple(
        each.described(each.type_ or ValueType.NUMBER, device.place) for each in _POINTS[device.model]
    )


def point_settings(device: DeviceSettings) -> tuple[PointBase, ...]:
    """What makes their values doubtful, in the same order: the agent judges by it."""
    return _POINTS[device.model]


def intervals(device: DeviceSettings) -> tuple[timedelta, ...]:
    """How often each of them comes: the agent reports those that are silent."""
    return (device.interval,) * len(_POINTS[device.model])


def values(model: Model, at_s: float, noise: random.Random) -> tuple[Value, ...]:
    """What a device says at this wall time, seconds since 1970 UTC, in the order of its points."""
    phase = 2 * math.pi * at_s / _DAY_S - 1.8
    warmth = math.sin(phase)  # outside: coldest at one, warmest at thirteen
    match model:
        case Model.ROOM:
            return (
                round(20.8 + 1.6 * presence(at_s, 7200) + 0.4 * warmth + noise.gauss(0, 0.03), 2),
                round(425 + 520 * presence(at_s, 1500) + noise.gauss(0, 4), 1),
                round(38 + 7 * presence(at_s, 3600) - 3 * warmth + noise.gauss(0, 0.2), 1),
                round(12 * presence(at_s, 240)),
            )
        case Model.METER:
            joules = 2600 * (at_s - _INSTALLED_S) - 1400 * math.cos(phase) * _DAY_S / (2 * math.pi)
            energy = Decimal(int(joules / 3600)).scaleb(-3)
            return round(2600 + 1400 * warmth, 1), energy, round(noise.gauss(231, 0.6), 1)
        case Model.VENTILATION:
            fan = 25 + 45 * presence(at_s, 300)
            mode = "comfort" if round(presence(at_s, 1)) else "reduced"
            dirty = at_s // _DAY_S % 90 in range(83, 90)  # until somebody changes the filter
            return round(18.5 + 0.8 * warmth + noise.gauss(0, 0.05), 2), round(fan, 1), mode, dirty


def presence(at_s: float, lag_s: float) -> float:
    """How far, from 0 to 1, something slow has followed the people, who are there from eight to five on workdays."""
    weekday, second = (at_s // _DAY_S + 3) % 7, at_s % _DAY_S  # 1970-01-01 was a Thursday
    there_s = min(max(second - _MORNING_S, 0), _EVENING_S - _MORNING_S) if weekday in _WORKDAYS else 0
    return -math.expm1(-there_s / lag_s) * math.exp(-max(second - _EVENING_S, 0) / lag_s)


@asynccontextmanager
async def open(link: LinkSettings, context: Context) -> AsyncIterator[_Link]:  # noqa: A001  the name that the seam gives
    """Open the link; a real driver connects here under a time limit, and turns its errors into `Unavailable`."""
    # A task of the link's own (a reader, a scheduler) would live in a task group round this `yield`; what was opened
    # is closed in a `finally` round it.
    yield _Link(link, context)


class _Link:
    """An open link. One task per device iterates `source`; none of them waits for another."""

    def __init__(self, link: LinkSettings, context: Context) -> None:
        self._clock = context.clock
        self._devices = {device.id: device for device in link.devices}
        self._shapes = {device.id: Shape(device.id, points(device)) for device in link.devices}
        self._wanted = {device.id: asyncio.Event() for device in link.devices}
        self._counts = {"requests": 0, "timeouts": 0, "missed": 0}

    @property
    def counts(self) -> Mapping[str, int]:
        """Polls, polls without an answer, and polls left out because the one before took too long."""
        return self._counts

    @property
    def devices(self) -> Mapping[str, Mapping[str, Any]]:
        """Nothing to say of any: here nothing can go wrong between the link and its devices."""
        return {}

    def refresh(self, device: str) -> None:
        """Ask for a sample now, beside the schedule."""
        self._wanted[device].set()

    async def source(self, device: str) -> AsyncGenerator[Sample, None]:
        """Poll one device for ever. Nothing is held across the `yield`: no lock, no time limit, no task group."""
        interval_ns = self._devices[device].interval // timedelta(microseconds=1) * 1000
        due_ns = self._clock.monotonic_ns()
        while True:
            wait_s = (due_ns - self._clock.monotonic_ns()) / 1e9
            try:
                await asyncio.wait_for(self._wanted[device].wait(), wait_s)
            except TimeoutError:
                scheduled = True  # whatever the clock says: a timer may fire a little early
            else:
                scheduled = False
            self._wanted[device].clear()
            yield self._poll(self._devices[device])
            if scheduled:
                late_ns = max(self._clock.monotonic_ns() - due_ns, 0)
                missed = late_ns // interval_ns  # skipped, never queued
                self._counts["missed"] += missed
                due_ns += (missed + 1) * interval_ns

    def _poll(self, device: DeviceSettings) -> Sample:
        # A real driver awaits its answer here, under a time limit; no answer is a bad sample, not an error.
        self._counts["requests"] += 1
        at_s = self._clock.wall_ns() / 1e9
        slot = int(at_s / device.interval.total_seconds())
        noise = random.Random(f"{device.seed} {device.id} {slot}")  # noqa: S311  noise, not a key
        shape = self._shapes[device.id]
        if noise.random() < device.silent_share:
            self._counts["timeouts"] += 1
            return nothing_learnt(shape, self._clock.monotonic_ns(), Reason.TIMEOUT)
        return Sample(shape, self._clock.monotonic_ns(), values(device.model, at_s, noise))

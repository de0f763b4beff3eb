"""A link that can be written, without a protocol: devices hold values, take them, clamp them, or fall silent.

It keeps to the contract of `agent.interfaces.WritableLink`, and notes everything that is written. Time is virtual.

    building = Building(setpoint=a_point("setpoint", minimum=18, maximum=24))
    async with building.commands() as commands:
        await commands.execute(building.ask(value=21))
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from agent import plugins
from agent.command import Command
from agent.commands import Audit, Commands, Records
from agent.commands.permission import exact
from agent.fields import Place
from agent.interfaces import DeviceBase, Expired, LinkBase, Unavailable, Written
from agent.memory import MemoryFile
from agent.points import PointBase, WriteSettings
from agent.sample import Point, Reason, Value, ValueType
from tests.emulators.virtual_time import VirtualClock

BEGIN = datetime(2026, 11, 18, 8, tzinfo=UTC)


class Clock(VirtualClock):
    """The loop's time, after a boot in the morning."""

    def __init__(self, boot: str = "1" * 32, began: datetime = BEGIN, *, trusted: bool = True) -> None:
        self.boot = boot
        self.began = began
        self.trusted = trusted

    def wall_ns(self) -> int:
        return int(self.began.timestamp() * 1e9) + self.monotonic_ns()

    def synchronised(self) -> bool:
        return self.trusted


def a_point(name: str = "setpoint", type_: ValueType = ValueType.NUMBER, **write: Any) -> PointBase:
    """A point that may be written within 18 to 24, unless something else is said; not at all with `write=None`."""
    if "write" in write:
        return PointBase(name=name, type_=type_, unit="Cel")
    limits = {"minimum": 18, "maximum": 24} if type_ is not ValueType.BOOLEAN else {}
    return PointBase(name=name, type_=type_, unit="Cel", write=WriteSettings(**_exact({**limits, **write})))


def _exact(settings: dict[str, Any]) -> dict[str, Any]:
    """Numbers as the configuration gives them."""
    return {key: Fraction(str(of)) if isinstance(of, int | float) else of for key, of in settings.items()}


class FakeDriver:
    """Points as they are described; values in tenths."""

    @staticmethod
    def points(device: Any) -> tuple[Point, ...]:
        return tuple(each.described(each.type_, Place()) for each in device.points)

    @staticmethod
    def point_settings(device: Any) -> tuple[PointBase, ...]:
        return device.points

    @staticmethod
    def as_written(device: Any, point: str, value: Value) -> Value:
        if isinstance(value, bool | str):
            return value
        if (exact(value) * 10).denominator != 1:
            raise ValueError(f"{point}: expected a multiple of 0.1, found {value}")
        return float(value)


class FakeDevice(DeviceBase, frozen=True):
    points: tuple[PointBase, ...] = ()


class FakeLinkSettings(LinkBase, frozen=True):
    devices: tuple[FakeDevice, ...] = ()


@dataclass
class Building:
    """One link with one device, and whoever owns it."""

    points: tuple[PointBase, ...]
    values: dict[str, Value | Reason] = field(default_factory=dict)
    clock: Any = field(default_factory=Clock)
    memory: MemoryFile = field(default_factory=MemoryFile)
    writes: list[tuple[float, str, Value]] = field(default_factory=list)
    """When, in seconds of the clock; to which point, and what."""
    takes: Callable[[str, Value], Value | None] = lambda _, value: value
    """What the device makes of a value; `None`: it refuses."""
    lost: str = ""
    """Why the link is not open."""
    latency_s: float = 0.01
    keeps: bool = True
    """Whether what is learnt reaches the disk."""
    _number: int = 0
    _line: asyncio.Lock = field(default_factory=asyncio.Lock)

    # --- the owner and the link ---

    @property
    def settings(self) -> FakeLinkSettings:
        return FakeLinkSettings(
            id="plant", driver="fake", devices=(FakeDevice(id="vent-1", points=self.points),)
        )

    def writable(self) -> Building:
        if self.lost:
            raise Unavailable(self.lost)
        return self

    async def current(self, device: str, point: str) -> Value | Reason:
        assert device == "vent-1"
        await self._takes_time()
        return self.values[point]

    async def write(self, device: str, point: str, value: Value, *, until_ns: int) -> Written:
        async with self._line:
            if self.clock.monotonic_ns() > until_ns:
                raise Expired("its turn came too late")
            await self._takes_time()
            self.writes.append((self.clock.monotonic_ns() / 1e9, point, value))
            taken = self.takes(point, FakeDriver.as_written(None, point, value))
            if taken is not None:
                self.values[point] = taken
            await self._takes_time()
            return Written(found=self.values[point], words="" if taken is not None else "illegal data value")

    async def _takes_time(self) -> None:
        await asyncio.sleep(self.latency_s)
        if self.lost:
            raise Unavailable(self.lost)

    # --- commands ---

    @asynccontextmanager
    async def commands(self, audit: Audit | None = None, **options: Any) -> AsyncIterator[Commands]:
        """The agent's part, from a start to a kill: nothing is written down at the end."""

        async def keep() -> bool:
            await asyncio.sleep(0)
            return self.keeps

        records = Records(self.memory.part("commands"), self.clock, keep)
        commands = Commands(
            lambda: [self], records=records, audit=audit or Audit(None), clock=self.clock, **options
        )
        running = asyncio.create_task(commands.run())
        await asyncio.sleep(0)
        try:
            yield commands
        finally:
            running.cancel()
            await asyncio.wait([running])
            if not running.cancelled() and (error := running.exception()):
                raise error

    def ask(self, value: Value, **what: Any) -> Command:
        """A command as somebody sends it now."""
        self._number += 1
        now = datetime.fromtimestamp(self.clock.wall_ns() / 1e9, UTC)
        given = {
            "id": f"c{self._number}",
            "device": "vent-1",
            "point": "setpoint",
            "value": Decimal(str(value)) if isinstance(value, float) else value,
            "requested_at": now,
            "expires_at": now + timedelta(minutes=1),
            "source": "user anna",
        }
        return Command(**{**given, **what})


def a_building(*points: PointBase, **what: Any) -> Building:
    """With the setpoint at 20, unless something else is said."""
    points = points or (a_point(),)
    values = {point.name: False if point.type_ is ValueType.BOOLEAN else 20.0 for point in points}
    return Building(points=points, values=what.pop("values", values), **what)


def use_fake_driver(monkeypatch: Any) -> None:
    """`driver: fake` is this one."""
    monkeypatch.setattr(plugins, "driver", lambda name: {"fake": FakeDriver}[name])

"""What tests of the buffer, and of what stands beside it, store and ask for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from agent.buffer import BufferSettings, Lanes
from agent.clock import Clock, ClockLine
from agent.fields import Size
from agent.sample import Class, Lane, Point, Row, Sample, Shape
from agent.upstream import Filter, FormatBase, Span, StartFrom, UplinkBase


class ManualClock(Clock):
    """A clock that stands still until it is moved; by default it is wrong and says so."""

    def __init__(self, boot: str = "b" * 32, now_s: float = 1000.0) -> None:
        self.boot = boot
        self.now_ns = int(now_s * 1e9)
        self.offset_ns = 0
        self.trusted = False
        self._last: ClockLine | None = None

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wall_ns(self) -> int:
        return self.now_ns + self.offset_ns

    def synchronised(self) -> bool:
        return self.trusted

    def pass_s(self, seconds: float) -> None:
        """So much time passes."""
        self.now_ns += int(seconds * 1e9)


def a_shape(device: str = "meter-1", points: int = 3, *classes: Class) -> Shape:
    """A shape of so many points; their classes are taken in turn."""
    turn = classes or (Class.TREND,)
    return Shape(
        device,
        tuple(Point(name=f"p{index}", class_=turn[index % len(turn)]) for index in range(points)),
    )


def a_sample(shape: Shape, moment_ns: int = 0, first: float = 0.0) -> Sample:
    """A sample whose values count up from `first`."""
    return Sample(shape, moment_ns, tuple(first + index for index in range(len(shape.points))))


def an_uplink(
    id_: str = "city", filter_: Filter | None = None, start: StartFrom = StartFrom.NOW
) -> UplinkBase:
    """Settings of an uplink, as far as the buffer looks at them."""
    return UplinkBase(
        id=id_, kind="none", format=FormatBase(kind="none"), filter=filter_ or Filter(), from_=start
    )


def some_settings(
    folder: Path, size: str | int = 8 * 2**20, memory: int = 2**20, **more: object
) -> BufferSettings:
    """A small buffer."""
    return BufferSettings(folder=str(folder), size=Size(size), memory=Size(memory), **more)


def span(row: Row) -> Span:
    """All cells of a row."""
    return Span(row.store, row.number, row.end)


async def take_all(lanes: Lanes, lanes_: Iterable[Lane] = Lane) -> list[Row]:
    """Take everything that waits; it is on the way then."""
    found = []
    for lane in lanes_:
        while rows := await lanes.take(lane, 1000):
            found += rows
    return found


async def settle_all(lanes: Lanes) -> list[Row]:
    """Take everything that waits and have upstream answer for it."""
    rows = await take_all(lanes)
    lanes.settle([span(row) for row in rows])
    return rows

"""The vocabulary: what one source learnt at one time, about which points, and how far it can be trusted.

This module knows nothing of devices, files or networks. A `Sample` is made once, complete and in its declared
units, at the place where the bytes are understood, and never changes afterwards. It holds columns, not objects:
fifty values and one `Shape` that says what they are. A `Reading` is one cell of it, made only where a person or a
test looks.

What can be derived is not in here: wall time comes from `clock` when a row is read out, the number from the
buffer, live or backlog from the lane.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeAlias

import msgspec

from agent.fields import Place

Value: TypeAlias = bool | int | float | Decimal | str
"""What a point can be. Decimal stands where a scaled integer does not fit a float; a float is always finite."""


class Quality(enum.IntEnum):
    """How far a value can be trusted: the two top bits of an OPC UA status code (OPC UA Part 8, 6.3.2)."""

    GOOD = 0
    """Use it."""
    UNCERTAIN = 1
    """There is a value, and a reason to doubt it."""
    BAD = 2
    """There is no value."""


class Reason(enum.IntEnum):
    """Why a cell has its quality. The code is stored in rows: numbers are never reused; its top two bits are the quality."""

    GOOD = 0x00
    LOCAL_OVERRIDE = 0x01
    """Forced by hand at the device."""

    LAST_USABLE = 0x40
    """A repeat of the last value, not a new one."""
    SUBSTITUTE = 0x41
    """A default that somebody configured."""
    INITIAL = 0x42
    """The first value after a start; nothing to compare it with yet."""
    SENSOR_NOT_ACCURATE = 0x43
    """The device says that it is warming up, drifting or not calibrated."""
    OUTSIDE_LIMITS = 0x44
    """Beyond what this point can plausibly be (`minimum`, `maximum`); shown as it was read."""
    CHANGED_TOO_FAST = 0x45
    """It moved faster than this point plausibly can (`change_per_minute`)."""
    UNCONFIRMED = 0x46
    """A counter that went backwards, until a second read says whether it did."""
    UNVERIFIED = 0x47
    """The point that tells whether this one is good (`quality_from`) is not known."""

    NOT_CONNECTED = 0x80
    """The link is not there: connection refused, port missing, gateway path unavailable (exceptions 0A, 0B)."""
    TIMEOUT = 0x81
    """Asked, and not answered in time."""
    COMMUNICATION_ERROR = 0x82
    """An answer that cannot be the answer: checksum, length, function, foreign."""
    DEVICE_FAILURE = 0x83
    """The device reports that it failed (exception 04)."""
    DEVICE_BUSY = 0x84
    """The device answers that it has no time (exceptions 05, 06)."""
    SENSOR_FAILURE = 0x85
    """The device answers, the sensor behind it does not: sentinel, burn-out, not a number."""
    CONFIGURATION_ERROR = 0x86
    """The device has no such function, address or count (exceptions 01, 02, 03)."""
    OUT_OF_SERVICE = 0x87
    """Taken out by an operator."""
    OUT_OF_RANGE = 0x88
    """No number that this point could be can be made of what was read."""
    INTERNAL_ERROR = 0x89
    """A bug of the agent; its traceback is in the log."""

    @property
    def quality(self) -> Quality:
        """The quality that goes with this reason."""
        return Quality(self >> 6)

    @property
    def word(self) -> str:
        """The reason as it is written in payloads and tables: `sensor_failure`."""
        return self.name.lower()


class Class(enum.Enum):
    """What a point is for. It decides who is dropped first when the buffer is full: the last in this list."""

    EVENT = "event"
    """Something happened: an alarm, a reset. Dropped last."""
    BILLING = "billing"
    """Somebody pays by it: meter totals."""
    TREND = "trend"
    """A curve; a hole in it is a pity."""
    HEALTH = "health"
    """How the gateway and its devices are. Dropped first."""

    @property
    def rank(self) -> int:
        """0 for the most precious, rising; stored in rows."""
        return _RANKS[self]


_RANKS = {class_: rank for rank, class_ in enumerate(Class)}


class ValueType(enum.Enum):
    """Which Python type the values of a point have; what a row is decoded by."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    NUMBER = "number"
    """float"""
    DECIMAL = "decimal"
    """Decimal: every digit of a scaled 64-bit register."""
    TEXT = "text"


class Point(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A named datum of a device, with everything that a consumer must know to use its values."""

    name: str
    """Unique in its device: `supply_temperature`. Device id and name together are unique on the gateway."""
    type: ValueType = ValueType.NUMBER
    unit: str | None = None
    """UCUM code (https://ucum.org/ucum), `None` where there is none; `1` for a plain ratio."""
    quantity_kind: str | None = None
    """QUDT quantity kind, local name: `Temperature`, `ElectricPower`."""
    class_: Class = msgspec.field(default=Class.TREND, name="class")
    place: Place = Place()
    designation: str | None = None
    """The property technician's tag, free text: `1012_A_5701_GT1`."""
    brick_class: str | None = None
    """Brick class, local name: `Supply_Air_Temperature_Sensor`."""
    labels: dict[int, str] | None = None
    """What the values of an enumeration mean."""
    counter: bool = False
    """Whether it is a total that only rises; whatever else it does, its event point says."""
    rollover: Decimal | None = None
    """The value at which a counter begins again at 0, where that is known."""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """Which points of which device the cells of a sample belong to, in order.

    Compared by identity: a source makes its shapes once and uses them for its life.
    """

    device: str
    points: tuple[Point, ...]

    @property
    def rank(self) -> int:
        """The rank of the most precious class among the points: a row is kept as long as its best cell."""
        return min((point.class_.rank for point in self.points), default=Class.HEALTH.rank)


class Sample(msgspec.Struct, frozen=True, gc=False):
    """What one source learnt at one time: one poll of a device, one packet of a sensor.

    `values` and, unless empty, `reasons` and `ages_ms` have one entry for each point of the shape. A cell whose
    quality is bad has the value `None`, and no other cell has.
    """

    shape: Shape
    monotonic_ns: int
    """When the last of it was learnt: `Clock.monotonic_ns`, the end of the reply."""
    values: tuple[Value | None, ...]
    reasons: bytes = b""
    """One `Reason` code for each point; empty when all are good."""
    ages_ms: tuple[int, ...] = ()
    """How long before `monotonic_ns` each cell was learnt; empty when all came in one block."""


def nothing_learnt(shape: Shape, monotonic_ns: int, reason: Reason) -> Sample:
    """Make the sample that says of every point of the shape: no value, for this reason."""
    count = len(shape.points)
    return Sample(shape, monotonic_ns, (None,) * count, bytes([reason]) * count)


class Lane(enum.Enum):
    """In which of an uplink's two queues a row waited."""

    LIVE = "live"
    """Stored since the uplink is connected: sent first."""
    BACKLOG = "backlog"
    """Older than that: history, sent when nothing live waits."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """One sample as the buffer hands it out: numbered for ever, and with the wall time as it is known by now."""

    store: str
    """Store id; gateway id, store id and number identify a reading."""
    number: int
    """Number of the sample's first cell; the others follow."""
    sample: Sample
    time_ns: int
    """Wall time of the sample, nanoseconds since 1970 UTC."""
    trusted: bool
    """Whether the kernel said that the clock was synchronised when this time was derived."""
    cells: tuple[int, ...] | None = None
    """Indexes of the points that this uplink wants; `None` for all."""

    @property
    def end(self) -> int:
        """The number after the last cell."""
        return self.number + len(self.sample.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One point's cell of a sample, for people and tests."""

    device: str
    point: Point
    value: Value | None
    reason: Reason
    time: datetime
    """Aware, UTC."""
    number: int | None = None

    @property
    def quality(self) -> Quality:
        """Good, uncertain or bad, as the reason says."""
        return self.reason.quality


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def readings(sample: Sample, time_ns: int, first_number: int | None = None) -> Iterator[Reading]:
    """Take a sample apart; `time_ns` is its wall time, nanoseconds since 1970 UTC."""
    for index, point in enumerate(sample.shape.points):
        age_ms = sample.ages_ms[index] if sample.ages_ms else 0
        yield Reading(
            device=sample.shape.device,
            point=point,
            value=sample.values[index],
            reason=Reason(sample.reasons[index]) if sample.reasons else Reason.GOOD,
            time=_EPOCH + timedelta(microseconds=time_ns // 1000 - age_ms * 1000),
            number=None if first_number is None else first_number + index,
        )

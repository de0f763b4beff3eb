"""What every point is told in the configuration, whatever protocol brings it: what it is, and what makes its values doubtful.

A driver derives its own settings from `PointBase` and adds where the point is found. What stands here about trust is
applied between source and collector (`agent.judging`), so that it holds for every driver.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from agent.fields import Id, Limits, Place, Unit, duration_text
from agent.interfaces import Settings
from agent.sample import Class, Point, ValueType


class WriteSettings(Settings, frozen=True):
    """What may be written to a point; without such a section nothing may. What is left out is not limited."""

    minimum: Annotated[
        Fraction | None, Meta(description="The least value that may be written, in the point's unit.")
    ] = None
    maximum: Annotated[
        Fraction | None, Meta(description="The greatest value that may be written, in the point's unit.")
    ] = None
    step: Annotated[
        Fraction | None, Meta(description="A value must be a multiple of this: 0.5 takes 20.5 and not 20.6.")
    ] = None
    most_change: Annotated[
        Fraction | None, Meta(description="How far one write may take the value from where it is.")
    ] = None
    every: Annotated[
        timedelta | None,
        Limits("0ms", "30d"),
        Meta(
            description="The least time between two writes; 10s if left out. Many devices wear out by writes."
        ),
    ] = None
    lease: Annotated[
        timedelta | None,
        Limits("1s", "30d"),
        Meta(description="How long a value holds if the command does not say; for good if left out."),
    ] = None
    longest_lease: Annotated[
        timedelta | None,
        Limits("1s", "30d"),
        Meta(description="The longest that a command may ask a value to hold; 24h if left out."),
    ] = None
    fallback: Annotated[
        str | None,
        Meta(description="The value that returns when a lease ends; without it there are no leases."),
    ] = None

    def __post_init__(self) -> None:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(
                f"minimum: expected no more than the maximum {float(self.maximum):g}, found {float(self.minimum):g}"
            )
        for name in ("step", "most_change"):
            limit = getattr(self, name)
            if limit is not None and limit <= 0:
                raise ValueError(f"{name}: expected more than 0, found {float(limit):g}")
        if self.lease is not None and self.lease > self.longest:
            raise ValueError(
                f"lease: expected no more than the longest_lease {duration_text(self.longest)}, "
                f"found {duration_text(self.lease)}"
            )

    @property
    def pause(self) -> timedelta:
        """The least time between two writes."""
        return timedelta(seconds=10) if self.every is None else self.every

    @property
    def longest(self) -> timedelta:
        """The longest that a value may be held by a lease."""
        return timedelta(hours=24) if self.longest_lease is None else self.longest_lease


class Counter(Settings, frozen=True):
    """A total that only rises: of energy, volume, hours."""

    rollover: Annotated[
        Fraction | None,
        Meta(
            description="The value at which it begins again at 0, in the point's unit: 1000000 for six digits. "
            "Never if left out."
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.rollover is not None and self.rollover <= 0:
            raise ValueError(f"rollover: expected more than 0, found {float(self.rollover):g}")

    @property
    def shown(self) -> Decimal | None:
        """The rollover value as consumers are told it."""
        if self.rollover is None:
            return None
        return Decimal(self.rollover.numerator) / Decimal(self.rollover.denominator)


class QualityFrom(Settings, frozen=True):
    """Another point of the device that tells whether this one can be trusted: a cable break, a meter's status."""

    point: Annotated[Id, Meta(description="The name of that point.")]
    good: Annotated[
        tuple[str, ...],
        Meta(
            min_length=1,
            description="Its values, or their labels, at which this point is good; at every other it is bad.",
        ),
    ]
    max_age: Annotated[
        timedelta,
        Limits("1s", "7d"),
        Meta(
            description="How long its last value counts, where it is read more rarely than this point or fails to come; "
            "after that nobody knows, and this point is uncertain."
        ),
    ] = timedelta(minutes=15)


class PointBase(Settings, frozen=True):
    """What every point has, whatever protocol brings it; a driver adds where it is found."""

    DESCRIBES: ClassVar[frozenset[str]] = frozenset(
        {
            *("name", "quantity_kind", "class_", "place", "designation", "brick_class", "labels", "write"),
            *("minimum", "maximum", "change_per_minute", "quality_from", "out_of_service"),
        }
    )
    """Settings that leave a value what it is: all others count when values from before a change are to be compared with
    those after it. A driver adds its own."""

    name: Annotated[Id, Meta(description="Unique in its device: supply_temperature.")]
    type_: Annotated[
        ValueType | None, Meta(description="Of its values, where it cannot follow from how they are read.")
    ] = msgspec.field(default=None, name="value_type")
    unit: Unit | None = None
    quantity_kind: Annotated[
        str | None, Meta(description="What is measured, as a QUDT quantity kind: Temperature, ElectricPower.")
    ] = None
    class_: Annotated[
        Class, Meta(description="What it is for; it decides what is kept longest when the buffer is full.")
    ] = msgspec.field(default=Class.TREND, name="class")
    place: Annotated[Place, Meta(description="Where it is, within the device's place.")] = Place()
    designation: Annotated[str | None, Meta(description="The property technician's tag, free text.")] = None
    brick_class: Annotated[
        str | None, Meta(description="Brick class, local name: Supply_Air_Temperature_Sensor.")
    ] = None
    labels: Annotated[
        dict[int, str] | None,
        Meta(
            description="What the values of an enumeration mean: {0: stopped, 1: running}. The value stays the number."
        ),
    ] = None
    minimum: Annotated[
        Fraction | None,
        Meta(
            description="The least value that is plausible, in the point's unit; what is below is marked, not hidden."
        ),
    ] = None
    maximum: Annotated[
        Fraction | None,
        Meta(
            description="The greatest value that is plausible, in the point's unit; what is above is marked, not hidden."
        ),
    ] = None
    change_per_minute: Annotated[
        Fraction | None,
        Meta(
            description="How far it can plausibly move in a minute, in the point's unit; what moved faster is marked, not hidden."
        ),
    ] = None
    counter: Annotated[
        Counter | None,
        Meta(
            description="It is a total that only rises: {}, or {rollover: 1000000}. When it is reset, rolls over or goes on from "
            "elsewhere, a further point NAME_event says so."
        ),
    ] = None
    quality_from: Annotated[
        QualityFrom | None,
        Meta(
            description="Another point that tells whether this one is good: {point: cable_break, good: [0]}."
        ),
    ] = None
    out_of_service: (
        Annotated[
            str,
            Meta(
                min_length=1,
                description="Why it is out of service. Its readings are then bad and say so. In service if left out.",
            ),
        ]
        | None
    ) = None
    write: Annotated[
        WriteSettings | None, Meta(description="What may be written to it; nothing if left out.")
    ] = None

    def __post_init__(self) -> None:
        if self.minimum is not None and self.maximum is not None and self.minimum >= self.maximum:
            raise ValueError(
                f"minimum: expected less than the maximum {float(self.maximum):g}, found {float(self.minimum):g}"
            )
        if self.change_per_minute is not None and self.change_per_minute <= 0:
            raise ValueError(
                f"change_per_minute: expected more than 0, found {float(self.change_per_minute):g}"
            )
        if self.quality_from is not None and self.quality_from.point == self.name:
            raise ValueError(f"quality_from: expected another point than {self.name} itself")

    def described(self, type_: ValueType, place: Place) -> Point:
        """What consumers are told of it, as a point of this value type of a device at this place."""
        return Point(
            name=self.name,
            type=type_,
            unit=self.unit,
            quantity_kind=self.quantity_kind,
            class_=self.class_,
            place=self.place.within(place),
            designation=self.designation,
            brick_class=self.brick_class,
            labels=self.labels,
            counter=self.counter is not None,
            rollover=None if self.counter is None else self.counter.shown,
        )

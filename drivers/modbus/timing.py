"""How often and when something is read, as an operator writes it, and what is read together because of it. Pure."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Final, NamedTuple

from msgspec import Meta

from agent.fields import Limits, duration_text

DAY: Final = timedelta(days=1)


class Phase(enum.Enum):
    """When in an interval something is read."""

    SPREAD = "spread"
    """At a moment that follows from the device's id, so that devices do not all want the line at once."""
    CLOCK = "clock"
    """At whole multiples of the interval on the wall clock, in UTC: an interval of 15min is read at the quarter-hours."""


RequestDelay = Annotated[
    timedelta,
    Limits("0ms", "60s"),
    Meta(description="Pause between an answer of the device and the next request to it."),
]
Timeout = Annotated[timedelta, Limits("10ms", "60s"), Meta(description="How long an answer may take.")]


class Rhythm(NamedTuple):
    """How often and when a point is read."""

    interval: timedelta
    phase: Phase

    def check(self) -> None:
        """Raise `ValueError` if there is no such thing."""
        if self.phase is Phase.CLOCK and DAY % self.interval:
            raise ValueError(
                f"interval: with the phase clock expected one that divides a day, such as 15min, found {duration_text(self.interval)}"
            )


def together(rhythms: Sequence[Rhythm]) -> tuple[tuple[Rhythm, tuple[int, ...]], ...]:
    """Which of a device's points are read together: those of one rhythm, the fastest first, each by its index."""
    found: dict[Rhythm, list[int]] = {}
    for index, rhythm in enumerate(rhythms):
        found.setdefault(rhythm, []).append(index)
    return tuple(
        (rhythm, tuple(cells)) for rhythm, cells in sorted(found.items(), key=lambda item: item[0].interval)
    )


def ns(length: timedelta) -> int:
    """Nanoseconds of a duration."""
    return length // timedelta(microseconds=1) * 1000

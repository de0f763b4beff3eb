"""A value that somebody holds for a while, and a moment that still means something after a restart.

Pure. How long ago a moment was is certain within one boot of the machine; across boots it is as good as the clock. Where
nobody can tell how long the machine was off, a lease is over: the fall-back value is what the owner called safe.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import msgspec

from agent.clock import Clock

Target: TypeAlias = tuple[str, str]
"""Device id and point name."""


class Moment(msgspec.Struct, frozen=True):
    """When something happened."""

    boot: str
    monotonic_ns: int
    wall_ns: int
    trusted: bool
    """Whether the clock was synchronised."""

    @classmethod
    def now(cls, clock: Clock) -> Moment:
        """This moment."""
        return cls(clock.boot, clock.monotonic_ns(), clock.wall_ns(), clock.synchronised())

    def passed_ns(self, clock: Clock) -> int | None:
        """How long ago it was; `None` when nobody can tell."""
        if self.boot == clock.boot:
            return max(clock.monotonic_ns() - self.monotonic_ns, 0)
        passed_ns = clock.wall_ns() - self.wall_ns
        return passed_ns if self.trusted and clock.synchronised() and passed_ns >= 0 else None


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A value that holds until somebody's time is over."""

    device: str
    point: str
    value: str
    """As a person writes it; so is the fall-back value."""
    fallback: str
    source: str
    """Who holds it; only that one renews it."""
    command: str
    """The id of the command that began it."""
    begun: Moment
    length_ns: int

    @property
    def target(self) -> Target:
        """What it is about."""
        return self.device, self.point

    def left_ns(self, clock: Clock) -> int:
        """How long it still holds; 0 when it is over."""
        passed_ns = self.begun.passed_ns(clock)
        return 0 if passed_ns is None else max(self.length_ns - passed_ns, 0)

    def until(self, clock: Clock) -> datetime:
        """When it is over, by the machine's clock."""
        return wall(clock) + timedelta(microseconds=self.left_ns(clock) // 1000)


def wall(clock: Clock) -> datetime:
    """Now, as the machine believes."""
    return datetime.fromtimestamp(clock.wall_ns() / 1e9, UTC)

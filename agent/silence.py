"""Since when nothing usable has come of the points of one device, and when that is called silence.

Pure. Time is counted in ticks of who listens, not taken from a clock: while the agent itself stood still (a suspended
machine, a disk that holds everything up) nobody could be heard, and that is nobody's silence.

    speaking --nothing good or uncertain for three of its intervals--> silent --something came--> speaking

A device whose points are read at several intervals falls silent point by point, the slowest hours after the first. So
it is silent as a whole as soon as nothing of it came later than the last of a point that is silent; else only that
point is. When it speaks again, what it does not say at once has three intervals from then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from agent.sample import Quality, Reason, Shape

INTERVALS: Final = 3
"""Of so many intervals nothing came: one answer that got lost, or two, is no silence."""
TICK: Final = timedelta(seconds=1)
"""How often somebody looks: a silence is found out up to two ticks late, and never early."""
_LOOK: Final = 60
"""Ticks after which what came is taken in even if nobody can be silent by then: it is kept by its shape."""
_NEVER: Final = -1


class Change(NamedTuple):
    """A silence began or ended."""

    silent: bool
    point: str | None
    """`None`: the device as a whole."""


class Silence:
    """Of one device."""

    def __init__(self, intervals: Mapping[str, timedelta], now: int) -> None:
        """`intervals`: how often each point comes that is listened for; `now`: the tick from which on."""
        self.intervals = intervals
        self._patience = {point: INTERVALS * interval // TICK for point, interval in intervals.items()}
        self._heard = dict.fromkeys(intervals, _NEVER)
        self._since = dict.fromkeys(intervals, now)
        self._said: dict[tuple[Shape, bytes], int] = {}
        """What came since the last look and when, not taken apart yet."""
        self._whole = False
        self._some: set[str] = set()
        """Points that are silent while the device as a whole is not."""
        self._next_look = now

    def said(self, shape: Shape, reasons: bytes, now: int) -> None:
        """Take note of a sample of the device: its shape and reasons."""
        self._said[shape, reasons] = now

    def look(self, now: int) -> Sequence[Change]:
        """What began or ended by this tick; called once for each tick."""
        awaited = self._said and (self._whole or self._some)
        if now < self._next_look and not awaited:
            return ()
        heard = self._take_in()
        changes = self._ended(heard, now)
        if not self._whole:
            changes += self._begun(now)
        self._next_look = now + _LOOK
        if not self._whole:
            ends = (
                self._since[point] + ticks
                for point, ticks in self._patience.items()
                if point not in self._some
            )
            self._next_look = min(self._next_look, 1 + min(ends, default=now + _LOOK))
        return changes

    def _take_in(self) -> dict[str, int]:
        """Of which points something usable came since the last look, and when last."""
        heard: dict[str, int] = {}
        for (shape, reasons), at in self._said.items():  # in the order of first mention, not of `at`
            for cell, point in enumerate(shape.points):
                if point.name in self.intervals and not (reasons and _bad(reasons[cell])):
                    heard[point.name] = max(at, heard.get(point.name, _NEVER))
        self._said.clear()
        self._heard |= heard
        self._since |= heard
        return heard

    def _ended(self, heard: Mapping[str, int], now: int) -> list[Change]:
        if self._whole and heard:
            self._whole = False
            self._since = {point: heard.get(point, now) for point in self._since}
            return [Change(silent=False, point=None)]
        ended = [point for point in heard if point in self._some]
        self._some.difference_update(ended)
        return [Change(silent=False, point=point) for point in ended]

    def _begun(self, now: int) -> list[Change]:
        begun = [
            point
            for point, ticks in self._patience.items()
            if now - self._since[point] > ticks and point not in self._some
        ]
        if not begun:
            return []
        self._some.update(begun)
        if max(self._heard[point] for point in self._some) == max(self._heard.values()):
            self._whole = True
            self._some.clear()
            return [Change(silent=True, point=None)]
        return [Change(silent=True, point=point) for point in begun]


def _bad(reason: int) -> bool:
    return Reason(reason).quality is Quality.BAD

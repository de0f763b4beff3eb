"""What one uplink still has to send: as runs of places, and who is on the way.

Pure. Three sets, each a part of the one before:

    waiting    stored for this uplink and not settled; kept in the store file
    free       of these, safely stored and not on the way: what can be offered
    live       of the free ones, those stored since the session began; the others are backlog

A run reaches over places that have no row, and over rows that this uplink does not want (`interest`): both are
skipped when they are come upon. A row is settled when each of its wanted cells is, and then leaves as a whole; what
was only half settled when the agent stopped is sent once more, under the same numbers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from agent.buffer.interest import Cells, Interest
from agent.buffer.ledger import Drop, UplinkCounts
from agent.buffer.ranges import RangeSet
from agent.sample import Lane, Shape
from agent.upstream import Filter

_NEVER = 1 << 63


class UplinkState(msgspec.Struct, kw_only=True):
    """What is kept of an uplink in the store file."""

    filters: list[tuple[int, Filter]]
    waiting: list[tuple[int, int]]
    readings: int
    """How many wanted cells wait."""
    counts: UplinkCounts


class Leaving(NamedTuple):
    """A row that this uplink needs no more."""

    place: int
    end: int
    shape: Shape


@dataclass(slots=True)
class _OnTheWay:
    end: int
    shape: Shape
    cells: Cells
    wanted: int
    refused: int = 0
    left: RangeSet | None = field(default=None)
    """Wanted places that are not settled, once some are; `None` while all are."""


class Outstanding:
    """The rows that one uplink has before it, and what became of those behind it."""

    def __init__(self, state: UplinkState, begin: int) -> None:
        self.interest = Interest(state.filters)
        self.counts = state.counts
        self.waiting = RangeSet(state.waiting)
        self.readings = state.readings
        self._free = self.waiting.copy()
        self._way: dict[int, _OnTheWay] = {}
        self._boundary = begin
        self._live = 0
        self._fresh: list[tuple[int, int]] = []
        self._fresh_readings = 0
        self._tail = -1

    def state(self) -> UplinkState:
        """What is to be kept."""
        return UplinkState(
            filters=list(self.interest.filters),
            waiting=list(self.waiting),
            readings=self.readings,
            counts=self.counts,
        )

    # --- rows come in: first numbered, then safely stored

    def add(self, place: int, shape: Shape) -> bool:
        """A row is about to be stored here; whether any of it is wanted."""
        cells = len(shape.points)
        wanted = self.interest.wanted(place, shape)
        self.counts.stored += cells
        self.counts.filtered += cells - wanted
        if not wanted:
            return False
        # What lies between the last wanted row and this one is unwanted: one run over both keeps the list short.
        low = self._tail if self.waiting and self.waiting.high == self._tail else place
        self._tail = place + cells
        self.waiting.add(low, self._tail)
        if self._fresh and self._fresh[-1][1] == low:
            self._fresh[-1] = (self._fresh[-1][0], self._tail)
        else:
            self._fresh.append((low, self._tail))
        self.readings += wanted
        self._fresh_readings += wanted
        return True

    def stored(self) -> None:
        """What was added is safely stored: it may be offered now."""
        for low, high in self._fresh:
            self._free.add(low, high)
        self._live += self._fresh_readings
        self._fresh.clear()
        self._fresh_readings = 0

    # --- rows go out

    def begin(self, next_place: int) -> None:
        """A session opened: nothing is on the way, what is stored already is backlog."""
        self._way.clear()
        self._free = self.waiting.copy()
        self._free.difference_update(self._fresh)
        self._boundary = self._fresh[0][0] if self._fresh else next_place
        self._live = 0

    def offer(self, lane: Lane, low: int = 0) -> tuple[int, int] | None:
        """The first run of this lane from the place `low` on that can be offered, or `None`."""
        if lane is Lane.LIVE:
            return self._free.first(max(low, self._boundary), _NEVER)
        return self._free.first(low, self._boundary)

    def take(self, place: int, shape: Shape) -> Cells:
        """A row is on the way from here on; which of its cells are wanted (it has some)."""
        cells = self.interest.cells(place, shape)
        count = len(shape.points)
        end = place + count
        self._free.remove(place, end)
        self._way[place] = _OnTheWay(end, shape, cells, count if cells is None else len(cells))
        return cells

    def skip(self, low: int, high: int) -> None:
        """There is no row in this run that is wanted."""
        self._free.remove(low, high)
        self.waiting.remove(low, high)

    def release(self, low: int, high: int) -> None:
        """Rows of this run that are on the way are not any more: they can be offered again."""
        for place in self._on_the_way(low, high):
            row = self._way.pop(place)
            self._free.add(place, row.end)

    def settle(self, low: int, high: int, *, refused: bool = False) -> Iterator[Leaving]:
        """Upstream answered for this run; gives each row that is done with now.

        What is not on the way is ignored: it was taken in an earlier session, or dropped meanwhile.
        """
        for place in self._on_the_way(low, high):
            row = self._way[place]
            if low <= place and row.end <= high and row.left is None:
                row.refused += row.wanted if refused else 0
            else:
                if row.left is None:
                    row.left = _wanted_places(place, row)
                settled = sum(end - start for start, end in row.left.within(low, high))
                row.refused += settled if refused else 0
                row.left.remove(low, high)
                if row.left:
                    continue
            del self._way[place]
            self.waiting.remove(place, row.end)
            self._subtract(place, row.wanted)
            self.counts.refused += row.refused
            self.counts.acknowledged += row.wanted - row.refused
            yield Leaving(place, row.end, row.shape)

    def drop(self, place: int, shape: Shape, reason: Drop) -> None:
        """A row is taken away by the buffer: count it if it waited for this uplink.

        It leaves a gap in its run, not two runs: thousands go like this when the buffer is full.
        """
        if place not in self.waiting:
            return
        wanted = self.interest.wanted(place, shape)
        self._way.pop(place, None)
        self.counts.drop(reason, wanted)
        self._subtract(place, wanted)

    def needs(self, place: int, shape: Shape) -> bool:
        """Whether the row at this place still waits for this uplink."""
        return place in self.waiting and self.interest.wanted(place, shape) > 0

    @property
    def lanes(self) -> tuple[int, int]:
        """Readings that wait, live and backlog, those on the way included."""
        return self._live, self.readings - self._live - self._fresh_readings

    def shift(self, low: int, by: int) -> None:
        """Places from `low` on are now higher by this much."""
        self.interest.shift(low, by)
        self.waiting.shift(low, by)
        self._free.shift(low, by)
        self._way = {
            (place + by if place >= low else place): _shifted(row, by) if place >= low else row
            for place, row in self._way.items()
        }
        if self._boundary >= low:
            self._boundary += by
        self._fresh = [
            (max(start, low) + by, end + by) if end > low else (start, end) for start, end in self._fresh
        ]
        if self._tail >= low:
            self._tail += by

    def found(self, readings: int) -> None:
        """So many readings were there already when this uplink began at the oldest."""
        self.counts.stored += readings
        self.readings += readings

    def graft(self, kept: Outstanding, base: int) -> None:
        """Everything below `base` is as `kept` says, which was read from a file that could not be read before."""
        filters = self.interest.filters
        self.interest = Interest(kept.interest.filters)
        self.interest.change(base, filters[-1][1])
        self.waiting.update(kept.waiting)
        self._free.update(kept.waiting)
        self.readings += kept.readings
        self.counts.add(kept.counts)

    def lose(self, below: int, rescued: Iterable[tuple[int, Shape]], safe: int, reason: Drop) -> None:
        """All rows below this place are gone but for the rescued ones; `safe` readings wait beyond it."""
        self.waiting.remove(0, below)
        self._free.remove(0, below)
        way = {place: row for place, row in self._way.items() if place >= below}
        kept = live = 0
        for place, shape in rescued:
            wanted = self.interest.wanted(place, shape)
            end = place + len(shape.points)
            self.waiting.add(place, end)
            if place in self._way:
                way[place] = self._way[place]
            else:
                self._free.add(place, end)
            kept += wanted
            if place >= self._boundary:
                live += wanted
        self._way = way
        if self._boundary < below:
            self._live = live + safe
        readings = kept + safe + self._fresh_readings
        self.counts.drop(reason, self.readings - readings)
        self.readings = readings

    def miss(self, readings: int) -> None:
        """So many readings that should wait are in no row that can be found."""
        self.counts.drop(Drop.DAMAGED, readings)
        self.readings -= readings
        self._live = min(self._live, self.readings)

    def _subtract(self, place: int, wanted: int) -> None:
        self.readings -= wanted
        if place >= self._boundary:
            self._live -= wanted

    def _on_the_way(self, low: int, high: int) -> list[int]:
        """Places of the rows on the way that have cells in this run."""
        found = []
        place = low
        while place < high and (row := self._way.get(place)):
            found.append(place)
            place = row.end
        if place < high:  # a run that begins inside a row, or with rows between that are not on the way
            places = sorted(self._way)
            index = max(bisect_left(places, place) - 1, 0)
            found += [
                start
                for start in places[index : bisect_left(places, high)]
                if self._way[start].end > place and start not in found
            ]
        return found


def _wanted_places(place: int, row: _OnTheWay) -> RangeSet:
    if row.cells is None:
        return RangeSet([(place, row.end)])
    return RangeSet((place + cell, place + cell + 1) for cell in row.cells)


def _shifted(row: _OnTheWay, by: int) -> _OnTheWay:
    row.end += by
    if row.left is not None:
        row.left.shift(0, by)
    return row

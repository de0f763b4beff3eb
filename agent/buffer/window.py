"""The newest rows, kept in memory, so that what is sent at once is not read back from the disk.

Pure. From the place `low` on the window holds every row that is still needed; what is older must be read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from agent.buffer.change import Placed
from agent.buffer.schema import END

_COMPACT = 64
"""Places passed by the front before the list is cut: moving it costs more than a few stale entries."""


class Window:
    """At most `limit` readings, the newest."""

    def __init__(self, limit: int, low: int) -> None:
        self.low = low
        """From here on everything that is needed is in the window."""
        self._limit = limit
        self._rows: dict[int, Placed] = {}
        self._places: list[int] = []
        """Sorted; also places whose row has gone, until the front passes them."""
        self._front = 0
        self._readings = 0

    def add(self, row: Placed) -> None:
        """Take in a row that is newer than all others (or is in already); the oldest go when there are too many."""
        if row.place in self._rows:
            return
        self._rows[row.place] = row
        self._places.append(row.place)
        self._readings += len(row.sample.values)
        while self._readings > self._limit:
            place = self._places[self._front]
            self._front += 1
            if gone := self._rows.pop(place, None):
                self._readings -= len(gone.sample.values)
                self.low = place + len(gone.sample.values)
        if self._front > _COMPACT and self._front * 2 > len(self._places):
            del self._places[: self._front]
            self._front = 0

    def discard(self, low: int, high: int) -> None:
        """Nobody needs the rows of this run any more."""
        index = bisect_left(self._places, low, self._front)
        while index < len(self._places) and (place := self._places[index]) < high:
            if gone := self._rows.pop(place, None):
                self._readings -= len(gone.sample.values)
            index += 1
        while self._front < len(self._places) and self._places[self._front] not in self._rows:
            self._front += 1

    def rows(self, low: int, high: int) -> Iterator[Placed]:
        """The rows of a run, in order."""
        index = bisect_left(self._places, low, self._front)
        while index < len(self._places) and (place := self._places[index]) < high:
            if row := self._rows.get(place):
                yield row
            index += 1

    def shift(self, low: int, by: int) -> None:
        """Places from `low` on are now higher by this much."""
        rows = [row._replace(place=row.place + by) if row.place >= low else row for row in self.rows(0, END)]
        self._rows = {row.place: row for row in rows}
        self._places = list(self._rows)
        self._front = 0
        if self.low >= low:
            self.low += by

    @property
    def readings(self) -> int:
        """How many readings it holds."""
        return self._readings

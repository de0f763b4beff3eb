"""Which cells an uplink wants: by the filter that was in force when they were stored.

Pure. A filter that is changed in the configuration counts for what is stored from then on; what waits already was
stored, and counted, for the old one. So an uplink has a short list of filters, each with the place from which it
holds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from agent.sample import Shape
from agent.upstream import Filter

_REMEMBERED = 4096
"""Answers kept: more than the shapes of a large gateway, and bounded when shapes come and go."""

Cells = tuple[int, ...] | None
"""Indexes of the points that are wanted; `None` for all, `()` for none."""


class Interest:
    """The filters of one uplink, oldest first."""

    def __init__(self, filters: Iterable[tuple[int, Filter]]) -> None:
        self._filters = list(filters)
        self._known: dict[tuple[int, Shape], Cells] = {}

    @property
    def filters(self) -> tuple[tuple[int, Filter], ...]:
        """Each filter with the place from which it holds."""
        return tuple(self._filters)

    def change(self, place: int, filter_: Filter) -> None:
        """From this place on another filter holds; nothing when it is the same."""
        if self._filters and self._filters[-1][1] == filter_:
            return
        while self._filters and self._filters[-1][0] >= place:
            self._filters.pop()
        self._filters.append((place, filter_))
        self._known.clear()

    def forget(self, place: int) -> None:
        """Nothing below this place is asked for any more."""
        while len(self._filters) > 1 and self._filters[1][0] <= place:
            self._filters.pop(0)
            self._known.clear()

    def shift(self, low: int, by: int) -> None:
        """Places from `low` on are now higher by this much."""
        self._filters = [(place + by if place >= low else place, filter_) for place, filter_ in self._filters]

    def cells(self, place: int, shape: Shape) -> Cells:
        """Which cells of the row at this place are wanted."""
        index = len(self._filters) - 1
        if index and place < self._filters[index][0]:
            index = max(bisect_right(self._filters, place, key=lambda entry: entry[0]) - 1, 0)
        try:
            return self._known[index, shape]
        except KeyError:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[index, shape] = self._filters[index][1].cells(shape)
            return found

    def wanted(self, place: int, shape: Shape) -> int:
        """How many cells of the row at this place are wanted."""
        cells = self.cells(place, shape)
        return len(shape.points) if cells is None else len(cells)

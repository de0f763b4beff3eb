"""Counting what waits by looking at the rows, while others go on storing and deleting.

Pure: rows are shown to it. It counts the state of one moment, the one in which it was made, although it looks at a
piece at a time and other work is done between: rows stored later lie beyond the runs it was given, and rows that
are about to be deleted are shown to it first (`before_delete`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from agent.buffer.interest import Interest
from agent.buffer.ranges import RangeSet
from agent.sample import Shape


class Counted(NamedTuple):
    """A row, as far as counting needs it."""

    place: int
    cells: int
    shape: Shape | None
    """`None` for a damaged row, which is not counted."""


Look = Callable[[int, int, int, int], list[Counted]]
"""(rank, low, high, most) -> the first rows of this rank in this run."""


class Census:
    """Readings that wait for each uplink, as far as it has looked."""

    def __init__(
        self,
        uplinks: Mapping[str, tuple[RangeSet, Interest]],
        without: Collection[int],
        ranks: Iterable[int],
    ) -> None:
        self.waiting = dict.fromkeys(uplinks, 0)
        self._uplinks = [(name, runs, interest) for name, (runs, interest) in uplinks.items()]
        self._without = without
        everything = RangeSet(run for runs, _ in uplinks.values() for run in runs)
        self._ahead = {rank: everything.copy() for rank in ranks}

    def step(self, look: Look, most: int) -> bool:
        """Look at up to `most` rows; whether that was the end."""
        for rank, ahead in self._ahead.items():
            for low, high in ahead:
                found = look(rank, low, high, most)
                self._count(found)
                if len(found) < most:
                    ahead.remove(low, high)
                    most -= len(found)
                else:
                    ahead.remove(low, found[-1].place + 1)
                    return False
        return True

    def before_delete(self, look: Look, rank: int, low: int, high: int) -> None:
        """These rows are about to go: count them now where they are still ahead."""
        ahead = self._ahead[rank]
        for start, end in list(ahead.within(low, high)):
            self._count(look(rank, start, end, 1 << 62))
            ahead.remove(start, end)

    def _count(self, rows: Iterable[Counted]) -> None:
        for row in rows:
            if row.shape is None or row.place in self._without:
                continue
            for name, runs, interest in self._uplinks:
                if row.place in runs:
                    self.waiting[name] += interest.wanted(row.place, row.shape)

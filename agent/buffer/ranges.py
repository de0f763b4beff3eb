"""Sets of whole numbers that are mostly long runs: which places an uplink still has to send.

Pure, and ignorant of what the numbers mean. A set is held as two sorted lists, where each run begins and where it
ends (the end not included), so that a million places in one run cost as much as one, and every question is a
bisection.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class RangeSet:
    """Whole numbers, kept as runs from `low` up to, not including, `high`; runs never touch each other."""

    __slots__ = ("_highs", "_lows")

    def __init__(self, runs: Iterable[tuple[int, int]] = ()) -> None:
        self._lows: list[int] = []
        self._highs: list[int] = []
        for low, high in runs:
            self.add(low, high)

    def add(self, low: int, high: int) -> None:
        """Put in every number from `low` up to `high`; nothing where the run is empty."""
        if low >= high:
            return
        if self._highs and low == self._highs[-1]:  # what is stored follows on what was stored before
            self._highs[-1] = high
            return
        first = bisect_left(self._highs, low)
        after = bisect_right(self._lows, high)
        if first < after:
            low = min(low, self._lows[first])
            high = max(high, self._highs[after - 1])
        self._lows[first:after] = [low]
        self._highs[first:after] = [high]

    def remove(self, low: int, high: int) -> None:
        """Take out every number from `low` up to `high`, whether it is in or not."""
        if low >= high:
            return
        first = bisect_right(self._highs, low)
        after = bisect_left(self._lows, high)
        if first >= after:
            return
        lows, highs = [], []
        if self._lows[first] < low:
            lows.append(self._lows[first])
            highs.append(low)
        if self._highs[after - 1] > high:
            lows.append(high)
            highs.append(self._highs[after - 1])
        self._lows[first:after] = lows
        self._highs[first:after] = highs

    def __contains__(self, number: int) -> bool:
        index = bisect_right(self._lows, number) - 1
        return index >= 0 and number < self._highs[index]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(list(zip(self._lows, self._highs, strict=True)))

    def __bool__(self) -> bool:
        return bool(self._lows)

    def __len__(self) -> int:
        """How many runs, not how many numbers: what the set costs."""
        return len(self._lows)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RangeSet):
            return NotImplemented
        return self._lows == other._lows and self._highs == other._highs

    __hash__ = None  # type: ignore[assignment]  # mutable; a set of sets is nobody's need

    def __repr__(self) -> str:
        return f"RangeSet({list(self)})"

    @property
    def high(self) -> int:
        """The end of the last run; 0 when there is none."""
        return self._highs[-1] if self._highs else 0

    def first(self, low: int, high: int) -> tuple[int, int] | None:
        """The first run, or piece of a run, inside `low` up to `high`; `None` when there is none."""
        return next(self.within(low, high), None)

    def within(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Every run, or piece of a run, inside `low` up to `high`, in order."""
        if low >= high:
            return
        index = bisect_right(self._highs, low)
        while index < len(self._lows) and self._lows[index] < high:
            yield max(low, self._lows[index]), min(high, self._highs[index])
            index += 1

    def copy(self) -> RangeSet:
        """A set of its own with the same numbers."""
        other = RangeSet()
        other._lows = self._lows.copy()
        other._highs = self._highs.copy()
        return other

    def update(self, runs: Iterable[tuple[int, int]]) -> None:
        """Put in every run."""
        for low, high in runs:
            self.add(low, high)

    def difference_update(self, runs: Iterable[tuple[int, int]]) -> None:
        """Take out every run."""
        for low, high in runs:
            self.remove(low, high)

    def shift(self, low: int, by: int) -> None:
        """Move every number from `low` on by `by` (upwards: nothing may be in the way)."""
        moved = list(self.within(low, self.high))
        self.remove(low, self.high)
        self.update((start + by, end + by) for start, end in moved)

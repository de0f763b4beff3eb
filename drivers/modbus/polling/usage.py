"""What a line's time went to in the last minute: how much of it was taken, and how late its devices were asked. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

SLICE_NS: Final = 5_000_000_000
"""Kept in slices of so long."""
SPAN_NS: Final = 60_000_000_000
"""Over a minute, give or take a slice."""


@dataclass(slots=True)
class _Slice:
    number: int
    taken_ns: int = 0
    late_ns: int = 0


class Usage:
    """Of one line, since it was opened."""

    def __init__(self, now_ns: int) -> None:
        self._opened_ns = now_ns
        self._slices: deque[_Slice] = deque([_Slice(now_ns // SLICE_NS)])

    def took(self, begun_ns: int, ended_ns: int, late_ns: int = 0) -> None:
        """The line was taken from then until then, by something that was so late."""
        newest = self._slices[-1]
        number = ended_ns // SLICE_NS
        if number != newest.number:
            self._begin(begun_ns, number)
            newest = self._slices[-1]
            begun_ns = max(begun_ns, number * SLICE_NS)
        newest.taken_ns += ended_ns - begun_ns
        newest.late_ns = max(newest.late_ns, late_ns)

    def _begin(self, begun_ns: int, number: int) -> None:
        """Begin the slice of this number; what was taken since then belongs to those before it."""
        for earlier in range(max(self._slices[-1].number, number - SPAN_NS // SLICE_NS), number + 1):
            if earlier != self._slices[-1].number:
                self._slices.append(_Slice(earlier))
            if earlier != number:
                end_ns = (earlier + 1) * SLICE_NS
                self._slices[-1].taken_ns += max(end_ns - max(begun_ns, earlier * SLICE_NS), 0)
        while self._slices[0].number < number - SPAN_NS // SLICE_NS:
            self._slices.popleft()

    def figures(self, now_ns: int) -> dict[str, float]:
        """`utilisation`, from 0 to 1, and `lateness_ms`, the worst."""
        self._begin(now_ns, now_ns // SLICE_NS)
        since_ns = max(self._slices[0].number * SLICE_NS, self._opened_ns)
        taken_ns = sum(part.taken_ns for part in self._slices)
        return {
            "utilisation": round(min(taken_ns / max(now_ns - since_ns, 1), 1.0), 4),
            "lateness_ms": round(max(part.late_ns for part in self._slices) / 1e6, 1),
        }

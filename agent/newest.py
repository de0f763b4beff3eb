"""The newest that is known of each point of a device, whatever samples it came in.

Pure. A device may have points that are read at different intervals, so that no one sample has them all. The samples
are kept as they came, one of each shape, until others have newer cells for all of their points; they are taken apart
only when somebody looks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from agent.sample import Point, Reason, Sample, Shape, Value


class Cell(NamedTuple):
    """One point, as it was last learnt."""

    point: Point
    value: Value | None
    reason: Reason
    learnt_ns: int
    """When, of the monotonic clock."""


def cells(sample: Sample) -> Iterator[Cell]:
    """Take a sample apart."""
    for index, point in enumerate(sample.shape.points):
        reason = Reason(sample.reasons[index]) if sample.reasons else Reason.GOOD
        age_ns = sample.ages_ms[index] * 1_000_000 if sample.ages_ms else 0
        yield Cell(point, sample.values[index], reason, sample.monotonic_ns - age_ns)


class Newest:
    """Of one device."""

    def __init__(self) -> None:
        self._samples: dict[Shape, Sample] = {}
        """Those of older shapes first."""

    def learnt(self, sample: Sample) -> None:
        """Keep a sample; called for each, so it does no more than it must."""
        if sample.shape not in self._samples:
            self._forget(sample.shape)
        self._samples[sample.shape] = sample

    def _forget(self, shape: Shape) -> None:
        """A new shape: those of which it has all points have nothing more to tell."""
        names = {point.name for point in shape.points}
        self._samples = {
            other: sample
            for other, sample in self._samples.items()
            if any(point.name not in names for point in other.points)
        }

    def cells(self, points: Iterable[Point]) -> list[Cell]:
        """The newest cell of each of these points, in their order; a point of which nothing is known is left out."""
        found: dict[str, Cell] = {}
        for sample in self._samples.values():
            for cell in cells(sample):
                known = found.get(cell.point.name)
                if known is None or known.learnt_ns <= cell.learnt_ns:
                    found[cell.point.name] = cell
        return [found[point.name] for point in points if point.name in found]

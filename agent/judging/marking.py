"""One sample while it is judged: what is doubtful in it so far, and the sample that comes of it.

Pure. The columns stay as they came until something is marked: a sample without a doubt leaves as the object that it was.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from agent.judging.counter import Happened
from agent.sample import Point, Reason, Sample, Shape, Value

_DOUBTFUL: Final = 0x40
"""Reasons from here on are uncertain,"""
_BAD: Final = 0x80
"""and from here on bad."""


class News(NamedTuple):
    """A counter did something that was not counting on."""

    point: str
    happened: Happened
    before: Value
    """Where it last stood, and"""
    after: Value
    """where it went on from."""


class Marking:
    """Of one sample."""

    __slots__ = ("_events", "_marks", "_sample", "again", "news", "values")

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        self.values = sample.values
        self._marks: dict[int, Reason] = {}
        self._events: list[tuple[int, Point]] = []
        self.news: list[News] = []
        self.again = False
        """Whether a second reading is wanted, at once."""

    def good(self, cell: int) -> bool:
        """Whether nothing speaks against this cell so far."""
        reasons = self._sample.reasons
        return cell not in self._marks and (not reasons or reasons[cell] < _DOUBTFUL)

    def learnt_ns(self, cell: int) -> int:
        """When it was read."""
        ages = self._sample.ages_ms
        return self._sample.monotonic_ns - ages[cell] * 1_000_000 if ages else self._sample.monotonic_ns

    def mark(self, cell: int, reason: Reason) -> None:
        """Doubt it; a reason that is bad takes its value."""
        self._marks[cell] = reason

    def happened(self, cell: int, event: Point, news: News) -> None:
        """Report on a counter: the event stands in the sample with the reading that proved it, in one row for ever."""
        self._events.append((cell, event))
        self.news.append(news)

    def result(self, shapes: dict[tuple[int, ...], Shape]) -> Sample:
        """What became of the sample; `shapes` keeps those with event points, by the cells of their counters."""
        sample = self._marked() if self._marks else self._sample
        return self._with_events(sample, shapes) if self._events else sample

    def _marked(self) -> Sample:
        sample = self._sample
        values, reasons = list(sample.values), bytearray(sample.reasons or bytes(len(sample.values)))
        for cell, reason in self._marks.items():
            reasons[cell] = reason
            if reason >= _BAD:
                values[cell] = None
        return Sample(sample.shape, sample.monotonic_ns, tuple(values), bytes(reasons), sample.ages_ms)

    def _with_events(self, sample: Sample, shapes: dict[tuple[int, ...], Shape]) -> Sample:
        cells = tuple(cell for cell, _ in self._events)
        shape = shapes.get(cells)
        if shape is None:
            points = (*sample.shape.points, *(event for _, event in self._events))
            shape = shapes[cells] = Shape(sample.shape.device, points)
        ages = sample.ages_ms
        return Sample(
            shape,
            sample.monotonic_ns,
            (*sample.values, *(each.happened.value for each in self.news)),
            sample.reasons + bytes(len(cells)) if sample.reasons else b"",
            (*ages, *(ages[cell] for cell in cells)) if ages else (),
        )

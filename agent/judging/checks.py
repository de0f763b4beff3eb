"""What can speak against the value of a cell: one check for each kind of rule, over all cells of a shape that have it.

Pure. A check looks at what is still good, marks what it doubts, and remembers what it needs for the next sample. Only
good values are remembered: a wild one is no measure for the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple, Protocol

from agent.judging.counter import MINUTE_NS, Track
from agent.judging.marking import Marking, News
from agent.sample import Point, Reason, Value


class Check(Protocol):
    """One kind of rule."""

    def look(self, marking: Marking) -> None:
        """Mark what is doubtful."""


class OutOfService(NamedTuple):
    """Cells of points that somebody took out."""

    cells: Sequence[int]

    def look(self, marking: Marking) -> None:
        """Whatever was read does not count."""
        for cell in self.cells:
            marking.mark(cell, Reason.OUT_OF_SERVICE)


class Voucher:
    """The last value of a point that vouches for others; `None` while that is not known."""

    __slots__ = ("learnt_ns", "value")

    def __init__(self) -> None:
        self.value: Value | None = None
        self.learnt_ns = 0


class Vouchers(NamedTuple):
    """Cells of points that vouch for others."""

    cells: Sequence[tuple[int, Voucher]]

    def look(self, marking: Marking) -> None:
        """Take note of them; a doubtful one vouches for nothing."""
        for cell, voucher in self.cells:
            voucher.value = marking.values[cell] if marking.good(cell) else None
            voucher.learnt_ns = marking.learnt_ns(cell)


class Vouched(NamedTuple):
    """A cell that another point vouches for."""

    cell: int
    voucher: Voucher
    good: frozenset[Value]
    max_age_ns: int

    def look(self, marking: Marking) -> None:
        """Bad, if the other says so; uncertain, if it has nothing to say or said it too long ago."""
        if not marking.good(self.cell):
            return
        voucher = self.voucher
        if voucher.value is None or marking.learnt_ns(self.cell) - voucher.learnt_ns > self.max_age_ns:
            marking.mark(self.cell, Reason.UNVERIFIED)
        elif voucher.value not in self.good:
            marking.mark(self.cell, Reason.SENSOR_FAILURE)


class Limits(NamedTuple):
    """Cells with a least and a greatest value, of a kind that compares with theirs."""

    cells: Sequence[tuple[int, Any, Any]]

    def look(self, marking: Marking) -> None:
        """Doubt what is outside."""
        values = marking.values
        for cell, minimum, maximum in self.cells:
            value: Any = values[cell]
            if value is not None and not minimum <= value <= maximum and marking.good(cell):
                marking.mark(cell, Reason.OUTSIDE_LIMITS)


class Counting(NamedTuple):
    """The cell of a counter."""

    cell: int
    name: str
    track: Track[Any]
    event: Point

    def look(self, marking: Marking) -> None:
        """Follow it; ask for a second reading when in doubt, report what the doubt came to."""
        cell = self.cell
        if not marking.good(cell):
            return
        value, before = marking.values[cell], self.track.last
        reason, happened = self.track.take(value, marking.learnt_ns(cell))
        if reason:
            marking.mark(cell, reason)
            marking.again = True
        elif happened is not None and before is not None and value is not None:
            marking.happened(cell, self.event, News(self.name, happened, before, value))


class Pace:
    """How fast the point of a cell moves: doubted as long as it cannot have come so far since its last good value.

    It may move as far as is stated for a minute at once: what is read more often may be noisy, or change in steps.
    """

    __slots__ = ("_learnt_ns", "_per_ns", "_value")

    def __init__(self, per_minute: Fraction) -> None:
        self._per_ns = float(per_minute) / MINUTE_NS
        self._value: Any = None
        self._learnt_ns = 0

    def allows(self, value: Any, learnt_ns: int) -> bool:
        """Whether it can have come so far; then it is what the next is compared with."""
        if self._value is not None:
            within_ns = max(learnt_ns - self._learnt_ns, MINUTE_NS)
            if abs(float(value - self._value)) > self._per_ns * within_ns:
                return False
        self._value, self._learnt_ns = value, learnt_ns
        return True


class Paces(NamedTuple):
    """Cells of points that do not count, and are known not to move faster."""

    cells: Sequence[tuple[int, Pace]]

    def look(self, marking: Marking) -> None:
        """Doubt what moved faster."""
        for cell, pace in self.cells:
            if marking.good(cell) and not pace.allows(marking.values[cell], marking.learnt_ns(cell)):
                marking.mark(cell, Reason.CHANGED_TOO_FAST)

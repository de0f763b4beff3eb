"""One counter, reading by reading: whether it counts on, whether that can be believed, and what it means if it does not.

Pure. A counter only rises. A reading that is lower than the last, or so much higher that it cannot have counted that
far, is doubted, and a second reading decides:

    on the track --too low, too high--> in doubt --again there--> on a new track, with an event
         ^                                 |
         +-------as if nothing were--------+   a glitch, forgotten

What is less than a doubt:

- Zero proves nothing: devices answer 0 while they start up. It stays in doubt until the counter has moved on from
  there and two readings say so, or until it has stood at 0 for longer than any device takes to start.
- A value that nothing but one reading ever showed (a spike upwards) is taken back without an event.
- A float that falls by less than a 32-bit one can tell has not fallen.
"""

from __future__ import annotations

import enum
from decimal import Decimal
from fractions import Fraction
from typing import Final, Generic, NamedTuple, TypeVar

from agent.sample import Reason

Number = TypeVar("Number", int, float, Decimal)
"""All values of one counter are of one type."""

STARTING_NS: Final = 600_000_000_000
"""No device takes ten minutes to start: what has stood at 0 for so long, is 0."""
MINUTE_NS: Final = 60_000_000_000
"""How far a counter may move is stated for a minute, and granted at once: it may count in coarse steps."""
NEAR: Final = 10
"""Near its rollover value is the last tenth before it, and just past it the first tenth."""
NEAR_ZERO: Final = 100
"""Near zero is a hundredth of where it was. Rather less than more: of a swapped meter that is taken for a reset, what
it had counted elsewhere would be counted here; of a reset that is taken for a swap, only what it has counted since is
missing."""
_FLOAT_NOISE: Final = 2.0**-22
"""Relative: two units in the last place of a 32-bit float."""


class Happened(enum.StrEnum):
    """What a counter did that was not counting on: the value of its event point."""

    RESET = "reset"
    """It began again near zero: what it shows now was counted since."""
    ROLLOVER = "rollover"
    """It reached its rollover value and went on from zero: nothing is missing."""
    SWAP = "swap"
    """It goes on from elsewhere: another meter, or one that forgot its last minutes. What lies between is not known."""


class Verdict(NamedTuple):
    """What is to be thought of one reading."""

    reason: Reason
    happened: Happened | None = None
    """Once, with the reading that proved it."""


_GOOD: Final = Verdict(Reason.GOOD)
_LOW: Final = Verdict(Reason.UNCONFIRMED)
_HIGH: Final = Verdict(Reason.CHANGED_TOO_FAST)


class Track(Generic[Number]):
    """Where one counter stands."""

    __slots__ = ("_doubted", "_doubted_ns", "_last_ns", "_per_ns", "_rollover", "last", "sure")

    def __init__(self, rollover: Fraction | None = None, per_minute: Fraction | None = None) -> None:
        self._rollover = rollover
        self._per_ns = None if per_minute is None else float(per_minute) / MINUTE_NS
        self.last: Number | None = None
        """The last value that was believed."""
        self._last_ns: int | None = None
        """When; unknown for one from before a restart."""
        self.sure: Number | None = None
        """The highest value that a later reading has borne out: what is worth remembering."""
        self._doubted: Number | None = None
        self._doubted_ns = 0
        """Since when it stands there."""

    @property
    def doubted(self) -> bool:
        """Whether a second reading is wanted."""
        return self._doubted is not None

    def recall(self, sure: Number) -> None:
        """Go on from where it stood before a restart."""
        self.sure = self.last = sure

    def take(self, value: Number, at_ns: int) -> Verdict:
        """Follow it to its next reading; a bad one is none."""
        last = self.last
        if last is None:
            return self._begin(value, at_ns)
        low = _fell(value, last)
        if not low and not self._too_far(last, value, self._last_ns, at_ns):
            self._doubted = None
            self.sure = last
            if value > last:
                self.last = value
            self._last_ns = at_ns
            return _GOOD
        if not self._again(value, at_ns):
            return _LOW if low else _HIGH
        taken_back = low and self.sure is not None and not _fell(value, self.sure)
        happened = None if taken_back else self._happened(last, value)
        self._begin(value, at_ns)
        return Verdict(Reason.GOOD, happened)

    def _begin(self, value: Number, at_ns: int) -> Verdict:
        self.sure = self.last = value
        self._last_ns = at_ns
        self._doubted = None
        return _GOOD

    def _again(self, value: Number, at_ns: int) -> bool:
        """Whether an earlier doubted reading bears this one out; if not, the next is compared with this one."""
        doubted, since_ns = self._doubted, self._doubted_ns
        if doubted is not None and not value and not doubted:
            return at_ns - since_ns >= STARTING_NS
        self._doubted, self._doubted_ns = value, at_ns
        if not doubted:
            return False
        return not _fell(value, doubted) and not self._too_far(doubted, value, since_ns, at_ns)

    def _too_far(self, start: Number, end: Number, from_ns: int | None, to_ns: int) -> bool:
        """Whether it cannot have counted so far in this time."""
        if self._per_ns is None or from_ns is None:
            return False
        return float(end - start) > self._per_ns * max(to_ns - from_ns, MINUTE_NS)

    def _happened(self, last: Number, value: Number) -> Happened:
        if self._rollover is not None:
            near = self._rollover / NEAR
            if last >= self._rollover - near and value <= near:
                return Happened.ROLLOVER
        return Happened.RESET if abs(value) * NEAR_ZERO <= last else Happened.SWAP


def _fell(value: Number, reference: Number) -> bool:
    if value >= reference:
        return False
    if isinstance(value, float):
        return reference - value > abs(reference) * _FLOAT_NOISE
    return True

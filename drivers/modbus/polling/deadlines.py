"""How late at most whoever is to be asked regularly is asked, on a line that asks one after the other.

Pure arithmetic, and an exact worst case rather than a simulation: what is simulated holds for the phases that were
simulated, this for any. It is the response-time analysis of earliest deadline first without preemption (George,
Rivierre and Spuri, Preemptive and Non-Preemptive Real-Time Uniprocessor Scheduling, INRIA RR-2966, 1996, section 4.2),
to the start of a turn rather than its end, with deadlines at the ends of the intervals.

The worst for a task is found in a busy period of the line, begun by the longest turn of somebody whose deadline is
later, while all who go first begin at once. Its own turn may fall anywhere in that period; where it can be worst is
where its deadline meets somebody's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Self

from drivers.modbus.polling.schedule import TICK_NS

FULL: Final = 0.97
"""A line that is used more has no time left for anything that was not foreseen, and the arithmetic here no end."""


class Load(NamedTuple):
    """What is done once an interval: turns of the line that all have the same deadlines."""

    interval_ns: int
    whole_ns: int
    """How long all of it takes the line."""
    longest_ns: int
    """The longest turn of it."""
    shortest_ns: int

    @classmethod
    def of(cls, interval_ns: int, turns_ns: Sequence[int]) -> Self:
        """Of turns that take so long each."""
        return cls(interval_ns, sum(turns_ns), max(turns_ns), min(turns_ns))


def utilisation(loads: Sequence[Load]) -> float:
    """The part of the line's time that is needed, 1 being all of it."""
    return sum(load.whole_ns / load.interval_ns for load in loads)


def lateness_ns(loads: Sequence[Load], *, once_ns: int = 0, share: float = 0.0) -> tuple[int, ...] | None:
    """For each load, how long at most after its slot began something has its turn; `None` if the line is too full to say.

    `once_ns`: something else may take so much at any moment, and besides that, over time, `share` of the line.
    """
    if utilisation(loads) + share > FULL:
        return None
    period_ns = _busy_ns(loads, once_ns, share)
    return tuple(
        max(_late_ns(own, loads, at_ns, once_ns, share) for at_ns in _places(own, loads, period_ns))
        for own in loads
    )


def _busy_ns(loads: Sequence[Load], once_ns: int, share: float) -> int:
    """The longest time that the line can be busy without a pause."""
    first_ns = once_ns + max((load.longest_ns for load in loads), default=0)
    length_ns, reached_ns = first_ns, -1
    while length_ns > reached_ns:
        reached_ns = length_ns
        length_ns = first_ns + round(share * reached_ns)
        length_ns += sum(_begun(load, reached_ns) * load.whole_ns for load in loads)
    return length_ns


def _late_ns(own: Load, loads: Sequence[Load], at_ns: int, once_ns: int, share: float) -> int:
    """How late the shortest turn of a load has its turn if its slot begins so long after the busy period did."""
    deadline_ns = at_ns + own.interval_ns
    before_ns = once_ns + (at_ns + _slack_ns(own)) // own.interval_ns * own.shortest_ns
    blocking_ns = 0
    rivals: list[tuple[Load, int, int]] = []
    for load in loads:
        others_ns = load.whole_ns - load.shortest_ns if load is own else load.whole_ns
        most = (deadline_ns + _slack_ns(load)) // load.interval_ns
        if most:  # so many of its slots end no later
            rivals.append((load, most, others_ns))
        else:
            blocking_ns = max(blocking_ns, load.longest_ns)
    start_ns, reached_ns = before_ns + blocking_ns, -1
    while start_ns > reached_ns:
        reached_ns = start_ns
        start_ns = before_ns + blocking_ns + round(share * reached_ns)
        start_ns += sum(min(_begun(load, reached_ns), most) * whole_ns for load, most, whole_ns in rivals)
    return start_ns - at_ns


def _places(own: Load, loads: Sequence[Load], period_ns: int) -> set[int]:
    """Where in the busy period its turn can be worst: at the beginning, and where its deadline meets one."""
    places = {0}
    for load in loads:
        first_ns = -(-own.interval_ns // load.interval_ns) * load.interval_ns - own.interval_ns
        places.update(range(first_ns, period_ns, load.interval_ns))
    return places


def _begun(load: Load, length_ns: int) -> int:
    """How many of its slots begin in a span of this length at most, both ends included."""
    return (length_ns + _slack_ns(load)) // load.interval_ns + 1


def _slack_ns(load: Load) -> int:
    """By how much two of its slots may be nearer to each other than an interval: they begin on ticks."""
    return TICK_NS if load.interval_ns % TICK_NS else 0

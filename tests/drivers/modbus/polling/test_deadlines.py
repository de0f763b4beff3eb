"""The arithmetic of deadlines, against the real schedule in simulated time."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.modbus.polling.account import SAVED, SHARE
from drivers.modbus.polling.deadlines import Load, lateness_ns, utilisation
from drivers.modbus.polling.schedule import Schedule, Slots

MS = 1_000_000
S = 1000 * MS
MINUTE = 60 * S


class Task(NamedTuple):
    """What is done once an interval, by several alike."""

    interval_ns: int
    cost_ns: int
    alike: int = 1


def loads(*tasks: Task) -> list[Load]:
    return [Load.of(task.interval_ns, [task.cost_ns] * task.alike) for task in tasks]


class Line:
    """The real schedule on a line in simulated time, where every turn takes what its task says."""

    def __init__(self, tasks: list[Task], *, limit_ns: int = S, clock: bool = False) -> None:
        self.schedule = Schedule()
        self.limit_ns = limit_ns
        self.now_ns = 1_000_003 * MS
        self.tasks = {
            f"{index}-{each}": task for index, task in enumerate(tasks) for each in range(task.alike)
        }
        self.dead: set[str] = set()
        self.late_ns: dict[Task, int] = defaultdict(int)
        self.busy_ns = 0
        for name, task in self.tasks.items():
            slots = [Slots(task.interval_ns, clock)]
            self.schedule.add(name, slots, cost_ns=limit_ns, now_ns=self.now_ns)

    def run(self, length_ns: int) -> None:
        end_ns = self.now_ns + length_ns
        while self.now_ns < end_ns:
            turn = self.schedule.next(self.now_ns)
            if turn is None:
                wake_ns = self.schedule.wake_ns()
                self.now_ns = end_ns if wake_ns is None else min(wake_ns, end_ns)
                continue
            task = self.tasks[turn.device]
            self.late_ns[task] = max(self.late_ns[task], turn.late_ns)
            begun_ns = self.now_ns
            if turn.device in self.dead:
                self.now_ns += self.limit_ns
                self.schedule.failed(turn.device, self.now_ns, spent_ns=self.limit_ns)
            else:
                self.now_ns += task.cost_ns
                self.schedule.answered(turn.device, turn.group, self.now_ns)
            self.busy_ns += self.now_ns - begun_ns

    def settle(self) -> None:
        """Let what follows from the beginning be over: that everybody was asked at once."""
        left = 1 - sum(task.cost_ns / task.interval_ns for task in self.tasks.values())
        self.run(round(2 * MINUTE / max(left, 0.05)))
        self.late_ns.clear()
        self.busy_ns = 0

    @property
    def missed(self) -> int:
        return sum(self.schedule.missed(name) for name in self.tasks)


@st.composite
def lines(draw: st.DrawFn) -> list[Task]:
    """What a line is asked for, that it can do: from hardly anything to nearly all of its time."""
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from([200, 250, 500, 700, 1000, 2000, 3000, 10_000, 60_000]),
                st.integers(1, 100),
                st.integers(1, 12),
            ),
            min_size=1,
            max_size=6,
            unique_by=lambda drawn: drawn[0],
        )
    )
    wanted = draw(st.floats(0.05, 0.95)) / sum(alike * parts / interval for interval, parts, alike in drawn)
    return [Task(interval * MS, round(wanted * parts * MS) or 1, alike) for interval, parts, alike in drawn]


@given(tasks=lines(), clock=st.booleans())
@settings(deadline=None, max_examples=60)
def test_no_turn_is_later(tasks, clock):
    """Whatever is asked of a line: nobody is asked later than was worked out, nobody misses a slot who was to miss none."""
    worst = lateness_ns(loads(*tasks))
    if worst is None:
        return
    here = Line(tasks, clock=clock)
    here.settle()
    missed = here.missed
    here.run(3 * MINUTE)
    if all(late < task.interval_ns for task, late in zip(tasks, worst, strict=True)):
        assert here.missed == missed
        for task, late in zip(tasks, worst, strict=True):
            assert here.late_ns[task] <= late


@given(tasks=lines())
@settings(deadline=None, max_examples=30)
def test_utilisation(tasks):
    """The line is taken for as much of its time as was worked out."""
    worst = lateness_ns(loads(*tasks))
    if worst is None or any(late >= task.interval_ns for task, late in zip(tasks, worst, strict=True)):
        return
    here = Line(tasks)
    here.settle()
    here.run(5 * MINUTE)
    edges = sum(task.cost_ns * task.alike for task in tasks) / (5 * MINUTE)
    assert here.busy_ns / (5 * MINUTE) == pytest.approx(utilisation(loads(*tasks)), abs=2 * edges)


@given(tasks=lines(), dead=st.integers(1, 4), limit_ms=st.sampled_from([100, 500, 1000]))
@settings(deadline=None, max_examples=25)
def test_with_dead_devices(tasks, dead, limit_ms):
    """When some fall silent: no other is later than the first time-outs and the account of the failing explain."""
    limit_ns = limit_ms * MS
    once_ns = (dead + SAVED) * limit_ns
    worst = lateness_ns(loads(*tasks), once_ns=once_ns, share=SHARE)
    if worst is None:
        return
    here = Line(tasks, limit_ns=limit_ns)
    here.settle()
    here.dead = set(list(here.tasks)[:dead])
    here.run(5 * MINUTE)
    for task, late in zip(tasks, worst, strict=True):
        assert here.late_ns[task] <= late  # those who lose a slot begin anew with the next


def test_the_bound_is_met():
    """Where all begin at once, by the clock, the last one waits for all others: as long as was worked out."""
    tasks = [Task(60 * S, 300 * MS, 10)]
    assert lateness_ns(loads(*tasks)) == (2700 * MS,)
    here = Line(tasks, clock=True)
    here.settle()
    here.run(5 * MINUTE)
    assert here.late_ns[tasks[0]] == 2700 * MS


def test_the_fast_go_first():
    """One that is read often waits for one of the slow, however many of them there are, and for its like."""
    fast, slow = lateness_ns(loads(Task(1 * S, 50 * MS, 2), Task(60 * S, 100 * MS, 100)))
    assert fast == 150 * MS
    assert 10 * S < slow < 12 * S


def test_too_full():
    """A line that is asked for all its time, or more, has no worst case."""
    assert utilisation(loads(Task(S, 600 * MS, 2))) == 1.2
    assert lateness_ns(loads(Task(S, 600 * MS, 2))) is None
    assert lateness_ns(loads(Task(S, 960 * MS)), share=SHARE) is None
    assert lateness_ns([]) == ()

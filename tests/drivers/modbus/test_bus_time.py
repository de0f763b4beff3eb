"""The sum of what a line is asked for: by hand, against the real schedule, and as a technician reads it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.modbus import DeviceSettings, LinkSettings, notes, problems
from drivers.modbus.bus_time import ANSWER, loads, polls
from drivers.modbus.deadlines import lateness_ns, utilisation
from drivers.modbus.pace import Pace, pace
from drivers.modbus.profile import PointSettings
from drivers.modbus.registers import Table, Type
from tests.drivers.modbus.test_deadlines import Line, Task

MS = 1_000_000
S = 1000 * MS


def point(address: int, **given: Any) -> PointSettings:
    return PointSettings(
        name=f"p{address}", table=Table.HOLDING, address=address, register_type=Type.UINT16, **given
    )


def device(name: str, interval_s: float, blocks: int = 1, **given: Any) -> DeviceSettings:
    """So many requests for one register each."""
    its_points = tuple(point(10 * place) for place in range(blocks))
    return DeviceSettings(id=name, interval=timedelta(seconds=interval_s), points=its_points, **given)


def link(*devices: DeviceSettings, **given: Any) -> LinkSettings:
    return LinkSettings(id="plant", driver="modbus", host="192.0.2.10", devices=devices, **given)


def milliseconds(length: float) -> timedelta:
    return timedelta(milliseconds=length)


# --- how long a poll takes -------------------------------------------------------------------------------------


def test_costs():
    """Frames, the silence round them, the device's own time, and the pauses; by hand."""
    rtu = Pace(octet_ns=MS, silence_ns=4 * MS, question=8, answer=5, answer_ns=10 * MS)
    [poll] = polls(link(device("a", 10, 2)), rtu)
    exchange_ms = 8 + 4 + 10 + (5 + 2) + 4
    assert (poll.requests, poll.cost_ns) == (2, 2 * exchange_ms * MS)
    [poll] = polls(link(device("a", 10, 2), request_delay=milliseconds(20)), rtu)
    assert poll.cost_ns == 2 * (exchange_ms - 4 + 20) * MS
    # Its own pause holds up only its own next block.
    [poll] = polls(link(device("a", 10, 2, request_delay=milliseconds(50))), rtu)
    assert poll.cost_ns == (2 * exchange_ms + 50 - 4) * MS


def test_groups_are_summed_by_their_intervals():
    """What is read less often takes less of the line."""
    settings = DeviceSettings(
        id="a", interval=timedelta(seconds=1), points=(point(0), point(1, interval=timedelta(seconds=60)))
    )
    fast, slow = polls(link(settings), pace(ANSWER))
    assert (fast.interval, slow.interval) == (timedelta(seconds=1), timedelta(seconds=60))
    assert utilisation(loads([fast, slow])) == pytest.approx(0.01 + 0.01 / 60)


@given(
    devices=st.lists(st.tuples(st.sampled_from([1, 2, 5, 10]), st.integers(1, 8)), min_size=1, max_size=12),
    answer_ms=st.integers(1, 20),
)
@settings(deadline=None, max_examples=25)
def test_the_sum_agrees_with_the_schedule(devices, answer_ms):
    """What check says of a configuration is what its schedule does with it, in simulated time."""
    here = link(*(device(f"d{place}", *each) for place, each in enumerate(devices)))
    asked = polls(here, pace(milliseconds(answer_ms)))
    every = loads(asked)
    worst = lateness_ns(every)
    if worst is None or any(late >= load.interval_ns for load, late in zip(every, worst, strict=True)):
        return
    line = Line([Task(round(poll.interval.total_seconds()) * S, poll.cost_ns) for poll in asked])
    line.settle()
    line.run(200 * S)
    edges = sum(poll.cost_ns for poll in asked) / (200 * S)
    assert line.busy_ns / (200 * S) == pytest.approx(utilisation(every), abs=2 * edges)
    for load, late_ns in zip(every, worst, strict=True):
        found = [late for task, late in line.late_ns.items() if task.interval_ns == load.interval_ns]
        assert max(found) <= late_ns


# --- what cannot work ------------------------------------------------------------------------------------------


def test_what_fits_is_no_problem():
    """A network carries whatever is asked for, as far as is known beforehand."""
    assert not list(problems(link(*(device(f"d{number}", 1, 20) for number in range(50)))))
    assert not list(problems(link()))


def test_more_than_all_of_the_time():
    """Twelve requests a second with a tenth of a second between them cannot be; the message says what could."""
    ((path, words),) = problems(link(device("a", 60), device("b", 1, 12), request_delay=milliseconds(100)))
    assert path == ("devices", 1, "interval")
    assert words == (
        "interval: expected less than all of the line's time, found 120% of it (1.2 s every 1s for b alone), even if "
        "every device answered at once; it could with no interval under 2s"
    )


def test_somebody_who_would_always_wait_too_long():
    """A device that is read often among polls that take longer than its interval would lose slots again and again."""
    ((path, words),) = problems(
        link(device("slow", 60, 30), device("fast", 0.5), request_delay=milliseconds(100))
    )
    assert path == ("devices", 1, "interval")
    assert words == (
        "interval: expected time for every poll, found that fast, read every 500ms, has to wait longer than that for "
        "others, such as slow with 3.0 s, even if every device answered at once; it could with no interval under 5s"
    )


def test_nothing_would_fit():
    """Where no interval helps that is said."""
    ((_, words),) = problems(link(device("a", 60, 3000), request_delay=timedelta(seconds=60)))
    assert words.endswith("no interval helps: read fewer points")


# --- what is shown ---------------------------------------------------------------------------------------------


def test_table():
    """For each interval what is asked for, what that takes, and how late it may be; with dead devices beside it."""
    here = link(device("a", 1, 2), device("b", 1, 2), device("c", 60, 5), device("d", 60, 5))
    assert list(notes(here)) == [
        "plant: time on the line, if every answer begins within 10ms:",
        "     every  devices  requests    take  of the line  late at most  1 dead  2 dead",
        "        1s        2         4   40 ms         4.0%         70 ms  3 lost  4 lost",
        "      1min        2        10  100 ms         0.2%         90 ms   3.3 s   4.4 s",
        "  together        4        14                 4.2%                  8.2%    8.2%",
    ]


def test_table_of_a_line_that_is_too_full():
    """What may be too much, if devices take as long as is assumed, is shown and not refused."""
    here = link(device("a", 1, 110))
    assert not list(problems(here))
    assert list(notes(here))[2:] == [
        "        1s        1       110  1.1 s       110.0%       no time",
        "  together        1       110              110.0%",
    ]
    assert list(notes(link())) == []

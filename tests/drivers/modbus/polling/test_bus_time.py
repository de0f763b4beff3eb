"""The sum of what a line is asked for: by hand, against the real schedule, and as a technician reads it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.modbus import DeviceSettings, LinkSettings, notes, problems
from drivers.modbus.line.ascii import Ascii
from drivers.modbus.line.ends import FramingKind, Parity, Serial
from drivers.modbus.line.framing import question
from drivers.modbus.line.rtu import Rtu
from drivers.modbus.point import PointSettings
from drivers.modbus.polling.bus_time import ANSWER, loads, polls
from drivers.modbus.polling.deadlines import lateness_ns, utilisation
from drivers.modbus.polling.pace import Pace
from drivers.modbus.values.registers import Table, Type
from tests.drivers.modbus.polling.test_deadlines import Line, Task

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
    return LinkSettings(
        **({"id": "plant", "driver": "modbus", "host": "192.0.2.10", "devices": devices} | given)
    )


def milliseconds(length: float) -> timedelta:
    return timedelta(milliseconds=length)


# --- how long a poll takes -------------------------------------------------------------------------------------


RTU = Serial(port=Path("/dev/null"), speed=1000, parity=Parity.EVEN)
"""11 bits a character: 11 ms, and 38.5 ms of silence."""


def test_costs():
    """Frames, the silence round them, the device's own time, and the pauses; by hand."""
    exchange_ms = 8 * 11 + 38.5 + 10 + (5 + 2) * 11 + 38.5
    [poll] = polls(link(device("a", 10, 2), serial=RTU, host=None), milliseconds(10))
    assert (poll.requests, poll.cost_ns) == (2, 2 * exchange_ms * MS)
    slow = link(device("a", 10, 2), serial=RTU, host=None, request_delay=milliseconds(50))
    assert polls(slow, milliseconds(10))[0].cost_ns == 2 * (exchange_ms - 38.5 + 50) * MS
    # Its own pause holds up only its own next block.
    patient = link(device("a", 10, 2, request_delay=milliseconds(50)), serial=RTU, host=None)
    assert polls(patient, milliseconds(10))[0].cost_ns == (2 * exchange_ms + 50 - 38.5) * MS


def test_costs_in_ascii():
    """Two digits a byte, a colon, and an end of the line; no silence."""
    seven = Serial(port=Path("/dev/null"), speed=1000, parity=Parity.EVEN, data_bits=7)
    [poll] = polls(
        link(device("a", 10), serial=seven, framing=FramingKind.ASCII, host=None), milliseconds(10)
    )
    assert poll.cost_ns == ((2 * 7 + 3) * 10 + 10 + (2 * 6 + 3) * 10) * MS


@pytest.mark.parametrize("speed", [9600, 19_200, 115_200])
@pytest.mark.parametrize("framing", [Rtu(), Ascii()], ids=["rtu", "ascii"])
def test_frames_are_as_long_as_they_are(speed, framing):
    """What is summed is the length of real frames, for each number of registers."""
    kind = FramingKind.RTU if isinstance(framing, Rtu) else FramingKind.ASCII
    here = link(device("a", 10), serial=Serial(port=Path("/dev/null"), speed=speed), framing=kind, host=None)
    for count in (1, 2, 60, 125):
        asked = question(framing, unit=1, function=3, address=0, count=count)
        time = here.line_time
        assert time is not None
        frames_ns = time.of(len(asked.frame)) + time.of(asked.answer_length)
        assert Pace(here, 0).exchange_ns(2 * count) == frames_ns + time.silence_ns


def test_in_vain():
    """A time-out takes its limit; without transaction ids the line has to be quiet behind it, too."""
    second = timedelta(seconds=1)
    lonely = device("a", 10)
    assert Pace(link(lonely), 0).in_vain_ns(lonely) == S
    over_tcp = link(lonely, framing=FramingKind.RTU, quiet=2 * second)
    assert Pace(over_tcp, 0).in_vain_ns(lonely) == 3 * S
    on_serial = link(lonely, serial=RTU, host=None)
    assert Pace(on_serial, 0).in_vain_ns(lonely) == 2 * S + (8 + 7 + 256) * 11 * MS


def test_groups_are_summed_by_their_intervals():
    """What is read less often takes less of the line."""
    settings = DeviceSettings(
        id="a", interval=timedelta(seconds=1), points=(point(0), point(1, interval=timedelta(seconds=60)))
    )
    fast, slow = polls(link(settings), ANSWER)
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
    asked = polls(here, milliseconds(answer_ms))
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


def test_a_serial_line():
    """Sixty registers of ten meters each second do not go over 9,600 baud; every two seconds they do."""
    meters = tuple(
        DeviceSettings(
            id=f"meter-{number}",
            unit_id=number,
            interval=timedelta(seconds=1),
            points=tuple(point(address) for address in range(60)),
        )
        for number in range(1, 11)
    )
    ((path, words),) = problems(
        link(*meters, serial=Serial(port=Path("/dev/null"), parity=Parity.EVEN), host=None)
    )
    assert path == ("devices", 0, "interval")
    assert words == (
        "interval: expected less than all of the line's time, found 160% of it (160 ms every 1s for meter-1 alone), even if "
        "every device answered at once; it could with no interval under 2s"
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

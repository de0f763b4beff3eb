"""The bus-time sum: what a link is asked for, how long that takes on its line, and what follows, before it is opened.

    settings --frames, silences, pauses--> how long each poll takes --deadlines--> how full the line is, who waits

Pure. What is certain (bytes at a speed, silences, pauses) decides whether a configuration can work at all; what
nobody knows beforehand, how long a device thinks, is assumed for what is shown, and said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from agent.fields import duration_text
from drivers.modbus.polling.account import SAVED, SHARE
from drivers.modbus.polling.deadlines import Load, lateness_ns, utilisation
from drivers.modbus.polling.pace import Pace
from drivers.modbus.settings import LinkSettings
from drivers.modbus.timing import ns

ANSWER: Final = timedelta(milliseconds=10)
"""Assumed until an answer begins: meters and sensors take 5 to 50 ms, their network none to speak of."""

MOST_DEAD: Final = 2
"""It is shown what becomes of a line with so many dead devices."""

_STEPS: Final = tuple(
    timedelta(milliseconds=round(seconds * 1000))
    for seconds in (
        0.2,
        0.5,
        1,
        2,
        5,
        10,
        15,
        20,
        30,
        60,
        120,
        300,
        600,
        900,
        1800,
        3600,
        7200,
        21600,
        43200,
        86400,
    )
)
"""Intervals that are proposed."""


class Poll(NamedTuple):
    """A group of points of one device, as the line sees it."""

    device: int
    """Its place in the settings."""
    interval: timedelta
    requests: int
    cost_ns: int


def polls(link: LinkSettings, answer: timedelta) -> list[Poll]:
    """Everything that is asked for regularly on this link, and how long each takes if answers begin after so long."""
    found = []
    pace = Pace(link, ns(answer))
    for place, device in enumerate(link.devices):
        pause_ns = max(ns(device.pause) - pace.pause_ns, 0)
        for rhythm, blocks in device.requests:
            cost_ns = sum(pace.exchange_ns(block.size) + pace.pause_ns for block in blocks)
            # Behind the last block the line is free, for all but another group of the same device.
            pauses = len(blocks) - (len(device.groups) == 1)
            found.append(Poll(place, rhythm.interval, len(blocks), cost_ns + pauses * pause_ns))
    return found


def loads(polls: Sequence[Poll]) -> list[Load]:
    """The same by interval, the shortest first."""
    by_interval: dict[timedelta, list[int]] = {}
    for poll in sorted(polls, key=lambda poll: poll.interval):
        by_interval.setdefault(poll.interval, []).append(poll.cost_ns)
    return [Load.of(ns(interval), costs_ns) for interval, costs_ns in by_interval.items()]


# --- what cannot work ------------------------------------------------------------------------------------------


def problems(link: LinkSettings) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """That the line cannot do what is asked of it, even if every device answered at once; and what it could do."""
    asked = polls(link, timedelta(0))
    if _works(asked):
        return
    taken = utilisation(loads(asked))
    most = max(asked, key=lambda poll: poll.cost_ns / ns(poll.interval))
    device = link.devices[most.device]
    seconds = f"{_length(most.cost_ns)} every {duration_text(most.interval)} for {device.id}"
    if taken > 1:
        words = f"expected less than all of the line's time, found {taken:.0%} of it ({seconds} alone)"
    else:
        hurried = min(asked, key=lambda poll: poll.interval)
        longest = max(asked, key=lambda poll: poll.cost_ns)
        words = (
            f"expected time for every poll, found that {link.devices[hurried.device].id}, read every "
            f"{duration_text(hurried.interval)}, has to wait longer than that for others, such as "
            f"{link.devices[longest.device].id} with {_length(longest.cost_ns)}"
        )
        most = hurried
    if fits := _fitting(asked):
        remedy = f"it could with no interval under {duration_text(fits)}"
    else:
        remedy = "no interval helps: read fewer points"
    yield (
        ("devices", most.device, "interval"),
        f"interval: {words}, even if every device answered at once; {remedy}",
    )


def _works(asked: Sequence[Poll]) -> bool:
    """Whether there is time for all, and nobody has to wait for longer than until it is due again."""
    every = loads(asked)
    worst = lateness_ns(every) or ()
    return utilisation(every) <= 1 and all(
        late_ns < load.interval_ns for load, late_ns in zip(every, worst, strict=False)
    )


def _fitting(asked: Sequence[Poll]) -> timedelta | None:
    """The shortest interval with which it would work, if nothing was read more often."""
    for step in _STEPS:
        if _works([poll._replace(interval=max(poll.interval, step)) for poll in asked]):
            return step
    return None


# --- what is to be expected ------------------------------------------------------------------------------------


def notes(link: LinkSettings) -> Iterator[str]:
    """The sum as a table: for each interval what is asked for, and how late it may be asked, with dead devices too."""
    asked = polls(link, ANSWER)
    if not asked:
        return
    every = loads(asked)
    dead = range(1, min(MOST_DEAD, len(link.devices) - 1) + 1)
    worst = [_worst(link, every, count) for count in (0, *dead)]
    rows = [["every", "devices", "requests", "take", "of the line", "late at most"]]
    rows[0] += [f"{count} dead" for count in dead]
    for place, load in enumerate(every):
        these = [poll for poll in asked if ns(poll.interval) == load.interval_ns]
        rows.append(
            [
                duration_text(these[0].interval),
                str(len({poll.device for poll in these})),
                str(sum(poll.requests for poll in these)),
                _length(load.whole_ns),
                f"{load.whole_ns / load.interval_ns:.1%}",
                *(_late(None if late is None else late[place], load) for late in worst),
            ]
        )
    taken = utilisation(every)
    requests = str(sum(poll.requests for poll in asked))
    failing = [f"{taken + SHARE:.1%}"] * len(dead)
    rows.append(["together", str(len(link.devices)), requests, "", f"{taken:.1%}", "", *failing])
    yield f"{link.id}: time on the line, if every answer begins within {duration_text(ANSWER)}:"
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        yield ("  " + "  ".join(cells)).rstrip()


def _worst(link: LinkSettings, every: Sequence[Load], dead: int) -> tuple[int, ...] | None:
    """How late each load is at most; `None` where the line is too full to say.

    `dead` devices, those with the longest time limits, fall silent at once: nobody foresees their first time-outs, and
    besides that they have what was saved up for probes, and their share.
    """
    if not dead:
        return lateness_ns(every)
    pace = Pace(link, ns(ANSWER))
    vain_ns = sorted((pace.in_vain_ns(device) for device in link.devices), reverse=True)
    once_ns = sum(vain_ns[:dead]) + SAVED * vain_ns[0]
    return lateness_ns(every, once_ns=once_ns, share=SHARE)


def _late(late_ns: int | None, load: Load) -> str:
    """How late; or how many slots are lost by it, where that is longer than one."""
    if late_ns is None:
        return "no time"
    lost = late_ns // load.interval_ns
    return f"{lost} lost" if lost else _length(late_ns)


def _length(length_ns: int) -> str:
    """Two or three digits and their unit: `85 ms`, `2.4 s`."""
    seconds = length_ns / 1e9
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds:.0f} s"  # noqa: PLR2004  # tenths of what is long say nothing

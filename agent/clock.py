"""Time that can be trusted later, even when it cannot be trusted now.

A gateway without a clock chip boots with yesterday's time or with 1970. So a sample is stamped only with the boot
it belongs to and with time since that boot, which nothing can set; `Timeline` turns both into wall time when a row
is read out. It is a short table of what the wall clock said at which moment of which boot, and whether the kernel
called it synchronised: each synchronisation or step of the clock adds a line, and that corrects every row of the
boot at once, exactly once.
"""

from __future__ import annotations

import bisect
import ctypes
import errno
import os
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

BOOT_ID_VARIABLE = "DIACCESS_BOOT_ID"
"""Set by the unit (`%b`): its sandbox hides /proc/sys, where the boot id is otherwise read."""

STEP_NS = 50_000_000
"""A wall clock that moved this far against the monotonic one adds a line: 50 ms, a twentieth of the finest interval."""


class ClockLine(NamedTuple):
    """From this moment of a boot on, wall time is monotonic time plus `offset_ns`."""

    from_ns: int
    """Monotonic, nanoseconds since boot."""
    offset_ns: int
    trusted: bool


class Clock:
    """The machine's clocks: monotonic for everything that is decided, wall only to be written down.

    `monotonic_ns` is CLOCK_BOOTTIME (clock_gettime(2)): it counts through suspension and nothing sets it.
    """

    def __init__(self) -> None:
        self.boot = boot_id()
        self._last: ClockLine | None = None

    def monotonic_ns(self) -> int:
        """Nanoseconds since boot."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def wall_ns(self) -> int:
        """Nanoseconds since 1970 UTC, as the machine believes right now."""
        return time.time_ns()

    def synchronised(self) -> bool:
        """Whether the kernel, or else systemd-timesyncd, says that the wall clock is set."""
        return kernel_synchronised()

    def observe(self) -> ClockLine | None:
        """Compare the clocks; the line to add to the timeline, or `None` when nothing changed."""
        now = self.monotonic_ns()
        line = ClockLine(now, self.wall_ns() - now, self.synchronised())
        last = self._last
        if last and last.trusted == line.trusted and abs(last.offset_ns - line.offset_ns) < STEP_NS:
            return None
        self._last = line
        return line


class Timeline:
    """What is known of the wall time of one boot: lines in order of their moment.

    The rule: a moment takes the last trusted line at or before it; failing that the first trusted line after it
    (the clock was set later, and that is the right time for what came before); failing that the last line at or
    before it, and then the time is not trusted.
    """

    def __init__(self, lines: Iterable[ClockLine] = ()) -> None:
        self._lines: list[ClockLine] = sorted(lines)
        self._trusted = [line for line in self._lines if line.trusted]

    def add(self, line: ClockLine) -> None:
        """Take in what was observed."""
        bisect.insort(self._lines, line)
        if line.trusted:
            bisect.insort(self._trusted, line)

    def wall_ns(self, monotonic_ns: int) -> tuple[int, bool]:
        """Wall time of a moment of this boot in nanoseconds since 1970 UTC, and whether it can be trusted."""
        lines = self._trusted or self._lines
        if not lines:
            return monotonic_ns, False
        place = bisect.bisect_right(lines, monotonic_ns, key=lambda line: line.from_ns)
        line = lines[max(place - 1, 0)]
        return monotonic_ns + line.offset_ns, line.trusted


def boot_id() -> str:
    """The kernel's id of this boot (random(4)), 32 hex digits; one for this process where it cannot be read."""
    given = os.environ.get(BOOT_ID_VARIABLE)
    if not given:
        try:
            given = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        except OSError:
            given = uuid.uuid4().hex
    return given.strip().replace("-", "")


_TIMESYNC_FLAG = Path("/run/systemd/timesync/synchronized")
_STA_UNSYNC = 0x0040
_LONG = ctypes.sizeof(ctypes.c_long)
_STATUS_OFFSET = 5 * _LONG
"""Byte offset of `status` in struct timex: modes (padded to a long), offset, freq, maxerror and esterror come first."""


def kernel_synchronised() -> bool:
    """Ask adjtimex(2) for STA_UNSYNC; where the sandbox forbids it, look for systemd-timesyncd's flag."""
    buffer = ctypes.create_string_buffer(256)
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        state = libc.adjtimex(buffer)
    except AttributeError:
        return False
    if state < 0:
        if ctypes.get_errno() in {errno.EPERM, errno.EACCES}:
            return _TIMESYNC_FLAG.exists()
        return False
    status = int.from_bytes(buffer.raw[_STATUS_OFFSET : _STATUS_OFFSET + 4], "little")
    return not status & _STA_UNSYNC

"""When what an emulated device says leaves: at once, late if it is so told, or at the speed of a real line.

On a line that is `baud-true` a question takes as long as it would, a device knows by a silence that it is over, thinks,
and its answer comes as an adapter hands it on: a few bytes at a time, each when it would have been there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from drivers.modbus.emulator import Emulator
from drivers.modbus.misbehaviour import Saying
from drivers.modbus.settings import LinkSettings
from drivers.modbus.timing import ns

CHUNK: Final = 4
"""Bytes of a baud-true answer that leave together."""
TIMER_NS: Final = 1_500_000
"""What the timers of an event loop are good for; the rest is slept out."""

Say: TypeAlias = Callable[[bytes], None]


class Wire:
    """Says what is to be said when its time has come."""

    def __init__(self, link: LinkSettings, emulator: Emulator, now_ns: Callable[[], int]) -> None:
        self._emulator = emulator
        self._now_ns = now_ns
        self._loop = asyncio.get_running_loop()
        self._time = link.line_time
        self._busy_ns = 0
        """Until when bytes are on the line."""
        self._timers: set[asyncio.TimerHandle] = set()

    def carry(self, question: int, sayings: Iterable[Saying], say: Say) -> None:
        """Say all this in answer to a question of so many bytes that was heard just now."""
        begin_ns = self._now_ns()
        line, baud_true = self._time, self._emulator.baud_true
        slow = line is not None and baud_true is not None
        if line is not None and baud_true is not None:
            # A device knows by a silence that the question is over.
            begin_ns = max(begin_ns, self._busy_ns) + line.of(question)
            self._busy_ns = begin_ns
            begin_ns += line.silence_ns + ns(baud_true.least)
        for saying in sayings:
            self._at(begin_ns + saying.after_ns, self._send if slow else _say, saying.octets, say)

    def close(self) -> None:
        """Say no more."""
        for timer in self._timers:
            timer.cancel()

    def _at(self, moment_ns: int, what: Callable[[bytes, Say], None], octets: bytes, say: Say) -> None:
        """Do this at a moment; at once if that is now."""
        wait_ns = moment_ns - self._now_ns()
        if wait_ns <= 0:
            what(octets, say)
            return

        def go() -> None:
            self._timers.discard(timer)
            what(octets, say)

        timer = self._loop.call_later(wait_ns / 1e9, go)
        self._timers.add(timer)

    def _send(self, octets: bytes, say: Say) -> None:
        """Send at the speed of the line, behind what is on it already."""
        assert self._time  # noqa: S101  # only then
        begin_ns = max(self._now_ns(), self._busy_ns)
        self._busy_ns = begin_ns + self._time.of(len(octets))
        for start in range(0, len(octets), CHUNK):
            chunk = octets[start : start + CHUNK]
            end_ns = begin_ns + self._time.of(start + len(chunk))
            last = start + CHUNK >= len(octets)
            self._at(end_ns - TIMER_NS * last, self._exactly(end_ns) if last else _say, chunk, say)

    def _exactly(self, moment_ns: int) -> Callable[[bytes, Say], None]:
        def wait_and_say(octets: bytes, say: Say) -> None:
            time.sleep(max(moment_ns - self._now_ns(), 0) / 1e9)
            say(octets)

        return wait_and_say


def _say(octets: bytes, say: Say) -> None:
    say(octets)

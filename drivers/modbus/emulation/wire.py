"""When what an emulated device says leaves: at once, late if it is so told, or at the speed of a real line.

On a line that is `baud-true` a question takes as long as it would, a device knows by a silence that it is over, thinks,
and its answer comes as an adapter hands it on: a few bytes at a time, each when it would have been there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from drivers.modbus.emulation.emulator import Emulator
from drivers.modbus.emulation.misbehaviour import Saying
from drivers.modbus.line.line_time import LineTime
from drivers.modbus.settings import LinkSettings
from drivers.modbus.timing import ns

CHUNK: Final = 4
"""Bytes of a baud-true answer that leave together."""
TIMER_NS: Final = 1_500_000
"""What the timers of an event loop are good for. The rest of the time to the last byte is slept out."""

ORDER_NS: Final = 100_000
"""So far apart that timers do not mix up what comes after what."""

Say: TypeAlias = Callable[[bytes], None]


class Wire:
    """Says what is to be said when its time has come."""

    def __init__(self, link: LinkSettings, emulator: Emulator, now_ns: Callable[[], int]) -> None:
        self._emulator = emulator
        self._now_ns = now_ns
        self._loop = asyncio.get_running_loop()
        self._line = link.line_time
        self._busy_ns = 0
        """Until when bytes are on the line."""
        self._said_ns: dict[int, int] = {}
        """By unit: when it says the last that it was asked. It answers in order, however late."""
        self._timers: set[asyncio.TimerHandle] = set()

    def carry(self, question: int, sayings: Iterable[Saying], say: Say) -> None:
        """Say all this in answer to a question of so many bytes that was heard just now."""
        baud_true = self._emulator.baud_true
        if self._line and baud_true:
            self._busy_ns = max(self._now_ns(), self._busy_ns) + self._line.of(question)
            begin_ns = self._busy_ns + self._line.silence_ns + ns(baud_true.least)
            for saying in sayings:
                self._begin(self._moment_ns(begin_ns, saying), saying.octets, self._line, say)
        else:
            begin_ns = self._now_ns()
            for saying in sayings:
                self._at(self._moment_ns(begin_ns, saying), say, saying.octets)

    def start_over(self, units: Iterable[int]) -> None:
        """These units do not wait any more for what they have still to say to earlier questions."""
        for unit in units:
            self._said_ns.pop(unit, None)

    def close(self) -> None:
        """Say no more."""
        for timer in self._timers:
            timer.cancel()

    def _moment_ns(self, begin_ns: int, saying: Saying) -> int:
        """When this is to be said: not before what the same unit says to an earlier question."""
        moment_ns = begin_ns + saying.after_ns
        if saying.unit is not None:
            moment_ns = max(moment_ns, self._said_ns.get(saying.unit, 0) + ORDER_NS)
            self._said_ns[saying.unit] = moment_ns
        return moment_ns

    def _begin(self, moment_ns: int, octets: bytes, line: LineTime, say: Say) -> None:
        """Begin to send at this moment, or when the line is free again."""

        def begin(octets: bytes) -> None:
            begin_ns = max(moment_ns, self._busy_ns)
            self._busy_ns = begin_ns + line.of(len(octets))
            send(begin_ns, octets)

        def send(begin_ns: int, octets: bytes) -> None:
            chunk, rest = octets[:CHUNK], octets[CHUNK:]
            there_ns = begin_ns + line.of(len(chunk))

            def arrive(chunk: bytes) -> None:
                if rest:
                    say(chunk)
                    send(there_ns, rest)
                else:
                    time.sleep(max(there_ns - self._now_ns(), 0) / 1e9)
                    say(chunk)

            self._at(there_ns if rest else there_ns - TIMER_NS, arrive, chunk)

        self._at(moment_ns - TIMER_NS, begin, octets)

    def _at(self, moment_ns: int, act: Callable[[bytes], None], octets: bytes) -> None:
        """Do this at a moment; at once if that is now, and nothing waits that may be overdue."""
        wait_ns = moment_ns - self._now_ns()
        if wait_ns <= 0 and not self._timers:
            act(octets)
            return

        def go() -> None:
            self._timers.discard(timer)
            act(octets)

        timer = self._loop.call_later(wait_ns / 1e9, go)
        self._timers.add(timer)

"""What is done on a line beside its schedule: a write, a question of somebody who looks around.

    errand ──goes next───────────────────────────────> before the next turn of a device
           └─of a guest──nobody is due for long enough─> at once
                        └─else────────────────────────> in the guests' share of the line

An errand is one piece of work of known length, never cut short for a device that
is due meanwhile: so a guest brings its questions one by one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeAlias

from agent.interfaces import Unavailable
from drivers.modbus.line.line import Line

GUEST_SHARE: Final = 0.2
"""Of the line's time, for guests, while devices want it: somebody who searches the line costs a fifth of the readings
of a line that has no time to spare, and nothing on one that has."""

Work: TypeAlias = Callable[[Line], Awaitable[Any]]


class Errand(NamedTuple):
    """Something to do on the line, and who waits for it."""

    work: Work
    paced: bool
    """It is a guest's."""
    longest_ns: int
    """How long it may take."""
    done: asyncio.Future[Any]


class Errands:
    """Those that wait."""

    def __init__(self) -> None:
        self._urgent: deque[Errand] = deque()
        self._guests: deque[Errand] = deque()
        self._share_ns = 0
        """When the guests' share covers the next one."""

    def add(self, errand: Errand) -> None:
        """Have it wait for its turn."""
        (self._guests if errand.paced else self._urgent).append(errand)

    def next(self, now_ns: int) -> Errand | None:
        """The one that comes before every device, if there is one."""
        if self._urgent:
            return self._urgent.popleft()
        if self._guests and self._share_ns <= now_ns:
            return self._guests.popleft()
        return None

    def meanwhile(self, now_ns: int, until_ns: int | None) -> Errand | None:
        """The one that is over before a device is due at `until_ns`; `None` there: nobody will be."""
        if self._guests and (until_ns is None or now_ns + self._guests[0].longest_ns <= until_ns):
            return self._guests.popleft()
        return None

    def wake_ns(self) -> int | None:
        """When `next` is to be asked again after it gave `None`; `None`: not before something changes."""
        return self._share_ns if self._guests else None

    async def carry_out(self, errand: Errand, line: Line, wait_ns: Callable[[int], int]) -> None:
        """Do it, unless nobody waits for it any more; `wait_ns`: how long the line has to be quiet behind it.

        Raises only what ends the link: `Unavailable`, and cancellation.
        """
        if errand.done.done():
            return
        begun_ns = line.now_ns()
        try:
            outcome = await errand.work(line)
        except asyncio.CancelledError:
            _fail(errand, Unavailable("the link was closed"))
            raise
        except Exception as error:
            _fail(errand, error)
            if isinstance(error, Unavailable):
                raise
        else:
            if not errand.done.done():
                errand.done.set_result(outcome)
        if errand.paced:
            now_ns = line.now_ns()
            spent_ns = now_ns + wait_ns(now_ns) - begun_ns
            self._share_ns = now_ns + round(spent_ns * (1 / GUEST_SHARE - 1))

    def fail(self, error: Exception) -> None:
        """Tell everybody who waits."""
        for errand in (*self._urgent, *self._guests):
            _fail(errand, error)
        self._urgent.clear()
        self._guests.clear()


def _fail(errand: Errand, error: Exception) -> None:
    if not errand.done.done():
        errand.done.set_exception(error)

"""An event loop whose clock jumps to the next timer instead of waiting: an hour of back-off passes at once.

For code whose only wait is for time and for other tasks. It never waits for sockets or threads: a test that would
wait for ever fails instead.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class _Impatient(selectors.DefaultSelector):
    """A selector that never blocks, and moves the clock of its loop by what it was asked to wait."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("everything waits for something that will never come")
            self.loop.now_s += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop; `now_s` is its time in seconds."""

    def __init__(self) -> None:
        self.now_s = 0.0
        selector = _Impatient()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now_s


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)


class VirtualClock:
    """`agent.clock.Clock` as far as the time of the running loop can give it."""

    boot = "0" * 32

    def monotonic_ns(self) -> int:
        """Nanoseconds of the loop's time; never 0, as after a boot."""
        return int(asyncio.get_running_loop().time() * 1e9) + 1

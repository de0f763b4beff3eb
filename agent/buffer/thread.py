"""One thread that does one thing after another, for an event loop that must not wait for a disk.

It knows nothing of what it does. A dedicated thread costs a third less than an executor's per call, and an fsync on
a card can take half a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")

_Job = tuple[Callable[[], Any], "asyncio.Future[Any]"]


class Thread:
    """Runs functions one at a time, in the order in which they were given."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._stopped = False
        # A daemon: an agent that stops while a dying disk holds a write for minutes must not wait for it.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def call(
        self, function: Callable[_P, _R], /, *arguments: _P.args, **named: _P.kwargs
    ) -> asyncio.Future[_R]:
        """Have the thread call this function; the future gives what it returns or raises.

        Cancelling the future does not undo the call: it is made all the same. Raises `RuntimeError` after `stop`.
        """
        if self._stopped:
            raise RuntimeError(f"thread {self._thread.name} was stopped")
        future: asyncio.Future[_R] = asyncio.get_running_loop().create_future()
        self._jobs.put((lambda: function(*arguments, **named), future))
        return future

    def stop(self) -> None:
        """End after what has been given so far; does not wait."""
        self._stopped = True
        self._jobs.put(None)

    def _work(self) -> None:
        while job := self._jobs.get():
            function, future = job
            result, error = None, None
            try:
                result = function()
            except BaseException as raised:  # noqa: BLE001  # it belongs to whoever waits for the future
                error = raised
            # Where the loop was closed meanwhile nobody waits; but what was given is done: a file is to be closed.
            with contextlib.suppress(RuntimeError):
                future.get_loop().call_soon_threadsafe(_tell, future, result, error)
            # What was returned may be large, and the next job may be hours away.
            del job, function, future, result, error


def _tell(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.cancelled():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)

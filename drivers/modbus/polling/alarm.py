"""Sleeping until a moment, or until something happens before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Alarm:
    """One sleeper's; whoever has news for it stirs it."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._stirred: asyncio.Future[int] | None = None

    async def sleep(self, until_ns: int | None) -> int:
        """Sleep until then, or for as long as nobody stirs; what time it is by then, no earlier than was asked for."""
        loop = asyncio.get_running_loop()
        stirred: asyncio.Future[int] = loop.create_future()
        self._stirred = stirred
        timer = None
        if until_ns is not None:
            timer = loop.call_later((until_ns - self._now_ns()) / 1e9, _set, stirred, until_ns)
        try:
            # A timer may fire a little early: then it is time all the same.
            not_before_ns = await stirred
        finally:
            self._stirred = None
            if timer is not None:
                timer.cancel()
        return max(self._now_ns(), not_before_ns)

    def stir(self) -> None:
        """Wake it, if it sleeps."""
        if self._stirred is not None:
            _set(self._stirred, 0)


def _set(future: asyncio.Future[int], value: int) -> None:
    if not future.done():
        future.set_result(value)

"""Many samples in, few commits out.

Flash wears by commits, not by rows, so samples are gathered and stored together: once per commit interval, or as
soon as a quarter of the queue is full. The order is: take from the queue, commit, then forget. The queue is bounded;
a source that must not lose a sample waits in `put` for a place.

The collector is also the buffer's pulse: with nothing to store it still has written, every few seconds, what upstream
has acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from agent.sample import Sample

QUEUE_READINGS = 40_000
"""Bound of the queue, in readings: some 4 MB, and half a second of the rate that one core can store."""

PULSE_S = 5.0
"""How long an acknowledgement may wait to be written: what a crash may send twice."""


class Store(Protocol):
    """The one thing that the collector needs of the buffer."""

    async def store(self, samples: Sequence[Sample], read: int) -> None:
        """Return when the samples are kept."""


class Collector:
    """A bounded queue of samples, and the loop that commits them."""

    def __init__(self, buffer: Store, interval_s: float, committed: Callable[[], None]) -> None:
        """`committed` is told after each commit: progress for the watchdog."""
        self._buffer = buffer
        self._interval_s = interval_s
        self._committed = committed
        self._queue: list[Sample] = []
        self._queued_readings = 0
        self._read = 0
        self._awaited: list[asyncio.Future[None]] = []
        self._closing = False
        self._hurry = asyncio.Event()
        self._something = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def put(self, sample: Sample) -> None:
        """Take in one sample; wait while the queue is full."""
        while not self._room.is_set():
            await self._room.wait()
        readings = len(sample.values)
        self._read += readings
        self._queue.append(sample)
        self._queued_readings += readings
        self._something.set()
        if self._queued_readings >= QUEUE_READINGS // 4:
            self._hurry.set()
        if self._queued_readings >= QUEUE_READINGS:
            self._room.clear()

    def stored(self) -> asyncio.Future[None]:
        """Done when everything that was put so far is committed."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited.append(future)
        return future

    async def run(self) -> None:
        """Commit until `close`, and then once more."""
        while not self._closing:
            await _wait(self._something, PULSE_S)
            if self._something.is_set() and self._interval_s:
                await _wait(self._hurry, self._interval_s)
            await self._commit()
        await self._commit()

    def close(self) -> None:
        """Have `run` commit what is in the queue and return; called when no source is left.

        A cancellation instead could fall between the commit and what follows from it.
        """
        self._closing = True
        self._something.set()
        self._hurry.set()

    async def _commit(self) -> None:
        samples, self._queue = self._queue, []
        awaited, self._awaited = self._awaited, []
        read, self._read = self._read, 0
        self._queued_readings = 0
        if not self._closing:
            self._something.clear()
            self._hurry.clear()
        self._room.set()
        await self._buffer.store(samples, read)
        self._committed()
        for future in awaited:
            if not future.done():
                future.set_result(None)


async def _wait(event: asyncio.Event, limit_s: float) -> None:
    """Wait for the event, or until the limit."""
    try:
        async with asyncio.timeout(limit_s):
            await event.wait()
    except TimeoutError:
        pass

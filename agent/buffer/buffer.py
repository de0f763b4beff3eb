"""The buffer: samples go in durably, rows come out for each uplink, and nothing is lost between without a count.

It decides little (`book` does) and touches no disk itself (`store` does, in one thread). What it does is the order
of things: group commits, what happens when a commit fails, and how the buffer gets back to the disk.

    on the disk      every commit goes to the store file
    standing in      the disk cannot be written: commits go to a bounded store in memory, under a store id of its own;
                     what the file holds stays due, and is read as long as that works
    returning        the disk can be written again: rows move over from memory, a step with each commit, with store id
                     and number unchanged
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog

from agent.buffer import rows, schema
from agent.buffer.book import Book
from agent.buffer.change import Change, Damaged, Piece, Placed, Snapshot, Usage
from agent.buffer.folder import Folder
from agent.buffer.lanes import Lanes
from agent.buffer.ledger import Drop, Ledger, UplinkLedger
from agent.buffer.opening import is_damage, is_full, open_store
from agent.buffer.settings import BufferSettings
from agent.buffer.store import STEP, Store
from agent.buffer.thread import Thread
from agent.clock import Clock
from agent.interfaces import UplinkBase
from agent.sample import Sample, Shape

log = structlog.get_logger()

FAILURES = (sqlite3.Error, OSError, Damaged)
"""What a disk does to us. Anything else is a bug."""


class Buffer:
    """Durable store and forward. Opened by `open_buffer`."""

    def __init__(
        self, settings: BufferSettings, clock: Clock, uplinks: Sequence[UplinkBase], tasks: asyncio.TaskGroup
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._uplinks = uplinks
        self._tasks = tasks
        self._thread = Thread("buffer")
        self._folder = Folder(Path(settings.folder), settings.size)
        self._lock = asyncio.Lock()
        """Held while a commit is made, whatever becomes of it."""
        self._numbering = asyncio.Lock()
        """Held while rows are read, or change their place."""
        self._disk: Store | None = None
        self._memory: Store | None = None
        self._memory_from = schema.END
        self._size = 0
        self._lanes: dict[str, Lanes] = {}

    async def store(self, samples: Sequence[Sample], read: int) -> None:
        """Accept samples: when this returns they are on the medium, and numbered."""
        await asyncio.shield(self._tasks.create_task(self._store(samples, read), name="buffer.store"))

    async def _store(self, samples: Sequence[Sample], read: int) -> None:
        async with self._lock:
            if line := self._clock.observe():
                self._book.observe(line)
            placed = self._book.place(samples, read)
            change = self._book.change(placed, schema.END)
            await self._thread.call(self._disk.commit, change)
            self._book.written(change)
        for lanes in self._lanes.values():
            lanes.wake()

    def lanes(self, uplink: str) -> Lanes:
        """What waits for this uplink."""
        return self._lanes[uplink]

    async def read(
        self, low: int, high: int, readings: int, wanted: Callable[[int, Shape], bool]
    ) -> Piece | None:
        return await self._thread.call(self._disk.read, low, high, readings, wanted)

    @property
    def readable_from(self) -> int:
        return 0

    @property
    def store_id(self) -> str:
        """Id of the store that numbers are taken from now."""
        return self._book.store_id

    @property
    def durable(self) -> bool:
        """Whether what is accepted is on the disk."""
        return self._memory is None

    def status(self) -> dict[str, Any]:
        """How the buffer is, for people."""
        return {"store": self.store_id, "durable": self.durable}

    async def ledger(self) -> Ledger:
        """What became of every reading."""
        async with self._lock:
            book = self._book
            uplinks = {name: (each.waiting.copy(), each.interest) for name, each in book.uplinks.items()}
            self._thread.call(self._disk.begin_census, uplinks)
            while (waiting := await self._thread.call(self._disk.census)) is None:
                pass
            return book.ledger(waiting)

    async def _open(self) -> None:
        self._thread.start()
        self._folder.make()
        self._disk, snapshot = await self._thread.call(open_store, self._folder.store, self._settings.size)
        self._book = Book(snapshot, self._uplinks, self._clock.boot)
        self._lanes = {each.id: Lanes(each.id, self._book, self) for each in self._uplinks}
        await self._store((), 0)

    async def _close(self) -> None:
        await self._store((), 0)
        await self._thread.call(self._disk.close)
        self._thread.stop()


@asynccontextmanager
async def open_buffer(
    settings: BufferSettings, clock: Clock, uplinks: Sequence[UplinkBase]
) -> AsyncIterator[Buffer]:
    """Open the buffer."""
    async with asyncio.TaskGroup() as tasks:
        buffer = Buffer(settings, clock, uplinks, tasks)
        await buffer._open()
        try:
            yield buffer
        finally:
            await buffer._close()

"""Which rows are in the file and which in memory, and reading them from where they are.

Rows are read, and counted, while others are stored; what is read holds until the reader waits again, because no row
changes its place or its store meanwhile (`numbering`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from agent.buffer import schema
from agent.buffer.book import Book
from agent.buffer.change import Piece, Stub
from agent.buffer.counting import Counting
from agent.buffer.failure import FAILURES, words
from agent.buffer.store import Store
from agent.buffer.thread import Thread
from agent.sample import Shape

log = structlog.get_logger()

_R = TypeVar("_R")


class Stores:
    """The store file, where it can be used, and the store in memory, while it stands in."""

    def __init__(self) -> None:
        self.book: Book
        self.thread = Thread("buffer")
        self.file: Store | None = None
        self.memory: Store | None = None
        self.memory_from = schema.END
        """Rows from this place on are in memory."""
        self.blind = False
        """Whether there are rows in memory, and the file has not been seen yet."""
        self.numbering = asyncio.Lock()
        """Held while rows are read, and while they change their place or their store."""
        self.unreadable: BaseException | None = None
        """What happened when the file was read last; `None` when it went well."""
        self.strikes = 0
        """How many times that happened since a read went well."""
        self._said_damaged = False

    @property
    def open_file(self) -> Store:
        """The store file. Raises `FileNotFoundError` when none is open."""
        if not self.file:
            raise FileNotFoundError("no store file is open")
        return self.file

    @property
    def readable_from(self) -> int:
        """Rows below this place can be read neither in the file nor in the window."""
        if self.file and not self.unreadable:
            return 0
        return min(self.memory_from, self.book.window.low)

    async def read(
        self, low: int, high: int, readings: int, wanted: Callable[[int, Shape], bool]
    ) -> Piece | None:
        """Rows of a run, as `Store.read` gives them, or of its beginning; `None` when they cannot be read now."""
        async with self.numbering:
            store: Store | None = self.memory
            if low < self.memory_from:
                store = None if self.unreadable else self.file
                high = min(high, self.memory_from)
            if not store:
                return None
            piece = await self._or_unreadable(self.thread.call(store.read, low, high, readings, wanted))
        if piece:
            self.strikes = 0
            self._drop_damaged(piece.damaged)
        return piece

    async def oldest(self, store: Store | None, rank: int, most: int) -> list[Stub]:
        """The oldest rows of a class in one of the stores; none when it is not there, or cannot be read now."""
        if not store:
            return []
        return await self._or_unreadable(self.thread.call(store.oldest, rank, most)) or []

    async def begin_count(self) -> Callable[[], Awaitable[dict[str, int] | None]]:
        """Count what waits at this moment, in the rows; what it gives must be called to get at the result.

        The result is by uplink; `None` when rows cannot be read.
        """
        stores = [(self.file, 0, self.memory_from), (self.memory, self.memory_from, schema.END)]
        complete = bool(self.file) or self.blind
        counting = Counting(self.thread)
        await counting.begin(self.book, [(each, low, high) for each, low, high in stores if each])

        async def result() -> dict[str, int] | None:
            counted = await self._or_unreadable(counting.result())
            return counted if complete else None

        return result

    async def count(self, store: Store, low: int, high: int) -> dict[str, int]:
        """What waits in the rows of one store, by uplink. Raises what a failing disk raises."""
        counting = Counting(self.thread)
        await counting.begin(self.book, [(store, low, high)])
        return await counting.result()

    async def _or_unreadable(self, reading: Awaitable[_R]) -> _R | None:
        try:
            return await reading
        except FAILURES as error:
            self.unreadable = error
            self.strikes += 1
            log.warning("buffer.unreadable", error=words(error))
            return None

    def _drop_damaged(self, rows: list[Stub]) -> None:
        if not rows:
            return
        say = log.debug if self._said_damaged else log.warning
        say("buffer.rows_damaged", rows=len(rows), store=self.book.stores.get(schema.store_no(rows[0].place)))
        self._said_damaged = True
        for row in rows:
            self.book.damaged(row)

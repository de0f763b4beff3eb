"""Counting what waits, in the rows themselves, while storing and settling go on (`census`)."""

from __future__ import annotations

from collections.abc import Sequence

from agent.buffer.book import Book
from agent.buffer.ranges import RangeSet
from agent.buffer.store import Store
from agent.buffer.thread import Thread


class Counting:
    """One count at a time, over one or two stores, a short step after the other. Raises what a failing disk raises."""

    def __init__(self, thread: Thread) -> None:
        self._thread = thread
        self._stores: list[Store] = []
        self._uplinks: list[str] = []

    async def begin(self, book: Book, stores: Sequence[tuple[Store, int, int]]) -> None:
        """Count what waits at this moment in the rows of these stores, each in its run of places."""
        self._stores = [store for store, _, _ in stores]
        self._uplinks = list(book.uplinks)
        for store, low, high in stores:
            runs = {
                name: (RangeSet(each.waiting.within(low, high)), each.interest)
                for name, each in book.uplinks.items()
            }
            await self._thread.call(store.begin_census, runs, frozenset(book.doomed))

    async def result(self) -> dict[str, int]:
        """Readings that waited then, by uplink."""
        total = dict.fromkeys(self._uplinks, 0)
        for store in self._stores:
            while (found := await self._thread.call(store.census)) is None:
                pass
            for name, readings in found.items():
                total[name] += readings
        return total

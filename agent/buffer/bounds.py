"""What is dropped because it is too much or too old, a step at a time beside each commit."""

from __future__ import annotations

from datetime import timedelta
from itertools import takewhile

from agent.buffer import schema
from agent.buffer.change import Stub
from agent.buffer.storage import STEPS_AT_ONCE, Storage
from agent.buffer.store import STEP

SURVEY_NS = 10_000_000_000
"""How often age and reserve are looked after."""

TIDY_NS = 3_600_000_000_000
"""How often shapes, boots and stores are looked for that no row refers to."""

ROWS_A_PAGE = 16
"""About: how much more than its size a store that is over its bound loses at once."""


class Bounds:
    """Keeps a storage within its bytes, and within an age."""

    def __init__(self, storage: Storage, age: timedelta, now_ns: int) -> None:
        self._storage = storage
        self._age_ns = int(age.total_seconds() * 1e9)
        self._surveyed_ns = now_ns - SURVEY_NS
        self._tidied_ns = now_ns
        self._first: list[Stub] = []
        """The oldest row in the file, of each class, as it was at the last survey."""

    async def keep(self, now_ns: int) -> None:
        """Drop what is over the bounds, as far as some steps go; the rest goes next time."""
        storage = self._storage
        for _ in range(STEPS_AT_ONCE):
            over = storage.used - storage.bound
            if over <= 0 or not await storage.trim(min(STEP, (1 + over // schema.PAGE) * ROWS_A_PAGE)):
                break
            await storage.commit((), storage.book.next)
        if now_ns - self._surveyed_ns < SURVEY_NS:
            return
        if await self._drop_old(now_ns):
            self._surveyed_ns = now_ns
        await storage.keep_reserve()
        if now_ns - self._tidied_ns >= TIDY_NS:
            self._tidied_ns = now_ns
            await storage.tidy(self._first)

    async def _drop_old(self, now_ns: int) -> bool:
        """Drop rows that are too old; whether that was all."""
        storage = self._storage
        steps = 0
        first = []
        for rank in schema.RANKS:
            while oldest := await storage.oldest(rank, 1):
                if self._age(oldest[0], now_ns) <= self._age_ns or steps == STEPS_AT_ONCE:
                    first += oldest
                    break
                rows = await storage.oldest(rank, STEP)
                old = list(takewhile(lambda row: self._age(row, now_ns) > self._age_ns, rows))
                if not storage.drop_old(rank, old):
                    break
                await storage.commit((), storage.book.next)
                steps += 1
        self._first = first
        return steps < STEPS_AT_ONCE

    def oldest_ns(self, now_ns: int) -> int:
        """How old the oldest row in the file is, as far as is known."""
        return max((self._age(row, now_ns) for row in self._first), default=0)

    def _age(self, row: Stub, now_ns: int) -> int:
        """How old a row is at least, by time since boot; by wall time only where that can be trusted at both ends."""
        book = self._storage.book
        if row.boot is None:
            return 0
        if row.boot == book.boot:
            return now_ns - row.monotonic_ns
        then, then_trusted = book.wall_ns(row.boot, row.monotonic_ns)
        now, now_trusted = book.wall_ns(book.boot, now_ns)
        return max(now_ns, now - then) if then_trusted and now_trusted else now_ns

"""Where rows are kept: on the disk, and in memory while the disk fails.

    on the disk    every commit goes to the store file
    standing in    the disk cannot be written: commits go to a bounded store in memory, under a store id of its own;
                   what the file holds stays due, and is read as long as it can be
    coming back    the disk can be written again: rows move over from memory, a step at a time, with store id and
                   number unchanged

A file that turns out to be damaged is stood in for as well; it is set aside, and the way back leads to a fresh one.
All of it happens inside the calls of `Buffer.store`, one at a time; only `read` and counting go on beside them.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import structlog

from agent.buffer import schema
from agent.buffer.book import Book
from agent.buffer.change import Change, Damaged, Placed, Snapshot, Stub, Usage
from agent.buffer.disk import Aside, Disk, Opened
from agent.buffer.failure import FAILURES, is_damage, is_full, words
from agent.buffer.ledger import Drop
from agent.buffer.opening import open_store
from agent.buffer.state import STATE
from agent.buffer.store import STEP, Store
from agent.buffer.stores import Stores
from agent.timing import RECONNECT
from agent.upstream import UplinkBase

log = structlog.get_logger()

STEPS_AT_ONCE = 8
"""Most steps of trimming, or of the way back, beside one commit: live rows must not wait for long."""

STRIKES = 3
"""Reads that failed one after the other, the file opened anew between them, after which it counts as damaged."""

WORTH_TRIMMING = 4 * 2**20
"""Bytes: a smaller file on a full disk is not trimmed. Others have filled the disk, and it would not help for long."""


class StandingIn(NamedTuple):
    """Why the disk is not written, and since when."""

    why: str
    since_s: float
    """As the event loop counts."""


class Storage:
    """The store file, the store in memory that stands in for it, and the thread in which both are used."""

    def __init__(
        self, disk: Disk, size: int, memory: int, *, uplinks: Sequence[UplinkBase], boot: str
    ) -> None:
        self._uplinks, self._boot = uplinks, boot
        self.stores = Stores()
        self.standing_in: StandingIn | None = None
        self._disk = disk
        self._size, self._memory_size = size, memory
        self._used = {False: 0, True: 0}
        """Bytes by whether they are in memory."""
        self._opened_at = 0
        """Place of the next reading when the file was opened."""
        self._rescued: Sequence[Placed] = ()
        """Rows of a file that was lost, for the fresh one."""
        self._coming_back = False
        """Whether the file is open as it must be to be written."""
        self._next_try_s = 0.0
        self._answered: BaseException | None = None
        """The failure to read that was answered last."""

    @property
    def book(self) -> Book:
        """Numbers, needs and counts."""
        return self.stores.book

    # --- opening and closing

    async def open(self) -> None:
        """Open the store file, or stand in for it."""
        self.stores.thread.start()
        while True:
            try:
                opened = await self.stores.thread.call(self._disk.open)
                if opened.aside:
                    _say_aside(opened.aside, {})
                self.stores.book = await self._read_book(opened)
                self.stores.file = opened.store
                self._opened_at = self.book.next
                await self._begin_uplinks()
            except Damaged as error:
                self._disk.condemn(words(error))
            except FAILURES as error:
                self.stores.blind = True
                self.stores.book = Book(Snapshot({}, {}, []), self._uplinks, self._boot)
                await self._stand_in(error, self.book.next)
                return
            else:
                return

    async def _read_book(self, opened: Opened) -> Book:
        try:
            return Book(opened.snapshot, self._uplinks, self._boot)
        except Damaged:
            await self.stores.thread.call(opened.store.close)
            raise

    async def close(self) -> dict[str, int]:
        """Close the stores; readings by uplink that were only in memory, and are lost with it."""
        lost = {}
        if self.stores.memory:
            lost = await self.stores.count(self.stores.memory, self.stores.memory_from, schema.END)
            await self.stores.thread.call(self.stores.memory.close)
        if self.stores.file:
            with suppress(*FAILURES):
                await self.stores.thread.call(self.stores.file.close)
        self.stores.thread.stop()
        return lost

    def abandon(self) -> None:
        """Nobody waits any more: the thread closes the file and ends, when the disk lets it."""
        if self.stores.file:
            closing = self.stores.thread.call(self.stores.file.close)
            closing.add_done_callback(lambda done: done.cancelled() or done.exception())
        self.stores.thread.stop()

    # --- writing

    @property
    def used(self) -> int:
        """Bytes of the pages that hold something, in the store that is written now."""
        return self._used[self.stores.memory is not None]

    @property
    def bound(self) -> int:
        """Bytes that the rows in the store that is written now may take."""
        return self._memory_size if self.stores.memory else self._size

    async def commit(self, placed: Sequence[Placed], low: int) -> None:
        """Write rows that were placed from `low` on, and whatever else the book has to write.

        Does it in any case: on the disk, with room made where there is none, or else in memory. Only where not even an
        empty store in memory can hold them are rows dropped, and counted.
        """
        tries = 0
        while True:
            try:
                return await self._commit(placed)
            except FAILURES as error:
                tries += 1
                if is_full(error) and tries <= STEPS_AT_ONCE and await self._make_room():
                    continue
                if self.stores.memory is None:
                    placed = await self._stand_in(error, low, placed)
                elif placed:
                    log.warning("buffer.overrun", error=words(error), rows=len(placed))
                    self.book.drop_placed(placed, Drop.FULL)
                    placed = ()
                else:
                    raise

    async def _commit(self, placed: Sequence[Placed]) -> None:
        if self.stores.memory:
            change = self.book.change_in_memory(placed, self.stores.memory_from)
            self._note(
                change, await self.stores.thread.call(self.stores.memory.commit, change), in_memory=True
            )
        else:
            await self._commit_to_file(placed)

    async def _commit_to_file(self, placed: Sequence[Placed]) -> None:
        change = self.book.change(placed, self.stores.memory_from, uncertain=self.stores.memory is not None)
        self._note(change, await self.stores.thread.call(self.stores.open_file.commit, change))

    def _note(self, change: Change, usage: Usage, *, in_memory: bool = False) -> None:
        self.book.written(change, usage.sweep)
        self._used[in_memory] = usage.size

    # --- dropping

    async def trim(self, most: int) -> bool:
        """Drop some of the oldest rows of the least precious class that has any; whether there were any.

        They leave the store that is written now with the next commit.
        """
        return await self._trim(self.stores.memory or self.stores.file, most)

    async def _trim(self, store: Store | None, most: int) -> bool:
        for rank in reversed(schema.RANKS):
            if victims := await self.stores.oldest(store, rank, most):
                return self.book.trim(rank, victims, Drop.FULL)
        return False

    async def oldest(self, rank: int, most: int) -> list[Stub]:
        """The oldest rows of a class in the file; none while it is not written."""
        return [] if self.stores.memory else await self.stores.oldest(self.stores.file, rank, most)

    def drop_old(self, rank: int, rows: Sequence[Stub]) -> bool:
        """Drop these oldest rows of a class for their age; whether there were any. They leave with the next commit."""
        return self.book.trim(rank, rows, Drop.AGE)

    async def keep_reserve(self) -> None:
        """Make the reserve where it is missing and there is room for it."""
        if not self.stores.memory:
            await self.stores.thread.call(self._disk.keep_reserve)

    async def tidy(self, first: Sequence[Stub]) -> None:
        """Forget what no row in the file refers to any more, given the first row of each class."""
        if not self.stores.memory:
            forget = self.book.forget(first, self._opened_at)
            with suppress(*FAILURES):  # the next commit finds out, and has what to do about it
                await self.stores.thread.call(self.stores.open_file.forget, forget)

    async def _make_room(self) -> bool:
        """The store that is written now is full: make some room; whether it is worth trying again."""
        try:
            if not self.stores.memory:
                return await self._make_room_in_file()
            if not await self._trim(self.stores.memory, STEP):
                return False
            await self._commit(())
        except FAILURES:
            return False
        return True

    async def _make_room_in_file(self) -> bool:
        given = await self.stores.thread.call(self._disk.give_up_reserve)
        if self._used[False] < min(WORTH_TRIMMING, self._size // 2):
            return given
        if not await self._trim(self.stores.file, STEP):
            return given
        await self._commit_to_file(())
        return True

    # --- standing in, and coming back

    async def _stand_in(self, error: BaseException, low: int, placed: Sequence[Placed] = ()) -> list[Placed]:
        """From now on commits go to memory; the rows placed from `low` on, with the places they get there."""
        log.error("buffer.not_durable", error=words(error))
        now_s = asyncio.get_running_loop().time()
        self.standing_in = StandingIn(words(error), now_s)
        self._next_try_s = now_s + RECONNECT.first_s
        if is_damage(error):
            self._condemn(error)
        # A full disk needs room, not another opening; and closing it would end reading from it.
        self._coming_back = is_full(error) and self.stores.file is not None
        self.stores.memory, _ = await self.stores.thread.call(open_store, None, self._memory_size * 11 // 10)
        moved = self.book.replace(low, placed)
        self.stores.memory_from = schema.place(schema.store_no(self.book.next), 0)
        return moved

    def _condemn(self, error: BaseException) -> None:
        self._disk.condemn(words(error))
        self._next_try_s = 0.0

    async def come_back(self, *, now: bool = False) -> bool:
        """Where memory stands in, or the file cannot be read: try to get back to the disk, when it is time for that.

        Whether rows could be moved.
        """
        loop = asyncio.get_running_loop()
        await self._answer_unreadable()
        if not self.stores.memory or not self.standing_in or (loop.time() < self._next_try_s and not now):
            return False
        try:
            if not self._coming_back:
                async with self.stores.numbering:
                    await self._open_again(self.stores.memory)
                self._coming_back = True
            await self._adopt(self.stores.memory)
        except FAILURES as error:
            self._coming_back = self._coming_back and is_full(error)
            failing_s = loop.time() - self.standing_in.since_s
            self._next_try_s = loop.time() + RECONNECT.delay_s(failing_s, random.random())  # noqa: S311  # jitter
            if is_damage(error):
                self._condemn(error)
            log.debug("buffer.still_not_durable", error=words(error))
            return False
        return True

    async def _answer_unreadable(self) -> None:
        """Opening the file anew, by way of memory, cures a stale descriptor or a mount that changed."""
        error = self.stores.unreadable
        if error is None or error is self._answered:
            return
        self._answered = error
        self._coming_back = False
        if not self.stores.memory:
            await self._stand_in(error, self.book.next)
            self._next_try_s = 0.0
        if is_damage(error) or self.stores.strikes >= STRIKES:
            self._condemn(error)

    async def _open_again(self, memory: Store) -> None:
        if self.stores.file:
            file, self.stores.file = self.stores.file, None
            with suppress(*FAILURES):
                await self.stores.thread.call(file.close)
        opened = await self.stores.thread.call(self._disk.open)
        if self.stores.blind:
            await self._graft(opened, memory)
        elif self.book.is_ours(opened.snapshot):
            pass
        elif STATE not in opened.snapshot.states:
            await self._lose(opened.aside, memory)
        else:
            await self.stores.thread.call(opened.store.close)
            raise Damaged("another store file is in the place of the one that was written")
        self._opened_at = self.book.next
        self.stores.file = opened.store
        self.stores.unreadable = self._answered = None

    async def _graft(self, opened: Opened, memory: Store) -> None:
        """The file can be read for the first time: what it holds comes before what was stored since the start."""
        by = self.book.graft(await self._read_book(opened))
        await self.stores.thread.call(memory.shift, by)
        self.stores.memory_from += by
        self.stores.blind = False
        if opened.aside:
            _say_aside(opened.aside, {})
        self.stores.file = opened.store
        await self._begin_uplinks()

    async def _lose(self, aside: Aside | None, memory: Store) -> None:
        """A fresh file is in the place of the one that was written: the rows in that are gone."""
        before = {name: each.readings for name, each in self.book.uplinks.items()}
        safe = await self.stores.count(memory, self.stores.memory_from, schema.END)
        reason = Drop.DAMAGED if aside else Drop.LOST
        self.stores.strikes = 0
        self._rescued = self.book.lose(self.stores.memory_from, safe, reason)
        lost = {name: before[name] - each.readings for name, each in self.book.uplinks.items()}
        _say_aside(aside, lost)

    async def _adopt(self, memory: Store) -> None:
        """Move rows from memory to the file, some steps; on the disk again when that was all."""
        for _ in range(STEPS_AT_ONCE):
            async with self.stores.numbering:
                change = self.book.change(self._rescued, self.stores.memory_from, uncertain=True)
                try:
                    usage, end = await self.stores.thread.call(self.stores.open_file.adopt, change, memory)
                except FAILURES as error:
                    if is_full(error) and await self._make_room_in_file():
                        continue
                    raise
                self._note(change, usage)
                self._rescued = ()
                self.stores.memory_from = schema.END if end is None else end
            if end is None:
                await self.stores.thread.call(memory.close)
                self.stores.memory, self.standing_in = None, None
                self._coming_back = False
                log.info("buffer.durable", store=self.book.store_id)
                return

    async def _begin_uplinks(self) -> None:
        """Say which uplinks are gone, and count what new ones find that begin at the oldest row."""
        for name, readings in self.book.removed.items():
            log.warning("buffer.uplink_removed", uplink=name, dropped=readings)
        self.book.removed.clear()
        if self.book.uncounted:
            found = await self.stores.count(self.stores.open_file, 0, self.stores.memory_from)
            for name in self.book.uncounted:
                self.book.uplinks[name].found(found[name])
            self.book.uncounted.clear()


def _say_aside(aside: Aside | None, lost: Mapping[str, int]) -> None:
    if aside:
        log.error("buffer.set_aside", path=str(aside.path), error=aside.why, lost=dict(lost))
    else:
        log.error("buffer.lost", error="the store file is gone", lost=dict(lost))

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
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import structlog

from agent.buffer import schema
from agent.buffer.book import STATE, Book
from agent.buffer.change import Change, Damaged, Piece, Placed, Snapshot, Stub, Usage
from agent.buffer.counting import Counting
from agent.buffer.disk import Aside, Disk, Opened
from agent.buffer.ledger import Drop
from agent.buffer.opening import is_damage, is_full, open_store
from agent.buffer.store import STEP, Store
from agent.buffer.thread import Thread
from agent.interfaces import UplinkBase
from agent.sample import Shape
from agent.timing import RECONNECT

log = structlog.get_logger()

FAILURES = (sqlite3.Error, OSError, Damaged)
"""What a disk does to us. Anything else is a bug."""

STEPS_AT_ONCE = 8
"""Most steps of trimming, or of the way back, beside one commit: live rows must not wait for long."""

STRIKES = 3
"""Reads that failed one after the other, the file opened anew between them, after which it counts as damaged."""

WORTH_TRIMMING = 4 * 2**20
"""Bytes: a smaller file on a full disk is not trimmed. Others have filled the disk, and it would not help for long."""


class StandingIn(NamedTuple):
    """Why the disk is not written, and since when."""

    words: str
    since_s: float
    """As the event loop counts."""


class Storage:
    """The store file, the store in memory that stands in for it, and the thread in which both are used."""

    def __init__(self, disk: Disk, size: int, memory: int) -> None:
        self.book: Book
        self.standing_in: StandingIn | None = None
        self._size, self._memory_size = size, memory
        self._disk = disk
        self._thread = Thread("buffer")
        self._numbering = asyncio.Lock()
        """Held while rows are read, and while they change their place or their store."""
        self._file: Store | None = None
        self._memory: Store | None = None
        self._memory_from = schema.END
        """Rows from this place on are in memory."""
        self._used = {False: 0, True: 0}
        self._rescued: Sequence[Placed] = ()
        self._blind = False
        """Whether there are rows in memory, and the file has not been seen yet."""
        self._coming_back = False
        """Whether the file is open as it must be to be written."""
        self._next_try_s = 0.0
        self._unreadable: BaseException | None = None
        self._strikes = 0
        self._counting = Counting(self._thread)
        self._opened_at = 0
        """Place of the next reading when the file was opened."""

    # --- opening and closing

    async def open(self, uplinks: Sequence[UplinkBase], boot: str) -> None:
        """Open the store file, or stand in for it."""
        self._uplinks, self._boot = uplinks, boot
        self._thread.start()
        while True:
            try:
                opened = await self._thread.call(self._disk.open)
                if opened.aside:
                    _say_aside(opened.aside, {})
                self.book = await self._read_book(opened)
                self._file = opened.store
                self._opened_at = self.book.next
                await self._begin_uplinks()
            except Damaged as error:
                self._disk.condemn(_words(error))
            except FAILURES as error:
                self._blind = True
                self.book = Book(Snapshot({}, {}, []), uplinks, boot)
                await self._stand_in(error, self.book.next)
                return
            else:
                return

    async def _read_book(self, opened: Opened) -> Book:
        try:
            return Book(opened.snapshot, self._uplinks, self._boot)
        except Damaged:
            await self._thread.call(opened.store.close)
            raise

    async def close(self) -> dict[str, int]:
        """Close the stores; readings by uplink that were only in memory, and are lost with it."""
        lost = {}
        if self._memory:
            lost = await self._count(self._memory, self._memory_from, schema.END)
            await self._thread.call(self._memory.close)
        if self._file:
            with suppress(*FAILURES):
                await self._thread.call(self._file.close)
        self._thread.stop()
        return lost

    # --- writing

    @property
    def used(self) -> int:
        """Bytes of the pages that hold something, in the store that is written now."""
        return self._used[self._memory is not None]

    @property
    def bound(self) -> int:
        """Bytes that the rows in the store that is written now may take."""
        return self._memory_size if self._memory else self._size

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
                if self._memory is None:
                    placed = await self._stand_in(error, low, placed)
                elif placed:
                    log.warning("buffer.overrun", error=_words(error), rows=len(placed))
                    self.book.drop_placed(placed, Drop.FULL)
                    placed = ()
                else:
                    raise

    async def _commit(self, placed: Sequence[Placed]) -> None:
        if self._memory:
            change = self.book.change_in_memory(placed, self._memory_from)
            self._note(change, await self._thread.call(self._memory.commit, change), in_memory=True)
        else:
            await self._commit_to_file(placed)

    async def _commit_to_file(self, placed: Sequence[Placed]) -> None:
        change = self.book.change(placed, self._memory_from, uncertain=self._memory is not None)
        self._note(change, await self._thread.call(self._open_file.commit, change))

    def _note(self, change: Change, usage: Usage, *, in_memory: bool = False) -> None:
        self.book.written(change, usage.sweep)
        self._used[in_memory] = usage.size

    @property
    def _open_file(self) -> Store:
        if not self._file:
            raise FileNotFoundError("no store file is open")
        return self._file

    # --- dropping

    async def trim(self, most: int = STEP) -> bool:
        """Drop some of the oldest rows of the least precious class that has any; whether there were any.

        They leave the store that is written now with the next commit.
        """
        return await self._trim(self._memory or self._open_file, most)

    async def _trim(self, store: Store, most: int) -> bool:
        for rank in reversed(schema.RANKS):
            if victims := await self._thread.call(store.oldest, rank, most):
                self.book.trim(rank, victims, Drop.FULL)
                return True
        return False

    async def oldest(self, rank: int, most: int) -> list[Stub]:
        """The oldest rows of a class in the file; none while it is not written."""
        if self._memory:
            return []
        return await self._thread.call(self._open_file.oldest, rank, most)

    async def keep_reserve(self) -> None:
        """Make the reserve where it is missing and there is room for it."""
        if not self._memory:
            await self._thread.call(self._disk.keep_reserve)

    async def tidy(self, first: Sequence[Stub]) -> None:
        """Forget what no row in the file refers to any more, given the first row of each class."""
        if not self._memory:
            forget = self.book.forget(first, self._opened_at)
            with suppress(*FAILURES):  # the next commit finds out, and has what to do about it
                await self._thread.call(self._open_file.forget, forget)

    async def _make_room(self) -> bool:
        """The store that is written now is full: make some room; whether it is worth trying again."""
        try:
            if not self._memory:
                return await self._make_room_in_file()
            if not await self._trim(self._memory, STEP):
                return False
            await self._commit(())
        except FAILURES:
            return False
        return True

    async def _make_room_in_file(self) -> bool:
        given = await self._thread.call(self._disk.give_up_reserve)
        if self._used[False] < WORTH_TRIMMING:
            return given
        if not await self._trim(self._open_file, STEP):
            return given
        await self._commit_to_file(())
        return True

    # --- standing in, and coming back

    async def _stand_in(self, error: BaseException, low: int, placed: Sequence[Placed] = ()) -> list[Placed]:
        """From now on commits go to memory; the rows placed from `low` on, with the places they get there."""
        log.error("buffer.not_durable", error=_words(error))
        now_s = asyncio.get_running_loop().time()
        self.standing_in = StandingIn(_words(error), now_s)
        self._next_try_s = now_s + RECONNECT.first_s
        if is_damage(error):
            self._condemn(error)
        # A full disk needs room, not another opening; and closing it would end reading from it.
        self._coming_back = is_full(error) and self._file is not None
        self._memory, _ = await self._thread.call(open_store, None, self._memory_size * 11 // 10)
        moved = self.book.replace(low, placed)
        self._memory_from = schema.place(schema.store_no(self.book.next), 0)
        return moved

    def _condemn(self, error: BaseException) -> None:
        self._disk.condemn(_words(error))
        self._next_try_s = 0.0

    async def come_back(self, *, now: bool = False) -> bool:
        """Where memory stands in, or the file cannot be read: try to get back to the disk, when it is time for that.

        Whether rows could be moved.
        """
        loop = asyncio.get_running_loop()
        if self._unreadable and not self._memory:
            # Opening the file anew, by way of memory, cures a stale descriptor or a mount that changed.
            await self._stand_in(self._unreadable, self.book.next)
            self._next_try_s = 0.0
        if not self._memory or not self.standing_in or (loop.time() < self._next_try_s and not now):
            return False
        try:
            if not self._coming_back:
                async with self._numbering:
                    await self._open_again(self._memory)
                self._coming_back = True
            await self._adopt(self._memory)
        except FAILURES as error:
            self._coming_back = self._coming_back and is_full(error)
            failing_s = loop.time() - self.standing_in.since_s
            self._next_try_s = loop.time() + RECONNECT.delay_s(failing_s, random.random())  # noqa: S311  # jitter
            if is_damage(error):
                self._condemn(error)
            log.debug("buffer.still_not_durable", error=_words(error))
            return False
        return True

    async def _open_again(self, memory: Store) -> None:
        if self._file:
            file, self._file = self._file, None
            with suppress(*FAILURES):
                await self._thread.call(file.close)
        opened = await self._thread.call(self._disk.open)
        if self._blind:
            await self._graft(opened, memory)
        elif self.book.is_ours(opened.snapshot):
            pass
        elif STATE not in opened.snapshot.states:
            await self._lose(opened.aside, memory)
        else:
            await self._thread.call(opened.store.close)
            raise Damaged("another store file is in the place of the one that was written")
        self._opened_at = self.book.next
        self._file = opened.store
        self._unreadable = None

    async def _graft(self, opened: Opened, memory: Store) -> None:
        """The file can be read for the first time: what it holds comes before what was stored since the start."""
        by = self.book.graft(await self._read_book(opened))
        await self._thread.call(memory.shift, by)
        self._memory_from += by
        self._blind = False
        if opened.aside:
            _say_aside(opened.aside, {})
        self._file = opened.store
        await self._begin_uplinks()

    async def _lose(self, aside: Aside | None, memory: Store) -> None:
        """A fresh file is in the place of the one that was written: the rows in that are gone."""
        before = {name: each.readings for name, each in self.book.uplinks.items()}
        safe = await self._count(memory, self._memory_from, schema.END)
        reason = Drop.DAMAGED if aside else Drop.LOST
        self._rescued = self.book.lose(self._memory_from, safe, reason)
        lost = {name: before[name] - each.readings for name, each in self.book.uplinks.items()}
        _say_aside(aside, lost)

    async def _adopt(self, memory: Store) -> None:
        """Move rows from memory to the file, some steps; on the disk again when that was all."""
        for _ in range(STEPS_AT_ONCE):
            async with self._numbering:
                change = self.book.change(self._rescued, self._memory_from, uncertain=True)
                try:
                    usage, end = await self._thread.call(self._open_file.adopt, change, memory)
                except FAILURES as error:
                    if is_full(error) and await self._make_room_in_file():
                        continue
                    raise
                self._note(change, usage)
                self._rescued = ()
                self._memory_from = schema.END if end is None else end
            if end is None:
                await self._thread.call(memory.close)
                self._memory, self.standing_in = None, None
                self._coming_back = False
                log.info("buffer.durable", store=self.book.store_id)
                return

    # --- reading, beside all this

    @property
    def readable_from(self) -> int:
        """Rows below this place can be read neither in the file nor in the window."""
        if self._file and not self._unreadable:
            return 0
        return min(self._memory_from, self.book.window.low)

    async def read(
        self, low: int, high: int, readings: int, wanted: Callable[[int, Shape], bool]
    ) -> Piece | None:
        """Rows of a run, as `Store.read`, from where they are; `None` when they cannot be read now.

        What it gives holds until the caller waits again: until then no place changes.
        """
        async with self._numbering:
            store: Store | None = self._memory
            if low < self._memory_from:
                store = None if self._unreadable else self._file
                high = min(high, self._memory_from)
            if not store:
                return None
            try:
                piece = await self._thread.call(store.read, low, high, readings, wanted)
            except FAILURES as error:
                self._note_unreadable(error)
                return None
        if piece.damaged:
            log.warning("buffer.rows_damaged", rows=len(piece.damaged), first=piece.damaged[0].place)
            for stub in piece.damaged:
                self.book.damaged(stub)
        self._strikes = 0
        return piece

    def _note_unreadable(self, error: BaseException) -> None:
        self._unreadable = error
        self._strikes += 1
        log.warning("buffer.unreadable", error=_words(error))
        if is_damage(error) or self._strikes >= STRIKES:
            self._condemn(error)

    async def begin_count(self) -> None:
        """Count from this moment on what waits for each uplink in the rows; `count` gives it."""
        stores = [(self._file, 0, self._memory_from), (self._memory, self._memory_from, schema.END)]
        await self._counting.begin(self.book, [(each, low, high) for each, low, high in stores if each])

    async def count(self) -> dict[str, int] | None:
        """Readings that wait, by uplink, as they were when counting began; `None` when rows cannot be read."""
        if not self._file and not self._blind:
            return None
        try:
            return await self._counting.result()
        except FAILURES as error:
            self._note_unreadable(error)
            return None

    async def _count(self, store: Store, low: int, high: int) -> dict[str, int]:
        await self._counting.begin(self.book, [(store, low, high)])
        return await self._counting.result()

    async def _begin_uplinks(self) -> None:
        """Say which uplinks are gone, and count what new ones find that begin at the oldest row."""
        for name, readings in self.book.removed.items():
            log.warning("buffer.uplink_removed", uplink=name, dropped=readings)
        self.book.removed.clear()
        if self.book.uncounted:
            found = await self._count(self._open_file, 0, self._memory_from)
            for name in self.book.uncounted:
                self.book.uplinks[name].found(found[name])
            self.book.uncounted.clear()


def _words(error: BaseException) -> str:
    name = getattr(error, "sqlite_errorname", None)
    return f"{error} ({name})" if name else str(error)


def _say_aside(aside: Aside | None, lost: Mapping[str, int]) -> None:
    if aside:
        log.error("buffer.set_aside", path=str(aside.path), error=aside.words, lost=dict(lost))
    else:
        log.error("buffer.lost", error="the store file is gone", lost=dict(lost))

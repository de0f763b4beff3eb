"""The two lanes of one uplink, as its forwarder uses them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from agent.buffer.book import Book
from agent.buffer.change import Placed
from agent.buffer.outstanding import Outstanding
from agent.buffer.schema import number, store_no
from agent.buffer.stores import Stores
from agent.sample import Lane, Row, Shape
from agent.upstream import Span


class Lanes:
    """What waits for one uplink: live, stored since its session began, and backlog, older than that.

    Used by one forwarder. `begin`, `settle`, `release` and `refuse` only take note; it is written to the disk with the
    next `Buffer.store`.
    """

    def __init__(self, uplink: str, stores: Stores) -> None:
        self._uplink = uplink
        self._stores = stores
        self._changed = asyncio.Event()

    def begin(self) -> None:
        """A session opened: what waits now is backlog, what is stored from now on is live; nothing is on the way."""
        self._outstanding.begin(self._book.next)
        self._changed.set()

    async def take(self, lane: Lane, readings: int) -> list[Row]:
        """The next rows of this lane that are not on the way, oldest first; then they are on the way.

        About so many readings at most, but at least one row; none when there is nothing, or nothing that can be read
        while the disk fails. Live rows come from memory, without waiting; older ones are read from the disk in small
        pieces. A row whose checksum is wrong is counted as dropped, and passed over.
        """
        outstanding = self._outstanding
        found: list[Row] = []
        while readings > 0 and (run := outstanding.offer(lane, self._stores.readable_from)):
            low, high = run
            window = self._book.window
            if low >= window.low:
                readings = self._pick(window.rows(low, high), low, high, readings, found)
                continue
            if found:
                break
            piece = await self._stores.read(low, min(high, window.low), readings, self._wants)
            if piece:
                for row in piece.passed:
                    self._book.passed(row)
                readings = self._pick(piece.rows, low, piece.end, readings, found)
        return found

    def _pick(self, rows: Iterable[Placed], low: int, high: int, readings: int, found: list[Row]) -> int:
        """Take rows of the run from `low` to `high`, all of whose rows these are; what is left of `readings`."""
        outstanding = self._outstanding
        book = self._book
        for row in rows:
            place, boot, sample = row
            if place in book.doomed or not self._wants(place, sample.shape):
                continue
            if low < place:
                outstanding.skip(low, place)
            low = place + len(sample.values)
            cells = outstanding.take(place, sample.shape)
            time_ns, trusted = book.wall_ns(boot, sample.monotonic_ns)
            found.append(Row(book.stores[store_no(place)], number(place), sample, time_ns, trusted, cells))
            readings -= len(sample.values) if cells is None else len(cells)
            if readings <= 0:
                return readings
        outstanding.skip(low, high)
        return readings

    def settle(self, spans: Iterable[Span]) -> None:
        """Upstream answered for these readings: they are done with."""
        self._book.settle(self._uplink, spans)

    def release(self, spans: Iterable[Span]) -> None:
        """These are not on the way any more: they will be offered again."""
        self._book.release(self._uplink, spans)
        self._changed.set()

    def refuse(self, spans: Iterable[Span], words: str) -> None:
        """Upstream will never take these: they go to the refused list, with its words, and are done with."""
        self._book.settle(self._uplink, spans, words)

    async def wait(self, lane: Lane) -> None:
        """Returns when this lane has something to take."""
        while not self._outstanding.offer(lane, self._stores.readable_from):
            self._changed.clear()
            await self._changed.wait()

    def waiting(self) -> tuple[int, int]:
        """Readings that wait, live and backlog, those on the way included."""
        return self._outstanding.lanes

    def wake(self) -> None:
        """Something was stored: for the buffer to call."""
        self._changed.set()

    def _wants(self, place: int, shape: Shape) -> bool:
        return self._outstanding.interest.wanted(place, shape) > 0

    @property
    def _book(self) -> Book:
        return self._stores.book

    @property
    def _outstanding(self) -> Outstanding:
        return self._book.uplinks[self._uplink]

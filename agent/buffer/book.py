"""The book of the buffer: who is given which number, who needs what, and how it is counted.

Pure: no disk and no waiting. It is kept in the event loop while the store file is open, and its state goes into the
file with every transaction, in one text, so that the file always holds rows and counts of the same moment.

    place()     samples get their places; they are counted, and nobody is offered them yet
    change()    what the next transaction writes
    written()   it was written: the rows may be offered, the rest need not be written again
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence

from agent.buffer import schema
from agent.buffer.change import REFUSALS_KEPT, Change, Damaged, Forget, Placed, Refusal, Snapshot, Stub, Trim
from agent.buffer.ledger import Drop, Ledger, UplinkCounts
from agent.buffer.outstanding import Outstanding, UplinkState
from agent.buffer.ranges import RangeSet
from agent.buffer.state import STATE, BookState, blank, decode, encode
from agent.buffer.window import Window
from agent.clock import ClockLine, Timeline
from agent.sample import Sample, Shape
from agent.upstream import Span, StartFrom, UplinkBase

_WINDOW_READINGS = 30_000
"""Kept in memory to be sent without reading back: half a minute at peak load, about 1 MB."""

_LINES_KEPT = 1000
"""Lines of this boot's timeline: a clock that steps every hour for six weeks."""

_RETIRED_KEPT = 32
"""Uplinks no longer in the configuration whose counts are kept."""


class Book:
    """Numbers, needs and counts of one buffer."""

    def __init__(self, snapshot: Snapshot, uplinks: Sequence[UplinkBase], boot: str) -> None:
        text = snapshot.states.get(STATE)
        state = decode(text) if text else blank()
        self.lineage = state.lineage
        self.serial = state.serial
        self.confirmed = state.serial if text else None
        """The serial of the last try to write the file that is known to have succeeded; `None` before the first."""
        self.boot = boot
        self.next = state.next
        self.read = state.read
        self.stored = state.stored
        self.dropped = state.dropped
        self.retired = state.retired
        self.uncertain = state.uncertain
        self.stores = dict(snapshot.stores)
        self.lines: dict[str, list[ClockLine]] = {}
        for line_boot, line in snapshot.lines:
            self.lines.setdefault(line_boot, []).append(line)
        self._timelines = {line_boot: Timeline(lines) for line_boot, lines in self.lines.items()}
        self.deletes = RangeSet()
        """Runs of rows that nobody needs and that are still in a file."""
        self.doomed: set[int] = set()
        """Places of rows that were dropped and are still in a file."""
        self._new_stores: dict[int, str] = {}
        self._new_lines: list[tuple[str, ClockLine]] = []
        self._refusals: list[Refusal] = []
        self._trims: list[Trim] = []
        self.uplinks: dict[str, Outstanding] = {}
        self.uncounted: list[str] = []
        """Uplinks that begin at the oldest row: how much that is must be counted."""
        self.removed: dict[str, int] = {}
        """Uplinks that are gone from the configuration, and how many readings waited for them."""
        if state.boot != boot:
            if self.stores and schema.number(self.next) == 0:
                del self.stores[schema.store_no(self.next)]  # nothing was numbered in it
            self.begin_store()
        if schema.store_no(self.next) not in self.stores:
            raise Damaged(f"store {schema.store_no(self.next)} has no id")
        self._begin_uplinks(state, uplinks)
        self.sweep = RangeSet([(0, self.next)])
        """Places outside all that waits: rows there are left over from uplinks that were removed."""
        for each in self.uplinks.values():
            self.sweep.difference_update(each.waiting)
        self.window = Window(_WINDOW_READINGS, self.next)
        self._ids = {id_: no for no, id_ in self.stores.items()}

    def _begin_uplinks(self, state: BookState, uplinks: Sequence[UplinkBase]) -> None:
        for settings in uplinks:
            kept = state.uplinks.get(settings.id)
            if kept is None:
                oldest = settings.from_ is StartFrom.OLDEST and self.next > schema.place(1, 0)
                counts = self.retired.pop(settings.id) if settings.id in self.retired else UplinkCounts()
                kept = UplinkState(
                    filters=[(0, settings.filter)],
                    waiting=[(0, self.next)] if oldest else [],
                    readings=0,
                    counts=counts,
                )
                if oldest:
                    self.uncounted.append(settings.id)
            each = self.uplinks[settings.id] = Outstanding(kept, self.next)
            each.interest.change(self.next, settings.filter)
            first = each.waiting.first(0, schema.END)
            each.interest.forget(first[0] if first else self.next)
        for name, gone in state.uplinks.items():
            if name not in self.uplinks:
                gone.counts.drop(Drop.REMOVED, gone.readings)
                self.removed[name] = gone.readings
                self.retired[name] = gone.counts
        while len(self.retired) > _RETIRED_KEPT:
            del self.retired[next(iter(self.retired))]

    # --- places

    @property
    def store_id(self) -> str:
        """Id of the store that numbers are taken from now."""
        return self.stores[schema.store_no(self.next)]

    def begin_store(self) -> int:
        """Numbers begin again at 0 under a new store id; the place of the first.

        At each boot as well: a card that was copied, or restored from an old copy, then never gives a number twice.
        Raises `Damaged` after 2**15 stores: only a fresh file can have more.
        """
        no = max(self.stores, default=0) + 1
        if no >= schema.STORES:
            raise Damaged(f"{no} stores in one file: no more numbers")
        self.stores[no] = self._new_stores[no] = secrets.token_hex(16)
        self._ids = {id_: number for number, id_ in self.stores.items()}
        self.next = schema.place(no, 0)
        return self.next

    def place(self, samples: Iterable[Sample], read: int) -> list[Placed]:
        """Number samples and count them; those that somebody wants are to be stored, with the others all is done."""
        self.read += read
        placed = []
        for sample in samples:
            place = self.next
            count = len(sample.values)
            self.next += count
            self.stored += count
            wanted = False
            for each in self.uplinks.values():
                wanted |= each.add(place, sample.shape)
            if wanted:
                placed.append(Placed(place, self.boot, sample))
        return placed

    def replace(self, low: int, placed: Sequence[Placed]) -> list[Placed]:
        """What was placed from `low` on could not be stored there: it gets its places in a new store.

        The transaction that failed may be in the file all the same: whatever stands there from `low` on is deleted.
        """
        self.deletes.add(low, schema.place(schema.store_no(low) + 1, 0))
        high = self.next
        by = self.begin_store() - low
        self.next = high + by
        for each in self.uplinks.values():
            each.shift(low, by)
        return [row._replace(place=row.place + by) for row in placed]

    def drop_placed(self, placed: Iterable[Placed], reason: Drop) -> None:
        """Rows that were placed cannot be stored anywhere."""
        for row in placed:
            for each in self.uplinks.values():
                each.drop(row.place, row.sample.shape, reason)

    def drop_unstored(self, readings: int, reason: Drop) -> None:
        """Readings that were read are not stored."""
        self.dropped[reason] = self.dropped.get(reason, 0) + readings

    # --- what is known of time

    def observe(self, line: ClockLine) -> None:
        """The clocks were compared, and something had changed."""
        self.lines.setdefault(self.boot, []).append(line)
        self._timelines.setdefault(self.boot, Timeline()).add(line)
        self._new_lines.append((self.boot, line))

    def wall_ns(self, boot: str, monotonic_ns: int) -> tuple[int, bool]:
        """Wall time of a moment of a boot, nanoseconds since 1970 UTC, and whether it can be trusted."""
        timeline = self._timelines.get(boot)
        return timeline.wall_ns(monotonic_ns) if timeline else (monotonic_ns, False)

    # --- transactions

    def change(self, placed: Sequence[Placed], below: int, *, uncertain: bool = False) -> Change:
        """What is to be written to the store file, which holds the rows below this place."""
        return Change(
            rows=placed,
            deletes=list(self.deletes.within(0, below)),
            trims=[trim for trim in self._trims if trim.low < below],
            sweep=list(self.sweep),
            states={STATE: self._state_text(uncertain=uncertain)},
            stores=self._new_stores.copy(),
            lines=self._new_lines.copy(),
            refusals=self._refusals.copy(),
        )

    def _state_text(self, *, uncertain: bool) -> str:
        self.serial += 1
        state = BookState(
            lineage=self.lineage,
            serial=self.serial,
            next=self.next,
            boot=self.boot,
            read=self.read,
            stored=self.stored,
            dropped=self.dropped,
            uplinks={name: each.state() for name, each in self.uplinks.items()},
            retired=self.retired,
            uncertain=self.uncertain or uncertain,
        )
        return encode(state)

    def change_in_memory(self, placed: Sequence[Placed], low: int) -> Change:
        """What is to be written to the store in memory, which holds the rows from this place on."""
        return Change(
            rows=placed,
            deletes=list(self.deletes.within(low, schema.END)),
            trims=[trim for trim in self._trims if trim.low >= low],
            stores=self._new_stores.copy(),
        )

    def written(self, change: Change, sweep: Iterable[tuple[int, int]]) -> None:
        """This change is written: its rows may be offered, its deletes are done."""
        self.deletes.difference_update(change.deletes)
        self._trims = [trim for trim in self._trims if trim not in change.trims]
        if self.doomed:
            self.doomed = {
                place
                for place in self.doomed
                if place in self.deletes or any(trim.low <= place < trim.high for trim in self._trims)
            }
        if change.states:
            self.confirmed = self.serial
            self.sweep = RangeSet(sweep)
            for no in change.stores:
                self._new_stores.pop(no, None)
            del self._new_lines[: len(change.lines)]
            written = set(change.refusals)
            self._refusals = [refusal for refusal in self._refusals if refusal not in written]
        for row in change.rows:
            self.window.add(row)
        for each in self.uplinks.values():
            each.stored()

    # --- rows leave

    def settle(self, uplink: str, spans: Iterable[Span], words: str | None = None) -> None:
        """Upstream answered for these; with words, it refused them."""
        mine = self.uplinks[uplink]
        for span in spans:
            if (no := self._ids.get(span.store)) is None:
                continue
            base = schema.place(no, 0)
            if words is not None:
                self._refusals.append(Refusal(uplink, span.store, span.low, span.high, words))
                del self._refusals[:-REFUSALS_KEPT]
            for row in mine.settle(base + span.low, base + span.high, refused=words is not None):
                if not self._needed(row.place, row.shape):
                    self.deletes.add(row.place, row.end)
                    self.window.discard(row.place, row.end)

    def release(self, uplink: str, spans: Iterable[Span]) -> None:
        """These are not on the way any more."""
        for span in spans:
            if (no := self._ids.get(span.store)) is not None:
                base = schema.place(no, 0)
                self.uplinks[uplink].release(base + span.low, base + span.high)

    def passed(self, row: Stub) -> None:
        """A row was come upon that an uplink does not want: left over, if no other wants it either."""
        if row.shape and not self._needed(row.place, row.shape):
            self.deletes.add(row.place, row.place + row.cells)

    def damaged(self, row: Stub) -> None:
        """A row cannot be read: nobody gets it. How many readings that was, it may not be able to say."""
        self.uncertain = True
        self.deletes.add(row.place, row.place + 1)
        if row.place in self.doomed:
            return
        self.doomed.add(row.place)
        if row.shape:
            for each in self.uplinks.values():
                each.drop(row.place, row.shape, Drop.DAMAGED)

    def trim(self, rank: int, victims: Sequence[Stub], reason: Drop) -> bool:
        """The oldest rows of a class are dropped, all that were not before; whether there were any."""
        victims = [row for row in victims if row.place not in self.doomed]
        if not victims:
            return False
        self._trims.append(Trim(rank, victims[0].place, victims[-1].place + 1))
        for row in victims:
            self.doomed.add(row.place)
            self.window.discard(row.place, row.place + 1)
            if row.shape is None:
                self.uncertain = True
                continue
            for each in self.uplinks.values():
                each.drop(row.place, row.shape, reason)
        return True

    def _needed(self, place: int, shape: Shape) -> bool:
        return any(each.needs(place, shape) for each in self.uplinks.values())

    def forget(self, first: Iterable[Stub], opened_at: int) -> Forget:
        """What nothing refers to any more, given the first row of each class in the file."""
        oldest = min(first, key=lambda row: row.place, default=None)
        lowest = oldest.place if oldest else self.next
        stores = [no for no in self.stores if no < schema.store_no(min(lowest, self.next))]
        for no in stores:
            self._ids.pop(self.stores.pop(no), None)
        boots: list[str] = []
        stale: list[ClockLine] = []
        if oldest is None or oldest.boot == self.boot:
            boots = [boot for boot in self.lines if boot != self.boot]
            for boot in boots:
                del self.lines[boot], self._timelines[boot]
            lines = self.lines.get(self.boot, [])
            stale = lines[:-_LINES_KEPT]
            if stale:
                del lines[:-_LINES_KEPT]
                self._timelines[self.boot] = Timeline(lines)
        return Forget(lowest, opened_at, stores, boots, [(self.boot, line) for line in stale])

    def ledger(self) -> Ledger:
        """All counts, and what should wait by them."""
        live = {name: each.counts.closed(each.readings) for name, each in self.uplinks.items()}
        retired = {name: counts.closed(0) for name, counts in self.retired.items()}
        return Ledger(read=self.read, stored=self.stored, dropped=self.dropped.copy(), uplinks=retired | live)

    # --- the file was lost, or found

    def is_ours(self, snapshot: Snapshot) -> bool:
        """Whether this is the file that was written last, and not an older copy of it, or another."""
        text = snapshot.states.get(STATE)
        if text is None:
            return self.confirmed is None
        state = decode(text)
        return state.lineage == self.lineage and state.serial >= (self.confirmed or 0)

    def lose(self, below: int, safe: Mapping[str, int], reason: Drop) -> list[Placed]:
        """The file is gone, and with it the rows below this place, but for those that are still in memory.

        Gives these. `safe` readings wait for each uplink beyond that place.
        """
        rescued = [row for row in self.window.rows(0, below) if self._needed(row.place, row.sample.shape)]
        for name, each in self.uplinks.items():
            mine = [
                (row.place, row.sample.shape) for row in rescued if each.needs(row.place, row.sample.shape)
            ]
            each.lose(below, mine, safe.get(name, 0), reason)
        self.deletes.remove(0, below)
        self._trims = [trim for trim in self._trims if trim.low >= below]
        self.doomed = {place for place in self.doomed if place >= below}
        self.sweep = RangeSet()
        self.lineage, self.confirmed = blank().lineage, None
        self._new_stores = self.stores.copy()
        self._new_lines = [(boot, line) for boot, lines in self.lines.items() for line in lines]
        return rescued

    def graft(self, disk: Book) -> int:
        """Put what a file holds, which could not be read so far, under what was stored since; how far places move."""
        kept = {no: id_ for no, id_ in disk.stores.items() if no not in disk._new_stores}
        base = schema.place(max(kept, default=0) + 1, 0)
        by = base - schema.place(min(self.stores), 0)
        self._new_stores = {no + schema.store_no(by): id_ for no, id_ in self.stores.items()}
        self.stores = kept | self._new_stores
        self._ids = {id_: no for no, id_ in self.stores.items()}
        self.next += by
        self.window.shift(0, by)
        self.deletes.shift(0, by)
        self.doomed = {place + by for place in self.doomed}
        self._trims = [Trim(rank, low + by, high + by) for rank, low, high in self._trims]
        for name, each in self.uplinks.items():
            each.shift(0, by)
            each.graft(disk.uplinks[name], base)
        self.read += disk.read
        self.stored += disk.stored
        for reason, readings in disk.dropped.items():
            self.drop_unstored(readings, Drop(reason))
        self.retired = disk.retired
        self.removed = disk.removed
        self.uncounted = disk.uncounted
        self.uncertain |= disk.uncertain
        self.sweep = disk.sweep
        self.lineage, self.serial, self.confirmed = disk.lineage, disk.serial, disk.confirmed
        for boot, lines in disk.lines.items():
            for line in lines:
                self._timelines.setdefault(boot, Timeline()).add(line)
            self.lines[boot] = lines + self.lines.get(boot, [])
        return by

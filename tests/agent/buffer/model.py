"""A buffer that is only lists and sets, and the random sequences in which the real one must agree with it."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from contextlib import AsyncExitStack
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.buffer import Buffer, open_buffer
from agent.sample import Class, Lane, Row
from agent.upstream import Filter, Span, StartFrom, UplinkBase
from tests.emulators.disk_faults import DiskFaults, sqlite_error
from tests.emulators.storing import ManualClock, a_sample, a_shape, an_uplink, some_settings, span

Key = tuple[str, int]
"""Store and number of a row."""

MEMORY = Path("/dev/shm")

SHAPES = (
    a_shape("d1", 3),
    a_shape("d2", 2, Class.EVENT, Class.HEALTH),
    a_shape("d3", 1, Class.BILLING),
)
UPLINKS: dict[str, UplinkBase] = {
    "all": an_uplink("all"),
    "some": an_uplink("some", Filter(devices=("d1", "d2"), points=("p0", "p2"))),
    "old": an_uplink("old", Filter(classes=(Class.EVENT, Class.BILLING)), StartFrom.OLDEST),
}


def wanted(uplink: str, shape: int) -> int:
    """How many cells of a row of this shape the uplink wants."""
    cells = UPLINKS[uplink].filter.cells(SHAPES[shape])
    return len(SHAPES[shape].points) if cells is None else len(cells)


@dataclass
class Kept:
    """What is safe on the disk."""

    waiting: dict[str, set[Key]] = field(default_factory=dict)
    rows: dict[Key, int] = field(default_factory=dict)
    """Every row that somebody still needs, in the order of storing, with its shape."""


class Sequences(RuleBasedStateMachine):
    """Stores, takes, settles, reopens, kills and disk failures in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.faults = DiskFaults(self.patch)
        self.loop = asyncio.new_event_loop()
        # In memory where there is such a place: thousands of synced commits on a busy disk would take minutes, and what
        # happens on real disks is tested elsewhere.
        self.home = Path(tempfile.mkdtemp(prefix="buffer-model-", dir=MEMORY if MEMORY.is_dir() else None))
        self.folder = self.home / "0"
        self.boots = 0
        self.now = Kept()
        self.safe = Kept()
        self.heirs: set[str] = set()
        """Uplinks that begin at the oldest row, once the file can be read."""
        self.hidden: Kept | None = None
        """What the file holds, while it cannot be read since the start."""
        self.on_the_way: dict[str, dict[Key, Row]] = {}
        self.backlog: dict[str, set[Key]] = {}
        self.next: dict[str, int] = {}
        self.given: dict[Key, int] = {}
        self.moment = 0
        self.buffer: Buffer
        self.stack = AsyncExitStack()

    def teardown(self) -> None:
        self.faults.heal()
        self.loop.run_until_complete(self.stack.aclose())
        self.loop.close()
        self.patch.undo()
        shutil.rmtree(self.home)

    def do(self, coroutine):
        return self.loop.run_until_complete(asyncio.wait_for(coroutine, 60))

    # --- opening

    @initialize(names=st.sets(st.sampled_from(sorted(UPLINKS))))
    def open_first(self, names) -> None:
        self._open(names)

    def _open(self, names) -> None:
        self.heirs.clear()
        self.given_before = set(self.given)
        clock = ManualClock(f"{self.boots:032x}")
        uplinks = [UPLINKS[name] for name in sorted(names)]
        opening = open_buffer(some_settings(self.folder), clock, uplinks)
        self.buffer = self.do(self.stack.enter_async_context(opening))
        if not self.buffer.durable and self.buffer._storage.stores.blind:
            self.hidden = self._begin(self.safe, names)
            self.now = Kept({name: set() for name in names})
        else:
            self.now = self._begin(self.safe, names)
            self.hidden = None
            self._inherit(self.now)
            self._note_safe()
        self.on_the_way = {name: {} for name in names}
        self.backlog = {name: set(self.now.rows) for name in names}

    def _begin(self, kept: Kept, names) -> Kept:
        kept = deepcopy(kept)
        begun = Kept(rows=kept.rows)
        for name in names:
            begun.waiting[name] = kept.waiting.get(name, set())
            if name not in kept.waiting and UPLINKS[name].from_ is StartFrom.OLDEST:
                self.heirs.add(name)
        return begun

    def _inherit(self, kept: Kept) -> None:
        """Uplinks that begin at the oldest get all rows that are still there, needed by others or not."""
        if self.heirs:
            there = {key: self.given[key] for key in self._places() if key in self.given_before}
            assert there.keys() >= {key for waiting in kept.waiting.values() for key in waiting}
            kept.rows = there
            for name in self.heirs:
                kept.waiting[name] = {key for key, shape in there.items() if wanted(name, shape)}
            self.heirs.clear()
        self._forget(kept)

    def _places(self) -> list[Key]:
        """Every row that stands in the file, in order."""
        storage = self.buffer._storage
        statement = " union all ".join(f"select place from row_{rank}" for rank in range(4)) + " order by 1"
        if storage.stores.thread._stopped:
            connection = sqlite3.connect(self.folder / "buffer.sqlite")
            places = connection.execute(statement).fetchall()
            connection.close()
        else:
            places = self.do(
                _call(
                    storage.stores.thread,
                    lambda: storage.stores.file._connection.execute(statement).fetchall(),
                )
            )
        stores = storage.book.stores
        return [(stores[place >> 48], place & (1 << 48) - 1) for (place,) in places]

    def _forget(self, kept: Kept) -> None:
        kept.rows = {
            key: shape
            for key, shape in kept.rows.items()
            if any(key in waiting for waiting in kept.waiting.values())
        }

    def _note_safe(self) -> None:
        if self.hidden is not None and not self.buffer._storage.stores.blind:
            self._inherit(self.hidden)
            rows = self.hidden.rows | self.now.rows
            for name, hidden in self.hidden.waiting.items():
                self.now.waiting[name] |= hidden
                self.backlog[name] |= hidden
            self.now.rows = rows
            self.hidden = None
        if self.buffer.durable:
            self._forget(self.now)
            self.safe = deepcopy(self.now)

    # --- rules

    @rule(shapes=st.lists(st.integers(0, 2), max_size=5))
    def store(self, shapes) -> None:
        samples = []
        for shape in shapes:
            self.moment += 1
            samples.append(a_sample(SHAPES[shape], self.moment, self.moment))
        self.do(self.buffer.store(samples, sum(len(sample.values) for sample in samples)))
        store = self.buffer.store_id
        number = self.next.get(store, 0)
        for shape in shapes:
            key = (store, number)
            assert key not in self.given, "a number was given twice"
            self.given[key] = shape
            number += len(SHAPES[shape].points)
            for name, waiting in self.now.waiting.items():
                if wanted(name, shape):
                    waiting.add(key)
                    self.now.rows[key] = shape
        self.next[store] = number
        self._note_safe()

    @rule(data=st.data(), lane=st.sampled_from(Lane), readings=st.integers(1, 30))
    def take(self, data, lane, readings) -> None:
        if not (name := self._pick(data)):
            return
        rows = self.do(self.buffer.lanes(name).take(lane, readings))
        free = [
            key
            for key in self.now.rows
            if key in self.now.waiting[name]
            and key not in self.on_the_way[name]
            and (key in self.backlog[name]) == (lane is Lane.BACKLOG)
        ]
        assert [(row.store, row.number) for row in rows] == free[: len(rows)]
        assert bool(rows) == bool(free)
        for row in rows:
            shape = SHAPES[self.now.rows[row.store, row.number]]
            assert row.sample.shape.device == shape.device
            assert row.sample.shape.points == shape.points
            assert row.cells == UPLINKS[name].filter.cells(shape)
            assert row.sample.values == tuple(row.sample.monotonic_ns + i for i in range(len(shape.points)))
            self.on_the_way[name][row.store, row.number] = row

    @rule(
        data=st.data(), what=st.sampled_from(["settle", "settle", "refuse", "release"]), whole=st.booleans()
    )
    def answer(self, data, what, whole) -> None:
        if not (name := self._pick(data)) or not self.on_the_way[name]:
            return
        keys = data.draw(st.lists(st.sampled_from(list(self.on_the_way[name])), unique=True))
        rows = [self.on_the_way[name].pop(key) for key in keys]
        lanes = self.buffer.lanes(name)
        spans = [span(row) for row in rows] if whole else [each for row in rows for each in _pieces(row)]
        if what == "release":
            lanes.release(spans)
            return
        if what == "settle":
            lanes.settle(spans)
        else:
            lanes.refuse(spans, "no")
        self.now.waiting[name] -= set(keys)

    @rule(data=st.data())
    def begin(self, data) -> None:
        if name := self._pick(data):
            self.buffer.lanes(name).begin()
            self.on_the_way[name] = {}
            self.backlog[name] = set(self.now.rows)

    @rule(names=st.sets(st.sampled_from(sorted(UPLINKS))), reboot=st.booleans(), same=st.booleans())
    def reopen(self, names, reboot, same) -> None:
        """Close properly and open again, with other uplinks perhaps."""
        self.do(self.stack.aclose())
        self._note_safe()
        self._reopen(set(self.now.waiting) if same else names, reboot)

    @rule(names=st.sets(st.sampled_from(sorted(UPLINKS))), reboot=st.booleans(), same=st.booleans())
    def kill(self, names, reboot, same) -> None:
        """Open what a kill -9 at this moment would leave: the files as they are, without a last commit."""
        copy = self.home / str(int(self.folder.name) + 1)
        if self.folder.exists():
            shutil.copytree(self.folder, copy)
        failing = self.faults.statements
        self.faults.heal()
        self.do(self.stack.aclose())
        self.faults.statements = failing
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder = copy
        self._reopen(set(self.now.waiting) if same else names, reboot)

    def _reopen(self, names, reboot) -> None:
        self.boots += reboot
        self._open(names)

    @rule(how=st.sampled_from([("begin",), ("commit",), ("begin", "select name")]))
    def disk_fails(self, how) -> None:
        self.faults.fail(sqlite_error(sqlite3.SQLITE_IOERR), *how)

    @precondition(lambda self: self.faults.statements)
    @rule()
    def disk_returns(self) -> None:
        self.faults.heal()
        self.buffer._storage._next_try_s = 0.0

    # --- what always holds

    @invariant()
    def the_ledger_balances_and_agrees(self) -> None:
        if not hasattr(self, "buffer"):
            return
        ledger = self.do(self.buffer.ledger())
        assert ledger.problems() == []
        for name, waiting in self.now.waiting.items():
            readings = sum(wanted(name, self.now.rows[key]) for key in waiting)
            assert ledger.uplinks[name].waiting == readings
            assert sum(self.buffer.lanes(name).waiting()) == readings
            live = sum(wanted(name, self.now.rows[key]) for key in waiting - self.backlog[name])
            assert self.buffer.lanes(name).waiting()[0] == live

    def _pick(self, data) -> str | None:
        return data.draw(st.sampled_from(sorted(self.now.waiting))) if self.now.waiting else None


async def _call(thread, function):
    return await thread.call(function)


def _pieces(row: Row) -> list[Span]:
    cells = range(len(row.sample.values)) if row.cells is None else row.cells
    return [Span(row.store, row.number + cell, row.number + cell + 1) for cell in cells]

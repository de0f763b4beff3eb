"""One store file under SQLite: one connection, used by one thread. The only place where SQL is run.

It does what it is told in one transaction or not at all, and decides nothing: which rows are needed, what is dropped
and how it is counted was settled before. The same code keeps the store in memory that stands in while the disk
fails.

Every method may raise `sqlite3.Error` or `OSError`, and `Damaged` when the file is not, or no longer, a sound store.
"""

from __future__ import annotations

import sqlite3
import struct
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from agent.buffer import rows, schema, shapes
from agent.buffer.census import Census, Counted
from agent.buffer.change import REFUSALS_KEPT, Change, Damaged, Forget, Piece, Placed, Snapshot, Stub, Usage
from agent.buffer.interest import Interest
from agent.buffer.ranges import RangeSet
from agent.clock import ClockLine
from agent.sample import Shape

STEP = 500
"""Most rows that are deleted or looked at in one go, beside what is settled: a commit stays short, the log small."""

_VACUUM_PAGES = 256
"""Free pages given back to the file system after a commit: 1 MiB, some 50 ms on a card."""

SHAPES_KEPT = 1000
"""More than a gateway has devices: what is above was made by configurations that are gone."""

_UNDECODABLE = (struct.error, TypeError, ValueError, IndexError, KeyError, OverflowError)
"""What decoding damaged bytes raises."""

_Row = tuple[int, int, int, int, int, int, bytes]
"""place, count, shape, boot, monotonic_ns, crc, data"""

_EVERYTHING = (0, schema.END)


class Store:
    """An open store; `path` is `None` for one in memory. Opened by `opening.open_store`."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None) -> None:
        self._connection = connection
        self._path = path
        self._file = _identity(path) if path else None
        self._stores: dict[int, str] = {}
        self._boots: dict[int, str] = {}
        self._shapes = shapes.Shapes()
        self._written: set[int] = set()
        """Keys of the shapes that the file has."""
        self._used: dict[int, int] = {}
        """Where each shape was used last, since the file was opened."""
        self._census: Census | None = None

    # --- the one place where SQLite is called

    def _run(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)

    def _run_many(self, statement: str, values: Iterable[Sequence[Any]]) -> None:
        self._connection.executemany(statement, values)

    def _run_script(self, statement: str) -> None:
        # `incremental_vacuum` gives back one page a step; `execute` takes one step where it sees no columns.
        self._connection.executescript(statement)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        if self._path and _identity(self._path) != self._file:
            # Writing on would succeed, into a file that has no name any more and ends with this process.
            raise FileNotFoundError(f"{self._path}: the store file is no longer there")
        self._run("begin immediate")
        try:
            yield
            self._run("commit")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.rollback()
            raise

    # --- opening and closing

    def load(self) -> Snapshot:
        """Read what stands beside the rows, and check it. Takes the same time however many rows wait."""
        states = {}
        for name, value, crc in self._run("select name, value, crc from state"):
            if not isinstance(value, str) or crc != _state_crc(name, value):
                raise Damaged(f"state {name!r}: its checksum is wrong")
            states[name] = value
        self._stores = dict(self._run("select no, id from store").fetchall())
        self._boots = {
            key: boot
            for key, boot in self._run("select key, id from boot")
            if schema.key(str(boot).encode()) == key
        }
        lines = [
            (self._boots[boot], ClockLine(from_ns, offset_ns, bool(trusted)))
            for boot, from_ns, offset_ns, trusted, crc in self._run("select * from clock")
            if boot in self._boots and crc == _line_crc(boot, from_ns, offset_ns, trusted)
        ]
        self._written = {key for (key,) in self._run("select key from shape")}
        return Snapshot(states, self._stores.copy(), lines)

    def close(self) -> None:
        """Close the connection; the log is written into the file first, as far as the disk allows."""
        self._connection.close()

    # --- writing

    def commit(self, change: Change) -> Usage:
        """Write one change. When this returns it is on the medium (`synchronous=full`), or in memory where that is."""
        return self._write(change, {}, {}, {})

    def adopt(self, change: Change, other: Store) -> tuple[Usage, int | None]:
        """Write one change and with it the oldest rows of another store, at most `STEP`, which then leave that one.

        Gives besides the place up to which all has been adopted; `None` when nothing is left.
        """
        found = other._run(schema.SELECT, (*_EVERYTHING, STEP)).fetchall()
        contents = {
            key: other._run("select content from shape where key = ?", (key,)).fetchone()[0]
            for key in {row[2] for row in found} - self._written
        }
        adopted: dict[int, list[_Row]] = {}
        for *row, rank in found:
            adopted.setdefault(rank, []).append(tuple(row))
        usage = self._write(change, adopted, contents, other._boots)
        end: int | None = None
        if found:
            end = found[-1][0] + 1
            other._delete([(0, end)])
        return usage, end if len(found) == STEP else None

    def _write(
        self,
        change: Change,
        adopted: Mapping[int, list[_Row]],
        contents: dict[int, bytes],
        boots: dict[int, str],
    ) -> Usage:
        stores = self._stores | dict(change.stores)
        encoded = self._encode(change.rows, stores, contents)
        named = {row.boot for row in change.rows} | {boot for boot, _ in change.lines}
        boots = {schema.key(boot.encode()): boot for boot in named} | boots
        boots = {key: boot for key, boot in boots.items() if key not in self._boots}
        with self._transaction():
            # Deleting comes first, so that what is stored can use the room.
            self._delete(change.deletes)
            for rank, *run in change.trims:
                self._delete([(run[0], run[1])], (rank,))
            sweep = self._sweep(change.sweep)
            self._run_many("insert into shape values(?, ?)", contents.items())
            self._run_many("insert into boot values(?, ?)", boots.items())
            self._run_many("insert or replace into store values(?, ?)", change.stores.items())
            self._run_many(
                "insert or replace into clock values(?, ?, ?, ?, ?)",
                [_line_row(schema.key(boot.encode()), line) for boot, line in change.lines],
            )
            for rank, values in adopted.items():
                self._run_many(schema.REPLACE[rank], values)
            for rank, values in encoded.items():
                self._run_many(schema.INSERT[rank], values)
            self._run_many(
                "insert or replace into state values(?, ?, ?)",
                [(name, value, _state_crc(name, value)) for name, value in change.states.items()],
            )
            if change.refusals:
                self._run_many(
                    "insert into refused(uplink, store, low, high, words) values(?, ?, ?, ?, ?)",
                    change.refusals,
                )
                self._run(
                    "delete from refused where no <= (select max(no) from refused) - ?", (REFUSALS_KEPT,)
                )
        self._stores = stores
        self._boots |= boots
        self._written |= contents.keys()
        for values in (*adopted.values(), *encoded.values()):
            for row in values:
                self._used[row[2]] = row[0]
        return self._usage(sweep)

    def _encode(
        self, placed: Sequence[Placed], stores: Mapping[int, str], contents: dict[int, bytes]
    ) -> dict[int, list[_Row]]:
        """Rows as they are bound, by rank; the shapes that the file does not have yet are added to `contents`."""
        encoded: dict[int, list[_Row]] = {}
        boot, boot_key = "", 0
        for place, row_boot, sample in placed:
            if row_boot != boot:
                boot, boot_key = row_boot, schema.key(row_boot.encode())
            key, rank = self._shapes.kept(sample.shape)
            if key not in self._written and key not in contents:
                contents[key] = shapes.encode(sample.shape)[1]
            data = rows.encode(sample)
            count = len(sample.values)
            store_id = stores[schema.store_no(place)]
            moment = sample.monotonic_ns
            crc = rows.checksum(store_id, (schema.number(place), count, key, boot_key, moment), data)
            encoded.setdefault(rank, []).append((place, count, key, boot_key, moment, crc, data))
        return encoded

    def _delete(self, runs: Iterable[tuple[int, int]], ranks: Iterable[int] = schema.RANKS) -> None:
        for run in runs:
            for rank in ranks:
                if self._census:
                    self._census.before_delete(self._look, rank, *run)
                self._run(schema.DELETE[rank], run)

    def _sweep(self, runs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Delete up to `STEP` rows of these runs; what is left of the runs."""
        left = STEP
        for index, run in enumerate(runs):
            for statement in schema.SWEEP:
                left -= self._run(statement, (*run, left)).rowcount
                if not left:
                    return list(runs[index:])
        return []

    def forget(self, what: Forget) -> None:
        """Delete what no row refers to: these stores, boots and clock lines, and every shape whose last row is gone.

        A shape that was used since the file was opened is kept, up to `SHAPES_KEPT`: it will be used again.
        """
        gone = {
            key
            for key in self._written
            if self._used.get(key, what.opened_at - 1) < what.lowest
            and (key not in self._used or len(self._written) > SHAPES_KEPT)
        }
        boots = [(schema.key(boot.encode()),) for boot in what.boots]
        with self._transaction():
            self._run_many("delete from shape where key = ?", [(key,) for key in gone])
            self._run_many("delete from store where no = ?", [(no,) for no in what.stores])
            self._run_many("delete from boot where key = ?", boots)
            self._run_many("delete from clock where boot = ?", boots)
            self._run_many(
                "delete from clock where boot = ? and from_ns = ?",
                [(schema.key(boot.encode()), line.from_ns) for boot, line in what.lines],
            )
        self._written -= gone
        for no in what.stores:
            self._stores.pop(no, None)
        for (key,) in boots:
            self._boots.pop(key, None)

    def shift(self, by: int) -> None:
        """All places are now higher by this much, which is a whole number of stores."""
        with self._transaction():
            for statement in schema.SHIFT:
                self._run(statement, (by,))
        self._stores = {no + schema.store_no(by): id_ for no, id_ in self._stores.items()}

    def _usage(self, sweep: list[tuple[int, int]]) -> Usage:
        pages, free = self._pages()
        if self._path and free > _VACUUM_PAGES and free * 4 > pages:
            with suppress(sqlite3.Error):  # the commit is made; room is given back another time
                self._run_script(f"pragma incremental_vacuum({_VACUUM_PAGES})")
            pages, free = self._pages()
        return Usage(pages, free, sweep)

    def _pages(self) -> tuple[int, int]:
        (pages,) = self._run("pragma page_count").fetchone()
        (free,) = self._run("pragma freelist_count").fetchone()
        return pages, free

    # --- reading

    def read(self, low: int, high: int, readings: int, wanted: Callable[[int, Shape], bool]) -> Piece:
        """Rows from `low` up to `high`, oldest first: about this many wanted readings, at most `STEP` rows.

        `wanted` is asked in this thread, with the place and shape of each row.
        """
        found: list[Placed] = []
        passed: list[Stub] = []
        damaged: list[Stub] = []
        looked = 0
        for row in self._run(schema.SELECT, (low, high, STEP)):
            looked += 1
            low = row[0] + 1
            try:
                shape = self._shape(row[2])
                if not wanted(row[0], shape):
                    passed.append(self._stub(row))
                    continue
                found.append(self._decode(row[:7], shape))
            except _UNDECODABLE:
                damaged.append(self._stub(row))
                continue
            readings -= row[1]
            if readings <= 0:
                return Piece(found, passed, damaged, found[-1].end)
        return Piece(found, passed, damaged, low if looked == STEP else high)

    def _decode(self, row: _Row, shape: Shape) -> Placed:
        place, count, key, boot, moment, crc, data = row
        store_id = self._stores[schema.store_no(place)]
        if crc != rows.checksum(store_id, (schema.number(place), count, key, boot, moment), data):
            raise ValueError("checksum")
        return Placed(place, self._boots[boot], rows.decode(shape, moment, data))

    def _shape(self, key: int) -> Shape:
        """The shape with this key. Raises `KeyError` or `ValueError` when the file does not have it, or not whole."""
        if known := self._shapes.get(key):
            return known
        found = self._run("select content from shape where key = ?", (key,)).fetchone()
        if not found:
            raise KeyError(key)
        return self._shapes.learn(key, found[0])

    def _stub(self, row: Sequence[Any]) -> Stub:
        place, count, key, boot, moment = row[:5]
        try:
            shape = self._shape(key)
        except _UNDECODABLE:
            shape = None
        if shape and len(shape.points) != count:
            shape = None
        return Stub(place, count, shape, self._boots.get(boot), moment)

    def oldest(self, rank: int, most: int = STEP) -> list[Stub]:
        """The oldest rows of a class."""
        return [self._stub(row) for row in self._run(schema.STUBS[rank], (*_EVERYTHING, most)).fetchall()]

    # --- counting

    def begin_census(
        self, uplinks: Mapping[str, tuple[RangeSet, Interest]], without: Collection[int]
    ) -> None:
        """Count from now on what waits for each uplink: the rows in its runs, as they are at this moment.

        Rows at the places in `without` are dropped already, and leave the file soon.
        """
        self._census = Census(uplinks, without, schema.RANKS)

    def census(self) -> dict[str, int] | None:
        """Look at some more rows; readings that wait by uplink once all were seen, `None` before."""
        if not self._census:
            raise RuntimeError("no census was begun")
        if not self._census.step(self._look, STEP):
            return None
        waiting = self._census.waiting
        self._census = None
        return waiting

    def _look(self, rank: int, low: int, high: int, most: int) -> list[Counted]:
        found = self._run(schema.STUBS[rank], (low, high, most)).fetchall()
        return [Counted(stub.place, stub.cells, stub.shape) for stub in map(self._stub, found)]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _state_crc(name: str, value: str) -> int:
    return zlib.crc32(value.encode(), zlib.crc32(name.encode()))


def _line_crc(boot: int, from_ns: int, offset_ns: int, trusted: int) -> int:
    return zlib.crc32(f"{boot} {from_ns} {offset_ns} {trusted}".encode())


def _line_row(boot: int, line: ClockLine) -> tuple[int, int, int, int, int]:
    trusted = int(line.trusted)
    return boot, line.from_ns, line.offset_ns, trusted, _line_crc(boot, line.from_ns, line.offset_ns, trusted)

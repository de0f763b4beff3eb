"""The tables of a store file, and the settings under which it is opened.

A row of readings has as its key its *place*: the store's number in this file times 2**48, plus the reading number.
So the readings of several stores live side by side (those taken while the disk was away bring their own store), in
the order in which they were learnt. There is one table of rows for each class, so that the oldest of the least
precious class is always the first row of a table, with no index to keep.

Shapes and boots are keyed by a hash of their content, and a row's checksum covers its store's id: a row means the
same in whichever file it stands, and is copied between files as it is.
"""

from __future__ import annotations

from hashlib import blake2b

from agent.sample import Class

VERSION = 1
"""In `user_version`. A file with a higher one was written by a newer agent, and is not touched."""

APPLICATION = 0x44494143
"""In `application_id`, "DIAC": what file(1) and we know the file by."""

PAGE = 4096
"""Bytes of a page: a block of the file system and of the card's own pages."""

RANKS = range(len(Class))

PLACE_BITS = 48
"""A store holds up to 2**48 readings: a million a second for nine years."""

STORES = 1 << (63 - PLACE_BITS)
"""More stores than a file can hold; one begins at each boot, and each time that the disk fails."""


def each_rank(statement: str) -> tuple[str, ...]:
    """One statement for each table of rows, in which ROWS is its name and RANK the rank; by rank."""
    return tuple(statement.replace("ROWS", f"row_{rank}").replace("RANK", str(rank)) for rank in RANKS)


_TABLES = """
create table state(name text primary key, value text not null, crc integer not null) without rowid;
create table store(no integer primary key, id text not null);
create table boot(key integer primary key, id text not null);
create table clock(boot integer not null, from_ns integer not null, offset_ns integer not null,
    trusted integer not null, crc integer not null, primary key(boot, from_ns)) without rowid;
create table shape(key integer primary key, content blob not null);
create table refused(no integer primary key, uplink text not null, store text not null, low integer not null,
    high integer not null, words text not null);
"""

_ROWS = """
create table ROWS(place integer primary key, count integer not null, shape integer not null,
    boot integer not null, monotonic_ns integer not null, crc integer not null, data blob not null);
"""

CREATE = (
    _TABLES
    + "".join(each_rank(_ROWS))
    + f"pragma application_id={APPLICATION}; pragma user_version={VERSION};"
)


INSERT = each_rank("insert into ROWS values(?, ?, ?, ?, ?, ?, ?)")
REPLACE = each_rank("insert or replace into ROWS values(?, ?, ?, ?, ?, ?, ?)")
"""For rows that move here from memory: an earlier try may have failed and yet be in the file."""
DELETE = each_rank("delete from ROWS where place >= ? and place < ?")
SWEEP = each_rank(
    "delete from ROWS where place in"
    " (select place from ROWS where place >= ? and place < ? order by place limit ?)"
)
STUBS = each_rank(
    "select place, count, shape, boot, monotonic_ns from ROWS"
    " where place >= ? and place < ? order by place limit ?"
)
SHIFT = each_rank("update ROWS set place = place + ?")
SELECT = (
    " union all ".join(each_rank("select *, RANK from ROWS where place >= ?1 and place < ?2"))  # noqa: S608  # constant
    + " order by 1 limit ?3"
)
"""Rows of all classes in the order of their places, which SQLite merges as it goes; the last column is the rank."""


def opening(pages: int) -> tuple[str, ...]:
    """What is set at every opening, in this order, for a file of at most `pages` pages.

    - exclusive, before anything is read: no other process may open the file, and there is no -shm beside it. Two
      connections meet SQLite's WAL-reset bug (3.7.0 to 3.51.2), and two agents on one file would give a number twice.
    - synchronous=full: a commit is on the medium when it returns; `normal` lost up to 17 s in power cuts.
    - a write-ahead log of 200 pages that wraps in place and is never cut: each commit that makes the log longer costs a
      commit of the file system's journal besides.
    """
    return (
        "pragma locking_mode=exclusive",
        f"pragma page_size={PAGE}",
        "pragma auto_vacuum=incremental",
        "pragma journal_mode=wal",
        "pragma synchronous=full",
        "pragma wal_autocheckpoint=200",
        "pragma temp_store=memory",
        f"pragma max_page_count={pages}",
    )


END = (1 << 63) - 1
"""Beyond every place."""


def key(content: bytes) -> int:
    """The key of a shape or boot: 47 bits of a hash, which SQLite keeps in 6 bytes; never 0."""
    return int.from_bytes(blake2b(content, digest_size=6).digest(), "little") >> 1 or 1


def place(store_no: int, number: int) -> int:
    """Where in the file a reading stands."""
    return (store_no << PLACE_BITS) + number


def store_no(place_: int) -> int:
    """Which of the file's stores a place belongs to."""
    return place_ >> PLACE_BITS


def number(place_: int) -> int:
    """The reading's number in its store."""
    return place_ & ((1 << PLACE_BITS) - 1)

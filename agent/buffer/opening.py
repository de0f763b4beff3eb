"""Opening a store file: making it, knowing it again, and telling what is wrong with it.

It looks at the file's head and never at its rows, so that a gigabyte of backlog does not delay the start.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from agent.buffer import schema
from agent.buffer.change import Damaged, Snapshot
from agent.buffer.store import Store

_BUSY_SECONDS = 2.0
"""How long opening waits for a process that has the file open (the agent before us, on its way out)."""


def open_store(path: Path | None, limit: int) -> tuple[Store, Snapshot]:
    """Open the store file at this path, or make it; `None` for one in memory. It never grows beyond `limit` bytes.

    Raises `Damaged` for a file that is not a sound store, and `sqlite3.Error` or `OSError` when it cannot be opened.
    """
    connection = sqlite3.connect(
        path or ":memory:", isolation_level=None, check_same_thread=False, timeout=_BUSY_SECONDS
    )
    try:
        for statement in schema.opening(limit // schema.PAGE):
            connection.execute(statement).fetchall()
        (tables,) = connection.execute("select count(*) from sqlite_master").fetchone()
        if tables:
            _check(connection, path)
        else:
            connection.executescript(f"begin immediate; {schema.CREATE} commit;")
        store = Store(connection, path)
        return store, store.load()
    except BaseException:
        connection.close()
        raise


def _check(connection: sqlite3.Connection, path: Path | None) -> None:
    (application,) = connection.execute("pragma application_id").fetchone()
    (version,) = connection.execute("pragma user_version").fetchone()
    if application != schema.APPLICATION:
        raise Damaged(
            f"application id {application:#x}, not {schema.APPLICATION:#x}: not a store of this agent"
        )
    if version != schema.VERSION:
        raise Damaged(
            f"schema version {version}, not {schema.VERSION}: written by another version of the agent"
        )
    (pages,) = connection.execute("pragma page_count").fetchone()
    if path and not _has_log(path) and path.stat().st_size < pages * schema.PAGE:
        raise Damaged(f"{path.stat().st_size} bytes, not {pages * schema.PAGE}: cut short")


def _has_log(path: Path) -> bool:
    log = path.with_name(path.name + "-wal")
    return log.exists() and log.stat().st_size > 0

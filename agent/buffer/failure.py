"""What a disk does to us, told apart by what can be done about it.

full       there is no room: drop something, or wait until there is
damaged    the file itself is broken: set it aside, begin another
else       it cannot be reached or written now: try again later, with the file opened anew


"""

from __future__ import annotations

import sqlite3

from agent.buffer.change import Damaged

FAILURES = (sqlite3.Error, OSError, Damaged)
"""Everything that a disk does to us; any other exception is a bug."""

_BROKEN = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_CONSTRAINT,  # a row stands where none can be: the numbers in the file have gone back
}


def is_damage(error: BaseException) -> bool:
    """Whether the file itself is broken, and not only out of reach."""
    return isinstance(error, Damaged) or _code(error) in _BROKEN


def is_full(error: BaseException) -> bool:
    """Whether there is no room: on the disk, or under the file's own limit."""
    return _code(error) == sqlite3.SQLITE_FULL


def words(error: BaseException) -> str:
    """What happened, for people, with SQLite's name for it."""
    name = getattr(error, "sqlite_errorname", None)
    return f"{error} ({name})" if name else str(error)


def _code(error: BaseException) -> int:
    """The primary result code: the low byte of the extended one (https://sqlite.org/rescode.html)."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF

"""A disk that fails when it is told to: faults injected at the one place where SQLite is called."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from agent.buffer.store import Store


def sqlite_error(code: int, words: str = "injected") -> sqlite3.OperationalError:
    """An error as SQLite raises it."""
    error = sqlite3.OperationalError(words)
    error.sqlite_errorcode = code
    error.sqlite_errorname = "INJECTED"
    return error


class DiskFaults:
    """Has statements on files fail that begin with one of `statements`; a store in memory never fails."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.statements: tuple[str, ...] = ()
        self.error: Exception = sqlite_error(sqlite3.SQLITE_IOERR)
        self.calls = 0
        run, run_many = Store._run, Store._run_many

        def failing_run(store: Store, statement: str, values: Iterable[Any] = ()) -> sqlite3.Cursor:
            self._meet(store, statement)
            return run(store, statement, values)

        def failing_run_many(store: Store, statement: str, values: Iterable[Any]) -> None:
            self._meet(store, statement)
            run_many(store, statement, values)

        patch.setattr(Store, "_run", failing_run)
        patch.setattr(Store, "_run_many", failing_run_many)

    def fail(self, error: Exception, *statements: str) -> None:
        """From now on these statements fail with this error."""
        self.error, self.statements = error, statements

    def heal(self) -> None:
        """From now on nothing fails."""
        self.statements = ()

    @contextmanager
    def of(self, error: Exception, *statements: str) -> Iterator[None]:
        """These statements fail inside."""
        self.fail(error, *statements)
        try:
            yield
        finally:
            self.heal()

    def _meet(self, store: Store, statement: str) -> None:
        if store._path and self.statements and statement.startswith(self.statements):
            self.calls += 1
            raise self.error

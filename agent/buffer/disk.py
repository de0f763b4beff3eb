"""The store file in its folder: opened, set aside when it is broken, opened again.

Every method blocks, and is called in the buffer's thread.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

from agent.buffer.change import Damaged, Snapshot
from agent.buffer.failure import is_damage, words
from agent.buffer.folder import Folder
from agent.buffer.opening import open_store
from agent.buffer.store import Store

_ABOVE = 1.1
"""The file's own hard stop, above the limit at which the oldest rows are dropped."""


class Aside(NamedTuple):
    """A store file that was set aside, and what was wrong with it."""

    path: Path
    why: str


class Opened(NamedTuple):
    """An open store file, what it says of itself, and what was in its place."""

    store: Store
    snapshot: Snapshot
    aside: Aside | None


class Disk:
    """Opens the store file of one folder; `size` bytes are the bound of its rows."""

    def __init__(self, path: Path, size: int) -> None:
        self._folder = Folder(path, size)
        self._limit = int(size * _ABOVE)
        self._condemned: str | None = None
        self._aside: Aside | None = None

    def condemn(self, why: str) -> None:
        """The store file is broken: the next opening sets it aside."""
        self._condemned = why

    def open(self) -> Opened:
        """Open the store file, or make it; one that is broken is set aside first.

        Raises `sqlite3.Error` or `OSError` when there can be no store file now.
        """
        self._folder.make()
        if self._condemned:
            self._set_aside(self._condemned)
        try:
            store, snapshot = open_store(self._folder.store, self._limit)
        except (sqlite3.Error, Damaged) as error:
            if not is_damage(error):
                raise
            self._set_aside(words(error))
            store, snapshot = open_store(self._folder.store, self._limit)
        self._folder.keep_reserve()
        aside, self._aside = self._aside, None
        return Opened(store, snapshot, aside)

    def _set_aside(self, why: str) -> None:
        if path := self._folder.set_aside():
            self._aside = Aside(path, why)
        self._condemned = None

    def keep_reserve(self) -> None:
        """Make the reserve again, where there is room by now."""
        self._folder.keep_reserve()

    def give_up_reserve(self) -> bool:
        """Give the reserve's room to the store; whether there was any."""
        return self._folder.give_up_reserve()

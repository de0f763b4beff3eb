"""The buffer's folder: the store file, the reserve, and files that were set aside.

    buffer.sqlite                        the store (with -wal beside it while it is open)
    reserve                              1 MiB that is given up when the disk is full, so that deleting still works
    set-aside-20260727T101500Z.sqlite    a damaged or foreign store, whole, with its -wal

It knows nothing of what is in a store. Methods block: they are called in the buffer's thread.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

RESERVE = 2**20
"""Bytes: more than a log of 200 pages, which is what a delete on a full disk has to write."""

_ASIDE_KEPT = 3
"""Files set aside that are kept, the newest; together they take no more than the store may."""

_SUFFIXES = ("", "-wal", "-shm", "-journal")


class Folder:
    """Where the buffer lives; `quota` bytes for what is set aside."""

    def __init__(self, path: Path, quota: int) -> None:
        self.path = path
        self.store = path / "buffer.sqlite"
        self._reserve = path / "reserve"
        self._quota = quota

    def make(self) -> None:
        """Make the folder where it is missing, for this account only."""
        self.path.mkdir(mode=0o750, parents=True, exist_ok=True)

    # --- the reserve

    def keep_reserve(self) -> None:
        """Make the reserve where it is missing and there is room for four of it. Quiet when that cannot be."""
        try:
            if self._reserve.exists() and self._reserve.stat().st_size >= RESERVE:
                return
            room = os.statvfs(self.path)
            if room.f_bavail * room.f_frsize < 4 * RESERVE:
                return
            reserve = os.open(self._reserve, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o640)
            try:
                os.posix_fallocate(reserve, 0, RESERVE)
            finally:
                os.close(reserve)
        except OSError:
            self.give_up_reserve()

    def give_up_reserve(self) -> bool:
        """Give the reserve's room to the store; whether there was any."""
        try:
            self._reserve.unlink()
        except OSError:
            return False
        return True

    # --- setting aside

    def set_aside(self) -> Path | None:
        """Rename the store file and its log, as they are, and keep at most three such; `None` when there is none.

        Raises `OSError`.
        """
        if not self.store.exists():
            return None
        stem = time.strftime("set-aside-%Y%m%dT%H%M%SZ", time.gmtime())
        aside = self.path / f"{stem}.sqlite"
        again = 1
        while aside.exists():
            again += 1
            aside = self.path / f"{stem}-{again}.sqlite"
        # The log goes first: a store file without its log can lose, one without a store file is only left over.
        for suffix in reversed(_SUFFIXES):
            source = self.store.with_name(self.store.name + suffix)
            if source.exists():
                source.rename(aside.with_name(aside.name + suffix))
        with suppress(OSError):  # too many kept is no reason to go without a store
            self._drop_old(aside)
        return aside

    def _drop_old(self, newest: Path) -> None:
        kept = sum(_size(newest))
        found = sorted(
            self.path.glob("set-aside-*.sqlite"), key=lambda path: path.stat().st_mtime, reverse=True
        )
        for index, path in enumerate(path for path in found if path != newest):
            kept += sum(_size(path))
            if index + 1 >= _ASIDE_KEPT or kept > self._quota:
                for suffix in _SUFFIXES:
                    path.with_name(path.name + suffix).unlink(missing_ok=True)


def _size(path: Path) -> Iterator[int]:
    for suffix in _SUFFIXES:
        each = path.with_name(path.name + suffix)
        if each.exists():
            yield each.stat().st_size

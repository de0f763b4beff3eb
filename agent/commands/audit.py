"""Who asked for what, when, and what became of it: one JSON object a line, on the disk before it is answered.

    commands.ndjson   commands.ndjson.1  ...  commands.ndjson.4      the newest first, each up to 1 MiB

A person reads it with `tail` and `jq`; the agent never does. A line that a power cut left half is ended before the
next one. Where the file cannot be written that is said aloud and nothing else stops: the log has the same facts.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from agent.aside import aside

log = structlog.get_logger()

NAME: Final = "commands.ndjson"
MOST_BYTES: Final = 2**20
"""Some three thousand commands."""
OLDER: Final = 4
"""Files that are kept beside the one that is written."""


class Audit:
    """The record of commands. Without a path it is kept nowhere."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._writing = threading.Lock()
        self._said = ""

    async def add(self, record: Mapping[str, Any]) -> None:
        """Write down one record; returns when it is on the disk, or said that it is not."""
        path = self._path
        if path is None:
            return
        line = msgspec.json.encode(record) + b"\n"
        try:
            await aside(lambda: self._append(path, line), "audit")
        except OSError as error:
            words = str(error)
            (log.debug if words == self._said else log.error)(
                "audit.not_written", path=str(path), error=words
            )
            self._said = words
        else:
            if self._said:
                log.info("audit.written", path=str(path))
            self._said = ""

    def _append(self, path: Path, line: bytes) -> None:
        with self._writing:
            new = not path.exists()
            if not new and path.stat().st_size + len(line) > MOST_BYTES:
                self._rotate(path)
                new = True
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                size = os.fstat(descriptor).st_size
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    line = b"\n" + line
                if os.write(descriptor, line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if new:
                _sync_folder(path.parent)

    def _rotate(self, path: Path) -> None:
        for number in range(OLDER, 0, -1):
            older = path.with_name(f"{path.name}.{number}")
            newer = path if number == 1 else path.with_name(f"{path.name}.{number - 1}")
            if newer.exists():
                newer.replace(older)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

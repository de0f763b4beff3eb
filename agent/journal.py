"""systemd's journal: fields become an entry of its native protocol, and its socket takes entries without ever blocking.

This module knows nothing of logging. An entry is bytes (https://systemd.io/JOURNAL_NATIVE_PROTOCOL); the socket is
addressed by path each time, so that a restart of journald changes nothing. When the journal is full or absent an
entry is dropped and counted, and the count goes out before the next entry that gets through.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import re
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Final

SOCKET: Final = "/run/systemd/journal/socket"


def entry(fields: Mapping[str, str]) -> bytes:
    """Make one entry; names as `field_name` makes them, any text as values."""
    return b"".join(_field(name.encode(), value.encode()) for name, value in fields.items())


def field_name(name: str) -> str:
    """Turn a fact's name into a field's: capitals, digits and `_`, a letter first, at most 64 (systemd.journal-fields(7))."""
    key = re.sub(r"[^A-Z0-9_]", "_", name.upper()).lstrip("_")
    return (key if key[:1].isalpha() else f"F{key}")[:64]


def _field(name: bytes, value: bytes) -> bytes:
    if b"\n" in value:  # such a value gives its length
        return name + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
    return name + b"=" + value + b"\n"


class Journal:
    """The journal's socket."""

    def __init__(self, path: str, lost: Callable[[int], bytes]) -> None:
        """`lost` makes the entry that tells how many were dropped."""
        self._path = path
        self._lost = lost
        self._socket = socket.socket(
            socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        )
        self._lock = threading.Lock()
        self._dropped = 0

    def write(self, entry: bytes) -> None:
        """Send one entry, or count it as dropped. Never blocks, never raises; any thread may call it."""
        with self._lock:
            if self._dropped and self._send(self._lost(self._dropped)):
                self._dropped = 0
            if self._dropped or not self._send(entry):
                self._dropped += 1

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def _send(self, entry: bytes) -> bool:
        try:
            self._socket.sendto(entry, self._path)
        except OSError as error:
            return error.errno in {errno.EMSGSIZE, errno.ENOBUFS} and self._send_as_file(entry)
        return True

    def _send_as_file(self, entry: bytes) -> bool:
        # Too large for a datagram: the same bytes in a sealed file in memory.
        try:
            with os.fdopen(os.memfd_create("journal", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC), "wb") as file:
                file.write(entry)
                file.flush()
                seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
                fcntl.fcntl(file.fileno(), fcntl.F_ADD_SEALS, seals)
                rights = array.array("i", [file.fileno()])
                self._socket.sendmsg([], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)], 0, self._path)
        except OSError:
            return False
        return True

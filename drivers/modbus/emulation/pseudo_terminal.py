"""A serial port that is none: a pseudo-terminal, and a link to it at the path of the port that it stands in for.

Whoever opens that path has one end; the other is here, where an adapter would have its wire. What cannot be read is
lost, as on a wire.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from agent.interfaces import Unavailable

CHUNK: Final = 4096
"""Bytes; a terminal's queue has no more."""


class PseudoTerminal:
    """The far end of a serial port; made by `pseudo_terminal`."""

    def __init__(self, master: int, slave: int) -> None:
        self._master = master
        self._slave = slave

    def say(self, octets: bytes) -> None:
        """Put bytes on the line; those that nobody takes are lost."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._master, octets)

    @contextmanager
    def heard(self, hear: Callable[[bytes], object]) -> Iterator[None]:
        """Have everything that is sent to the port handed over, for as long as the block lasts."""
        loop = asyncio.get_running_loop()

        def readable() -> None:
            with contextlib.suppress(BlockingIOError):
                octets = os.read(self._master, CHUNK)
                # Who had the port for itself and was killed leaves that behind, since our end is still open.
                fcntl.ioctl(self._slave, termios.TIOCNXCL)
                hear(octets)

        loop.add_reader(self._master, readable)
        try:
            yield
        finally:
            loop.remove_reader(self._master)


@contextmanager
def pseudo_terminal(path: Path) -> Iterator[PseudoTerminal]:
    """Make one, and link it at the path. Raises `Unavailable` when something else is there, or nothing may be."""
    # The slave stays open here: otherwise the master would be in error while nobody has the port open.
    master, slave = os.openpty()
    try:
        tty.setraw(slave)
        os.set_blocking(master, False)
        name = os.ttyname(slave)
        _link(path, name)
        try:
            yield PseudoTerminal(master, slave)
        finally:
            if _leads_to(path, name):
                path.unlink()
    finally:
        os.close(slave)
        os.close(master)


def _link(path: Path, name: str) -> None:
    """Link a terminal at a path that is free."""
    if path.is_symlink() and not path.exists():  # of an emulation that was killed
        with contextlib.suppress(OSError):
            path.unlink()
    try:
        path.symlink_to(name)
    except FileExistsError as error:
        raise Unavailable(f"cannot stand in for {path}: there is something, perhaps the real port") from error
    except FileNotFoundError as error:
        raise Unavailable(f"cannot stand in for {path}: there is no folder {path.parent}") from error
    except OSError as error:
        raise Unavailable(f"cannot stand in for {path}: {(error.strerror or str(error)).lower()}") from error


def _leads_to(path: Path, name: str) -> bool:
    try:
        return str(path.readlink()) == name
    except OSError:
        return False

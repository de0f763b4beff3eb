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
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from agent.interfaces import Unavailable

CHUNK: Final = 4096
"""Bytes; a terminal's queue has no more."""
EVERY_S: Final = 0.5
"""How often the port is made ready for whoever opens it next, although nothing is heard."""
UNUSED_SPEED: Final = termios.B50
"""No line of ours is that slow, so that setting another changes something. To a pseudo-terminal it means nothing."""
_SPEED_IN, _SPEED_OUT = 4, 5
"""Places in what `termios.tcgetattr` gives."""


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
                self._ready_for_the_next()
                hear(octets)

        def now_and_then() -> None:
            self._ready_for_the_next()
            timers.append(loop.call_later(EVERY_S, now_and_then))

        timers: deque[asyncio.TimerHandle] = deque(maxlen=1)
        now_and_then()
        loop.add_reader(self._master, readable)
        try:
            yield
        finally:
            timers[-1].cancel()
            loop.remove_reader(self._master)

    def _ready_for_the_next(self) -> None:
        """Take back what whoever opens the port leaves behind, since our end stays open: the next one would be refused.

        That is the port for oneself alone, if one was killed; and its settings: a terminal that is none takes no parity,
        which the C library reports as an error unless something else changes at the same time (tcsetattr(3)).
        """
        fcntl.ioctl(self._slave, termios.TIOCNXCL)
        settings = termios.tcgetattr(self._slave)
        if settings[_SPEED_IN] != UNUSED_SPEED:
            settings[_SPEED_IN] = settings[_SPEED_OUT] = UNUSED_SPEED
            termios.tcsetattr(self._slave, termios.TCSANOW, settings)


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

"""The serial ports of this machine: their lasting names, and who has one open."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

FOLDERS: Final = (Path("/dev/serial/by-id"), Path("/dev/serial/by-path"))
"""Where udev keeps names that stay: of the adapter itself; else, of the socket that it is plugged into."""
UNSTABLE: Final = re.compile(r"/dev/tty(USB|ACM)[0-9]+")
"""Names that the kernel gives in the order in which it finds adapters."""
_LOCKS: Final = Path("/proc/locks")


def lasting_name(port: Path) -> Path | None:
    """The name of this port that stays when something else is plugged in; `None` if there is none."""
    return next((name for name in _named() if name.resolve() == port.resolve()), None)


def lasting_names() -> list[Path]:
    """One of each adapter that is plugged in."""
    found: dict[Path, Path] = {}
    for name in _named():
        found.setdefault(name.resolve(), name)
    return sorted(found.values())


def _named() -> list[Path]:
    return [name for folder in FOLDERS for name in sorted(folder.glob("*"))]


def holder(port: Path) -> str:
    """Who has locked this port (flock(2)), as far as it can be told: `minicom (process 1234)`."""
    try:
        status = port.stat()
        locks = _LOCKS.read_text(encoding="ascii")
    except OSError:
        return "another program"
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in locks.splitlines():
        fields = line.split()
        if "FLOCK" in fields and place in fields:
            return _program(fields[fields.index(place) - 1])
    return "another program"


def _program(process: str) -> str:
    if process == str(os.getpid()):
        return "this program itself, for another link,"
    try:
        name = Path("/proc", process, "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return f"process {process}"
    return f"{name} (process {process})"

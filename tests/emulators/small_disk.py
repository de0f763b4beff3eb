"""Disks that are really full, read-only or dead: small file systems that are mounted for one test. Needs root.

Where mounting is not permitted the test is skipped, and fails where `CI` is set: there it must never be left out.
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_EXT4_IOC_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = 2
"""Shut the file system down as it is on the medium, its own journal not written out: what a power cut leaves."""


class SmallDisk:
    """A mounted file system."""

    def __init__(self, path: Path, source: tuple[str, ...]) -> None:
        self.path = path
        self._source = source
        self._filler = path / "filler"

    def mount(self) -> None:
        """Mount it."""
        _run("mount", *self._source, str(self.path))

    def unmount(self) -> None:
        """Unmount it, whoever still has files open on it."""
        _run("umount", "--lazy", str(self.path))

    def fill(self, leave: int = 0) -> None:
        """Fill it to the last byte, but for so many."""
        free = os.statvfs(self.path)
        size = free.f_bavail * free.f_frsize - leave
        with self._filler.open("ab") as filler:
            while size > 0:
                try:
                    filler.write(b"\0" * min(size, 4096))
                    filler.flush()
                except OSError:
                    break
                size -= 4096

    def free(self) -> None:
        """Take the filler away."""
        self._filler.unlink()

    def read_only(self, *, on: bool) -> None:
        """Make it read-only (no file may be open for writing), or writable again."""
        _run("mount", "-o", "remount,ro" if on else "remount,rw", str(self.path))

    def die(self) -> None:
        """Every access fails from now on; what was not synced is lost (ext4 only)."""
        folder = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, _EXT4_IOC_SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(folder)


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[SmallDisk]:
    """A tmpfs of this size (`8m`)."""
    path.mkdir()
    with _mounted(SmallDisk(path, ("-t", "tmpfs", "-o", f"size={size}", "none"))) as disk:
        yield disk


@contextmanager
def ext4_disk(path: Path, size: int) -> Iterator[SmallDisk]:
    """An ext4 in a file, of so many bytes."""
    path.mkdir()
    image = path.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(size)
    try:
        _run("mkfs.ext4", "-q", "-F", str(image))
    except (OSError, subprocess.CalledProcessError) as error:
        _not_here(error)
    with _mounted(SmallDisk(path, ("-o", "loop", str(image)))) as disk:
        yield disk


@contextmanager
def _mounted(disk: SmallDisk) -> Iterator[SmallDisk]:
    try:
        disk.mount()
    except (OSError, subprocess.CalledProcessError) as error:
        _not_here(error)
    try:
        yield disk
    finally:
        disk.unmount()


def _not_here(error: Exception) -> None:
    words = f"no file system can be mounted here: {error}"
    if os.environ.get("CI"):
        pytest.fail(words)
    pytest.skip(words)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)

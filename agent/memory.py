"""What was learnt about the hardware and must outlive a restart: addresses that a device refuses, where a counter stood.

One small JSON file, replaced as a whole, beside the store and not in it: when the store is damaged, exchanged or held
in memory, what is known of the meters stays. It is written seldom, for a card's sake: soon after something urgent was
learnt, else with the next that is, and at the end. A file that cannot be read is said so and begun anew; one that
cannot be written costs what was learnt, never the agent.

What is learnt is kept by owner (a link's id, `commands`) and key; nothing here knows what it means.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from agent.aside import aside

log = structlog.get_logger()

SOON_S: Final = 1.0
"""What is urgent is written this long after it was learnt, together with what else comes until then."""
AT_LATEST_S: Final = 900.0
"""What is not urgent is written within a quarter of an hour: 100 small writes a day at most."""
AGAIN_S: Final = 10.0
"""What could not be written is tried again no sooner: a full card does not get emptier by being asked."""
MOST_BYTES: Final = 4 * 2**20
"""A larger file is none of ours: no more than this of it is read, and that makes no sense."""

_Content = dict[str, dict[str, Any]]


class Part:
    """What one owner has learnt; see `agent.interfaces.Memory`."""

    def __init__(self, memory: MemoryFile, owner: str) -> None:
        self._memory = memory
        self._owner = owner

    def recall(self, key: str) -> Any:
        """What was learnt under this key, or `None`."""
        return self._memory.content.get(self._owner, {}).get(key)

    def learn(self, key: str, value: Any, *, urgent: bool = True) -> None:
        """Keep a value that JSON has a form for; `None` forgets the key."""
        mine = self._memory.content.setdefault(self._owner, {})
        if mine.get(key) == value:
            return
        if value is None:
            mine.pop(key, None)
        else:
            mine[key] = value
        self._memory.changed(urgent=urgent)


class MemoryFile:
    """All that was learnt. Without a path it lives and dies with the process."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self.content: _Content = {}
        self._changed = asyncio.Event()
        self._urgent = asyncio.Event()
        self._said = ""
        self._octets = b""
        self._writing = threading.Lock()

    def part(self, owner: str) -> Part:
        """What this owner has learnt and will learn."""
        return Part(self, owner)

    def changed(self, *, urgent: bool) -> None:
        """Something was learnt."""
        self._changed.set()
        if urgent:
            self._urgent.set()

    def load(self) -> None:
        """Read what was learnt before; what cannot be read is as if never learnt."""
        if self._path is None:
            return
        try:
            with self._path.open("rb") as file:
                octets = file.read(MOST_BYTES)
            self.content = msgspec.json.decode(octets, type=_Content)
        except FileNotFoundError:
            pass
        except (OSError, ValueError, RecursionError) as error:
            log.warning("memory.unreadable", path=str(self._path), error=str(error))

    async def keep(self) -> None:
        """Write down what is learnt, until cancelled."""
        while True:
            await self._changed.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AT_LATEST_S):
                    await self._urgent.wait()
            await asyncio.sleep(SOON_S)
            if not await self.write():
                await asyncio.sleep(AGAIN_S)

    async def write(self) -> bool:
        """Replace the file, so that a power cut leaves the old one or the new one; whether what is known is on the disk."""
        if self._path is None or not self._changed.is_set():
            return True
        urgent = self._urgent.is_set()
        self._changed.clear()
        self._urgent.clear()
        self._octets = msgspec.json.encode(self.content)
        path = self._path
        try:
            await aside(lambda: self._replace(path), "memory")
        except OSError as error:
            self.changed(urgent=urgent)
            if self._said != str(error):
                log.warning("memory.not_written", path=str(path), error=str(error))
            self._said = str(error)
            return False
        except asyncio.CancelledError:
            self.changed(urgent=urgent)  # nobody knows how far it got
            raise
        self._said = ""
        return True

    def _replace(self, path: Path) -> None:
        """Write what is known by now; one thread at a time, for one that was given up may still be at it."""
        new = path.with_name(path.name + ".new")
        with self._writing:
            with new.open("wb") as file:
                file.write(self._octets)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


LAST_WRITE_S: Final = 1.0
"""How long the last writing may hold up the end."""


@contextlib.asynccontextmanager
async def open_memory(path: Path) -> AsyncIterator[MemoryFile]:
    """Have what was learnt, and write down what is learnt until the block is left."""
    memory = MemoryFile(path)
    memory.load()
    # Not in a task group: an error in the caller's block must not come out wrapped in a group.
    task = asyncio.create_task(memory.keep(), name="memory")
    try:
        yield memory
    finally:
        task.cancel()
        await asyncio.wait([task])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WRITE_S):
                await memory.write()

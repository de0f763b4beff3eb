"""The buffer: samples go in durably, rows come out for each uplink, and nothing goes missing without a count.

It decides little (`book` does), touches no disk (`storage` does), and knows the order of things: one transaction
for what came and what was settled, bounds in bytes and age, and the ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog

from agent.buffer import rows
from agent.buffer.bounds import Bounds
from agent.buffer.disk import Disk
from agent.buffer.lanes import Lanes
from agent.buffer.ledger import Drop, Ledger
from agent.buffer.settings import BufferSettings
from agent.buffer.storage import Storage
from agent.clock import Clock
from agent.sample import Sample
from agent.upstream import UplinkBase

log = structlog.get_logger()

CLOSE_LIMIT_S = 2.0
"""How long closing waits for the disk: the agent must have stopped within 5 s."""


class Buffer:
    """Durable store and forward. Opened by `open_buffer`.

    Durability: what `store` has accepted is on the medium when it returns (SQLite, write-ahead log,
    `synchronous=FULL`), together with everything that was settled before it was called. It survives kill -9 and, on a
    medium that does not lie about flushing, a power cut. While the disk fails (`durable` is false) it is in memory
    only, within `memory` bytes, and moves to the disk as soon as that can be written.
    """

    def __init__(self, settings: BufferSettings, clock: Clock, uplinks: Sequence[UplinkBase]) -> None:
        self._clock = clock
        self._uplinks = uplinks
        disk = Disk(Path(settings.folder), settings.size)
        self._storage = Storage(disk, settings.size, settings.memory, uplinks=uplinks, boot=clock.boot)
        self._bounds = Bounds(self._storage, settings.age, clock.monotonic_ns())
        self._lanes: dict[str, Lanes] = {}
        self._lock = asyncio.Lock()
        """Held while a commit is made, whatever becomes of it."""
        self._counting = asyncio.Lock()
        self._storing: asyncio.Task[None] | None = None
        self._committed_ns = 0
        self._malformed: set[str] = set()

    # --- in

    async def store(self, samples: Sequence[Sample], read: int) -> None:
        """Accept samples; `read` is how many readings sources delivered since the last call. See the class.

        One call at a time. Without samples it writes what was settled. Cancelling the caller does not undo it: the
        samples are being stored all the same.
        """
        self._storing = asyncio.create_task(self._store(samples, read), name="buffer.store")
        await asyncio.shield(self._storing)

    async def _store(self, samples: Sequence[Sample], read: int) -> None:
        storage = self._storage
        async with self._lock:
            if line := self._clock.observe():
                storage.book.observe(line)
            await storage.come_back()
            await self._bounds.keep(self._clock.monotonic_ns())
            low = storage.book.next
            placed = storage.book.place(self._sound(samples), read)
            await storage.commit(placed, low)
            self._committed_ns = self._clock.monotonic_ns()
        for lanes in self._lanes.values():
            lanes.wake()

    def _sound(self, samples: Iterable[Sample]) -> list[Sample]:
        """Samples that can be stored; the others are counted, and said once for each device."""
        sound = []
        for sample in samples:
            fault = rows.fault(sample)
            if fault is None:
                sound.append(sample)
                continue
            self._storage.book.drop_unstored(len(sample.values), Drop.MALFORMED)
            device = sample.shape.device
            if device not in self._malformed:
                self._malformed.add(device)
                log.error("buffer.sample_malformed", device=device, error=fault)
        return sound

    # --- out

    def lanes(self, uplink: str) -> Lanes:
        """What waits for this uplink, by its id."""
        return self._lanes[uplink]

    # --- what people ask

    @property
    def store_id(self) -> str:
        """Id of the store that numbers are taken from now."""
        return self._storage.book.store_id

    @property
    def durable(self) -> bool:
        """Whether what is accepted is on the disk."""
        return self._storage.standing_in is None

    def status(self) -> dict[str, Any]:
        """How full and how old the store is, when it was last written, and why it is not durable, if it is not."""
        storage = self._storage
        now_ns = self._clock.monotonic_ns()
        standing_in = storage.standing_in
        return {
            "bytes": storage.used,
            "bound": int(storage.bound),
            "oldest_s": self._bounds.oldest_ns(now_ns) / 1e9,
            "committed_s": (now_ns - self._committed_ns) / 1e9,
            "why_not_durable": standing_in.why if standing_in else None,
            "not_durable_s": asyncio.get_running_loop().time() - standing_in.since_s if standing_in else None,
        }

    async def ledger(self) -> Ledger:
        """What became of every reading, at one moment; what waits is counted in the rows."""
        stores, book = self._storage.stores, self._storage.book
        async with self._counting:
            async with self._lock:
                ledger = book.ledger()
                uncertain, book.uncertain = book.uncertain, False
                durable = self.durable
                count = await stores.begin_count()
                # Rows that move between memory and disk would be counted twice: nothing is stored meanwhile.
                counted = None if durable else await count()
            if durable:
                counted = await count()
        if counted is None:
            book.uncertain |= uncertain
            return ledger
        for name, readings in counted.items():
            each = ledger.uplinks[name]
            if uncertain and (missing := each.waiting - readings) > 0:
                each.drop(Drop.DAMAGED, missing)
                book.uplinks[name].miss(missing)
            each.waiting = readings
        return ledger

    # --- opening and closing

    async def _open(self) -> None:
        try:
            await self._storage.open()
        except BaseException:
            self._storage.abandon()
            raise
        self._lanes = {each.id: Lanes(each.id, self._storage.stores) for each in self._uplinks}
        await self._store((), 0)

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_LIMIT_S):
                if self._storing:
                    await asyncio.wait([self._storing])
                await self._store((), 0)
                while not self.durable and await self._storage.come_back(now=True):
                    pass
                await self._store((), 0)
                lost = await self._storage.close()
        except TimeoutError:
            self._storage.abandon()
            log.warning("buffer.stuck", error=f"the disk did not answer within {CLOSE_LIMIT_S:.0f} s")
            return
        if any(lost.values()):
            log.error("buffer.lost", error="not on the disk when the agent stopped", lost=lost)


@asynccontextmanager
async def open_buffer(
    settings: BufferSettings, clock: Clock, uplinks: Sequence[UplinkBase]
) -> AsyncIterator[Buffer]:
    """Open the buffer; it opens whatever state the disk is in, and `status` says what is wrong.

    The time it takes does not depend on how much waits. Closing writes what was settled.
    """
    buffer = Buffer(settings, clock, uplinks)
    await buffer._open()  # noqa: SLF001  # its own maker
    try:
        yield buffer
    finally:
        await buffer._close()  # noqa: SLF001

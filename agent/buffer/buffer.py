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

from agent.buffer import rows, schema
from agent.buffer.change import Stub
from agent.buffer.disk import Disk
from agent.buffer.lanes import Lanes
from agent.buffer.ledger import Drop, Ledger
from agent.buffer.settings import BufferSettings
from agent.buffer.storage import STEPS_AT_ONCE, Storage
from agent.buffer.store import STEP
from agent.clock import Clock
from agent.interfaces import UplinkBase
from agent.sample import Sample

log = structlog.get_logger()

SURVEY_NS = 10_000_000_000
"""How often age and reserve are looked after."""

TIDY_NS = 3_600_000_000_000
"""How often shapes, boots and stores are looked for that no row refers to."""

CLOSE_LIMIT_S = 3.0
"""How long closing waits for the disk: the agent must have stopped within 5 s."""


class Buffer:
    """Durable store and forward. Opened by `open_buffer`.

    Durability: what `store` has accepted is on the medium when it returns (SQLite, write-ahead log,
    `synchronous=FULL`), together with everything that was settled before it was called. It survives kill -9 and, on a
    medium that does not lie about flushing, a power cut. While the disk fails (`durable` is false) it is in memory
    only, within `memory` bytes, and moves to the disk as soon as that can be written.
    """

    def __init__(self, settings: BufferSettings, clock: Clock, uplinks: Sequence[UplinkBase]) -> None:
        self._settings = settings
        self._clock = clock
        self._uplinks = uplinks
        self._storage = Storage(Disk(Path(settings.folder), settings.size), settings.size, settings.memory)
        self._lanes: dict[str, Lanes] = {}
        self._lock = asyncio.Lock()
        """Held while a commit is made, whatever becomes of it."""
        self._counting = asyncio.Lock()
        self._storing: asyncio.Task[None] | None = None
        self._surveyed_ns = 0
        self._tidied_ns = clock.monotonic_ns()
        self._committed_ns = 0
        self._first: list[Stub] = []
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
            await self._keep_bounds()
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

    # --- bounds

    async def _keep_bounds(self) -> None:
        """Drop what is too much or too old, as far as some steps go."""
        storage = self._storage
        for _ in range(STEPS_AT_ONCE):
            over = storage.used - storage.bound
            if over <= 0 or not await storage.trim(min(STEP, 16 + over // 256)):
                break
            await storage.commit((), storage.book.next)
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._surveyed_ns >= SURVEY_NS:
            self._surveyed_ns = now_ns
            await self._drop_old(now_ns)
            await storage.keep_reserve()
            if now_ns - self._tidied_ns >= TIDY_NS:
                self._tidied_ns = now_ns
                await storage.tidy(self._first)

    async def _drop_old(self, now_ns: int) -> None:
        storage = self._storage
        self._first = []
        steps = 0
        for rank in schema.RANKS:
            while stubs := await storage.oldest(rank, 1):
                if self._age_ns(stubs[0], now_ns) <= self._age_limit_ns or steps == STEPS_AT_ONCE:
                    self._first += stubs
                    break
                stubs = await storage.oldest(rank, STEP)
                old = [stub for stub in stubs if self._age_ns(stub, now_ns) > self._age_limit_ns]
                storage.book.trim(rank, old, Drop.AGE)
                await storage.commit((), storage.book.next)
                steps += 1
        if steps == STEPS_AT_ONCE:
            self._surveyed_ns = 0

    @property
    def _age_limit_ns(self) -> int:
        return int(self._settings.age.total_seconds() * 1e9)

    def _age_ns(self, row: Stub, now_ns: int) -> int:
        """How old a row is at least, by time since boot; wall time only where it can be trusted at both ends."""
        book = self._storage.book
        if row.boot is None:
            return 0
        if row.boot == book.boot:
            return now_ns - row.monotonic_ns
        then, then_trusted = book.wall_ns(row.boot, row.monotonic_ns)
        now, now_trusted = book.wall_ns(book.boot, now_ns)
        return max(now_ns, now - then) if then_trusted and now_trusted else now_ns

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
            "oldest_s": max((self._age_ns(row, now_ns) for row in self._first), default=0) / 1e9,
            "committed_s": (now_ns - self._committed_ns) / 1e9,
            "why_not_durable": standing_in.words if standing_in else None,
            "not_durable_s": asyncio.get_running_loop().time() - standing_in.since_s if standing_in else None,
        }

    async def ledger(self) -> Ledger:
        """What became of every reading, at one moment; what waits is counted in the rows."""
        storage = self._storage
        async with self._counting:
            async with self._lock:
                ledger = storage.book.ledger()
                await storage.begin_count()
                # Rows that move between memory and disk would be counted twice: nothing is stored meanwhile.
                counted = None if self.durable else await storage.count()
            if counted is None:
                counted = await storage.count()
        for name, readings in (counted or {}).items():
            each = ledger.uplinks[name]
            if storage.book.uncertain:
                missing = each.waiting - readings
                each.drop(Drop.DAMAGED, missing)
                storage.book.uplinks[name].miss(missing)
            each.waiting = readings
        if counted is not None:
            storage.book.uncertain = False
        return ledger

    # --- opening and closing

    async def _open(self) -> None:
        await self._storage.open(self._uplinks, self._clock.boot)
        self._lanes = {each.id: Lanes(each.id, self._storage) for each in self._uplinks}
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
    await buffer._open()  # noqa: SLF001  # its own constructor
    try:
        yield buffer
    finally:
        await buffer._close()  # noqa: SLF001

"""Leases that end: the fall-back value is written, tried again until it is there, and said aloud while it is not.

It is written whatever the rate and the change allow; its range is that of every write. A device that answers, and after
`TRIES` writes still holds another value, is left alone, for writes wear it out: then a person must act. So it is where
the configuration no longer allows to write the point.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import structlog

from agent.clock import Clock
from agent.commands import permission
from agent.commands.audit import Audit
from agent.commands.carrying import WRITE_S, Carrying
from agent.commands.lease import Lease, wall
from agent.commands.records import Records
from agent.interfaces import Expired, Misconfigured, Unavailable
from agent.sample import Reason
from agent.supervisor import Condition, Kept

log = structlog.get_logger()

TRIES: Final = 3
LOUD_NS: Final = 10_000_000_000
"""What cannot be written for so long is an error, and on record; a link may just be being opened."""
LOOK_S: Final = 60.0
"""The loop's clock stands still while the machine sleeps: so often it is compared with the one that does not."""


class Returning:
    """Ends leases in their time."""

    def __init__(self, carrying: Carrying, *, records: Records, audit: Audit, clock: Clock) -> None:
        self._carrying = carrying
        self._records = records
        self._audit = audit
        self._clock = clock
        self._looked = asyncio.Event()
        self._ending: dict[Lease, Condition] = {}
        """Those whose time is over, and how their end goes."""

    def listed(self) -> list[dict[str, Any]]:
        """Every lease, for `status`."""
        return [
            {
                "device": lease.device,
                "point": lease.point,
                "value": lease.value,
                "fallback": lease.fallback,
                "source": lease.source,
                "left_s": round(lease.left_ns(self._clock) / 1e9, 1),
                "error": self._ending[lease].words or None if lease in self._ending else None,
            }
            for lease in self._records.leases.values()
        ]

    def look(self) -> None:
        """Something has changed about the leases."""
        self._looked.set()

    async def run(self) -> None:
        """End every lease when its time is over, those first that ended while nobody looked; until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._looked.clear()
                waiting = [lease for lease in self._records.leases.values() if lease not in self._ending]
                left_s = {lease: lease.left_ns(self._clock) / 1e9 for lease in waiting}
                for lease in waiting:
                    if not left_s[lease]:
                        self._ending[lease] = Condition()
                        group.create_task(self._end(lease), name=f"lease {lease.device}/{lease.point}")
                wait_s = min((left for left in left_s.values() if left), default=LOOK_S)
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(wait_s, LOOK_S)):
                        await self._looked.wait()

    async def _end(self, lease: Lease) -> None:
        """Keep at it until the fall-back value is there, somebody else's is wanted, or a person must act."""
        condition = self._ending[lease]
        loud_ns = self._clock.monotonic_ns() + LOUD_NS
        tries, loud = 0, False

        async def attempt(works: Callable[[], None]) -> None:
            nonlocal tries, loud
            async with self._carrying.locks[lease.target]:
                if self._records.leases.get(lease.target) != lease:
                    return
                try:
                    await self._return(lease)
                except Unavailable as error:
                    tries += isinstance(error, _Other)
                    if tries < TRIES:
                        if not loud and self._clock.monotonic_ns() >= loud_ns:
                            loud = True
                            await self._tell("lease.not_returned", lease, str(error))
                        raise
                    await self._tell("lease.abandoned", lease, f"written {TRIES} times: {error}")
                except (LookupError, ValueError, Misconfigured) as error:
                    await self._tell("lease.abandoned", lease, str(error.args[0]))
                else:
                    works()
                    await self._tell("lease.returned", lease)
                self._records.hold(lease.target, None)
                await self._records.keep()

        try:
            await Kept("lease", f"{lease.device}/{lease.point}", condition, self._clock).go(attempt)
        finally:
            del self._ending[lease]

    async def _return(self, lease: Lease) -> None:
        """Have the fall-back value be there. Raises `Unavailable`; and `_Other`, where the device holds another all the same."""
        place = self._carrying.find(lease.target)
        value = permission.parse(place.write.fallback or lease.fallback, place.point)
        if words := permission.objection(place.write, place.point, value):
            raise ValueError(words)
        expected = place.as_written(value)
        if await self._carrying.read(place.writable(), lease.target) == expected:
            return
        link = self._carrying.find(lease.target).writable()  # it may have been taken out of service meanwhile
        try:
            written = await self._carrying.write(link, lease.target, value, WRITE_S)
        except Expired as error:
            raise Unavailable(str(error)) from error
        if isinstance(written.found, Reason):
            raise Unavailable(f"written, and whether the device took it nobody knows: {written.words}")
        if written.found != expected:
            raise _Other(
                f"expected {expected}, found {written.found} after the write {written.words}".strip()
            )

    async def _tell(self, event: str, lease: Lease, words: str = "") -> None:
        facts = {
            "device": lease.device,
            "point": lease.point,
            "value": lease.fallback,
            "source": lease.source,
            "held": lease.value,
        }
        if words:
            log.error(event, **facts, error=words)
        else:
            log.info(event, **facts)
        await self._audit.add(
            {
                "at": wall(self._clock),
                "what": "fallback",
                "id": lease.command,
                **facts,
                "state": event.removeprefix("lease."),
                "detail": words,
            }
        )


class _Other(Unavailable):
    """The device answers, and holds another value."""

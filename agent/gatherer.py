"""One link, kept open: its sources drained into the collector, one task for each device.

When the whole link is lost, it is closed and opened again; when one device cannot work as configured or has hit a
bug, that one stops and the others go on. Consumers are told either way: a device that gives nothing gets a bad sample
when it falls silent, and one a minute for as long as its link is down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import aclosing
from datetime import timedelta
from typing import Any

from agent.clock import Clock
from agent.health import Health
from agent.interfaces import Context, Driver, Link, LinkBase, Misconfigured, Unavailable
from agent.sample import Reason, Sample, Shape, nothing_learnt
from agent.service import Progress
from agent.supervisor import Kept, State

REPEAT_NS = 60_000_000_000
"""How often a device is said to be unreachable while its link is down: often enough for a chart, cheap to store."""


class Gatherer:
    """Everything that goes on around one link."""

    def __init__(
        self,
        settings: LinkBase,
        driver: Driver,
        *,
        clock: Clock,
        health: Health,
        put: Callable[[Sample], Awaitable[None]],
        progress: Progress,
    ) -> None:
        """`put` takes each sample in, and may wait for a place; `progress` hears of every attempt that ended."""
        self.settings = settings
        self._driver = driver
        self._clock = clock
        self._health = health
        self._put = put
        self._progress = progress
        self._shapes: Mapping[str, Shape] = {
            device.id: Shape(device.id, driver.points(device)) for device in settings.devices
        }
        self._link: Link | None = None
        self._said_ns: int | None = None
        self._work = f"link {settings.id}"

    @property
    def devices(self) -> Collection[str]:
        """The ids of the link's devices."""
        return self._shapes.keys()

    @property
    def counts(self) -> Mapping[str, int]:
        """What happened on the link since it was opened; empty while it is not open."""
        return self._link.counts if self._link else {}

    def answering(self, device: str) -> Mapping[str, Any]:
        """How this device has been answering since the link was opened, as its driver says."""
        return self._link.devices.get(device, {}) if self._link else {}

    def refresh(self, device: str) -> None:
        """Ask the link for a sample of this device; raises `Unavailable` while it is not open."""
        if self._link is None:
            raise Unavailable(
                f"link {self.settings.id} is not open: {self._health.links[self.settings.id].words}"
            )
        self._link.refresh(device)

    async def run(self) -> None:
        """Gather until cancelled, or until a person must act."""
        name = self.settings.id
        if allowance := _allowance(self.settings):
            self._progress.expect(self._work, allowance)
        await Kept("link", name, self._health.links[name], self._clock).go(self._attempt)
        self._progress.release(self._work)

    async def _attempt(self, works: Callable[[], None]) -> None:
        try:
            async with self._driver.open(self.settings, Context(self._clock)) as link:
                self._link = link
                works()
                async with asyncio.TaskGroup() as group:
                    for device in self._shapes:
                        group.create_task(self._device(link, device), name=f"device {device}")
        except Exception as error:
            self._progress.made(self._work)
            await self._say_unreachable(error)
            raise
        finally:
            self._link = None

    async def _device(self, link: Link, device: str) -> None:
        """Keep the source of one device flowing; raises `Unavailable` when the whole link is lost."""
        condition = self._health.devices[device]
        kept = Kept("device", device, condition, self._clock)

        async def drain(works: Callable[[], None]) -> None:
            async with aclosing(link.source(device)) as samples:
                async for sample in samples:
                    if condition.state is not State.WORKING:
                        works()
                    self._said_ns = None
                    self._health.learnt(sample)
                    await self._put(sample)
                    self._progress.made(self._work)

        await kept.go(drain, passes=Unavailable)
        if condition.state is State.MISCONFIGURED:
            await self._say_nothing_learnt(device, Reason.CONFIGURATION_ERROR)

    async def _say_unreachable(self, error: Exception) -> None:
        now_ns = self._clock.monotonic_ns()
        if self._said_ns is None or now_ns - self._said_ns >= REPEAT_NS:
            reason = Reason.CONFIGURATION_ERROR if isinstance(error, Misconfigured) else Reason.NOT_CONNECTED
            for device in self._shapes:
                await self._say_nothing_learnt(device, reason)
            self._said_ns = now_ns

    async def _say_nothing_learnt(self, device: str, reason: Reason) -> None:
        sample = nothing_learnt(self._shapes[device], self._clock.monotonic_ns(), reason)
        self._health.learnt(sample)
        await self._put(sample)


def _allowance(settings: LinkBase) -> timedelta | None:
    """How long nothing may end on this link before it counts as stuck; `None` where nothing is polled.

    Three slots of its fastest device, and the five minutes within which even a silent one is probed again.
    """
    intervals = [device.interval for device in settings.devices if hasattr(device, "interval")]
    return 3 * min(intervals) + timedelta(minutes=5) if intervals else None

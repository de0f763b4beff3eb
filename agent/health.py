"""What works right now: the condition of every link, device and uplink, and the newest that is known of each point.

Written by those who know (the supervisor, the gathering half), read by `status`, `read` and the watchdog. Nothing in
here decides anything.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from agent.newest import Cell, Newest
from agent.sample import Point, Sample, Shape
from agent.supervisor import Condition


@dataclass(slots=True)
class Health:
    """The whole agent's condition, by id."""

    links: dict[str, Condition] = field(default_factory=lambda: defaultdict(Condition))
    devices: dict[str, Condition] = field(default_factory=lambda: defaultdict(Condition))
    uplinks: dict[str, Condition] = field(default_factory=lambda: defaultdict(Condition))
    _newest: dict[str, Newest] = field(default_factory=lambda: defaultdict(Newest))
    """Of each device that had a sample in this run."""
    _awaited: dict[str, asyncio.Future[Sample]] = field(default_factory=dict)
    _heard: set[tuple[Shape, bytes]] = field(default_factory=set)
    """Shape and reasons of every sample since somebody asked for them."""

    def learnt(self, sample: Sample) -> None:
        """Keep a sample of its device, and give it to whoever waits for one."""
        device = sample.shape.device
        self._heard.add((sample.shape, sample.reasons))
        self._newest[device].learnt(sample)
        if self._awaited and (awaited := self._awaited.pop(device, None)) and not awaited.done():
            awaited.set_result(sample)

    def heard(self) -> Collection[tuple[Shape, bytes]]:
        """Shape and reasons of the samples that came since this was last called: each second, by who listens."""
        heard, self._heard = self._heard, set()
        return heard

    def keep(self, links: Collection[str], devices: Collection[str]) -> None:
        """Forget every other link and device: they are no longer in the configuration."""
        for of, kept in ((self.links, links), (self.devices, devices), (self._newest, devices)):
            for name in [name for name in of if name not in kept]:
                del of[name]

    def latest(self, device: str, points: Iterable[Point]) -> list[Cell]:
        """The newest cell of each of these points of a device, as far as there are such."""
        return self._newest[device].cells(points) if device in self._newest else []

    async def next_sample(self, device: str) -> Sample:
        """Wait for the next sample of this device, however long it takes: the caller sets the limit."""
        awaited = self._awaited.get(device)
        if awaited is None or awaited.done():
            awaited = self._awaited[device] = asyncio.get_running_loop().create_future()
        return await asyncio.shield(awaited)

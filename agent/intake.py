"""What becomes of a sample between its source and the collector, and what of it outlives a restart.

    source --> judged --> shown (health) --> put into the collector
                  |                              |
                  |                              +--> counters remembered: an event at once, progress now and then
                  +--> a second reading wanted?

A device whose points have no rules passes through untouched. An event is put before it is remembered: who kills the
agent between the two gets it twice rather than never.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from agent import judging
from agent.health import Health
from agent.interfaces import Driver, LinkBase, Memory
from agent.judging import Judge, News
from agent.sample import Sample

log = structlog.get_logger()

PROGRESS_NS: Final = 60_000_000_000
"""How often where counters stand is handed to the memory, which writes it down within a quarter of an hour."""
AGAIN_NS: Final = 60_000_000_000
"""How often a second reading is asked for: one that is read more often has it soon enough by itself."""


class Intake:
    """Of all devices of one link."""

    def __init__(
        self,
        settings: LinkBase,
        driver: Driver,
        *,
        memory: Memory,
        health: Health,
        put: Callable[[Sample], Awaitable[None]],
    ) -> None:
        """`put` takes each sample in, and may wait for a place."""
        self._link = settings.id
        self._memory = memory
        self._health = health
        self._put = put
        judges = {device.id: judging.judge(driver, device) for device in settings.devices}
        self._judges: dict[str, Judge] = {name: judge for name, judge in judges.items() if judge is not None}
        for name, judge in self._judges.items():
            judge.recall(memory.recall(_key(name)))
        self._remembered_ns: dict[str, int] = {}
        self._asked_ns: dict[str, int] = {}
        self._unsaid: set[str] = set()
        """Devices with an event that is not put yet."""

    async def take(self, sample: Sample) -> bool:
        """Take in a sample; whether a second reading of its device is wanted at once."""
        device = sample.shape.device
        judge = self._judges.get(device)
        if judge is None:
            self._health.learnt(sample)
            await self._put(sample)
            return False
        judged = judge.judge(sample)
        if judged.news:
            self._unsaid.add(device)
        self._health.learnt(judged.sample)
        await self._put(judged.sample)
        now_ns = sample.monotonic_ns
        if judged.news:
            self._unsaid.discard(device)
            self._tell(device, judged.news)
        if judged.news or now_ns - self._remembered_ns.setdefault(device, now_ns) >= PROGRESS_NS:
            self._remembered_ns[device] = now_ns
            self._remember(device, urgent=bool(judged.news))
        asked_ns = self._asked_ns.get(device)
        if not judged.again or (asked_ns is not None and now_ns - asked_ns < AGAIN_NS):
            return False
        self._asked_ns[device] = now_ns
        return True

    def close(self) -> None:
        """Remember where everything stands."""
        for device in self._judges:
            if device not in self._unsaid:
                self._remember(device, urgent=False)

    def _remember(self, device: str, *, urgent: bool) -> None:
        if remembered := self._judges[device].remembered():
            self._memory.learn(_key(device), remembered, urgent=urgent)

    def _tell(self, device: str, news: tuple[News, ...]) -> None:
        for each in news:
            log.info(
                "counter.began_anew",
                link=self._link,
                device=device,
                point=each.point,
                how=each.happened.value,
                before=str(each.before),
                after=str(each.after),
            )


def _key(device: str) -> str:
    return f"counters {device}"

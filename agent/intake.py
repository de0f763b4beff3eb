"""What becomes of a sample between its source and the collector, and what of it outlives a restart.

    source --> judged --> shown (health) --> put into the collector --> stored
                  |                              |                         |
                  +--> a second reading wanted?  +--> progress of counters +--> their events: remembered

A device whose points have no rules passes through untouched. An event is remembered when it is stored and not before: who
kills the agent in between gets it after the restart, and who does so within the second that the memory takes to be
written gets it twice, rather than never.
"""

from __future__ import annotations

import asyncio
from collections import Counter
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
        stored: Callable[[], asyncio.Future[None]],
    ) -> None:
        """`put` takes each sample in, and may wait for a place; `stored` is done when what was put is stored."""
        self._link = settings.id
        self._memory = memory
        self._health = health
        self._put = put
        self._stored = stored
        judges = {device.id: judging.judge(driver, device) for device in settings.devices}
        self._judges: dict[str, Judge] = {name: judge for name, judge in judges.items() if judge is not None}
        for name, judge in self._judges.items():
            judge.recall(memory.recall(_key(name)))
        self._new = {name for name, judge in self._judges.items() if not judge.remembered()}
        """Devices of whose counters nothing was remembered."""
        self._remembered_ns: dict[str, int] = {}
        self._asked_ns: dict[str, int] = {}
        self._unput: set[str] = set()
        """Devices with an event that waits for a place: as long as it does, it is as if it had not been found out."""
        self._unstored: Counter[str] = Counter()
        """How many events of a device are not stored yet."""
        self._closed = False

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
            self._unput.add(device)
        self._health.learnt(judged.sample)
        await self._put(judged.sample)
        if judged.news:
            self._unput.discard(device)
            self._unstored[device] += 1
            self._stored().add_done_callback(lambda _: self._event_stored(device))
            self._tell(device, judged.news)
        self._take_note(device, sample.monotonic_ns)
        return judged.again and self._may_ask(device, sample.monotonic_ns)

    def _event_stored(self, device: str) -> None:
        self._unstored[device] -= 1
        if not self._closed:
            self._remember(device, urgent=True)

    def _take_note(self, device: str, now_ns: int) -> None:
        """Remember how far the counters of a device have come, if it is time to; where they began, at once."""
        if device in self._new:
            if self._remember(device, urgent=True):
                self._new.discard(device)
        elif now_ns - self._remembered_ns.setdefault(device, now_ns) >= PROGRESS_NS:
            self._remembered_ns[device] = now_ns
            if not self._unstored[device]:
                self._remember(device, urgent=False)

    def _may_ask(self, device: str, now_ns: int) -> bool:
        asked_ns = self._asked_ns.get(device)
        if asked_ns is not None and now_ns - asked_ns < AGAIN_NS:
            return False
        self._asked_ns[device] = now_ns
        return True

    def close(self) -> None:
        """Remember where everything stands: for the next intake of the link, after a reload or after a restart.

        What is not stored yet is stored before the memory is written for the last time.
        """
        self._closed = True
        for device in self._judges.keys() - self._unput:
            self._remember(device, urgent=self._unstored[device] > 0)

    def _remember(self, device: str, *, urgent: bool) -> bool:
        """Whether there is anything to remember."""
        remembered = self._judges[device].remembered()
        if remembered:
            self._memory.learn(_key(device), remembered, urgent=urgent)
        return bool(remembered)

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

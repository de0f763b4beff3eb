"""Of whom nothing comes any more: looked for each second over all links, said once when it begins and once when it ends.

    samples --(shape, reasons)--> health --each second--> silence of each device --> an event, a line in the log

Consumers have it as readings of class event of the device that reports the link, `link-<id>`: `device_silent` and
`device_answers`, with the id of the device, or `id/point` where only that point is meant. Nobody listens for what is out
of service, nor for the devices of a driver that does not say how often its points come (`intervals`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Final

import structlog

from agent import judging, plugins, vitals
from agent.clock import Clock
from agent.fields import Place
from agent.gatherer import Gatherer
from agent.health import Health
from agent.interfaces import Driver, LinkBase
from agent.sample import Class, Point, Sample, Shape, ValueType
from agent.silence import TICK, Change, Silence

log = structlog.get_logger()

SILENT: Final = "device_silent"
ANSWERS: Final = "device_answers"


def points(link: LinkBase, place: Place) -> tuple[Point, ...]:
    """The event points of a link, at the gateway's place; none, if nobody listens for its devices."""
    if not hasattr(plugins.driver(link.driver), "intervals"):
        return ()
    return _point(SILENT, place), _point(ANSWERS, place)


def _point(name: str, place: Place) -> Point:
    return Point(name=name, type=ValueType.TEXT, class_=Class.EVENT, place=place)


def intervals(driver: Driver, device: Any) -> dict[str, timedelta]:
    """The points of a device that are listened for, and how often each of them comes."""
    give = getattr(driver, "intervals", None)
    if give is None or device.out_of_service is not None:
        return {}
    out = {each.name for each in judging.settings_of(driver, device) if each.out_of_service is not None}
    named = zip(driver.points(device), give(device), strict=True)
    return {point.name: interval for point, interval in named if point.name not in out}


class Listening:
    """To all devices of the gateway."""

    def __init__(
        self,
        gatherers: Callable[[], Sequence[Gatherer]],
        *,
        place: Place,
        clock: Clock,
        health: Health,
        put: Callable[[Sample], Awaitable[None]],
    ) -> None:
        """`gatherers` gives those of now: a reload changes them."""
        self._gatherers = gatherers
        self._place = place
        self._clock = clock
        self._health = health
        self._put = put
        self._now = 0
        self._links: Sequence[LinkBase] = ()
        self._silences: dict[str, Silence] = {}
        self._shapes: dict[tuple[str, str], Shape] = {}
        """By link and event point: one for each, as both seldom come at once."""

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            await self._look()
            await asyncio.sleep(TICK.total_seconds())
            self._now += 1

    async def _look(self) -> None:
        links = [gatherer.settings for gatherer in self._gatherers()]
        if len(links) != len(self._links) or any(map(_other, links, self._links)):
            self._listen_to(links)
        for shape, reasons in self._health.heard():
            if shape.device in self._silences:
                self._silences[shape.device].said(shape, reasons, self._now)
        for link in links:
            for device in link.devices:
                if device.id in self._silences and (changes := self._silences[device.id].look(self._now)):
                    await self._tell(link.id, device.id, changes)

    def _listen_to(self, links: Sequence[LinkBase]) -> None:
        """Take in other settings; a device of which the same points are listened for is as silent as it was."""
        before, self._silences = self._silences, {}
        for link in links:
            driver = plugins.driver(link.driver)
            for device in link.devices:
                if wanted := intervals(driver, device):
                    known = before.get(device.id)
                    same = known is not None and known.intervals == wanted
                    self._silences[device.id] = known if known and same else Silence(wanted, self._now)
        self._links = links

    async def _tell(self, link: str, device: str, changes: Sequence[Change]) -> None:
        ended = [change for change in changes if not change.silent]
        begun = [change for change in changes if change.silent]
        if ended:
            log.info("silence.ended", link=link, device=device, points=_named(ended))
        if begun:
            log.warning("silence.began", link=link, device=device, points=_named(begun))
        for change in changes:
            words = device if change.point is None else f"{device}/{change.point}"
            shape = self._shape(link, SILENT if change.silent else ANSWERS)
            await self._put(Sample(shape, self._clock.monotonic_ns(), (words,)))

    def _shape(self, link: str, name: str) -> Shape:
        shape = self._shapes.get((link, name))
        if shape is None:
            event = _point(name, self._place)
            shape = self._shapes[link, name] = Shape(vitals.device_id(link), (event,))
        return shape


def _other(now: LinkBase, before: LinkBase) -> bool:
    return now is not before


def _named(changes: Sequence[Change]) -> str:
    return ", ".join("all" if change.point is None else change.point for change in changes)

"""How each link is, as readings of its own: what happened on it, how full it is, how late its devices were asked.

Once an interval a sample of class health for each link, of a device `link-<id>`. What a link counts and measures is
its driver's knowledge: a driver names what of it is worth a reading (`VITALS`). Counts are totals, so that one that was
dropped on the way costs nothing; they begin at 0 with the agent, and where the settings of their link change.

Nothing here is progress for the watchdog: it goes on while nothing gets done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final

from agent import plugins
from agent.clock import Clock
from agent.fields import Place
from agent.gatherer import Gatherer
from agent.health import Health
from agent.interfaces import LinkBase
from agent.sample import Class, Point, Reason, Sample, Shape, Value, ValueType
from agent.supervisor import State

_EVERY_LINK: Final = ("state", "devices_silent")


def device_id(link: str) -> str:
    """The device that the readings of a link are of."""
    return f"link-{link}"


def points(link: LinkBase, place: Place) -> tuple[Point, ...]:
    """What is said of a link, at the gateway's place."""
    vitals: Sequence[str] = getattr(plugins.driver(link.driver), "VITALS", ())
    return tuple(_point(name, place) for name in (*_EVERY_LINK, *vitals))


def _point(name: str, place: Place) -> Point:
    if name == "state":
        return Point(name=name, type=ValueType.TEXT, class_=Class.HEALTH, place=place)
    measured = _MEASURED.get(name)
    return Point(
        name=name,
        type=ValueType.INTEGER if measured is None else ValueType.NUMBER,
        unit="1" if measured is None else measured,
        class_=Class.HEALTH,
        place=place,
    )


_MEASURED: Final = {"utilisation": "1", "lateness_ms": "ms"}
"""What is not counted but measured (`Link.figures`), and in which unit."""


class Vitals:
    """Of all links of the gateway."""

    def __init__(
        self,
        gatherers: Callable[[], Sequence[Gatherer]],
        *,
        place: Place,
        interval: timedelta,
        clock: Clock,
        health: Health,
        put: Callable[[Sample], Awaitable[None]],
    ) -> None:
        """`gatherers` gives those of now: a reload changes them."""
        self._gatherers = gatherers
        self._place = place
        self._interval_s = interval.total_seconds()
        self._clock = clock
        self._health = health
        self._put = put
        self._shapes: dict[str, Shape] = {}

    async def run(self) -> None:
        """Say how each link is, first after one interval, until cancelled; never, where the interval is 0."""
        while self._interval_s:
            await asyncio.sleep(self._interval_s)
            for gatherer in self._gatherers():
                await self._put(self.sample(gatherer))

    def sample(self, gatherer: Gatherer) -> Sample:
        """How one link is now."""
        shape = self._shape(gatherer.settings)
        figures, totals = gatherer.figures, gatherer.totals
        values: list[Value | None] = [
            self._health.links[gatherer.settings.id].state.value,
            sum(self._silent(gatherer, device) for device in gatherer.devices),
        ]
        values += [
            figures.get(point.name) if point.name in _MEASURED else totals.get(point.name, 0)
            for point in shape.points[len(_EVERY_LINK) :]
        ]
        reasons = bytes(Reason.NOT_CONNECTED if value is None else Reason.GOOD for value in values)
        return Sample(shape, self._clock.monotonic_ns(), tuple(values), reasons if any(reasons) else b"")

    def _shape(self, link: LinkBase) -> Shape:
        wanted = points(link, self._place)
        shape = self._shapes.get(link.id)
        if shape is None or shape.points != wanted:
            shape = self._shapes[link.id] = Shape(device_id(link.id), wanted)
        return shape

    def _silent(self, gatherer: Gatherer, device: str) -> bool:
        """Whether nothing comes from a device although it is in service."""
        state = self._health.devices[device].state
        if state is State.OUT_OF_SERVICE:
            return False
        return state is not State.WORKING or gatherer.answering(device).get("state") == "silent"

"""What a technician may ask of a line while the agent runs it: a line has one owner, and this is how others look on.

Nothing is kept here. A question goes to the link's own task, which paces it (`GuestLink`); how a device is read raw
is its driver's knowledge (`agent.commissioning`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from agent import judging, plugins
from agent.clock import Clock
from agent.commissioning import Guest
from agent.fields import Place
from agent.gatherer import Gatherer
from agent.interfaces import Misconfigured
from agent.newest import cells
from agent.recording import Ring
from agent.report import readings

FRAMES_AT_ONCE: Final = 2_000
"""In one answer: half a megabyte."""


class Guests:
    """Answers those who look around."""

    def __init__(self, gatherers: Callable[[], Sequence[Gatherer]], clock: Clock) -> None:
        """`gatherers` gives those of now: a reload changes them."""
        self._gatherers = gatherers
        self._clock = clock
        self._rings: dict[str, tuple[Gatherer, Ring]] = {}
        """By link: what passes on those that somebody records, and who listens there."""

    async def links(self) -> list[dict[str, Any]]:
        """Every link, and what it alone may hold (`owner`, if its driver says), to know a line by."""
        return [
            {
                "id": gatherer.settings.id,
                "driver": gatherer.settings.driver,
                "owner": _owner(gatherer),
                "devices": list(gatherer.devices),
            }
            for gatherer in self._gatherers()
        ]

    async def ask(self, link: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask one question of the link's protocol on its line. Raises `Unavailable`, and `Misconfigured` in words."""
        try:
            return await self._gatherer(link).ask(request)
        except ValueError as error:
            raise Misconfigured(f"link {link}: {error}") from error

    async def record(self, link: str, cursor: int | None = None) -> dict[str, Any]:
        """What passed on a line since `cursor`, which each answer gives for the next question; `None` begins.

        It is kept only while somebody goes on asking, within `recording.FORGOTTEN_NS`.
        """
        gatherer = self._gatherer(link)
        now_ns = self._clock.monotonic_ns()
        listening, ring = self._rings.get(link, (None, Ring()))
        if listening is not gatherer:  # nobody does yet, or a reload has put another one in its place
            ring.since(None, now_ns, 0)
            gatherer.listen(self._listener(gatherer, ring))
            self._rings[link] = gatherer, ring
        frames, cursor, lost = ring.since(cursor, now_ns, FRAMES_AT_ONCE)
        return {
            "driver": gatherer.settings.driver,
            "frames": [{"ns": frame.ns, frame.direction: frame.data.hex()} for frame in frames],
            "cursor": cursor,
            "lost": lost,
        }

    def _listener(self, gatherer: Gatherer, ring: Ring) -> Callable[[str, bytes, int], None]:
        def listen(direction: str, data: bytes, ns: int) -> None:
            if ring.forgotten(ns):
                self._rings.pop(gatherer.settings.id, None)
                gatherer.listen(None)
            else:
                ring.add(direction, data, ns)

        return listen

    async def raw(self, device: str) -> dict[str, Any]:
        """A configured device, read once as a guest: its readings, and what each was made of."""
        for gatherer in self._gatherers():
            for settings in gatherer.settings.devices:
                if settings.id == device:
                    return await read_raw(gatherer.settings.driver, settings, gatherer, self._clock)
        known = ", ".join(sorted(device for gatherer in self._gatherers() for device in gatherer.devices))
        raise Misconfigured(f"device {device}: not in the configuration; expected one of {known}")

    def _gatherer(self, link: str) -> Gatherer:
        for gatherer in self._gatherers():
            if gatherer.settings.id == link:
                return gatherer
        known = ", ".join(gatherer.settings.id for gatherer in self._gatherers())
        raise Misconfigured(f"link {link}: not in the configuration; expected one of {known}")


async def read_raw(driver: str, device: Any, guest: Guest, clock: Clock) -> dict[str, Any]:
    """A configured device, read once by a guest: the entries of `report.readings`, each with what it was made of.

    Judged by the rules that need no history: limits, and the points that vouch for others.
    """
    module = plugins.driver(driver)
    tool = getattr(module, "commissioning", None)
    if tool is None:
        raise Misconfigured(f"device {device.id}: its driver, {driver}, shows nothing raw")
    sample, raw = await tool().raw(device, guest, clock.monotonic_ns)
    judge = judging.judge(module, device)
    entries = readings(cells(judge.judge(sample).sample if judge else sample), clock)
    places = [place_text(point.place) for point in sample.shape.points]
    return {
        "device": device.id,
        "points": [
            {**entry, "raw": of, "place": place}
            for entry, of, place in zip(
                entries, raw, places, strict=False
            )  # events of a counter stand at the end
        ],
    }


def place_text(place: Place) -> str:
    """A place in one word: `skolan/a/2/211`."""
    return "/".join(part for name in place.__struct_fields__ if (part := getattr(place, name)))


def _owner(gatherer: Gatherer) -> str | None:
    owner = getattr(plugins.driver(gatherer.settings.driver), "owner", None)
    return None if owner is None else str(owner(gatherer.settings))

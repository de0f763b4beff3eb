"""The root of the configuration, and the checks that span its sections.

Each section's settings stand beside the code that they set; here they are put together. `document` finds every
mistake that can be seen in one place; here are those that can be seen only between places: two links to one address,
a point named twice, a filter that nothing passes. A plug-in may add what it knows itself, by optional functions of
its module:

- `owner(settings) -> str | None`: what only one link, or one uplink, may hold, such as `host:port` or a serial port;
- `problems(settings) -> Iterable[tuple[path, message]]`: what is wrong with them; the path leads from the settings to
  the value, such as `("devices", 0, "interval")`, and the message starts with the value's name;
- `warnings(settings)`: the same, for what works and should be known;
- `look(settings)`: the same, for what only this machine can tell, such as a file that is not there; asked by `check`;
- `notes(settings) -> Iterable[str]`: lines that `check` prints about them: what follows from them, such as how full a
  serial line will be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec

from agent import __version__, document, judging, listening, plugins, vitals
from agent.buffer.settings import BufferSettings
from agent.commands import permission
from agent.document import Mark, Places, Plug, Problem, Problems, meant
from agent.fields import Id, Limits, Place, Plugged, Secret
from agent.interfaces import Driver, LinkBase, Misconfigured, Settings
from agent.log import LogSettings
from agent.sample import Shape
from agent.secrets import Secrets
from agent.upstream import Gateway, UplinkBase


class GatewaySettings(Settings, frozen=True):
    """This box: who it is to everybody upstream."""

    id: Annotated[
        Id,
        msgspec.Meta(
            description="Unique among all gateways of an upstream, and never changed: consumers know readings by it."
        ),
    ]
    place: Annotated[
        Place,
        msgspec.Meta(description="Where it is; devices and points say where they are within that."),
    ] = Place()
    health_interval: Annotated[
        timedelta,
        Limits("0s", "24h"),
        msgspec.Meta(
            description="How often it says how each of its links is, as readings of a device link-<id>; 0s for never."
        ),
    ] = timedelta(seconds=60)


class Root(Settings, frozen=True):
    """The configuration of diaccess-agent."""

    gateway: Annotated[
        GatewaySettings, msgspec.Meta(description="This box: who it is to everybody upstream.")
    ]
    log: Annotated[LogSettings, msgspec.Meta(description="What is logged, and in which form.")] = (
        LogSettings()
    )
    buffer: Annotated[
        BufferSettings,
        msgspec.Meta(
            description="The store on disk that every reading goes into before it goes anywhere else."
        ),
    ] = BufferSettings()
    links: Annotated[
        tuple[Annotated[LinkBase, Plugged("drivers", "driver")], ...],
        msgspec.Meta(
            description="Where readings come from: connections, lines and radios, with their devices."
        ),
    ] = ()
    uplinks: Annotated[
        tuple[Annotated[UplinkBase, Plugged("uplinks", "kind")], ...],
        msgspec.Meta(description="Where readings go to. Each gets all that passes its filter."),
    ] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A configuration without a mistake, and what was noticed about it."""

    root: Root
    warnings: tuple[Problem, ...]
    devices: int
    points: int
    """How many there are, over all links."""


def load(path: Path) -> Root:
    """Read the configuration. Raises `document.Problems` with everything that is wrong with it."""
    return read(path).root


def notes(root: Root) -> Iterator[str]:
    """What the drivers have to say about links without a mistake."""
    for link in root.links:
        said = getattr(plugins.driver(link.driver), "notes", None)
        yield from said(link) if said else ()


def read(path: Path, *, secrets: bool = False) -> Configuration:
    """The same, with the warnings; with `secrets`, one that is nowhere to be found is a problem too, and any other file."""
    kept = Secrets(path.parent)
    found = document.read(Root, path, kept.look_up)
    problems = [*found.problems]
    warnings = [*found.warnings]
    links: list[_Link] = []
    if found.places is not None:
        links = [_Link(plug, found.places) for plug in found.plugs if plug.group == "drivers"]
        for plug in found.plugs:
            problems += _own_problems(plug, found.places)
            warnings += _own_problems(plug, found.places, "warnings")
        for link in links:
            problems += link.problems()
        problems += _owners(found.plugs, found.places)
        problems += _reserved(links, found.places)
        if found.settings is not None:
            problems += _unspeakable(found.settings, found.places)
            warnings += _idle(found.settings, links, found.places)
    if secrets:
        if found.places is not None:
            for plug in found.plugs:
                problems += _own_problems(plug, found.places, "look")
        problems += _missing(found.secrets, kept)
        warnings += _exposed(found.secrets, kept)
    if problems or found.settings is None:
        raise Problems(problems)
    return Configuration(
        root=found.settings,
        warnings=document.in_order(warnings),
        devices=sum(len(link.shapes) for link in links),
        points=sum(link.points for link in links),
    )


class _Link:
    """A link whose settings are sound, with the points of its devices."""

    def __init__(self, plug: Plug, places: Places) -> None:
        driver: Driver = plug.module
        self.id: str = plug.settings.id
        self.devices = plug.settings.devices
        self.shapes = tuple(Shape(device.id, judging.points(driver, device)) for device in self.devices)
        reported = (*vitals.points(plug.settings, Place()), *listening.points(plug.settings, Place()))
        self.health = Shape(vitals.device_id(self.id), reported)
        self.node = plug.node
        self._driver: Any = driver
        self._read = tuple(driver.points(device) for device in self.devices)
        self._places = places

    @property
    def points(self) -> int:
        """How many are read."""
        return sum(map(len, self._read))

    def problems(self) -> Iterator[Problem]:
        """Devices without points, points of one name, and what does not fit together about one point."""
        for index, shape in enumerate(self.shapes):
            mark = self._places.mark("devices", index, within=self.node)
            read = self._read[index]
            if not read:
                yield Problem(mark, f"device {shape.device}: expected points; found none")
            counts = Counter(point.name for point in read)
            for name, count in counts.items():
                if count > 1:
                    yield Problem(mark, f"device {shape.device}: expected one point {name}; found {count}")
            yield from self._unwritable(index, shape)
            yield from self._unjudgeable(index, shape)

    def _unwritable(self, index: int, shape: Shape) -> Iterator[Problem]:
        """What does not fit together about the writing of a device's points."""
        device = self.devices[index]
        points = {point.name: point for point in shape.points}
        for settings in judging.settings_of(self._driver, device):
            if settings.write is None:
                continue
            name = settings.name
            as_written = partial(self._driver.as_written, device, name)
            for key, message in permission.problems(settings.write, points[name], as_written):
                mark = self._mark(index, name, ("write", key), ("writable", name, key))
                yield Problem(mark, f"{message} (point {name} of device {shape.device})")

    def _unjudgeable(self, index: int, shape: Shape) -> Iterator[Problem]:
        """What does not fit together about the trust in a device's points."""
        settings = judging.settings_of(self._driver, self.devices[index])
        for name, key, message in judging.problems(settings, self._read[index]):
            mark = self._mark(index, name, (key,), ())
            yield Problem(mark, f"{message} (point {name} of device {shape.device})")

    def _mark(
        self, index: int, point: str, own: tuple[str | int, ...], otherwise: tuple[str | int, ...]
    ) -> Mark:
        """The place of a setting of a point, where that is written out; else of what stands for it in the device."""
        written_out = [each.name for each in getattr(self.devices[index], "points", ())]
        path = ("points", written_out.index(point), *own) if point in written_out else otherwise
        return self._places.mark("devices", index, *path, within=self.node)


def _reserved(links: Sequence[_Link], places: Places) -> Iterator[Problem]:
    """Devices that are called as the readings of a link's health are."""
    taken = {link.health.device: link.id for link in links}
    for link in links:
        for index, device in enumerate(link.devices):
            if device.id in taken:
                yield Problem(
                    places.mark("devices", index, "id", within=link.node),
                    f"id: expected another than {device.id}: under it the health of the link {taken[device.id]} is reported",
                )


def _owners(plugs: Iterable[Plug], places: Places) -> Iterator[Problem]:
    """Two links, or two uplinks, that lead to the same end and would disturb each other there."""
    first: dict[tuple[str, str], Plug] = {}
    for plug in plugs:
        owner = plug.module.owner(plug.settings) if hasattr(plug.module, "owner") else None
        if owner is None:
            continue
        other = first.setdefault((plug.group, owner), plug)
        if other is not plug:
            noun = "link" if plug.group == "drivers" else "uplink"
            yield Problem(
                places.mark("id", within=plug.node),
                f"{noun} {plug.settings.id}: expected {owner} for itself alone; found the {noun} {other.settings.id} "
                f"there too, at {places.mark('id', within=other.node)}",
            )


def _own_problems(plug: Plug, places: Places, name: str = "problems") -> Iterator[Problem]:
    check = getattr(plug.module, name, None)
    for path, message in check(plug.settings) if check else ():
        yield Problem(places.mark(*path, within=plug.node), message)


def _unspeakable(root: Root, places: Places) -> Iterator[Problem]:
    """Formats that cannot speak for this gateway: one that needs a place that it does not have."""
    gateway = Gateway(id=root.gateway.id, place=root.gateway.place, version=__version__)
    for index, uplink in enumerate(root.uplinks):
        try:
            plugins.format_(uplink.format.kind).session(uplink.format, gateway)
        except Misconfigured as error:
            yield Problem(places.mark("uplinks", index, "format"), f"format: {error}")


def _idle(root: Root, links: Iterable[_Link], places: Places) -> Iterator[Problem]:
    """Filters through which nothing passes: as a whole, or because of one pattern."""
    shapes = [shape for link in links for shape in (*link.shapes, link.health)]
    names = {
        "devices": {shape.device for shape in shapes},
        "points": {point.name for shape in shapes for point in shape.points},
    }
    for index, uplink in enumerate(root.uplinks):
        here = ("uplinks", index, "filter")
        idle = [
            (key, number, pattern)
            for key, known in names.items()
            for number, pattern in enumerate(getattr(uplink.filter, key))
            if not any(fnmatchcase(name, pattern) for name in known)
        ]
        for key, number, pattern in idle:
            guess = meant(pattern, names[key])
            yield Problem(
                places.mark(*here, key, number), f"{key}: {pattern} is the name of no {key[:-1]}{guess}"
            )
        if shapes and not idle and all(uplink.filter.cells(shape) == () for shape in shapes):
            yield Problem(
                places.mark(*here),
                f"filter: no point passes it, so the uplink {uplink.id} has nothing to send",
            )


def _missing(secrets: Iterable[tuple[Mark, Secret]], kept: Secrets) -> Iterator[Problem]:
    for mark, secret in secrets:
        try:
            kept.reveal(secret)
        except Misconfigured as error:
            yield Problem(mark, str(error))


def _exposed(secrets: Iterable[tuple[Mark, Secret]], kept: Secrets) -> Iterator[Problem]:
    for mark, secret in secrets:
        if path := kept.exposed(secret.name):
            yield Problem(
                mark, f"secret {secret.name}: {path} can be read by every user of this machine: chmod o= it"
            )

"""Where a command leads: the device and point that it names, in the configuration of now, and the link that writes there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple, Protocol

from agent import plugins
from agent.commands.lease import Target
from agent.interfaces import LinkBase, Unavailable, WritableLink
from agent.points import WriteSettings
from agent.sample import Point, Value


class Owner(Protocol):
    """Whoever keeps a link open."""

    settings: LinkBase

    def writable(self) -> WritableLink:
        """The open link. Raises `Unavailable` while it is not open, `Misconfigured` where its protocol writes nothing."""


class OutOfService(Unavailable):
    """An operator took it out: somebody may have their hands in it."""


class Place(NamedTuple):
    """A point that may be written."""

    owner: Owner
    point: Point
    write: WriteSettings
    as_written: Callable[[Value], Value]
    """What the point is once a value is written; see `agent.interfaces.Driver`."""
    out_of_service: str | None
    """Why it is out of service, if it is."""

    def writable(self) -> WritableLink:
        """The open link (`Owner.writable`). Raises `OutOfService` too."""
        if self.out_of_service is not None:
            raise OutOfService(f"{self.point.name} is out of service: {self.out_of_service}")
        return self.owner.writable()

    @property
    def fallback(self) -> str | None:
        """The value that returns when a lease ends."""
        return self.write.fallback


def find(owners: Sequence[Owner], target: Target) -> Place:
    """Find a point that may be written. Raises `LookupError` in words where there is none."""
    device_id, name = target
    devices = {device.id: (owner, device) for owner in owners for device in owner.settings.devices}
    if device_id not in devices:
        raise LookupError(f"device {device_id}: not in the configuration{_meant(device_id, devices)}")
    owner, device = devices[device_id]
    driver: Any = plugins.driver(owner.settings.driver)
    points = {point.name: point for point in driver.points(device)}
    if name not in points:
        raise LookupError(f"point {name}: device {device_id} has none of this name{_meant(name, points)}")
    described = driver.point_settings(device) if hasattr(driver, "point_settings") else ()
    settings = next((each for each in described if each.name == name), None)
    if settings is None or settings.write is None or not hasattr(driver, "as_written"):
        raise LookupError(
            f"point {name} of {device_id} may only be read: its configuration allows no writing"
        )
    out = device.out_of_service or settings.out_of_service
    return Place(
        owner, points[name], settings.write, lambda value: driver.as_written(device, name, value), out
    )


def _meant(name: str, known: Any) -> str:
    near = get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""

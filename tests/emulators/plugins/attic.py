"""A driver as another package would bring it: a link with an owner, problems of its own, and points by number."""

from agent.interfaces import DeviceBase, LinkBase
from agent.sample import Point


class DeviceSettings(DeviceBase, frozen=True, kw_only=True):
    """A device in the attic."""

    points: tuple[str, ...] = ()


class LinkSettings(LinkBase, frozen=True, kw_only=True):
    """A link to the attic."""

    ladder: str | None = None
    devices: tuple[DeviceSettings, ...] = ()


def points(device):
    return tuple(Point(name=name) for name in device.points)


def owner(link):
    return link.ladder


def problems(link):
    for index, device in enumerate(link.devices):
        if device.id == "ghost":
            yield ("devices", index, "id"), "id: there are no ghosts"

"""Plain JSON: what a consumer reads without a library. docs/json.md describes every key.

    diaccess/demo-01/live             readings as they come
    diaccess/demo-01/backlog          readings from before the connection
    diaccess/demo-01/status           retained: online, offline
    diaccess/demo-01/points/meter-1   retained: what a device has

Rows are joined into few messages (`joining`) and written fast and with every digit (`payload`). A single reading that
is longer than the uplink takes (a text) still becomes a message: the uplink refuses that one without sending it, and
so it is counted and set aside like everything that upstream refuses, instead of waiting for ever.

Not carried: time below a millisecond, and which driver or link a reading came by. Commands are not taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agent.command import Command
from agent.fields import Checked
from agent.formats.json.joining import CONTENT_TYPE, Joiner
from agent.formats.json.payload import ENCODER
from agent.interfaces import Misconfigured
from agent.sample import Lane, Point, Row
from agent.topics import Template
from agent.upstream import FormatBase, Gateway, Message

_HERE = frozenset({"gateway", "site", "building"})
_FIELDS = {
    "topic": _HERE | {"lane", "device", "class"},
    "status_topic": _HERE,
    "points_topic": _HERE | {"device"},
}
"""Which fields each topic can fill in."""


def _check(name: str) -> Checked:
    """For the configuration: the problem of one topic at its own place."""

    def check(text: str) -> None:
        Template(text, _FIELDS[name])

    return Checked(check)


class FormatSettings(FormatBase, frozen=True, kw_only=True):
    """Plain JSON."""

    kind: str = "json"
    topic: Annotated[
        str,
        _check("topic"),
        Meta(
            description="Topic of readings, with the fields {gateway} {site} {building} {lane} {device} {class}. "
            "With {device} or {class} in it, each of them gets messages of its own."
        ),
    ] = "diaccess/{gateway}/{lane}"
    status_topic: Annotated[
        str,
        _check("status_topic"),
        Meta(description="Topic of the retained status, with the fields {gateway} {site} {building}."),
    ] = "diaccess/{gateway}/status"
    points_topic: Annotated[
        str,
        _check("points_topic"),
        Meta(
            description="Topic of the retained description of each device's points, with the fields "
            "{gateway} {site} {building} {device}; {device} must be there."
        ),
    ] = "diaccess/{gateway}/points/{device}"

    def __post_init__(self) -> None:
        """Raises `ValueError` for a topic that cannot be."""
        if "device" not in _templates(self)["points_topic"].fields:
            raise ValueError("points_topic: {device} is missing, so each device would replace the one before")


def _templates(settings: FormatSettings) -> dict[str, Template]:
    templates = {}
    for name, fields in _FIELDS.items():
        try:
            templates[name] = Template(getattr(settings, name), fields)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return templates


def session(settings: FormatSettings, gateway: Gateway) -> Session:
    """Begin a conversation. Raises `Misconfigured` when a topic names a place that the gateway does not have."""
    here = {"gateway": gateway.id, "site": gateway.place.site, "building": gateway.place.building}
    templates = _templates(settings)
    for name, template in templates.items():
        for field in sorted(template.fields & here.keys()):
            if here[field] is None:
                raise Misconfigured(f"{name}: {{{field}}} needs gateway.place.{field}, which is not given")
    return Session(gateway, templates, {name: value for name, value in here.items() if value is not None})


class Session:
    """One conversation (agent.upstream.FormatSession)."""

    def __init__(self, gateway: Gateway, templates: Mapping[str, Template], here: Mapping[str, str]) -> None:
        self._gateway = gateway
        self._here = here
        self._status_topic = templates["status_topic"].fill(here)
        self._points_topic = templates["points_topic"]
        self._joiner = Joiner(gateway.id, templates["topic"], here)

    def will(self) -> Message:
        """Offline, and nobody said goodbye."""
        return self._status(status="offline", clean=False)

    def opened(self, points: Mapping[str, Sequence[Point]]) -> list[Message]:
        """Online, then what each device has."""
        online = self._status(status="online", version=self._gateway.version)
        return [online, *(self._description(device, has) for device, has in points.items())]

    def encode(self, rows: Sequence[Row], lane: Lane, limit: int) -> list[Message]:
        """As few messages as `limit` allows; none is held."""
        return self._joiner.join(rows, lane, limit)

    def received(self, topic: str, payload: bytes) -> tuple[Command, ...]:  # noqa: ARG002  # the seam's signature
        """Nothing: this format has no commands."""
        return ()

    def closing(self) -> list[Message]:
        """Offline, on purpose."""
        return [self._status(status="offline", clean=True)]

    def _status(self, **said: object) -> Message:
        return _retained(self._status_topic, {"gateway": self._gateway.id, **said})

    def _description(self, device: str, points: Sequence[Point]) -> Message:
        topic = self._points_topic.fill({**self._here, "device": device})
        described = [_described(point) for point in points]
        return _retained(topic, {"gateway": self._gateway.id, "device": device, "points": described})


def _described(point: Point) -> dict[str, Any]:
    """A point as its consumer needs to know it; what it does not have is left out."""
    described = {
        "point": point.name,
        "value_type": point.type.value,
        "unit": point.unit,
        "quantity_kind": point.quantity_kind,
        "class": point.class_.value,
        "place": msgspec.to_builtins(point.place) or None,
        "designation": point.designation,
        "brick_class": point.brick_class,
        "labels": point.labels,
        "counter": point.counter or None,
        "rollover": point.rollover,
    }
    return {key: value for key, value in described.items() if value is not None}


def _retained(topic: str, payload: Mapping[str, Any]) -> Message:
    return Message(topic, ENCODER.encode(payload), retain=True, content_type=CONTENT_TYPE)

"""The driver's seam: what a driver is to the rest of the agent, what it may raise, and what its settings derive from.

Nothing here does anything. Each protocol is a contract: who calls, how often, and what each error means. The contract
tests in tests/contracts walk every driver behind it. What formats and uplinks are: `agent.upstream`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta

from agent.clock import Clock
from agent.faults import Fault
from agent.fields import Id, Place, Unique
from agent.sample import Point, Reason, Sample, Value

# --- errors, by what someone should do -------------------------------------------------------------------------


class Unavailable(Exception):
    """A link or an uplink cannot be opened, or was lost. Nobody needs to act: the supervisor backs off and retries."""


class Misconfigured(Exception):
    """A person must change something; trying again is useless. What raised it stops, everything else goes on.

    The message says what was expected, what was found and where, starting with the thing's own name.
    """


class Expired(Exception):
    """The time is over within which something was to be done; it was not done, and will not be."""


# --- settings that every kind of thing shares ------------------------------------------------------------------


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section of the configuration. A field's docstring-like description stands in its `msgspec.Meta`."""


class DeviceBase(Settings, frozen=True):
    """What every device has; a driver adds how it is reached and which points it has."""

    id: Annotated[Id, Unique("device"), Meta(description="Unique on the gateway, and never changed.")]
    place: Annotated[Place, Meta(description="Where it is, within the gateway's place.")] = Place()
    out_of_service: (
        Annotated[
            str,
            Meta(
                min_length=1,
                description="Why it is out of service. It is not asked then, and its readings are bad and say so. In service if left out.",
            ),
        ]
        | None
    ) = None


class LinkBase(Settings, frozen=True):
    """What every link has; a driver adds where it leads, and narrows `devices` to its own type."""

    id: Annotated[Id, Unique("link"), Meta(description="Unique among links.")]
    driver: Annotated[str, Meta(description="Which driver opens it.")]
    devices: tuple[DeviceBase, ...]


# --- drivers: samples in ---------------------------------------------------------------------------------------


class Memory(Protocol):
    """What one link has learnt about its devices, and knows again after a restart: small, and seldom changed."""

    def recall(self, key: str) -> Any:
        """What was learnt under this key, as JSON's types; `None` if nothing was."""

    def learn(self, key: str, value: Any, *, urgent: bool = True) -> None:
        """Keep a value that JSON has a form for; `None` forgets the key. Never waits, never raises.

        Urgent: on the disk about a second later. Else within a quarter of an hour, and when the agent stops.
        """


@dataclass(frozen=True, slots=True)
class Context:
    """What a driver is given beside its settings."""

    clock: Clock
    memory: Memory


class Link(Protocol):
    """One open link: a connection, a serial line, a radio."""

    @property
    def counts(self) -> Mapping[str, int]:
        """What happened on this link since it was opened (`requests`, `timeouts`, ...): shown by `status`."""

    @property
    def devices(self) -> Mapping[str, Mapping[str, Any]]:
        """How each device has been answering, by id: shown by `status`.

        `state` is `ok` or `silent`; what else there is, is the protocol's own (`answer_ms`, `missed_slots`). A device
        of which there is nothing to say is left out.
        """

    def source(self, device: str) -> AsyncGenerator[Sample, None]:
        """Give a fresh, endless supply of the samples of one device.

        Called once per device after opening, and again after it raised or was closed; iterated inside `aclosing`.
        A device that does not answer is not an error: its samples are bad. Raises `Unavailable` when the whole link
        is lost (it is then closed and opened again), `Misconfigured` when this device cannot work as configured.
        """

    def refresh(self, device: str) -> None:
        """Ask for a sample of this device at the next free moment, beside its schedule. A link that only listens ignores it."""


class MeasuredLink(Link, Protocol):
    """A link that knows how much it is asked for."""

    @property
    def figures(self) -> Mapping[str, float]:
        """What the last minute was like: `utilisation` (0 to 1), worst `lateness_ms`; shown by `status`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of one write."""

    found: Value | Reason
    """What the device holds by now, read after the write; why that is not known, if it is not."""
    words: str = ""
    """What the device had to say to the write, if it was not a plain yes."""


class WritableLink(Link, Protocol):
    """A link whose protocol writes. Whether something may be written is decided before it is asked (`agent.commands`)."""

    async def current(self, device: str, point: str) -> Value | Reason:
        """Ask the device what this point is now, beside the schedule.

        Raises `Unavailable` as `source` does, and `Misconfigured` when it is not the device that it should be.
        """

    async def write(self, device: str, point: str, value: Value, *, until_ns: int) -> Written:
        """Write one value and read it back, before anything else is asked on the link.

        Nothing is sent after `until_ns` of the clock's monotonic time: then `Expired` is raised. Raises `ValueError` for
        a value that the point cannot hold, and `Unavailable` as `source` does: then nobody knows whether it arrived.
        """


class GuestLink(Link, Protocol):
    """A link on which somebody may look around while it is polled."""

    async def ask(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask one question that belongs to no point, paced so that the devices of the link keep their readings.

        Question and answer are the protocol's own, in JSON's types. Raises `ValueError` for what is no question, and
        `Unavailable` as `source` does.
        """


class TappedLink(Link, Protocol):
    """A link on which somebody may listen to the bytes themselves."""

    tap: Callable[[str, bytes, int], None] | None
    """Set by whoever listens; called for everything that passes with `sent` or `received`, the bytes, monotonic ns."""


class Emulation(Protocol):
    """The devices of a link, served without hardware; what `emulate` of a driver gives."""

    address: str
    """Where they can be reached, for a person."""

    def inflict(self, name: str, fault: Fault | None) -> None:
        """Have a device, or the link with all its devices, misbehave in this way too; `None`: behave well again.

        `name` is the id of the link or of one of its devices. Raises `ValueError`, in words, for what it cannot have.
        """

    @property
    def faults(self) -> Mapping[str, Sequence[Fault]]:
        """How they misbehave, by name; only those that do."""


class Driver(Protocol):
    """A module in `drivers`, or one named by an entry point of the group `diaccess_agent.drivers`.

    Optional functions: `point_settings(device) -> tuple[PointBase, ...]`, the settings of the points of a device (see
    `agent.points`), in the order of its samples: by them the agent judges its values.
    `emulate(link, clock, *, listen=None, certificate=None)`, an async context manager round an `Emulation` of the devices
    of a link: where the link leads or at `listen`; what is to be encrypted shows this certificate, a file. And
    `allowance(link) -> timedelta`, how long at most no source of an open link gives anything although all goes well:
    after that the watchdog calls the link stuck. A link whose driver does not say is not watched.
    `intervals(device) -> tuple[timedelta, ...]`, how often each point of a device comes, in the order of its samples: one
    of which nothing usable came for three of its intervals is reported as silent. Without it nobody listens. Pure.
    `doubt(device) -> str`, what nobody can vouch for in how a device is read, empty if there is nothing: the agent says it
    once, and a handover passes none of its points. Pure.
    `VITALS`: the names of the counts and figures of a link that are reported as readings of its health.
    `commissioning() -> agent.commissioning.Commissioning`: searching lines and looking at unknown devices. Where the
    protocol writes, `as_written(device, point, value) -> Value`: what the point is once this value is written, which of
    a float of 32 bits is the nearest one; raises `ValueError` in words for a value that the point cannot hold. Pure.
    """

    LinkSettings: type[Any]
    """A `LinkBase` whose field `devices` is a `tuple[DeviceSettings, ...]`."""
    DeviceSettings: type[Any]
    """A `DeviceBase`."""

    def points(self, device: Any) -> tuple[Point, ...]:
        """The points of a configured device, in the order of its samples. Pure."""

    def open(self, link: Any, context: Context) -> AbstractAsyncContextManager[Link]:
        """Open one link. Raises `Unavailable` when it cannot be opened now, `Misconfigured` when never."""

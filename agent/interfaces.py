"""The seams: what a driver, a format and an uplink are to the rest of the agent, and the errors by remedy.

Nothing here does anything. Each protocol is a contract: who calls, how often, and what each error means. The
contract tests in tests/contracts walk every module behind these seams.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any, NoReturn, Protocol

import msgspec
from msgspec import Meta

from agent.clock import Clock
from agent.command import Command
from agent.faults import Fault
from agent.fields import Id, Place, Plugged, Unique
from agent.sample import Class, Lane, Point, Reason, Row, Sample, Shape, Value

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


# --- formats: samples to messages ------------------------------------------------------------------------------


class Span(msgspec.Struct, frozen=True, order=True, gc=False):
    """Readings of one store, from number `low` up to, not including, `high`."""

    store: str
    low: int
    high: int


class Message(msgspec.Struct, frozen=True, gc=False):
    """Something to send, and the readings that are settled when every message that covers them is."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    covers: tuple[Span, ...] = ()
    """The span of every row of which it holds a reading, whole: first number of the row up to its end."""
    content_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """Who is speaking: what every format needs to know of this box."""

    id: str
    place: Place
    version: str


class FormatSession(Protocol):
    """One conversation in one format: made for each connection, pure, told in order what happens on it."""

    def will(self) -> Message | None:
        """What the broker shall say when the connection is lost. Asked before connecting."""

    def opened(self, points: Mapping[str, Sequence[Point]]) -> Sequence[Message]:
        """Messages to send first on a new connection; `points` by device id."""

    def encode(self, rows: Sequence[Row], lane: Lane, limit: int) -> Sequence[Message]:
        """Make messages of rows of one lane, none longer than `limit` bytes of payload unless it holds a single reading.

        Each row is covered by one or more messages, or by none: then it is held, and offered again later.
        """

    def received(self, topic: str, payload: bytes) -> Sequence[Command]:
        """Commands in a message from upstream; never raises, whatever the bytes."""

    def closing(self) -> Sequence[Message]:
        """Messages to send before a clean disconnect."""


class FormatBase(Settings, frozen=True):
    """What every format has."""

    kind: Annotated[str, Meta(description="Which format it is.")]


class Format(Protocol):
    """A module in `agent.formats`, or one named by an entry point of the group `diaccess_agent.formats`."""

    FormatSettings: type[Any]
    """A `FormatBase`."""

    def session(self, settings: Any, gateway: Gateway) -> FormatSession:
        """Begin a conversation. Pure."""


# --- uplinks: messages out -------------------------------------------------------------------------------------


class Answer(enum.IntEnum):
    """What upstream said to one message; the worse, the greater."""

    ACCEPTED = 0
    """It answers for the message now: the readings are settled."""
    BUSY = 1
    """Not now (quota, server busy): offer it again, later and slower."""
    REFUSED = 2
    """Not as it is. Rows that are refused while others are taken are set aside, so that they block nobody."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer and the words upstream had for it."""

    answer: Answer
    words: str = ""


class Connection(Protocol):
    """One open session with an upstream."""

    @property
    def limit(self) -> int:
        """Longest payload in bytes that upstream takes."""

    @property
    def window(self) -> int:
        """How many messages may be on the way at once."""

    async def publish(self, message: Message) -> Verdict:
        """Send one message and wait until upstream answers for it. Called up to `window` times at once.

        Raises `Unavailable` when the session is lost; then nothing is known of what was on the way.
        """

    async def lost(self) -> NoReturn:
        """Wait until the session is lost, then raise `Unavailable`: also while nothing is on the way."""


class Filter(Settings, frozen=True):
    """Which points an uplink takes: those that pass every list here that is not empty."""

    classes: Annotated[tuple[Class, ...], Meta(description="Classes of points.")] = ()
    devices: Annotated[
        tuple[str, ...], Meta(description='Patterns of device ids, as in a shell: "vent-*".')
    ] = ()
    points: Annotated[tuple[str, ...], Meta(description='Patterns of point names: "*_energy*".')] = ()

    def cells(self, shape: Shape) -> tuple[int, ...] | None:
        """Indexes of the shape's points that pass; `None` when all do."""
        if self.devices and not _matches(shape.device, self.devices):
            return ()
        passing = tuple(
            index
            for index, point in enumerate(shape.points)
            if (not self.classes or point.class_ in self.classes)
            and (not self.points or _matches(point.name, self.points))
        )
        return None if len(passing) == len(shape.points) else passing


def _matches(text: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


class StartFrom(enum.Enum):
    """Which of the readings already in the buffer an uplink gets that is new in the configuration."""

    NOW = "now"
    """None: it begins with the next one."""
    OLDEST = "oldest"
    """All that are still there."""


class UplinkBase(Settings, frozen=True):
    """What every uplink has; an uplink adds where it leads."""

    id: Annotated[
        Id,
        Unique("uplink"),
        Meta(description="Unique among uplinks; a new id is a new uplink, with a place of its own."),
    ]
    kind: Annotated[str, Meta(description="Which kind of uplink it is.")]
    format: Annotated[FormatBase, Plugged("formats", "kind"), Meta(description="How readings are written.")]
    filter: Annotated[Filter, Meta(description="What it takes; everything if left out.")] = Filter()
    from_: Annotated[
        StartFrom,
        Meta(description="Which of the readings in the buffer it gets when it is new: none, or all."),
    ] = msgspec.field(default=StartFrom.NOW, name="from")


class Uplink(Protocol):
    """A module in `agent.uplinks`, or one named by an entry point of the group `diaccess_agent.uplinks`."""

    UplinkSettings: type[Any]
    """An `UplinkBase`."""

    def connect(
        self,
        settings: Any,
        gateway: Gateway,
        will: Message | None,
        received: Callable[[str, bytes], None],
    ) -> AbstractAsyncContextManager[Connection]:
        """Open one session. Raises `Unavailable` when it cannot be had now, `Misconfigured` when never."""

"""The seam upstream: what a format and an uplink are to the rest of the agent.

    rows ──FormatSession──> messages ──Connection──> upstream, and its verdict on each

Each protocol is a contract: who calls, how often, and what each error means. The contract tests in tests/contracts walk
every module behind it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any, NoReturn, Protocol

import msgspec
from msgspec import Meta

from agent.command import Command
from agent.fields import Id, Place, Plugged, Unique
from agent.interfaces import Settings
from agent.sample import Class, Lane, Point, Row, Shape

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

"""What an operator writes about Modbus links and their devices, and what follows from it before anything is opened.

Pure: the points of a device, their codecs and the blocks to read. How long to wait and when to ask is decided in
`schedule` and `transaction` by the durations given here.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Final

from msgspec import Meta
from msgspec.structs import replace

from agent.fields import Filed, Id, Limits, Meant
from agent.interfaces import DeviceBase, LinkBase
from agent.sample import Point, Value
from drivers.modbus.identity import Identity, Sign
from drivers.modbus.line.ends import FramingKind, Serial, Tls, Transport
from drivers.modbus.line.line_time import LineTime
from drivers.modbus.point import PointSettings
from drivers.modbus.polling.account import SHARE
from drivers.modbus.polling.schedule import RETURN_NS
from drivers.modbus.profile import Alignment, Borders, Defaults, Gap, MaxBits, MaxCount, Profile
from drivers.modbus.sunspec import GAP, Chain, SunSpec
from drivers.modbus.timing import Phase, Rhythm, together
from drivers.modbus.values import habits
from drivers.modbus.values.block import Block
from drivers.modbus.values.codec import Codec
from drivers.modbus.values.plan import BlockLimits, Span, plan
from drivers.modbus.values.registers import Order
from drivers.modbus.writing.writable import RegisterWrite, check_names, narrowed, settled

TCP_PORT: Final = 502
TLS_PORT: Final = 802
"""Registered for mbap and mbap-s (IANA service names)."""


class DeviceSettings(DeviceBase, frozen=True, kw_only=True):
    """A device on a Modbus link."""

    unit_id: Annotated[
        int, Meta(ge=0, le=255, description="The device's Modbus address; 255 or 0 for the peer itself.")
    ] = 1
    profile: Annotated[
        Profile | None,
        Filed("drivers.modbus.profiles"),
        Meta(
            description="The device type, such as eastron-sdm630; a file of your own beside this one, without .yaml, also serves."
        ),
    ] = None
    identity: Annotated[
        Identity,
        Meta(
            description="What follows when a device does not show what its profile is known by: its readings are bad "
            "(demanded), it is said (noted), or nothing, as it is not asked (ignored)."
        ),
    ] = Identity.DEMANDED
    sunspec: Annotated[
        SunSpec | None,
        Meta(description="Models of a SunSpec device, which are found where it says that they lie."),
    ] = None
    points: Annotated[
        tuple[PointSettings, ...],
        Meta(
            description="Points beside those of the profile; one with the same name takes the place of the profile's, wholly."
        ),
    ] = ()
    writable: Annotated[
        dict[Id, RegisterWrite] | None,
        Meta(
            description="Points of the profile that may be written, each with what is narrower here than the profile says: "
            "{temperature_setpoint: {maximum: 24, fallback: 21}}. None if left out."
        ),
    ] = None
    only: Annotated[
        tuple[Id, ...], Meta(description="Read only the points with these names; all if left out.")
    ] = ()
    interval: Annotated[timedelta, Limits("100ms", "24h"), Meta(description="How often it is read.")] = (
        timedelta(seconds=10)
    )
    phase: Annotated[
        Phase,
        Meta(
            description="When in its interval it is read: spread over it by the device's id, or at whole multiples of it by the "
            "clock (UTC), such as the quarter-hours."
        ),
    ] = Phase.SPREAD
    timeout: Annotated[
        timedelta | None,
        Limits("10ms", "60s"),
        Meta(description="How long an answer may take; the profile's, else the link's, if left out."),
    ] = None
    request_delay: Annotated[
        timedelta | None,
        Limits("0ms", "60s"),
        Meta(
            description="Pause between an answer of the device and the next request to it; the profile's, else none beyond the "
            "link's, if left out."
        ),
    ] = None
    order: Annotated[
        Order | None,
        Meant(habits.order),
        Meta(description="Order of the bytes of a value, A the most significant; the profile's, else ABCD."),
    ] = None
    gap: Gap | None = None
    max_count: MaxCount | None = None
    max_bits: MaxBits | None = None
    alignment: Alignment | None = None
    borders: Borders | None = None

    def __post_init__(self) -> None:
        known = [point.name for point in self._all()]
        if self.profile and self.sunspec:
            for name in _repeated(point.name for point in (*self.profile.points, *self.sunspec.points)):
                raise ValueError(f"sunspec: the name {name} is taken by the profile")
        for name in _repeated(point.name for point in self.points):
            raise ValueError(f"points: the name {name} is given twice")
        for name in self.only:
            if name not in known:
                raise ValueError(f"only: there is no point {name}; expected of {', '.join(known)}")
        if not known:
            raise ValueError("points: expected a profile, sunspec or points of its own, found none of them")
        check_names(
            self.writable or {},
            facts=[point.name for point in (self.profile.points if self.profile else ()) if point.write],
            written_out=[point.name for point in self.points],
            only=self.only,
        )
        for border in self.limits.borders:
            if border % self.limits.alignment:
                raise ValueError(
                    f"borders: expected multiples of the alignment {self.limits.alignment}, found {border}"
                )
        for point, codec in zip(self.selected, self.codecs, strict=True):
            self._fits(point, codec)
            self._rhythm(point).check()

    def _fits(self, point: PointSettings, codec: Codec) -> None:
        """Raise `ValueError` if no request can read this point."""
        limits = self.limits
        span = limits.span(codec)
        most, width = limits.count(codec.table), span.end - span.address
        if width > most:
            aligned = "" if width == codec.width else f" with the alignment {limits.alignment}"
            raise ValueError(
                f"max_count: {point.name} spans {width} registers{aligned}, more than the {most} of one request"
            )
        for border in limits.borders:
            if codec.address < border < codec.end:
                raise ValueError(
                    f"borders: {point.name} lies at {codec.address} to {codec.end - 1}, across the border {border}"
                )

    @property
    def _defaults(self) -> Defaults:
        if self.profile:
            return self.profile.defaults
        return Defaults() if self.sunspec is None else Defaults(gap=GAP)

    def _all(self) -> tuple[PointSettings, ...]:
        """Give the profile's points in its order, replaced where a name is written again; then the others written here."""
        by_name = {
            point.name: self._allowed(point) for point in (self.profile.points if self.profile else ())
        }
        by_name |= {point.name: point for point in (self.sunspec.points if self.sunspec else ())}
        by_name |= {point.name: point for point in self.points}
        return tuple(by_name.values())

    def _allowed(self, point: PointSettings) -> PointSettings:
        """A point of the profile, to be written as far as this device's own settings allow it."""
        if point.write is None:
            return point
        own = (self.writable or {}).get(point.name)
        return replace(point, write=None if own is None else narrowed(point.name, own, point.write))

    @property
    def selected(self) -> tuple[PointSettings, ...]:
        """The points that are read, in the order of the samples."""
        return tuple(point for point in self._all() if not self.only or point.name in self.only)

    @property
    def codecs(self) -> tuple[Codec, ...]:
        """How each of them is read, in the same order."""
        order = self.order or self._defaults.order
        return tuple(point.codec(order) for point in self.selected)

    def codec(self, name: str) -> Codec:
        """How the point of this name is read."""
        return next(
            codec for point, codec in zip(self.selected, self.codecs, strict=True) if point.name == name
        )

    @property
    def signs(self) -> tuple[Sign, ...]:
        """What it must show to be taken for what its profile says."""
        return () if self.profile is None or self.identity is Identity.IGNORED else self.profile.identity

    @property
    def shown(self) -> tuple[tuple[Span, bytes], ...]:
        """Registers by which a device can be seen to be this one, and what they hold."""
        signs = tuple((sign.span, sign.example) for sign in self.signs)
        return signs + (self.sunspec.frame if self.sunspec else ())

    def located(self, chain: Chain) -> tuple[Codec | None, ...]:
        """How each point is read from a SunSpec device with this chain, in order; `None` for one that it does not have."""
        order = self.order or self._defaults.order
        own = {point.name for point in self.points}
        there = {} if self.sunspec is None else self.sunspec.located(chain)
        places = [point if point.name in own else there.get(point.name, point) for point in self.selected]
        return tuple(None if point is None else point.codec(order) for point in places)

    @property
    def limits(self) -> BlockLimits:
        """What one request may ask for."""
        defaults = self._defaults
        return BlockLimits(
            registers=self.max_count or defaults.max_count,
            bits=self.max_bits or defaults.max_bits,
            gap=defaults.gap if self.gap is None else self.gap,
            alignment=self.alignment or defaults.alignment,
            borders=defaults.borders if self.borders is None else self.borders,
        )

    @property
    def pause(self) -> timedelta:
        """How long it has to be left alone after an answer."""
        return self._defaults.request_delay if self.request_delay is None else self.request_delay

    def limit(self, otherwise: timedelta) -> timedelta:
        """How long an answer may take; `otherwise` is the link's."""
        return self.timeout or self._defaults.timeout or otherwise

    def _rhythm(self, point: PointSettings) -> Rhythm:
        return Rhythm(point.interval or self.interval, point.phase or self.phase)

    @property
    def intervals(self) -> tuple[timedelta, ...]:
        """How often each of the points is read, in order."""
        return tuple(self._rhythm(point).interval for point in self.selected)

    @property
    def groups(self) -> tuple[tuple[Rhythm, tuple[int, ...]], ...]:
        """Which points are read together, by their indexes, and when: the most frequent first."""
        return together([self._rhythm(point) for point in self.selected])

    @property
    def requests(self) -> tuple[tuple[Rhythm, tuple[Block, ...]], ...]:
        """For each group, the blocks that read it once."""
        codecs = self.codecs
        every = range(len(codecs))
        return tuple(
            (rhythm, plan(codecs, self.limits, without=set(every).difference(cells)))
            for rhythm, cells in self.groups
        )

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The requests that read every point once."""
        return tuple(block for _, blocks in self.requests for block in blocks)


LONGEST_FRAME: Final = 513
"""Characters of the longest frame, which is one of ASCII (Modbus over Serial Line V1.02, 2.5.2.1)."""


class LinkSettings(LinkBase, frozen=True, kw_only=True):
    """A Modbus connection or serial line, and the devices that are reached through it."""

    host: Annotated[
        str | None, Meta(min_length=1, description="Name or address of the device or gateway; or `serial`.")
    ] = None
    port: Annotated[
        int | None, Meta(ge=1, le=65535, description="TCP or UDP port; 502 if left out, 802 with `tls`.")
    ] = None
    serial: Annotated[
        Serial | None, Meta(description="A serial line of this gateway, in place of a host.")
    ] = None
    transport: Annotated[Transport, Meta(description="tcp, or udp for the few devices that speak it.")] = (
        Transport.TCP
    )
    tls: Annotated[
        Tls | None, Meta(description="Encrypted and authenticated, for devices that speak it.")
    ] = None
    framing: Annotated[
        FramingKind | None,
        Meta(description="tcp, rtu or ascii; if left out, tcp to a host and rtu on a serial line."),
    ] = None
    connect_delay: Annotated[
        timedelta,
        Limits("0ms", "60s"),
        Meta(description="Pause between connecting and the first request, for devices that need it."),
    ] = timedelta(0)
    timeout: Annotated[
        timedelta, Limits("10ms", "60s"), Meta(description="How long an answer may take, and connecting too.")
    ] = timedelta(seconds=1)
    quiet: Annotated[
        timedelta | None,
        Limits("0ms", "60s"),
        Meta(
            description="How long a line without transaction ids stays quiet after an answer failed to come: no less than the "
            "slowest device takes to answer. The longest timeout of the link if left out."
        ),
    ] = None
    request_delay: Annotated[
        timedelta, Limits("0ms", "60s"), Meta(description="Pause between an answer and the next request.")
    ] = timedelta(0)
    devices: Annotated[
        tuple[DeviceSettings, ...], Meta(min_length=1, description="What is reached through it.")
    ]

    @property
    def frames(self) -> FramingKind:
        """How frames lie on it."""
        return self.framing or (FramingKind.RTU if self.serial else FramingKind.TCP)

    @property
    def line_time(self) -> LineTime | None:
        """How long bytes take on it; `None` where that is not ours to know."""
        return self.serial.line_time(self.frames) if self.serial else None

    @property
    def network_port(self) -> int:
        """The port at the host."""
        return self.port or (TLS_PORT if self.tls else TCP_PORT)

    @property
    def address(self) -> str:
        """Where it leads, as people write it."""
        return str(self.serial.port) if self.serial else f"{self.host}:{self.network_port}"


def points(device: DeviceSettings) -> tuple[Point, ...]:
    """The points of a device, in the order of its samples, each within the device's place."""
    return tuple(point.point(device.place) for point in device.selected)


def point_settings(device: DeviceSettings) -> tuple[PointSettings, ...]:
    """Their settings, in the same order."""
    return device.selected


def doubt(device: DeviceSettings) -> str:
    """What no source tells for certain of how it is read; empty if there is nothing."""
    return (device.profile and device.profile.unverified) or ""


def intervals(device: DeviceSettings) -> tuple[timedelta, ...]:
    """How often each point of a configured device is read, in the order of its samples."""
    return device.intervals


def as_written(device: DeviceSettings, point: str, value: Value) -> Value:
    """What a point is once this value is written. Raises `ValueError` for one that it cannot hold."""
    return settled(device.codec(point), value)


def allowance(link: LinkSettings) -> timedelta:
    """How long it may take until something ends on the link, however many of its devices are silent.

    Three slots of the fastest device; else the longest wait for a probe, which is what `schedule` states: its return
    time, or the time limits of all devices (with the quiet that may follow each) over its share, twice after all fell
    silent at once.
    """
    limits = [device.limit(link.timeout) for device in link.devices]
    quiet = link.quiet or max(limits, default=link.timeout)
    if link.line_time:  # the frames of a question in vain, and the quiet that lets a late one pass
        quiet += timedelta(microseconds=link.line_time.of(3 * LONGEST_FRAME) / 1000)
    wait = 2 * sum((limit + quiet for limit in limits), timedelta()) / SHARE
    return (
        3 * min((device.groups[0][0].interval for device in link.devices), default=timedelta())
        + timedelta(microseconds=RETURN_NS / 1000)
        + wait
    )


def _repeated(names: Iterable[str]) -> list[str]:
    listed = list(names)
    return sorted({name for name in listed if listed.count(name) > 1})

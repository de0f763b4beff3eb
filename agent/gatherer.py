"""One link, kept open: its sources drained into the collector, one task for each device.

When the whole link is lost, it is closed and opened again; when one device cannot work as configured or has hit a
bug, that one stops and the others go on. Consumers are told either way, by a bad sample at once and then at most one
a minute for as long as attempts fail.

The watchdog expects of a link what its driver promises (`allowance`), and only while somebody is at work on it: a
pause between two attempts is no work.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any, cast

import structlog
from msgspec.structs import replace

from agent import judging
from agent.clock import Clock
from agent.health import Health
from agent.intake import Intake
from agent.interfaces import Context, Driver, Link, LinkBase, Memory, Misconfigured, Unavailable, WritableLink
from agent.sample import Point, Reason, Sample, Shape, nothing_learnt
from agent.service import Progress
from agent.supervisor import Condition, Kept, State, first

log = structlog.get_logger()

REPEAT_NS = 60_000_000_000
"""How often a device is said to be unreachable while its link is down: often enough for a chart, cheap to store."""
OUT_REPEAT_S = 3600.0
"""How often a device is said to be out of service."""


class Gatherer:
    """Everything that goes on around one link."""

    def __init__(
        self,
        settings: LinkBase,
        driver: Driver,
        *,
        clock: Clock,
        memory: Memory,
        health: Health,
        put: Callable[[Sample], Awaitable[None]],
        stored: Callable[[], asyncio.Future[None]],
        progress: Progress,
    ) -> None:
        """`put` and `stored` are the collector's; `progress` hears of every attempt that ended."""
        self.settings = settings
        self._driver = driver
        self._clock = clock
        self._memory = memory
        self._health = health
        self._intake = Intake(settings, driver, memory=memory, health=health, put=put, stored=stored)
        self._progress = progress
        self._shapes: Mapping[str, Shape] = {
            device.id: Shape(device.id, driver.points(device)) for device in settings.devices
        }
        self._points = {device.id: judging.points(driver, device) for device in settings.devices}
        self._out = _out_of_service(settings)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """What is done about each device: its source is drained or, while it is out of service, that is said."""
        self._groups: tuple[asyncio.TaskGroup, asyncio.TaskGroup] | None = None
        """While the link is open: of what goes on whether or not it is, and of what does not."""
        self._link: Link | None = None
        self._closed_counts: Counter[str] = Counter()
        """What happened on earlier links."""
        self._tap: Callable[[str, bytes, int], None] | None = None
        self._said_ns: dict[str, int] = {}
        """When consumers of a device were told that nothing comes, since something last came."""
        self._work = f"link {settings.id}"
        self._workers = 0
        allowance = getattr(driver, "allowance", None)
        self._allowance: timedelta | None = allowance(settings) if allowance else None

    @property
    def devices(self) -> Collection[str]:
        """The ids of the link's devices."""
        return self._shapes.keys()

    @property
    def counts(self) -> Mapping[str, int]:
        """What happened on the link since it was opened; empty while it is not open."""
        return self._link.counts if self._link else {}

    @property
    def totals(self) -> Mapping[str, int]:
        """The same since this gatherer began, over every time that the link was opened."""
        return self._closed_counts + Counter(self.counts) if self._link else self._closed_counts

    @property
    def figures(self) -> Mapping[str, float]:
        """What the last minute on the link was like, where its driver measures that (`MeasuredLink`) and it is open."""
        figures: Mapping[str, float] = getattr(self._link, "figures", {})
        return figures

    def read(self, device: str) -> Sequence[Point]:
        """The points of this device that are read, in the order of its samples."""
        return self._shapes[device].points

    def points(self, device: str) -> Sequence[Point]:
        """Those and the event points of its counters."""
        return self._points[device]

    def answering(self, device: str) -> Mapping[str, Any]:
        """How this device has been answering since the link was opened, as its driver says."""
        return self._link.devices.get(device, {}) if self._link else {}

    def listen(self, tap: Callable[[str, bytes, int], None] | None) -> None:
        """Have this told of everything that passes on the line, on this link and those opened after it (`TappedLink`).

        Raises `Misconfigured` where nobody can listen.
        """
        self._tap = tap
        if self._link is not None:
            if not hasattr(self._link, "tap"):
                self._tap = None
                raise Misconfigured(
                    f"link {self.settings.id}: its driver, {self.settings.driver}, lets nobody listen to its line"
                )
            self._link.tap = tap

    async def ask(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask on the link as a guest (`GuestLink.ask`). Raises `Unavailable`, and `Misconfigured` where there are none."""
        link = self._open_link()
        if not hasattr(link, "ask"):
            raise Misconfigured(
                f"link {self.settings.id}: its driver, {self.settings.driver}, answers no questions on its line"
            )
        answer: Mapping[str, Any] = await link.ask(request)
        return answer

    def writable(self) -> WritableLink:
        """The link, to be written. Raises `Unavailable` while it is not open, `Misconfigured` where it only reads."""
        link = self._open_link()
        if not hasattr(link, "write"):
            raise Misconfigured(f"link {self.settings.id}: its driver, {self.settings.driver}, only reads")
        return cast("WritableLink", link)

    def refresh(self, device: str) -> None:
        """Ask the link for a sample of this device; raises `Unavailable` while it is not open or the device not in service."""
        if device in self._out:
            raise Unavailable(f"device {device} is out of service: {self._out[device]}")
        self._open_link().refresh(device)

    @property
    def _in_service(self) -> list[str]:
        return [device for device in self._shapes if device not in self._out]

    def _open_link(self) -> Link:
        if self._link is None:
            words = self._health.links[self.settings.id].words
            raise Unavailable(f"link {self.settings.id} is not open: {words or 'it is just being opened'}")
        return self._link

    async def run(self) -> None:
        """Gather until cancelled, or until a person must act."""
        name = self.settings.id
        self._say_doubts()
        try:
            async with asyncio.TaskGroup() as lasting:
                for device in self._out:
                    self._tasks[device] = lasting.create_task(
                        self._leave_out(device), name=f"device {device}"
                    )
                if self._in_service:
                    kept = Kept("link", name, self._health.links[name], self._clock)
                    await kept.go(lambda works: self._attempt(works, lasting))
                else:
                    self._health.links[name] = self._left_out("all of its devices are")
        finally:
            self._intake.close()

    def _say_doubts(self) -> None:
        """Once, not at each opening: only a person who compares the readings can end a doubt."""
        doubt = getattr(self._driver, "doubt", None)
        if doubt is None:
            return
        for device in self.settings.devices:
            if words := doubt(device):
                log.warning("device.profile_unverified", link=self.settings.id, device=device.id, doubt=words)

    def adopt(self, settings: LinkBase) -> bool:
        """Go on with these settings; whether that could be done with the link as it is: open, and at most other devices in service."""
        if settings == self.settings:
            return True
        out, falling = _out_of_service(settings), [task for task in self._tasks.values() if _failed(task)]
        if (
            _in_service(settings) != _in_service(self.settings)
            or len(out) == len(self._shapes)
            or self._groups is None
            or falling
        ):
            return False
        lasting, passing = self._groups
        before, self._out, self.settings = self._out, out, settings
        for device in self._shapes:
            if before.get(device) == out.get(device):
                continue
            self._tasks[device].cancel()
            if device in out:
                task = lasting.create_task(self._leave_out(device), name=f"device {device}")
            else:
                log.info("device.in_service", link=settings.id, device=device)
                task = passing.create_task(self._device(device), name=f"device {device}")
            self._tasks[device] = task
        return True

    def _left_out(self, why: str) -> Condition:
        return Condition(State.OUT_OF_SERVICE, self._clock.monotonic_ns(), why)

    async def _leave_out(self, device: str) -> None:
        """Say of a device that it is out of service, now and then."""
        why = self._out[device]
        self._health.devices[device] = self._left_out(why)
        log.info("device.out_of_service", link=self.settings.id, device=device, why=why)
        while True:
            await self._say_nothing_learnt(device, Reason.OUT_OF_SERVICE)
            await asyncio.sleep(OUT_REPEAT_S)

    async def _attempt(self, works: Callable[[], None], lasting: asyncio.TaskGroup) -> None:
        try:
            async with contextlib.AsyncExitStack() as stack:
                with self._at_work():
                    link = await stack.enter_async_context(
                        self._driver.open(self.settings, Context(self._clock, self._memory))
                    )
                self._link = link
                if self._tap is not None:
                    self.listen(self._tap)
                works()
                async with asyncio.TaskGroup() as passing:
                    self._groups = lasting, passing
                    for device in self._in_service:
                        self._tasks[device] = passing.create_task(
                            self._device(device), name=f"device {device}"
                        )
        except Exception as error:
            await self._say_nothing_comes(self._in_service, first(error))
            raise
        finally:
            self._groups = None
            self._closed_counts.update(self.counts)
            self._link = None

    async def _device(self, device: str) -> None:
        """Keep the source of one device flowing; raises `Unavailable` when the whole link is lost."""
        link = self._open_link()
        condition = self._health.devices[device]

        async def drain(works: Callable[[], None]) -> None:
            with self._at_work():
                async with aclosing(link.source(device)) as samples:
                    async for sample in samples:
                        if condition.state is not State.WORKING:
                            works()
                        self._said_ns.pop(device, None)
                        if await self._intake.take(sample):
                            link.refresh(device)
                        self._progress.made(self._work)

        async def attempt(works: Callable[[], None]) -> None:
            try:
                await drain(works)
            except Unavailable:
                raise  # the whole link's, which speaks for all of its devices
            except Exception as error:
                await self._say_nothing_comes((device,), error)
                raise

        await Kept("device", device, condition, self._clock).go(attempt, passes=Unavailable)

    @contextlib.contextmanager
    def _at_work(self) -> Iterator[None]:
        """From now until the end of the block something must end on this link now and then."""
        if not self._workers and self._allowance is not None:
            self._progress.expect(self._work, self._allowance)
        self._workers += 1
        try:
            yield
        finally:
            self._workers -= 1
            if not self._workers:
                self._progress.release(self._work)

    async def _say_nothing_comes(self, devices: Iterable[str], error: Exception) -> None:
        """Tell the consumers of these devices why, unless they were told less than a minute ago."""
        now_ns = self._clock.monotonic_ns()
        for device in devices:
            said_ns = self._said_ns.get(device)
            if said_ns is None or now_ns - said_ns >= REPEAT_NS:
                self._said_ns[device] = now_ns
                await self._say_nothing_learnt(device, _reason(error))

    async def _say_nothing_learnt(self, device: str, reason: Reason) -> None:
        await self._intake.take(nothing_learnt(self._shapes[device], self._clock.monotonic_ns(), reason))


def _out_of_service(settings: LinkBase) -> dict[str, str]:
    """The devices that are out of service, and why."""
    return {
        device.id: device.out_of_service for device in settings.devices if device.out_of_service is not None
    }


def _in_service(settings: LinkBase) -> LinkBase:
    """The same settings with all devices in service."""
    return replace(
        settings, devices=tuple(replace(device, out_of_service=None) for device in settings.devices)
    )


def _failed(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is not None


def _reason(error: Exception) -> Reason:
    if isinstance(error, Unavailable):
        return Reason.NOT_CONNECTED
    return Reason.CONFIGURATION_ERROR if isinstance(error, Misconfigured) else Reason.INTERNAL_ERROR

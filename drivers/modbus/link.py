"""One Modbus link: a task that asks one device after the other, and a source of samples for each.

The thin shell round what is pure:

    schedule ──whose turn──> poll: a question for each block ──> line ──> connection ──> device
                               │
                               └──sample──> outlet ──> source ──> whoever iterates it

Only devices whose source is being iterated are asked. The task never waits for whoever takes the samples: where one
is not taken before the next is there, the older is thrown away and counted as a missed slot.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

from agent.interfaces import Context, Unavailable, Written
from agent.sample import Reason, Sample, Value
from drivers.modbus.line.ascii import Ascii
from drivers.modbus.line.connection import Tap
from drivers.modbus.line.ends import FramingKind
from drivers.modbus.line.framing import Framing
from drivers.modbus.line.line import Line
from drivers.modbus.line.mbap import Mbap
from drivers.modbus.line.rtu import Rtu
from drivers.modbus.line.transaction import Conversation
from drivers.modbus.polling.alarm import Alarm
from drivers.modbus.polling.asking import Asking
from drivers.modbus.polling.device import Device, device
from drivers.modbus.polling.errands import Errand, Errands
from drivers.modbus.polling.outlet import Outlet
from drivers.modbus.polling.polling import Polling
from drivers.modbus.polling.schedule import Schedule, Turn
from drivers.modbus.polling.usage import Usage
from drivers.modbus.settings import LinkSettings
from drivers.modbus.technician import guest
from drivers.modbus.timing import ns
from drivers.modbus.writing.writer import Pen
from drivers.modbus.writing.writing import spot

LOOK_NS: Final = 10_000_000_000
"""Where something is read by the wall clock, a step of it is noticed within this time."""

T = TypeVar("T")


@asynccontextmanager
async def open_link(settings: LinkSettings, context: Context) -> AsyncIterator[ModbusLink]:
    """Connect, and ask for as long as the context lasts. Raises `Unavailable` when the peer cannot be reached now."""
    link = ModbusLink(settings, context)
    failure: Exception | None = None
    try:
        await link.connect()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(link.run(), name=f"link {settings.id}")
            try:
                yield link
            except Exception as error:  # noqa: BLE001  the caller's own: it goes on as it came, not in a group
                failure = error
            finally:
                task.cancel()
    finally:
        link.close()
    if failure is not None:
        raise failure


@dataclass(slots=True, eq=False)
class _Seat:
    """One device, and whoever takes its samples."""

    device: Device
    outlet: Outlet | None = None
    missed: int = 0
    """Slots missed before its source was last opened, and samples that nobody took."""


class ModbusLink:
    """See `agent.interfaces.Link`."""

    def __init__(self, settings: LinkSettings, context: Context) -> None:
        self._id = settings.id
        self._now_ns = context.clock.monotonic_ns
        self._wall_ns = context.clock.wall_ns
        self._framing = _framing(settings.frames)
        self._seats = {
            each.id: _Seat(device(self._framing, each, settings, context.memory, self._now_ns()))
            for each in settings.devices
        }
        self._settings = {each.id: each for each in settings.devices}
        self._limit_ns = ns(settings.timeout)
        slowest_ns = max((seat.device.limit_ns for seat in self._seats.values()), default=self._limit_ns)
        self._quiet_ns = slowest_ns if settings.quiet is None else ns(settings.quiet)
        time = settings.line_time
        silence_ns = time.silence_ns if time else 0
        if time and self._quiet_ns:  # a search of a line asks each unit once, and needs none
            self._quiet_ns += time.of(self._framing.longest)  # a late answer takes that long to be over
        self._conversation = Conversation(
            self._framing,
            quiet_ns=self._quiet_ns,
            pause_ns=max(ns(settings.request_delay), silence_ns),
            pauses_ns={
                each.unit_id: ns(each.pause)
                for each in sorted(settings.devices, key=lambda each: each.pause)
                if each.pause
            },
        )
        self._alarm = Alarm(self._now_ns)
        self._line = Line(settings, self._conversation, self._now_ns, self._alarm.stir)
        self._schedule = Schedule()
        self._asking = Asking(settings.id, self._line, self._conversation)
        self._polling = Polling(settings.id, self._line, self._conversation, self._schedule, self._asking)
        self._errands = Errands()
        self._usage = Usage(self._now_ns())
        self._lost = ""

    # --- the seam ----------------------------------------------------------------------------------------------

    @property
    def counts(self) -> Mapping[str, int]:
        """What happened since the link was opened; exceptions also by their names."""
        return {
            **self._conversation.counts,
            "timeouts": self._asking.timeouts,
            "reconnects": self._line.reconnects,
            "missed_slots": sum(self._missed(seat) for seat in self._seats.values()),
            **self._asking.exceptions,
        }

    @property
    def devices(self) -> Mapping[str, Mapping[str, Any]]:
        """By device: how it has been answering.

        `state` (ok or silent), `failures` in a row, `answer_ms` its last answer took, `late_ms` it was last asked after
        its slot began, `missed_slots`, `errors` (questions that brought no data), and the points whose addresses it
        refuses, where there are such: `refused`. `stranger`: what it is not, if it is another device than its profile means.
        """
        return {
            name: {
                "state": "silent" if self._schedule.failures(name) else "ok",
                "failures": self._schedule.failures(name),
                "answer_ms": seat.device.answer_ms,
                "late_ms": seat.device.late_ms,
                "missed_slots": self._missed(seat),
                "errors": seat.device.errors,
                **({"stranger": words} if (words := seat.device.stranger) and seat.device.introduced else {}),
                **({"refused": list(seat.device.refused)} if seat.device.refusals else {}),
            }
            for name, seat in self._seats.items()
        }

    @property
    def figures(self) -> Mapping[str, float]:
        """Of the last minute: `utilisation` of the line, from 0 to 1, and the worst `lateness_ms` of a poll."""
        return self._usage.figures(self._now_ns())

    async def source(self, device: str) -> AsyncGenerator[Sample, None]:
        """The samples of one device: one for each poll, and for each probe in vain. Raises `Unavailable`."""
        seat = self._seats[device]
        if self._lost:
            raise Unavailable(self._lost)
        if seat.outlet is not None:  # a bug of the caller, whose first source would wait for ever
            seat.outlet.fail(RuntimeError(f"device {device}: its source was opened a second time"))
            self._release(seat)
        seat.outlet = outlet = Outlet()
        if any(group.slots.clock for group in seat.device.groups):
            self._follow_the_clock()
        self._schedule.add(
            device,
            [group.slots for group in seat.device.groups],
            cost_ns=seat.device.limit_ns,
            now_ns=self._now_ns(),
        )
        self._alarm.stir()
        try:
            while True:
                yield await outlet.take()
        finally:
            if seat.outlet is outlet:
                self._release(seat)

    def refresh(self, device: str) -> None:
        """Ask this device at the next free moment; one that is silent, as soon as the share of the silent allows."""
        self._schedule.refresh(device, self._now_ns())
        self._alarm.stir()

    @property
    def tap(self) -> Tap | None:
        """Told of everything that passes on the line; see `agent.interfaces.TappedLink`."""
        return self._line.tap

    @tap.setter
    def tap(self, tap: Tap | None) -> None:
        if tap and not self._line.tap:  # who listens from now on has to hear it all: a replay begins with it
            for seat in self._seats.values():
                seat.device.recheck(self._now_ns())
        self._line.tap = tap

    # --- beside the schedule -----------------------------------------------------------------------------------

    async def errand(
        self, work: Callable[[Line], Awaitable[T]], *, paced: bool, longest: timedelta = timedelta(seconds=1)
    ) -> T:
        """Have the link's task carry this out between two turns, and wait for what comes of it; raises what it raises.

        One that is not paced goes next, a paced one (of a guest) in time that nobody else wants and in the guests' share;
        `longest` says how long it may take. Raises `Unavailable` when the link is lost.
        """
        if self._lost:
            raise Unavailable(self._lost)
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._errands.add(Errand(work, paced, ns(longest), done))
        self._alarm.stir()
        return await done

    async def inquire(self, request: guest.Request) -> guest.Response:
        """Ask for registers that need not be any point's, as a guest of the line."""
        limit_ns = self._limit_ns if request.timeout_ms is None else request.timeout_ms * 1_000_000

        async def work(line: Line) -> guest.Response:
            return await guest.ask(request, line, self._conversation, self._framing, limit_ns)

        quiet_ns = 0 if self._conversation.echoes else self._quiet_ns
        return await self.errand(
            work, paced=True, longest=timedelta(microseconds=(limit_ns + quiet_ns) / 1000)
        )

    async def ask(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """See `agent.interfaces.GuestLink`; the fields of `guest.Request` and `guest.Response`."""
        return (await self.inquire(guest.Request.of(request))).as_json()

    async def current(self, device: str, point: str) -> Value | Reason:
        """See `agent.interfaces.WritableLink`. A silent device is not asked: it is probed, as the schedule allows."""
        pen = self._pen(device, point)
        return Reason.TIMEOUT if self._schedule.failures(device) else await self._at_once(pen.current)

    async def write(self, device: str, point: str, value: Value, *, until_ns: int) -> Written:
        """See `agent.interfaces.WritableLink`. The device is polled soon after, so that everybody sees what it is now."""
        pen = self._pen(device, point)
        try:
            return await self._at_once(lambda line: pen.write(line, value, until_ns))
        finally:
            self.refresh(device)

    async def _at_once(self, work: Callable[[Line], Awaitable[T]]) -> T:
        """An errand that goes next; what it takes in vain, those that fail have to spare."""

        async def charged(line: Line) -> T:
            begun_ns, in_vain = self._now_ns(), True
            try:
                outcome = await work(line)
                in_vain = isinstance(outcome.found if isinstance(outcome, Written) else outcome, Reason)
            finally:
                if in_vain:
                    now_ns = self._now_ns()
                    self._schedule.charge(now_ns, now_ns - begun_ns)
            return outcome

        return await self.errand(charged, paced=False)

    def _pen(self, device: str, point: str) -> Pen:
        its = self._seats[device].device
        where = spot(self._framing, self._settings[device], point, its.limit_ns)
        return Pen(where, its, self._polling, self._conversation)

    # --- the task ----------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Open the connection. Raises `Unavailable`."""
        await self._line.connect()

    def close(self) -> None:
        """Hang up, and tell every source that still waits."""
        self._line.close()
        self._fail(f"link {self._id}: closed")

    async def run(self) -> None:
        """Ask whose turn it is, until cancelled or the link is lost: then every source raises `Unavailable`."""
        now_ns = self._now_ns()
        try:
            while True:
                if self._conversation.heard:
                    self._polling.hear([seat.device for seat in self._seats.values()])
                if self._schedule.by_clock:
                    self._follow_the_clock()
                late_ns = 0
                if errand := self._errands.next(now_ns):
                    await self._errands.carry_out(errand, self._line, self._conversation.wait_ns)
                elif turn := self._schedule.next(now_ns):
                    late_ns = turn.late_ns
                    await self._turn(self._seats[turn.device], turn)
                elif errand := self._errands.meanwhile(now_ns, self._schedule.wake_ns()):
                    await self._errands.carry_out(errand, self._line, self._conversation.wait_ns)
                else:
                    now_ns = await self._rest()
                    continue
                begun_ns, now_ns = now_ns, self._now_ns()
                self._usage.took(begun_ns, now_ns, late_ns)
        except Unavailable as lost:
            self._fail(str(lost))

    async def _rest(self) -> int:
        """Sleep until it is somebody's turn or something changes; what time it is then. Raises `Unavailable`."""
        moments = [self._schedule.wake_ns(), self._errands.wake_ns()]
        if self._schedule.by_clock:
            moments.append(self._now_ns() + LOOK_NS)
        now_ns = await self._alarm.sleep(
            min((moment for moment in moments if moment is not None), default=None)
        )
        self._line.check()
        return now_ns

    def _follow_the_clock(self) -> None:
        self._schedule.follow(self._wall_ns() - self._now_ns())

    def _fail(self, why: str) -> None:
        self._lost = self._lost or why
        for seat in self._seats.values():
            if seat.outlet is not None:
                seat.outlet.fail(Unavailable(self._lost))
        self._errands.fail(Unavailable(self._lost))

    async def _turn(self, seat: _Seat, turn: Turn) -> None:
        """Poll a group of a device, and hand on what was learnt. A bug in it ends its source, and no other's."""
        seat.device.late_ms = turn.late_ns / 1e6
        try:
            samples = await self._polling.turn(seat.device, turn.group)
        except Unavailable:
            raise
        except Exception as error:
            if seat.outlet is None:
                raise
            seat.outlet.fail(error)
        else:
            if seat.outlet is not None:
                for sample in samples:
                    seat.missed += seat.outlet.put(sample)

    def _missed(self, seat: _Seat) -> int:
        return seat.missed + self._schedule.missed(seat.device.id)

    def _release(self, seat: _Seat) -> None:
        seat.missed = self._missed(seat)
        seat.outlet = None
        self._schedule.remove(seat.device.id)


def _framing(kind: FramingKind) -> Framing:
    if kind is FramingKind.RTU:
        return Rtu()
    return Ascii() if kind is FramingKind.ASCII else Mbap()

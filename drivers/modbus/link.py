"""One Modbus TCP link: a task that asks one device after the other, and a source of samples for each.

The thin shell round what is pure:

    schedule ──whose turn──> poll: a question for each block ──> line ──> connection ──> device
                               │
                               └──sample──> outlet ──> source ──> whoever iterates it

Only devices whose source is being iterated are asked. The task never waits for whoever takes the samples: where one
is not taken before the next is there, the older is thrown away and counted as a missed slot.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, NamedTuple

import structlog

from agent.interfaces import Context, Unavailable
from agent.sample import Sample, Shape, Value, nothing_learnt
from drivers.modbus.block import Block
from drivers.modbus.exceptions import Meaning, meaning
from drivers.modbus.line import Line
from drivers.modbus.outlet import Outlet
from drivers.modbus.schedule import Schedule
from drivers.modbus.settings import DeviceSettings, LinkSettings, points
from drivers.modbus.transaction import Conversation, Framing, Mbap, Question, Refusal, other_length, question

log = structlog.get_logger()

IN_VAIN: Final = 3
"""A connection on which nobody answers is dropped after this many time-outs in a row, and no less than one a device."""


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


class _Read(NamedTuple):
    """One block of a device."""

    block: Block
    question: Question
    cells: tuple[int, ...]


@dataclass(slots=True, eq=False)
class _Device:
    """One device of the link: what is asked, and how it has been answering."""

    id: str
    unit_id: int
    interval_ns: int
    limit_s: float
    shape: Shape
    reads: tuple[_Read, ...]
    probe: Question
    """Its smallest block."""
    other_probe: Question
    """What is asked where a late answer would pass for the one to `probe`."""
    outlet: Outlet | None = None
    answer_ms: float | None = None
    refused: dict[Question, str] = field(default_factory=dict)
    """What was last answered with an exception, and its name."""
    missed: int = 0
    """Slots missed before its source was last opened, and samples that nobody took."""


class ModbusLink:
    """See `agent.interfaces.Link`."""

    def __init__(self, settings: LinkSettings, context: Context) -> None:
        self._id = settings.id
        self._now_ns = context.clock.monotonic_ns
        framing: Framing = Mbap()
        self._devices = {device.id: _device(framing, device, settings) for device in settings.devices}
        slowest_ns = max(round(device.limit_s * 1e9) for device in self._devices.values())
        self._conversation = Conversation(
            framing,
            quiet_ns=slowest_ns if settings.quiet is None else _ns(settings.quiet),
            pause_ns=_ns(settings.request_delay),
        )
        self._line = Line(settings, self._conversation, self._now_ns, self._stir)
        self._schedule = Schedule()
        self._stirred: asyncio.Future[int] | None = None
        self._in_vain = 0
        """Time-outs since anybody answered."""
        self._timeouts = 0
        self._exceptions: dict[str, int] = {}
        self._lost = ""

    # --- the seam ----------------------------------------------------------------------------------------------

    @property
    def counts(self) -> Mapping[str, int]:
        """What happened since the link was opened; exceptions also by their names."""
        return {
            **self._conversation.counts,
            "timeouts": self._timeouts,
            "reconnects": self._line.reconnects,
            "missed_slots": sum(self._missed(device) for device in self._devices.values()),
            **self._exceptions,
        }

    @property
    def devices(self) -> Mapping[str, Mapping[str, Any]]:
        """By device: `state` (ok or silent), `failures` in a row, `answer_ms` its last answer took, `missed_slots`."""
        return {
            device.id: {
                "state": "silent" if self._schedule.failures(device.id) else "ok",
                "failures": self._schedule.failures(device.id),
                "answer_ms": device.answer_ms,
                "missed_slots": self._missed(device),
            }
            for device in self._devices.values()
        }

    async def source(self, device: str) -> AsyncGenerator[Sample, None]:
        """The samples of one device: one for each poll, and for each probe in vain. Raises `Unavailable`."""
        known = self._devices[device]
        if self._lost:
            raise Unavailable(self._lost)
        known.outlet = outlet = Outlet()
        self._schedule.add(
            device,
            interval_ns=known.interval_ns,
            cost_ns=round(known.limit_s * 1e9),
            now_ns=self._now_ns(),
        )
        self._stir()
        try:
            while True:
                yield await outlet.take()
        finally:
            if known.outlet is outlet:
                self._release(known)

    def refresh(self, device: str) -> None:
        """Ask this device at the next free moment; one that is silent, as soon as the share of the silent allows."""
        self._schedule.refresh(device, self._now_ns())
        self._stir()

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
                name = self._schedule.next(now_ns)
                if name is None:
                    now_ns = await self._rest()
                else:
                    await self._turn(self._devices[name])
                    now_ns = self._now_ns()
        except Unavailable as lost:
            self._fail(str(lost))

    async def _rest(self) -> int:
        """Sleep until it is somebody's turn or something changes; what time it is then. Raises `Unavailable`."""
        loop = asyncio.get_running_loop()
        wake_ns = self._schedule.wake_ns()
        stirred: asyncio.Future[int] = loop.create_future()
        self._stirred = stirred
        timer = None
        if wake_ns is not None:
            timer = loop.call_later((wake_ns - self._now_ns()) / 1e9, _set, stirred, wake_ns)
        try:
            # A timer may fire a little early: then it is time all the same.
            not_before_ns = await stirred
        finally:
            self._stirred = None
            if timer is not None:
                timer.cancel()
        self._line.check()
        return max(self._now_ns(), not_before_ns)

    def _stir(self) -> None:
        if self._stirred is not None:
            _set(self._stirred, 0)

    def _fail(self, why: str) -> None:
        self._lost = self._lost or why
        for device in self._devices.values():
            if device.outlet is not None:
                device.outlet.fail(Unavailable(self._lost))

    # --- one turn ----------------------------------------------------------------------------------------------

    async def _turn(self, device: _Device) -> None:
        """Poll a device; one that is silent is probed first, and polled at once if it answers."""
        begun_ns = self._now_ns()
        failures = self._schedule.failures(device.id)
        silence: Meaning | None = None
        if failures or self._conversation.suspects(device.unit_id):
            silence = _silence(await self._ask(device, self._probe(device)))
        if silence is None:
            try:
                sample, silence = await self._poll(device)
            except Unavailable:
                raise
            except Exception as error:
                if device.outlet is None:
                    raise
                device.outlet.fail(error)  # a bug, and this device's alone: it is not asked again
                return
        else:
            sample = nothing_learnt(device.shape, self._now_ns(), silence.reason)
        if silence is None:
            self._schedule.answered(device.id, self._now_ns())
            if failures:
                log.info("device.answers", link=self._id, device=device.id, failures=failures)
        else:
            self._fell_silent(device, silence, begun_ns)
        if device.outlet is not None:
            device.missed += device.outlet.put(sample)

    def _probe(self, device: _Device) -> Question:
        """The shortest question whose answer no late one can pass for."""
        return device.other_probe if self._conversation.fenced(device.probe) else device.probe

    async def _poll(self, device: _Device) -> tuple[Sample, Meaning | None]:
        """Read all blocks of a device; once it falls silent the rest are not asked, and share the reason."""
        values: list[Value | None] = [None] * len(device.shape.points)
        reasons = bytearray(len(values))
        ended_ns: list[int] = []
        silence: Meaning | None = None
        for block, asked, cells in device.reads:
            answer = silence or await self._ask(device, asked)
            ended_ns.append(self._now_ns())
            if isinstance(answer, bytes):
                block.decode(answer, values, reasons)
            else:
                silence = _silence(answer)
                for cell in cells:
                    reasons[cell] = answer.reason
        sample = Sample(
            device.shape,
            ended_ns[-1],
            tuple(values),
            bytes(reasons) if any(reasons) else b"",
            _ages_ms(device.reads, ended_ns) if len(ended_ns) > 1 else (),
        )
        return sample, silence

    async def _ask(self, device: _Device, asked: Question) -> bytes | Meaning:
        """The data of the answer, or what it means that there is none."""
        begun_ns = self._now_ns()
        answer = await self._line.ask(asked, device.limit_s)
        if answer is None:
            self._timeouts += 1
            self._in_vain += 1
            return meaning(None)
        self._in_vain = 0
        device.answer_ms = round((self._now_ns() - begun_ns) / 1e6, 1)
        if isinstance(answer, bytes):
            if device.refused and (name := device.refused.pop(asked, None)):
                self._log_block(log.info, "device.accepts", device, asked, name)
            return answer
        what = meaning(answer)
        if isinstance(answer, Refusal):
            self._exceptions[what.name] = self._exceptions.get(what.name, 0) + 1
            news = device.refused.get(asked) != what.name
            device.refused[asked] = what.name
            self._log_block(log.warning if news else log.debug, "device.refuses", device, asked, what.name)
        return what

    def _fell_silent(self, device: _Device, silence: Meaning, begun_ns: int) -> None:
        """Take note of a failure, and of a connection that may be to blame."""
        news = not self._schedule.failures(device.id)
        now_ns = self._now_ns()
        # The silence that may have to follow is the others' time too.
        spent_ns = now_ns - begun_ns + self._conversation.wait_ns(now_ns)
        self._schedule.failed(device.id, now_ns, spent_ns=spent_ns)
        (log.warning if news else log.debug)(
            "device.silent", link=self._id, device=device.id, reason=silence.name, error=silence.words
        )
        if self._in_vain >= max(IN_VAIN, len(self._devices)) and self._schedule.all_silent:
            self._in_vain = 0
            self._line.drop("nobody answers on it")

    def _log_block(
        self, write: Callable[..., None], event: str, device: _Device, asked: Question, name: str
    ) -> None:
        write(
            event,
            link=self._id,
            device=device.id,
            function=asked.function,
            address=asked.address,
            count=asked.count,
            exception=name,
        )

    def _missed(self, device: _Device) -> int:
        return device.missed + self._schedule.missed(device.id)

    def _release(self, device: _Device) -> None:
        device.missed = self._missed(device)
        device.outlet = None
        self._schedule.remove(device.id)


def _device(framing: Framing, settings: DeviceSettings, link: LinkSettings) -> _Device:
    reads = tuple(
        _Read(
            block,
            question(
                framing,
                unit=settings.unit_id,
                function=block.table.function,
                address=block.address,
                count=block.count,
            ),
            block.cells,
        )
        for block in settings.blocks
    )
    probe = min((read.question for read in reads), key=lambda asked: asked.size)
    return _Device(
        id=settings.id,
        unit_id=settings.unit_id,
        interval_ns=_ns(settings.interval),
        limit_s=(settings.timeout or link.timeout).total_seconds(),
        shape=Shape(settings.id, points(settings)),
        reads=reads,
        probe=probe,
        other_probe=other_length(framing, probe),
    )


def _silence(answer: bytes | Meaning) -> Meaning | None:
    """What an answer means if it means that the device is not there."""
    return answer if isinstance(answer, Meaning) and answer.silent else None


def _ages_ms(reads: Sequence[_Read], ended_ns: Sequence[int]) -> tuple[int, ...]:
    """How long before the last block each cell was learnt."""
    ages = {
        cell: (ended_ns[-1] - ended) // 1_000_000
        for read, ended in zip(reads, ended_ns, strict=True)
        for cell in read.cells
    }
    return tuple(ages[cell] for cell in sorted(ages)) if any(ages.values()) else ()


def _ns(length: timedelta) -> int:
    return length // timedelta(microseconds=1) * 1000


def _set(future: asyncio.Future[int], value: int) -> None:
    if not future.done():
        future.set_result(value)

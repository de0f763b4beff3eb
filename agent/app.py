"""Composition: from settings to running objects, in the order in which they are opened; closing is the reverse.

    control socket          answers the command line; keeps a second agent away from what follows
      buffer                opened before all that works, closed after it: what was accepted is safe whatever happens
      memory                what was learnt about the hardware, and what must be known of writes
        forwarders          a task for each uplink
        commands            writes, and what they hold for a while
        collector           between the two halves
          gatherers         a task for each link: stopped first

Stopping is one cancellation of the innermost group. Unwinding by itself stops the sources, has the collector commit
what they gave, and lets the forwarders say farewell; then the buffer writes what was settled.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import structlog
from msgspec import Meta
from msgspec.structs import replace

from agent import __version__, commands, control, judging, listening, plugins, vitals
from agent.aside import aside
from agent.buffer import Buffer, open_buffer
from agent.clock import Clock
from agent.collector import PULSE_S, Collector
from agent.commands import Audit, Commands, Records
from agent.delivery import FAREWELL_S
from agent.forwarder import Forwarder, Route
from agent.gatherer import Gatherer
from agent.gathering import Gathering
from agent.guests import Guests
from agent.health import Health
from agent.interfaces import Misconfigured, Unavailable
from agent.listening import Listening
from agent.log import configure as configure_log
from agent.memory import MemoryFile, open_memory
from agent.report import Report
from agent.sample import Point, Shape
from agent.service import Notify, Progress, feed
from agent.settings import Root
from agent.supervisor import Kept
from agent.upstream import Gateway, UplinkBase
from agent.vitals import Vitals

log = structlog.get_logger()

COMMIT_ALLOWANCE = timedelta(seconds=60)
"""How long one commit may take before the watchdog calls it stuck; a slow card was seen to take half a second."""

CLOSE_S = FAREWELL_S + 1.0
"""How long the uplinks have in all when the agent stops: it must be gone within five seconds."""

LAST_COMMIT_S = 1.5
"""How long the last commit may take when the agent stops; one on a disk that hangs goes on while the rest is closed."""

SUMS_S = 0.5
"""How long the last words may take to be counted: they are for people, and must not hold up the end."""

STATUS_EVERY_S = 30.0
"""How often `systemctl status` gets a new sentence."""


FIXED = ("gateway", "buffer", "uplinks")
"""Sections that are taken in only by a start: the store is open with them."""


class Reread(NamedTuple):
    """How the configuration is read again."""

    asked: asyncio.Event
    """Set when that is wanted: by SIGHUP."""
    load: Callable[[], Root]
    """Raises `Misconfigured` with everything that is wrong with it. May take its time: it is called in a thread."""


class Agent:
    """Everything that runs, put together from the settings."""

    def __init__(self, root: Root, buffer: Buffer, clock: Clock, memory: MemoryFile, notify: Notify) -> None:
        self._notify = notify
        self._progress = Progress()
        self.clock = clock
        health = Health()
        interval_s = root.buffer.commit_interval.total_seconds()
        self._collector = Collector(buffer, interval_s, lambda: self._progress.made("commit"))
        self._root = root
        self._gathering = Gathering(
            root.links,
            lambda link: Gatherer(
                link,
                plugins.driver(link.driver),
                clock=clock,
                memory=memory.part(f"link {link.id}"),
                health=health,
                put=self._collector.put,
                stored=self._collector.stored,
                progress=self._progress,
            ),
        )
        self._vitals = Vitals(
            lambda: self._gathering.gatherers,
            place=root.gateway.place,
            interval=root.gateway.health_interval,
            clock=clock,
            health=health,
            put=self._collector.put,
        )
        self._listening = Listening(
            lambda: self._gathering.gatherers,
            place=root.gateway.place,
            clock=clock,
            health=health,
            put=self._collector.put,
        )
        points = _points(root)
        self._forwarders = {
            route.settings.id: Forwarder(
                route, buffer.lanes(route.settings.id), _wanted(route.settings, points)
            )
            for route in _routes(root)
        }
        self._health = health
        self.commands = Commands(
            lambda: self._gathering.gatherers,
            records=Records(memory.part("commands"), clock, memory.write),
            audit=Audit(root.buffer.folder / commands.NAME),
            clock=clock,
        )
        self.report = Report(
            gateway=root.gateway.id,
            clock=clock,
            health=health,
            buffer=buffer,
            gatherers=self._gathering.gatherers,
            uplinks=root.uplinks,
            leases=self.commands.leases,
        )
        self.guests = Guests(lambda: self._gathering.gatherers, clock)

    async def run(self, reread: Reread) -> None:
        """Gather and deliver until cancelled, and take in changes of the configuration as they are asked for."""
        self._progress.expect("commit", COMMIT_ALLOWANCE + timedelta(seconds=PULSE_S))
        async with asyncio.TaskGroup() as delivering:
            watching = delivering.create_task(feed(self._notify, self._progress), name="watchdog")
            telling = delivering.create_task(self._tell(), name="status")
            changing = delivering.create_task(self._take_changes(reread), name="configuration")
            measuring = delivering.create_task(self._vitals.run(), name="vitals")
            attending = delivering.create_task(self._listening.run(), name="listening")
            commanding = delivering.create_task(self.commands.run(), name="commands")
            collecting = delivering.create_task(self._collector.run(), name="collector")
            forwarding = [
                delivering.create_task(self._forward(name, forwarder), name=f"uplink {name}")
                for name, forwarder in self._forwarders.items()
            ]
            try:
                await self._gathering.run(self._ready)
            finally:
                self._notify.stopping("writing down what was read")
                for task in (telling, changing, measuring, attending, commanding):
                    task.cancel()
                self._collector.close()
                await asyncio.wait([collecting], timeout=LAST_COMMIT_S)
                collecting.cancel()
                for task, forwarder in zip(forwarding, self._forwarders.values(), strict=True):
                    forwarder.close()
                    if not forwarder.in_session:
                        task.cancel()
                if forwarding:
                    await asyncio.wait(forwarding, timeout=CLOSE_S)
                for task in (*forwarding, watching):
                    task.cancel()

    def _ready(self) -> None:
        self._notify.ready(self.report.sentence())
        log.info(
            "agent.ready",
            version=__version__,
            links=len(self._gathering.gatherers),
            uplinks=len(self._forwarders),
        )

    async def _take_changes(self, reread: Reread) -> None:
        """Take in what changed in the configuration, each time that it is asked for; keep the old one if it is wrong."""
        while True:
            await reread.asked.wait()
            reread.asked.clear()
            self._notify.reloading("taking in a new configuration")
            try:
                root = await aside(reread.load, "configuration")
            except Misconfigured as error:
                log.error("agent.reload_refused", error=str(error))  # noqa: TRY400  # a person's mistake, no bug
            else:
                await self._change(root)
            self._notify.ready(self.report.sentence())

    async def _change(self, root: Root) -> None:
        old = self._root
        if fixed := [name for name in FIXED if getattr(root, name) != getattr(old, name)]:
            log.warning(
                "agent.restart_needed", changed=", ".join(fixed), error="these are taken in at the next start"
            )
        configure_log(root.log)
        # What is fixed stays as it was, the gateway's place above all: every device's is within it.
        self._root = root = _placed(replace(old, links=root.links, log=root.log))
        changed = await self._gathering.change(root.links)
        self.report.gatherers = self._gathering.gatherers
        points = _points(root)
        self._health.keep([link.id for link in root.links], points)
        for uplink in root.uplinks:
            self._forwarders[uplink.id].describe(_wanted(uplink, points))
        log.info("agent.reloaded", links=", ".join(changed) or "none changed")

    async def _forward(self, name: str, forwarder: Forwarder) -> None:
        await Kept("uplink", name, self._health.uplinks[name], self.clock).go(forwarder.session)

    async def _tell(self) -> None:
        """Keep the sentence of `systemctl status` true."""
        while True:
            await asyncio.sleep(STATUS_EVERY_S)
            self._notify.status(self.report.sentence())


async def serve(root: Root, socket: Path, notify: Notify, reread: Reread) -> None:
    """Run the agent until cancelled. `socket` is where the command line asks."""
    clock = Clock()
    root = _placed(root)
    answers = _Answers()
    async with (
        _answering(socket, answers),
        open_buffer(root.buffer, clock, root.uplinks) as buffer,
        open_memory(root.buffer.folder / "learnt.json") as memory,
    ):
        agent = Agent(root, buffer, clock, memory, notify)
        answers.agent = agent
        try:
            await agent.run(reread)
        finally:
            answers.agent = None
            await _sum_up(buffer)


class _Answers:
    """What the control socket answers: the agent's report and what its guests want to know, while there is one."""

    agent: Agent | None = None

    async def status(self) -> dict[str, Any]:
        return await self._now().report.status()

    async def ledger(self) -> dict[str, Any]:
        return await self._now().report.ledger()

    async def read(self, device: str, *, raw: bool = False) -> dict[str, Any]:
        agent = self._now()
        return await (agent.guests.raw(device) if raw else agent.report.read(device))

    async def latest(self, patterns: list[str]) -> list[dict[str, Any]]:
        return self._now().report.latest(patterns)

    async def links(self) -> list[dict[str, Any]]:
        return await self._now().guests.links()

    async def ask(self, link: str, request: dict[str, Any]) -> Mapping[str, Any]:
        return await self._now().guests.ask(link, request)

    async def record(self, link: str, cursor: int | None = None) -> dict[str, Any]:
        return await self._now().guests.record(link, cursor)

    async def write(
        self,
        peer: control.Peer,
        device: str,
        point: str,
        value: str,
        lease_s: Annotated[float, Meta(gt=0, le=30 * 86_400)] | None = None,
        *,
        take_over: bool = False,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        agent = self._now()
        return await commands.write(
            agent.commands,
            agent.clock,
            source=f"user {peer.name}",
            device=device,
            point=point,
            value=value,
            lease_s=lease_s,
            take_over=take_over,
            dry_run=dry_run,
        )

    def _now(self) -> Agent:
        if self.agent is None:
            raise Unavailable("the agent is just starting or stopping; ask again in a moment")
        return self.agent


@contextlib.asynccontextmanager
async def _answering(socket: Path, answers: _Answers) -> AsyncIterator[None]:
    """Answer at the control socket; where it cannot be had, go on without: readings matter more than questions.

    Raises `Unavailable` where another agent answers: two must not share what stands beside the socket.
    """
    async with contextlib.AsyncExitStack() as stack:
        questions: Mapping[str, control.Answer] = {
            each.__name__: each
            for each in (
                answers.status,
                answers.read,
                answers.ledger,
                answers.latest,
                answers.links,
                answers.ask,
                answers.record,
                answers.write,
            )
        }
        try:
            await stack.enter_async_context(control.serve(socket, questions))
        except Misconfigured as error:
            log.warning("control.unavailable", error=str(error))
        yield


def _placed(root: Root) -> Root:
    """The same settings, every device's place within the gateway's: drivers and consumers need not know of the latter."""
    links = tuple(
        replace(
            link,
            devices=tuple(
                replace(device, place=device.place.within(root.gateway.place)) for device in link.devices
            ),
        )
        for link in root.links
    )
    return replace(root, links=links)


async def _sum_up(buffer: Buffer) -> None:
    """The last words: what became of every reading."""
    try:
        async with asyncio.timeout(SUMS_S):
            ledger = await buffer.ledger()
    except TimeoutError:
        log.warning("agent.stopped_uncounted", error=f"the sums could not be had within {SUMS_S:g} s")
        return
    for name, counts in ledger.uplinks.items():
        log.info(
            "uplink.stopped",
            uplink=name,
            stored=counts.stored,
            acknowledged=counts.acknowledged,
            waiting=counts.waiting,
            filtered=counts.filtered,
            refused=counts.refused,
            dropped=sum(counts.dropped.values()),
        )
    for problem in ledger.problems():
        log.error("ledger.unbalanced", problem=problem)
    log.info("agent.stopped", read=ledger.read, stored=ledger.stored, dropped=sum(ledger.dropped.values()))


def _routes(root: Root) -> list[Route]:
    gateway = Gateway(id=root.gateway.id, place=root.gateway.place, version=__version__)
    return [
        Route(
            settings=uplink,
            uplink=plugins.uplink(uplink.kind),
            format=plugins.format_(uplink.format.kind),
            gateway=gateway,
        )
        for uplink in root.uplinks
    ]


def _points(root: Root) -> dict[str, tuple[Point, ...]]:
    """The points of every device, by its id; a link's health is a device too."""
    points = {
        device.id: judging.points(plugins.driver(link.driver), device)
        for link in root.links
        for device in link.devices
    }
    for link in root.links:
        events = listening.points(link, root.gateway.place)
        health = vitals.points(link, root.gateway.place) if root.gateway.health_interval else ()
        if said := (*health, *events):
            points[vitals.device_id(link.id)] = said
    return points


def _wanted(uplink: UplinkBase, points: Mapping[str, tuple[Point, ...]]) -> dict[str, tuple[Point, ...]]:
    """The points that an uplink's filter lets through, by device; devices of which nothing passes are left out."""
    wanted = {}
    for device, of in points.items():
        cells = uplink.filter.cells(Shape(device, of))
        if passing := of if cells is None else tuple(of[cell] for cell in cells):
            wanted[device] = passing
    return wanted

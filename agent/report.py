"""What the agent says of itself when asked: plain values, the same for a table and for `--json`.

Nothing is kept here: health, buffer and clock are asked at the moment of the question. Ages and durations are in
seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec

from agent import __version__
from agent.buffer import Buffer
from agent.clock import Clock
from agent.gatherer import Gatherer
from agent.health import Health
from agent.interfaces import Misconfigured, Unavailable
from agent.newest import Cell
from agent.sample import Reason
from agent.supervisor import Condition, State
from agent.upstream import UplinkBase

READ_LIMIT_S = 25.0
"""How long `read` waits for a device: longer than nearly any poll takes, and less than whoever asked waits for us."""

NOT_REACHED: Final = "not reached"
"""The state of a device that has no trouble of its own, on a link that is down: the link says why."""
_DOWN: Final = {State.UNAVAILABLE, State.MISCONFIGURED, State.FAULTY}


@dataclass(slots=True, kw_only=True)
class Report:
    """Answers the questions of the command line."""

    gateway: str
    clock: Clock
    health: Health
    buffer: Buffer
    gatherers: Sequence[Gatherer]
    uplinks: Sequence[UplinkBase]
    leases: Callable[[], list[dict[str, Any]]] = list
    """What commands hold at present."""
    started_ns: int = field(init=False)

    def __post_init__(self) -> None:
        self.started_ns = self.clock.monotonic_ns()

    async def status(self) -> dict[str, Any]:
        """Everything: store, links with devices and the last value of every point, uplinks with what waits."""
        return {
            "gateway": self.gateway,
            "version": __version__,
            "up_s": self._age_s(self.started_ns),
            "clock": "synchronised" if self.clock.synchronised() else "unsynchronised",
            "store": {"id": self.buffer.store_id, "durable": self.buffer.durable, **self.buffer.status()},
            "links": [self._link(gatherer) for gatherer in self.gatherers],
            "uplinks": [self._uplink(settings) for settings in self.uplinks],
            "leases": self.leases(),
        }

    async def ledger(self) -> dict[str, Any]:
        """What was read, stored, dropped, and acknowledged by each uplink; `problems` is empty when it balances."""
        ledger = await self.buffer.ledger()
        return {**msgspec.structs.asdict(ledger), "problems": ledger.problems()}

    async def read(self, device: str) -> dict[str, Any]:
        """Every point of this device, read beside its schedule.

        Raises `Misconfigured` for a device that is not configured, `Unavailable` when its link is not open or nothing
        came within `READ_LIMIT_S`. If only some of its points came, each says by its age whether it did.
        """
        for gatherer in self.gatherers:
            if device in gatherer.devices:
                asked_ns = self.clock.monotonic_ns()
                gatherer.refresh(device)
                try:
                    async with asyncio.timeout(READ_LIMIT_S):
                        while len(self._since(asked_ns, gatherer, device)) < len(gatherer.read(device)):
                            await self.health.next_sample(device)
                except TimeoutError:
                    if not self._since(asked_ns, gatherer, device):
                        raise Unavailable(f"device {device}: no sample within {READ_LIMIT_S:.0f} s") from None
                cells = self.health.latest(device, gatherer.read(device))
                return {"device": device, "points": readings(cells, self.clock)}
        known = ", ".join(sorted(device for gatherer in self.gatherers for device in gatherer.devices))
        raise Misconfigured(f"device {device}: not in the configuration; expected one of {known}")

    def _since(self, asked_ns: int, gatherer: Gatherer, device: str) -> list[Cell]:
        """What was learnt of a device since then."""
        cells = self.health.latest(device, gatherer.read(device))
        return [cell for cell in cells if cell.learnt_ns >= asked_ns]

    def latest(self, patterns: Sequence[str]) -> list[dict[str, Any]]:
        """The newest reading of each point whose name or `device/name` matches one of these; of all, if there are none.

        A pattern that matches a device means all of its points. Patterns are those of a shell: `vent-*/*temperature*`.
        `monotonic_ns` tells a new reading from one that was seen before.
        """
        entries = []
        for gatherer in self.gatherers:
            for device in gatherer.devices:
                cells = self.health.latest(device, gatherer.points(device))
                for cell, entry in zip(cells, readings(cells, self.clock), strict=True):
                    names = (device, entry["point"], f"{device}/{entry['point']}")
                    if not patterns or any(fnmatchcase(name, each) for name in names for each in patterns):
                        entries.append({"device": device, **entry, "monotonic_ns": cell.learnt_ns})
        return entries

    def sentence(self) -> str:
        """The state of things in one line, for `systemctl status`."""
        states = [self.health.links[gatherer.settings.id].state for gatherer in self.gatherers]
        links, out = states.count(State.WORKING), states.count(State.OUT_OF_SERVICE)
        uplinks = sum(self.health.uplinks[settings.id].state is State.WORKING for settings in self.uplinks)
        waiting = sum(sum(self.buffer.lanes(settings.id).waiting()) for settings in self.uplinks)
        durable = "" if self.buffer.durable else "; NOT DURABLE: the disk cannot be written"
        return (
            f"{links} of {len(states) - out} links and {uplinks} of {len(self.uplinks)} uplinks work; "
            f"{waiting} readings wait{durable}"
        )

    def _link(self, gatherer: Gatherer) -> dict[str, Any]:
        settings = gatherer.settings
        return {
            "id": settings.id,
            "driver": settings.driver,
            **self._condition(self.health.links[settings.id]),
            "counts": dict(gatherer.counts),
            "figures": dict(gatherer.figures),
            "devices": [self._device(gatherer, device) for device in gatherer.devices],
        }

    def _device(self, gatherer: Gatherer, device: str) -> dict[str, Any]:
        own = self.health.devices[device]
        condition = self._condition(own)
        link = self.health.links[gatherer.settings.id]
        if link.state in _DOWN and own.state in {State.STARTING, State.WORKING}:
            since_ns = max(own.since_ns, link.since_ns)
            condition |= {"state": NOT_REACHED, "for_s": self._age_s(since_ns), "error": None}
        return {
            "id": device,
            **condition,
            "answering": dict(gatherer.answering(device)),
            "points": readings(self.health.latest(device, gatherer.points(device)), self.clock),
        }

    def _uplink(self, settings: UplinkBase) -> dict[str, Any]:
        live, backlog = self.buffer.lanes(settings.id).waiting()
        return {
            "id": settings.id,
            "kind": settings.kind,
            **self._condition(self.health.uplinks[settings.id]),
            "waiting": {"live": live, "backlog": backlog},
        }

    def _condition(self, condition: Condition) -> dict[str, Any]:
        return {
            "state": condition.state.value,
            "for_s": self._age_s(condition.since_ns) if condition.since_ns else None,
            "error": condition.words or None,
            "attempts": condition.attempts,
        }

    def _age_s(self, since_ns: int) -> float:
        return round((self.clock.monotonic_ns() - since_ns) / 1e9, 1)


def readings(cells: Iterable[Cell], clock: Clock) -> list[dict[str, Any]]:
    """One entry for each cell, as `read` and `status` show it."""
    now_ns = clock.monotonic_ns()
    return [
        {
            "point": point.name,
            "value": value,
            "label": (point.labels or {}).get(value) if isinstance(value, int) else None,
            "unit": point.unit,
            "quality": reason.quality.name.lower(),
            "reason": None if reason is Reason.GOOD else reason.word,
            "age_s": round((now_ns - learnt_ns) / 1e9, 1),
            "designation": point.designation,
        }
        for point, value, reason, learnt_ns in cells
    ]

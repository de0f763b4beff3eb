"""A search at work: asks what `scan` says, tells as it goes on, and says what silence may mean.

places ──sweeps of unit ids──> one read ──present──> which type? ──> found
                                   └─silence, garbage, a gateway's exception──> counted, and said at the end
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.commissioning import Found, Guest, Search, Visit
from drivers.modbus.inquiry import Request, Response
from drivers.modbus.registers import ADDRESSES
from drivers.modbus.scan import UNLIKELY, Place, Presence, longest_s, presence, sweeps
from drivers.modbus.settings import LinkSettings
from drivers.modbus.wording import line_name, link_entry

PATIENCE: Final = 3
"""So often the time limit is doubled when answers come late."""
LONGEST_PAUSE_S: Final = 30.0
"""No longer than this is waited for a gateway to work off what it was asked."""


@dataclass(slots=True, kw_only=True)
class Searching:
    """One search. `places` are lines, or the same line at several speeds and parities, likeliest first."""

    places: Sequence[LinkSettings]
    units: Sequence[int]
    asked: Sequence[Place]
    """What is read of each unit, until one is answered."""
    visit: Visit
    search: Search
    seen: Counter[Presence] = field(default_factory=Counter)
    garbled: list[str] = field(default_factory=list)
    """Places on which something came that was no answer."""

    async def run(self) -> None:
        """Search. Raises `Unavailable` when a line cannot be had or is lost."""
        for units in sweeps(self.units, len(self.places)):
            for place in self.places:
                if await self._line(place, units):
                    rest = [unit for unit in self.units if unit not in units]
                    if rest and len(self.places) > 1:
                        await self._line(place, rest)
                    self._explain(place)
                    return
        self._explain(self.places[-1])

    async def _line(self, place: LinkSettings, units: Sequence[int]) -> bool:
        """Ask these units on one line; whether any is there."""
        name = line_name(place)
        limit_s = place.timeout.total_seconds()
        quiet_s = 0.0 if _identified(place) else (place.quiet or place.timeout).total_seconds()
        self.search.begins(
            name,
            f"{len(units)} unit id{'s' if len(units) != 1 else ''}",
            longest_s(len(units) * len(self.asked), limit_s, quiet_s),
        )
        async with self.visit(place) as guest:
            return await _Line(self, place, guest).run(units)

    def _explain(self, place: LinkSettings) -> None:
        """Say what those that did not answer may mean, and what to try next."""
        if self.garbled:
            self.search.remarks(
                f"Something answered that cannot be read ({', '.join(dict.fromkeys(self.garbled))}): there is a device, and "
                "its speed or parity is another one, or two devices have one unit id, or the cable brings noise "
                "(missing termination, screen, common ground)."
            )
        if self.seen[Presence.PRESENT]:
            return
        if self.seen[Presence.BEHIND]:
            self.search.remarks(
                "The gateway itself answers that nobody is there (exception 0A or 0B): TCP is fine. Look at its serial side: "
                "speed and parity set in the gateway, A and B exchanged, power of the devices; or give it longer: "
                "its own time limit is set in it."
            )
        elif not self.garbled and place_is_serial(place):
            self.search.remarks(
                "Nothing came back at all, not even garbage. With a wrong parity or speed a device is silent too, so: "
                "have all been tried (--speeds, --parities)? Then: A and B exchanged, power, the right port, "
                "the adapter's direction switching; a device that is slower than --timeout."
            )
        elif not self.garbled:
            self.search.remarks(
                "Connected, but no unit answers. A gateway: its serial speed and parity, A and B exchanged, power of the "
                "devices, --timeout longer than its own time limit. A device itself: Modbus switched on in it? "
                "A unit id beyond those asked (--units 0-255)?"
            )


def place_is_serial(place: LinkSettings) -> bool:
    """Whether it leads to a serial port of this machine."""
    return getattr(place, "serial", None) is not None


def _identified(place: LinkSettings) -> bool:
    """Whether frames carry transaction ids, so that no quiet has to follow a time-out."""
    framing = getattr(place, "framing", None)
    return not place_is_serial(place) and (framing is None or framing.value == "tcp")


@dataclass(slots=True)
class _Line:
    """One line being searched."""

    searching: Searching
    place: LinkSettings
    guest: Guest
    limit_ms: int = 0
    found: int = 0
    late: int | None = None
    """Answers that came too late, as last heard of."""
    patience: int = PATIENCE
    in_vain: int = 0
    """Questions since anybody answered in time: so many may wait in a gateway."""

    async def run(self, units: Sequence[int]) -> bool:
        """Ask these units; whether any is there."""
        self.limit_ms = round(self.place.timeout.total_seconds() * 1000)
        waiting, silent, done = deque(units), list[int](), 0
        while waiting:
            unit = waiting.popleft()
            self.searching.search.goes_on(f"unit {unit}", done, done + len(waiting) + 1)
            late = self.late
            outcome = await self._unit(unit)
            done += 1
            if outcome is Presence.PRESENT and self.found == 1 and await self._answers_to_all(unit):
                return True
            self.in_vain = self.in_vain + 1 if outcome is Presence.ABSENT else 0
            if outcome is Presence.ABSENT:
                silent.append(unit)
                if not waiting and self.patience:  # what the last one holds up would not be heard of
                    await self._ask(unit, self.searching.asked[-1], 2 * self.limit_ms)
                if late is not None and self.late != late and self.patience:
                    await self._wait_longer()
                    waiting.extend(silent)
                    silent.clear()
        return self.found > 0

    async def _wait_longer(self) -> None:
        """A gateway waits longer for a silent unit than we do: the questions after it wait there, and are answered late."""
        self.patience -= 1
        self.limit_ms *= 2
        self.searching.search.remarks(
            f"Answers come late: the gateway still waits for a silent unit when the next is asked. From now on each has "
            f"{self.limit_ms / 1000:g} s, and those that seemed silent are asked again."
        )
        await asyncio.sleep(min(self.in_vain * self.limit_ms / 1000, LONGEST_PAUSE_S))

    async def _unit(self, unit: int) -> Presence:
        """Ask one unit; tell if it is there."""
        outcome = Presence.ABSENT
        for place in self.searching.asked:
            response = await self._ask(unit, place, self.limit_ms)
            outcome = presence(response)
            self.searching.seen[outcome] += 1
            if outcome is Presence.PRESENT:
                await self._found(unit, place, response)
            if outcome in {Presence.PRESENT, Presence.BEHIND}:
                return outcome
            if outcome is Presence.GARBLED:
                self.searching.garbled.append(f"{line_name(self.place)}, unit {unit}")
        return outcome

    async def _found(self, unit: int, place: Place, response: Response) -> None:
        self.found += 1
        how = "data" if response.data is not None else f"exception {response.exception:02X}"
        known = next((device.id for device in self.place.devices if device.unit_id == unit), None)
        self.searching.search.found(
            link_entry(self.place),
            Found(
                where=f"unit {unit}",
                answer_ms=response.took_ms,
                what=f"type not known ({how} at {place})" if known is None else f"configured as {known}",
                device={"id": f"unit-{unit}", "unit_id": unit},
                configured=known,
            ),
        )

    async def _answers_to_all(self, found: int) -> bool:
        """Whether the first that was found answers to any unit id whatever, as some TCP devices do."""
        if not _identified(self.place):
            return False
        for unit in UNLIKELY:
            outcomes = [
                presence(await self._ask(unit, place, self.limit_ms)) for place in self.searching.asked
            ]
            if Presence.PRESENT not in outcomes:
                return False
        self.searching.search.remarks(
            f"It answers to every unit id (also {', '.join(map(str, UNLIKELY))}): one device that does not look at it. "
            f"Any will do; unit_id: {found} is as good as another."
        )
        return True

    async def _ask(self, unit: int, place: Place, limit_ms: int) -> Response:
        """Read the least that there is; more of it where a late answer to an earlier question would pass for this one's."""
        step = 8 if place.table.bits else 1
        for count in (1, 1 + step, 1 + 2 * step):
            request = Request(
                unit_id=unit,
                table=place.table,
                address=min(place.address, ADDRESSES - count),
                count=count,
                timeout_ms=limit_ms,
            )
            response = Response.of(await self.guest.ask(request.as_json()))
            if response.reason != "fenced":
                break
        self.late = response.late
        return response

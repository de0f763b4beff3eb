"""A search at work: asks what `scan` says, tells as it goes on, and says what silence may mean.

places ──sweeps of unit ids──> one read ──present──> which type? ──> found
                                   └─silence, garbage, a gateway's exception──> counted, and said at the end
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from agent.commissioning import Found, Guest, Search, Visit
from agent.interfaces import Unavailable
from drivers.modbus.line.ends import FramingKind
from drivers.modbus.settings import LinkSettings
from drivers.modbus.sunspec import proposed
from drivers.modbus.technician.inquiry import Request, Response
from drivers.modbus.technician.recognition import described, recognise, sunspec
from drivers.modbus.technician.scan import UNLIKELY, Place, Presence, longest_s, presence, sweeps
from drivers.modbus.technician.shelf import models, profiles
from drivers.modbus.technician.wording import line_name, link_entry
from drivers.modbus.values.plan import Span
from drivers.modbus.values.registers import ADDRESSES

PATIENCE: Final = 3
"""So often the time limit is doubled when answers come late."""
EXCHANGE: Final = 8 + 7
"""Characters of a question and of the answer to it, one register, in RTU."""
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
    refused: dict[str, str] = field(default_factory=dict)
    """Places that cannot be had, and why."""

    async def run(self) -> None:
        """Search. Raises `Unavailable` when a line cannot be had or is lost."""
        plan = sweeps(self.units, len(self.places))
        if len(self.places) > 1:
            minutes = sum(self._longest_s(place, len(self.units)) for place in self.places) / 60
            first = sum(self._longest_s(place, len(plan[0])) for place in self.places) / 60
            self.search.remarks(
                f"{len(self.places)} speeds and parities, the likeliest first: {len(plan[0])} unit ids at each "
                f"({math.ceil(first)} min at most), then the others ({math.ceil(minutes)} min in all, if nobody answers). "
                "Where somebody answers, that is the setting of the line, and no other is tried."
            )
        for units in plan:
            for place in [place for place in self.places if line_name(place) not in self.refused]:
                if await self._line(place, units):
                    rest = [unit for unit in self.units if unit not in units]
                    if rest:
                        await self._line(place, rest)
                    self._explain(place)
                    return
        self._explain(self.places[-1])

    async def _line(self, place: LinkSettings, units: Sequence[int]) -> bool:
        """Ask these units on one line; whether any is there."""
        self.search.begins(line_name(place), self._plan(place, units), self._longest_s(place, len(units)))
        try:
            async with self.visit(place) as guest:
                return await _Line(self, place, guest).run(units)
        except Unavailable as error:
            # A port may not take one speed or parity, and another.
            self.refused[line_name(place)] = str(error)
            if len(self.refused) == len(self.places):
                raise
            self.search.remarks(f"{line_name(place)}: left out: {error}")
            return False

    def _longest_s(self, place: LinkSettings, units: int) -> float:
        """How long so many units take if none of them answers."""
        quiet = timedelta(0) if _identified(place) else place.quiet or place.timeout
        transfer_s = 0.0
        if place.line_time is not None:
            transfer_s = (place.line_time.of(EXCHANGE) + place.line_time.silence_ns) / 1e9
        each_s = (place.timeout + quiet).total_seconds() + transfer_s
        return longest_s(units * len(self.asked), each_s)

    def _plan(self, place: LinkSettings, units: Sequence[int]) -> str:
        """Say which part of the search this is."""
        words = f"{len(units)} unit id{'s' if len(units) != 1 else ''}"
        if len(self.places) == 1:
            return words
        number = self.places.index(place) + 1
        return f"{words}, line setting {number} of {len(self.places)}"

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
        elif not self.garbled and place.serial is not None:
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


def _identified(place: LinkSettings) -> bool:
    """Whether frames carry transaction ids."""
    return place.frames is FramingKind.TCP


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
        known = next((device.id for device in self.place.devices if device.unit_id == unit), None)
        fitting = await recognise(profiles(), lambda span: self._read(unit, span))
        device: dict[str, Any] = {"id": f"unit-{unit}", "unit_id": unit}
        if fitting:
            device["profile"] = fitting[0]
        what = " or ".join(described(name, profiles()[name]) for name in fitting)
        if not fitting:
            chain, maker = await sunspec(lambda span: self._read(unit, span))
            if chain:
                device["sunspec"] = proposed(chain, models())
                numbers = ", ".join(str(entry.number) for entry in chain)
                what = f"{maker or 'a device'} of SunSpec (models {numbers})"
        told = bool(what)
        if not told:
            how = "data" if response.data is not None else f"exception {response.exception:02X}"
            what = f"type not known ({how} at {place})"
        self.searching.search.found(
            link_entry(self.place),
            Found(
                where=f"unit {unit}",
                answer_ms=response.took_ms,
                what=what if known is None else f"configured as {known}" + (f": {what}" if told else ""),
                device=device,
                ready=told,
                configured=known,
            ),
        )

    async def _read(self, unit: int, span: Span) -> Response:
        request = Request(
            unit_id=unit,
            table=span.table,
            address=span.address,
            count=span.end - span.address,
            timeout_ms=self.limit_ms,
        )
        return Response.of(await self.guest.ask(request.as_json()))

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

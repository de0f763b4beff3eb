"""Who on a link is asked next, and when.

Pure arithmetic on nanoseconds of one monotonic clock: nothing here waits, asks or knows what Modbus is.

A device is read in groups: what is read together, at one interval. Every group has slots, one an interval. Of those
whose slot has begun, the one whose slot ends first is asked first (earliest deadline first). A slot that is over
before its turn came is counted as missed and never made up for. Slots begin

- at a phase that follows from the device's id: the same after every start, spread over ticks, and on a grid that all
  links share, so that what can be done in one wake-up is; or
- by the wall clock, at whole multiples of the interval, such as the quarter-hours. When the clock is stepped, the
  slots used so far are taken for those that lie nearest to where they were: so a slot is not used twice because the
  clock went back a little, and none that begins is left out.

    settled ──its slot begins──> due ──asked──> settled     the device answers
                                        └─────> silent      it does not: only probed, until it answers

**A device that does not answer** is probed after 1, 2, 4 ... of its intervals, jittered; all its groups wait for that.
All failing devices together get a share of the link's time, out of one `account`: a probe is made only when it covers
what that may take. So in any span of time they take no more than `SHARE` of it, plus `SAVED` time limits, plus the
first time-out of each device that falls silent in that span. Nobody can foresee that one (five devices that die
together at a limit of 1 s cost 5 s), but it is charged too, so over the next minutes the sum is the same.

What follows for a device that answers again: it is asked within `RETURN_NS`, as long as the time limits of all that
are silent, divided by `SHARE`, leave room for it (at a limit of 1 s: up to eleven devices). With more, it is asked
within about that quotient: of the two promises, the share is the harder one. When one device is back, the others are
due at once, for what silenced one often silenced all; an answer costs the account next to nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from zlib import crc32

from drivers.modbus.polling.account import PRICE, Account

TICK_NS: Final = 100_000_000
"""Slots begin on this grid: polls of many devices and links share a wake-up, which costs more than a poll does."""

RETURN_NS: Final = 300_000_000_000
"""Within this time a device that answers again is asked: five minutes."""

PATIENCE_NS: Final = 10_000_000_000
"""How long a probe that is due and paid for lets the due slots of others go first."""

STEP_NS: Final = 1_000_000
"""A wall clock that moved less against the monotonic one has not moved."""

_FIRST_WAIT_NS: Final = 1_000_000_000
"""No probe comes sooner than this after a failure."""
_JITTER: Final = 0.25
"""Waits are shortened by up to this part, so that devices that fell silent together are not probed together."""


class Slots(NamedTuple):
    """When a group is to be asked."""

    interval_ns: int
    """No less than a tick."""
    clock: bool = False
    """By the wall clock, not at the device's phase."""


class Turn(NamedTuple):
    """Whose turn it is."""

    device: str
    group: int
    """Its number among the device's groups."""
    late_ns: int
    """How long after its slot began; 0 where it is asked beside its slots."""


@dataclass(slots=True, eq=False)
class _Group:
    device: _Device
    number: int
    interval_ns: int
    clock: bool
    phase_ns: int
    """When slot 0 began, or one that is as far from it as so many intervals."""
    slot: int
    """Number of the last slot that was used or given up."""
    used_ns: int = 0
    """When that began."""
    settled: bool = False
    """It waits for its next slot to begin."""
    refreshed: bool = False
    """It is to be asked beside its slots."""
    missed: int = 0
    stamp: int = 0
    """Entries of the heaps with another one are stale."""

    def at(self, moment_ns: int) -> int:
        """Number of the slot that this moment lies in."""
        return (moment_ns - self.phase_ns) // self.interval_ns

    def begin_ns(self, slot: int) -> int:
        """When a slot begins: one that is not the clock's, at the first tick in it."""
        begin_ns = self.phase_ns + slot * self.interval_ns
        return begin_ns if self.clock else _tick(begin_ns)

    def end_ns(self, moment_ns: int) -> int:
        """When the slot that this moment lies in ends."""
        return moment_ns - (moment_ns - self.phase_ns) % self.interval_ns + self.interval_ns

    def use(self, slot: int) -> None:
        """Take this slot for used."""
        self.slot = slot
        self.used_ns = self.begin_ns(slot)


@dataclass(slots=True, eq=False)
class _Device:
    id: str
    least_cost_ns: int
    cost_ns: int
    """What asking it in vain takes, as far as is known."""
    groups: list[_Group] = field(default_factory=list)
    due_ns: int = 0
    """Of a silent one: when it is to be probed."""
    failed_ns: int = 0
    """When it last failed."""
    failures: int = 0
    """In a row."""


class Schedule:
    """The devices of one link that are asked, and when each is next."""

    def __init__(self) -> None:
        self._devices: dict[str, _Device] = {}
        self._settled: list[tuple[int, int, _Group]] = []
        """Heap by when the next slot begins."""
        self._due: list[tuple[int, int, _Group]] = []
        """Heap by when the slot ends."""
        self._silent: dict[str, _Device] = {}
        self._stamps = 0
        self._account = Account()
        self._ahead_ns = 0
        """How far the wall clock is ahead of the monotonic one."""
        self.by_clock = False
        """Whether anything was ever to be asked by the wall clock, so that it has to be followed."""

    def add(self, device: str, slots: Sequence[Slots], *, cost_ns: int, now_ns: int) -> None:
        """Begin to ask a device for its groups: at once, and from then on at their slots.

        `cost_ns` is the least that asking in vain takes: the time limit; what it takes beyond that (silence on a line
        without ids) is learnt when it fails.
        """
        self.remove(device)
        entry = self._devices[device] = _Device(device, cost_ns, cost_ns)
        for number, (interval_ns, clock) in enumerate(slots):
            spread_ns = crc32(device.encode()) % max(interval_ns // TICK_NS, 1) * TICK_NS
            group = _Group(entry, number, interval_ns, clock, -self._ahead_ns if clock else spread_ns, slot=0)
            # It is asked now, so the slot that begins within half an interval is given up; not one of the clock's.
            group.use(group.at(now_ns if clock else now_ns + interval_ns // 2))
            entry.groups.append(group)
            self.by_clock = self.by_clock or clock
        self._account.save_for(cost_ns)
        self.refresh(device, now_ns)

    def remove(self, device: str) -> None:
        """Ask it no more."""
        if entry := self._devices.pop(device, None):
            self._silent.pop(device, None)
            self._withdraw(entry, -1)

    def refresh(self, device: str, now_ns: int) -> None:
        """Ask it beside its slots, at the next free moment; one that is silent, as soon as the share allows."""
        entry = self._devices.get(device)
        if entry is None:
            return
        if entry.failures:
            entry.due_ns = min(entry.due_ns, now_ns)
            return
        for group in entry.groups:
            self._ask_beside(group, now_ns)

    def follow(self, ahead_ns: int) -> None:
        """Take note of how far the wall clock is ahead of the monotonic one by now."""
        if abs(ahead_ns - self._ahead_ns) < STEP_NS:
            return
        self._ahead_ns = ahead_ns
        for entry in self._devices.values():
            for group in entry.groups:
                if group.clock:
                    group.phase_ns = -ahead_ns
                    group.slot = group.at(group.used_ns + group.interval_ns // 2)
                    if group.settled:
                        self._settle(group)

    def failures(self, device: str) -> int:
        """How often in a row it was asked in vain; while that is not 0 it is only to be probed."""
        entry = self._devices.get(device)
        return entry.failures if entry else 0

    def missed(self, device: str) -> int:
        """How many of its slots passed without its being asked."""
        entry = self._devices.get(device)
        return sum(group.missed for group in entry.groups) if entry else 0

    @property
    def asked(self) -> int:
        """How many devices are asked."""
        return len(self._devices)

    @property
    def all_silent(self) -> bool:
        """Whether nobody answers."""
        return len(self._silent) == len(self._devices)

    # --- who is next -------------------------------------------------------------------------------------------

    def next(self, now_ns: int) -> Turn | None:
        """Whose turn it is; `None` if nobody's. Followed by `answered` or `failed`."""
        while self._settled and self._settled[0][0] <= now_ns:
            _, stamp, group = heapq.heappop(self._settled)
            if stamp == group.stamp:
                group.settled = False
                self._push(self._due, group.end_ns(now_ns), group)
        probe = self._probe()
        if probe and self._probe_ns(probe) + PATIENCE_NS <= now_ns:
            return self._turn(probe.groups[0], now_ns)
        while self._due:
            _, stamp, group = heapq.heappop(self._due)
            if stamp == group.stamp:
                return self._turn(group, now_ns)
        if probe and self._probe_ns(probe) <= now_ns:
            return self._turn(probe.groups[0], now_ns)
        return None

    def wake_ns(self) -> int | None:
        """When `next` is to be asked again after it gave `None`; `None`: not before something changes."""
        while self._settled and self._settled[0][1] != self._settled[0][2].stamp:
            heapq.heappop(self._settled)
        moments = [begin_ns for begin_ns, _, _ in self._settled[:1]]
        if probe := self._probe():
            moments.append(_tick(self._probe_ns(probe)))
        return min(moments, default=None)

    def answered(self, device: str, group: int, now_ns: int) -> None:
        """It was asked for this group, and answers."""
        entry = self._devices.get(device)
        if entry is None:
            return
        if entry.failures:
            entry.failures = 0
            del self._silent[device]
            for other in self._silent.values():
                other.due_ns = min(other.due_ns, now_ns)
            for each in entry.groups:
                if each.number != group:
                    self._ask_beside(each, now_ns)
        asked = entry.groups[group]
        if not asked.refreshed:  # a refresh that came while it was asked still stands
            self._settle(asked)

    def failed(self, device: str, now_ns: int, *, spent_ns: int) -> None:
        """It was asked in vain, which took so much of the link's time."""
        entry = self._devices.get(device)
        if entry is not None:
            entry.cost_ns = max(entry.least_cost_ns, spent_ns)
            self._account.save_for(entry.cost_ns)
        self.charge(now_ns, spent_ns)
        if entry is None:
            return
        entry.failures += 1
        entry.failed_ns = now_ns
        self._withdraw(entry, self._stamp())
        self._silent[device] = entry
        shortest_ns = min(group.interval_ns for group in entry.groups)
        wait_ns = max(shortest_ns, _FIRST_WAIT_NS) << min(entry.failures - 1, 16)
        entry.due_ns = now_ns + round(min(wait_ns, self._longest_wait_ns()) * (1 - _JITTER * _chance(entry)))

    def cleared(self, device: str) -> None:
        """It was not to blame for its last failure: ask it at its slots again."""
        entry = self._silent.pop(device, None)
        if entry is not None:
            entry.failures = 0
            for group in entry.groups:
                self._settle(group)

    def charge(self, now_ns: int, spent_ns: int) -> None:
        """Take from the account what was spent on something that fails."""
        self._account.charge(now_ns, spent_ns)

    def covers(self, cost_ns: int, now_ns: int) -> bool:
        """Whether the account covers trying something that may fail."""
        return self._account.covered_ns(cost_ns) <= now_ns

    # --- slots -------------------------------------------------------------------------------------------------

    def _turn(self, group: _Group, now_ns: int) -> Turn:
        """It is asked now: that uses the slot it is in, and those before it that nobody used are missed.

        One whose slot had begun has used that even if the clock has gone back behind its beginning since.
        """
        device, before = group.device, group.slot
        beside = group.refreshed or device.failures > 0
        slot = max(group.at(now_ns), before if beside else before + 1)
        if slot > before:
            group.missed += slot - before - 1
            group.use(slot)
        group.refreshed = False
        return Turn(device.id, group.number, 0 if beside else max(now_ns - group.used_ns, 0))

    def _settle(self, group: _Group) -> None:
        group.settled = True
        self._push(self._settled, group.begin_ns(group.slot + 1), group)

    def _ask_beside(self, group: _Group, now_ns: int) -> None:
        if not group.refreshed:
            group.refreshed = True
            group.settled = False
            self._push(self._due, now_ns + TICK_NS, group)

    def _withdraw(self, entry: _Device, stamp: int) -> None:
        for group in entry.groups:
            group.settled = group.refreshed = False
            group.stamp = stamp

    def _push(self, heap: list[tuple[int, int, _Group]], moment_ns: int, group: _Group) -> None:
        group.stamp = self._stamp()
        heapq.heappush(heap, (moment_ns, group.stamp, group))

    def _stamp(self) -> int:
        self._stamps += 1
        return self._stamps

    # --- probes ------------------------------------------------------------------------------------------------

    def _longest_wait_ns(self) -> int:
        """What is left of `RETURN_NS` when every silent device has its turn before; who falls silent later is behind."""
        queue_ns = PRICE * sum(entry.cost_ns for entry in self._silent.values())
        return max(RETURN_NS - PATIENCE_NS - queue_ns, _FIRST_WAIT_NS)

    def _probe(self) -> _Device | None:
        """Who is probed next: of those that are due by when the account covers any, whoever waits longest."""
        if not self._silent:
            return None
        silent = self._silent.values()
        covered_ns = self._account.covered_ns(max(entry.cost_ns for entry in silent))
        return min(silent, key=lambda entry: (max(entry.due_ns, covered_ns), entry.failed_ns))

    def _probe_ns(self, entry: _Device) -> int:
        """When it is due, and the account covers it."""
        return max(entry.due_ns, self._account.covered_ns(entry.cost_ns))


def _tick(moment_ns: int) -> int:
    """The first tick at or after a moment."""
    return -(-moment_ns // TICK_NS) * TICK_NS


def _chance(entry: _Device) -> float:
    """A number from 0 up to 1 that follows from the device and its failures: jitter, without drawing anything."""
    return crc32(f"{entry.id} {entry.failures}".encode()) / 2**32

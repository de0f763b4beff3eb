"""Who on a link is asked next, and when.

Pure arithmetic on nanoseconds of one monotonic clock: nothing here waits, asks or knows what Modbus is.

Every device has slots, one an interval, at a phase that follows from its id: the same after every start, spread over
ticks, and on a grid that all links share, so that what can be done in one wake-up is. Of those whose slot has begun,
the one whose slot ends first is asked first (earliest deadline first). A slot that is over before its turn came is
counted as missed and never made up for.

    settled ──its slot begins──> due ──asked──> settled     it answers
                                        └─────> silent      it does not: only probed, until it answers

**A device that does not answer** is probed after 1, 2, 4 ... of its intervals, jittered. All failing devices together
get `SHARE` of the link's time, out of one account. Whatever a failure takes is charged to it, and a probe is made only
when the account covers what it may take. So in any span of time they take no more than `SHARE` of it, plus `SAVED`
time limits, plus the first time-out of each device that falls silent in that span. Nobody can foresee that one (five
devices that die together at a limit of 1 s cost 5 s), but it is charged too: nobody is probed until the account is
out of debt, so over the next minutes the sum is the same.

What follows for a device that answers again: it is asked within `RETURN_NS`, as long as the time limits of all that
are silent, divided by `SHARE`, leave room for it (at a limit of 1 s: up to eleven devices). With more, it is asked
within about that quotient: of the two promises, the share is the harder one. When one device is back, the others are
due at once, for what silenced one often silenced all; an answer costs the account next to nothing.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Final
from zlib import crc32

TICK_NS: Final = 100_000_000
"""Slots begin on this grid: polls of many devices and links share a wake-up, which costs more than a poll does."""

SHARE: Final = 0.04
"""Of the link's time, for all failing devices together. The others are promised 95 %; the rest of the 5 % is for
first time-outs."""

SAVED: Final = 2
"""The account holds this many time limits: an answer lost on a good line costs one, and one is left to try again with
at the next slot."""

RETURN_NS: Final = 300_000_000_000
"""Within this time a device that answers again is asked: five minutes."""

PATIENCE_NS: Final = 10_000_000_000
"""How long a probe that is due and paid for lets the due slots of others go first."""

_PRICE: Final = round(1 / SHARE)
"""The account is kept in time of the link, earned one for one: a failure costs so many times what it takes."""
_FIRST_WAIT_NS: Final = 1_000_000_000
"""No probe comes sooner than this after a failure."""
_JITTER: Final = 0.25
"""Waits are shortened by up to this part, so that devices that fell silent together are not probed together."""


@dataclass(slots=True, eq=False)
class _Device:
    id: str
    interval_ns: int
    least_cost_ns: int
    cost_ns: int
    """What asking it in vain takes, as far as is known."""
    phase_ns: int
    slot: int
    """Number of the last slot that was used or given up."""
    due_ns: int = 0
    """Of a silent one: when it is to be probed."""
    failed_ns: int = 0
    """When it last failed."""
    failures: int = 0
    """In a row."""
    missed: int = 0
    refreshed: bool = False
    """It is to be asked beside its slots."""
    stamp: int = 0
    """Entries of the heaps with another one are stale."""


class Schedule:
    """The devices of one link that are asked, and when each is next."""

    def __init__(self) -> None:
        self._devices: dict[str, _Device] = {}
        self._settled: list[tuple[int, int, _Device]] = []
        """Heap by when the next slot begins."""
        self._due: list[tuple[int, int, _Device]] = []
        """Heap by when the slot ends."""
        self._silent: dict[str, _Device] = {}
        self._stamps = 0
        self._account_ns = 0
        self._most_ns = 0
        """What the account holds at most."""
        self._earned_ns = 0
        """Up to when the account was paid."""

    def add(self, device: str, *, interval_ns: int, cost_ns: int, now_ns: int) -> None:
        """Begin to ask a device: at once, and from then on at its slots.

        The interval is no less than a tick. `cost_ns` is the least that asking in vain takes: the time limit; what it
        takes beyond that (silence on a line without ids) is learnt when it fails.
        """
        self.remove(device)
        phase_ns = crc32(device.encode()) % max(interval_ns // TICK_NS, 1) * TICK_NS
        entry = _Device(device, interval_ns, cost_ns, cost_ns, phase_ns, slot=0)
        # It is asked now, so the slot that begins within half an interval is given up.
        entry.slot = _slot(entry, now_ns + interval_ns // 2)
        self._devices[device] = entry
        self._save_for(cost_ns)
        self.refresh(device, now_ns)

    def remove(self, device: str) -> None:
        """Ask it no more."""
        if entry := self._devices.pop(device, None):
            self._silent.pop(device, None)
            entry.stamp = -1

    def refresh(self, device: str, now_ns: int) -> None:
        """Ask it beside its slots, at the next free moment; one that is silent, as soon as the share allows."""
        entry = self._devices.get(device)
        if entry is None:
            return
        if entry.failures:
            entry.due_ns = min(entry.due_ns, now_ns)
        elif not entry.refreshed:
            entry.refreshed = True
            self._push(self._due, now_ns + TICK_NS, entry)

    def failures(self, device: str) -> int:
        """How often in a row it was asked in vain; while that is not 0 it is only to be probed."""
        entry = self._devices.get(device)
        return entry.failures if entry else 0

    def missed(self, device: str) -> int:
        """How many of its slots passed without its being asked."""
        entry = self._devices.get(device)
        return entry.missed if entry else 0

    @property
    def asked(self) -> int:
        """How many devices are asked."""
        return len(self._devices)

    @property
    def all_silent(self) -> bool:
        """Whether nobody answers."""
        return len(self._silent) == len(self._devices)

    # --- who is next -------------------------------------------------------------------------------------------

    def next(self, now_ns: int) -> str | None:
        """Whose turn it is; `None` if nobody's. Followed by `answered` or `failed`."""
        while self._settled and self._settled[0][0] <= now_ns:
            _, stamp, entry = heapq.heappop(self._settled)
            if stamp == entry.stamp:
                self._push(self._due, _begin_ns(entry, _slot(entry, now_ns) + 1), entry)
        probe = self._probe()
        if probe and self._probe_ns(probe) + PATIENCE_NS <= now_ns:
            return self._turn(probe, now_ns)
        while self._due:
            _, stamp, entry = heapq.heappop(self._due)
            if stamp == entry.stamp:
                return self._turn(entry, now_ns)
        if probe and self._probe_ns(probe) <= now_ns:
            return self._turn(probe, now_ns)
        return None

    def wake_ns(self) -> int | None:
        """When `next` is to be asked again after it gave `None`; `None`: not before something changes."""
        while self._settled and self._settled[0][1] != self._settled[0][2].stamp:
            heapq.heappop(self._settled)
        moments = [begin_ns for begin_ns, _, _ in self._settled[:1]]
        if probe := self._probe():
            moments.append(_tick(self._probe_ns(probe)))
        return min(moments, default=None)

    def answered(self, device: str, now_ns: int) -> None:
        """It was asked, and answers."""
        entry = self._devices.get(device)
        if entry is None:
            return
        if entry.failures:
            entry.failures = 0
            del self._silent[device]
            for other in self._silent.values():
                other.due_ns = min(other.due_ns, now_ns)
        if not entry.refreshed:  # a refresh that came while it was asked still stands
            self._push(self._settled, _begin_ns(entry, entry.slot + 1), entry)

    def failed(self, device: str, now_ns: int, *, spent_ns: int) -> None:
        """It was asked in vain, which took so much of the link's time."""
        entry = self._devices.get(device)
        if entry is not None:
            entry.cost_ns = max(entry.least_cost_ns, spent_ns)
            self._save_for(entry.cost_ns)
        self.charge(now_ns, spent_ns)
        if entry is None:
            return
        entry.failures += 1
        entry.failed_ns = now_ns
        entry.refreshed = False
        entry.stamp = self._stamp()
        self._silent[device] = entry
        wait_ns = max(entry.interval_ns, _FIRST_WAIT_NS) << min(entry.failures - 1, 16)
        entry.due_ns = now_ns + round(min(wait_ns, self._longest_wait_ns()) * (1 - _JITTER * _chance(entry)))

    def cleared(self, device: str) -> None:
        """It was not to blame for its last failure: ask it at its slots again."""
        entry = self._silent.pop(device, None)
        if entry is not None:
            entry.failures = 0
            self._push(self._settled, _begin_ns(entry, entry.slot + 1), entry)

    def charge(self, now_ns: int, spent_ns: int) -> None:
        """Take from the account what was spent on something that fails."""
        self._account_ns = min(self._account_ns + now_ns - self._earned_ns, self._most_ns)
        self._account_ns -= spent_ns * _PRICE
        self._earned_ns = now_ns

    def covers(self, cost_ns: int, now_ns: int) -> bool:
        """Whether the account covers trying something that may fail."""
        return self._covered_ns(cost_ns) <= now_ns

    # --- slots -------------------------------------------------------------------------------------------------

    def _turn(self, entry: _Device, now_ns: int) -> str:
        """It is asked now: that uses the slot it is in, and those before it that nobody used are missed."""
        slot = _slot(entry, now_ns)
        if slot > entry.slot:
            entry.missed += slot - entry.slot - 1
            entry.slot = slot
        entry.refreshed = False
        return entry.id

    def _push(self, heap: list[tuple[int, int, _Device]], moment_ns: int, entry: _Device) -> None:
        entry.stamp = self._stamp()
        heapq.heappush(heap, (moment_ns, entry.stamp, entry))

    def _stamp(self) -> int:
        self._stamps += 1
        return self._stamps

    # --- probes ------------------------------------------------------------------------------------------------

    def _save_for(self, cost_ns: int) -> None:
        """Let the account hold `SAVED` times what is the most now; what it holds more, it has at once."""
        most_ns = max(self._most_ns, SAVED * cost_ns * _PRICE)
        self._account_ns += most_ns - self._most_ns
        self._most_ns = most_ns

    def _longest_wait_ns(self) -> int:
        """What is left of `RETURN_NS` when every silent device has its turn before; who falls silent later is behind."""
        queue_ns = _PRICE * sum(entry.cost_ns for entry in self._silent.values())
        return max(RETURN_NS - PATIENCE_NS - queue_ns, _FIRST_WAIT_NS)

    def _probe(self) -> _Device | None:
        """Who is probed next: of those that are due by when the account covers any, whoever waits longest."""
        if not self._silent:
            return None
        silent = self._silent.values()
        covered_ns = self._covered_ns(max(entry.cost_ns for entry in silent))
        return min(silent, key=lambda entry: (max(entry.due_ns, covered_ns), entry.failed_ns))

    def _probe_ns(self, entry: _Device) -> int:
        """When it is due, and the account covers it."""
        return max(entry.due_ns, self._covered_ns(entry.cost_ns))

    def _covered_ns(self, cost_ns: int) -> int:
        """When the account covers so much."""
        return self._earned_ns + cost_ns * _PRICE - self._account_ns


def _slot(entry: _Device, now_ns: int) -> int:
    """Number of the slot that this moment lies in."""
    return (now_ns - entry.phase_ns) // entry.interval_ns


def _begin_ns(entry: _Device, slot: int) -> int:
    """When a slot begins: at the first tick in it."""
    return _tick(entry.phase_ns + slot * entry.interval_ns)


def _tick(moment_ns: int) -> int:
    """The first tick at or after a moment."""
    return -(-moment_ns // TICK_NS) * TICK_NS


def _chance(entry: _Device) -> float:
    """A number from 0 up to 1 that follows from the device and its failures: jitter, without drawing anything."""
    return crc32(f"{entry.id} {entry.failures}".encode()) / 2**32

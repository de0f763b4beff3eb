"""One command after the other for each point: the checks in order, the write, and what is found afterwards.

    known, writable? type, range, step? lease? expired? another's lease? asked just now?
      └> the link is open, and what is it now?  ──the same──> nothing to write
           └> not too far, not too often ──> written down ──> written, read back ──> applied, or failed

What cannot be written down is not done. A time-out after a write is no failure yet: what is read back decides.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from agent.clock import Clock
from agent.command import Command, CommandState, Outcome
from agent.commands import permission
from agent.commands.lease import Lease, Moment, Target, wall
from agent.commands.places import OutOfService, Owner, Place, find
from agent.commands.records import Records
from agent.fields import duration_text
from agent.interfaces import Expired, Misconfigured, Unavailable, WritableLink, Written
from agent.sample import Reason, Value

PACE_NS: Final = 1_000_000_000
"""Commands ask for no point more often than this: each goes before everything else on its line."""
READ_S: Final = 8.0
"""How long reading a point may take; with the next, less than whoever asks at the control socket waits."""
WRITE_S: Final = 15.0
"""How long writing it and reading it back may take: three answers that do not come, on a slow line."""
LONGEST_LIFE: Final = timedelta(days=1)
"""What expires later than this is no command but a plan; and it would have to be remembered as long."""
AHEAD: Final = timedelta(minutes=1)
"""A command from further ahead shows that one of the clocks is wrong: then nobody knows when it expires."""


class _Wish(NamedTuple):
    """A command that may be carried out as far as can be known without asking the device."""

    command: Command
    place: Place
    value: Value
    expected: Value
    """What the point will be."""
    length: timedelta | None
    """How long; for good, if `None`."""


class Carrying:
    """Carries out commands, whatever their ids."""

    def __init__(
        self, owners: Callable[[], Sequence[Owner]], *, records: Records, clock: Clock, holds: bool
    ) -> None:
        self._owners = owners
        self._records = records
        self._clock = clock
        self._holds = holds
        self._asked_ns: dict[tuple[Target, bool], int] = {}
        """Dry ones beside the others: to try a command and then to send it is what people do."""
        self.locks: dict[Target, asyncio.Lock] = defaultdict(asyncio.Lock)
        """Whoever writes a point holds its lock."""

    def find(self, target: Target) -> Place:
        """Find a point that may be written, as the configuration is now. Raises `LookupError` in words."""
        return find(self._owners(), target)

    async def carry_out(self, command: Command, *, dry: bool = False) -> Outcome:
        """Carry it out, or say why not; `dry` says only what would become of it."""
        target = (command.device, command.point)
        try:
            wish = self._wish(command, self.find(target))
        except (LookupError, ValueError) as error:
            return rejected(command, str(error.args[0]))
        if late := self._late(command):
            return late
        async with self.locks[target]:
            if late := self._late(command):
                return late
            if words := self._held(command) or self._too_soon(wish.place, target, dry=dry):
                return rejected(command, words)
            self._asked_ns[target, dry] = self._clock.monotonic_ns()
            try:
                wish = self._wish(command, self.find(target))  # it may have changed while another was at it
                before = await self.read(wish.place.writable(), target)
            except (LookupError, ValueError, Unavailable, Misconfigured) as error:
                return _prevented(command, error)
            if before == wish.expected:
                return await self._already(wish, before, dry=dry)
            if words := permission.too_far(
                wish.place.write, wish.place.point, before, wish.value
            ) or self._too_often(wish.place, target):
                return rejected(command, words, before)
            if dry:
                return _outcome(command, CommandState.ACCEPTED, "it would be written", before)
            return self._late(command) or await self._change(wish, before)

    # --- the checks --------------------------------------------------------------------------------------------

    def _wish(self, command: Command, place: Place) -> _Wish:
        """Raises `ValueError` for what may not be."""
        value = permission.typed(command.value, place.point)
        if words := permission.objection(place.write, place.point, value):
            raise ValueError(words)
        expected = place.as_written(value)
        if command.expires_at - command.requested_at > LONGEST_LIFE:
            raise ValueError(f"expected to expire within {duration_text(LONGEST_LIFE)}")
        if command.requested_at > wall(self._clock) + AHEAD:
            raise ValueError("it comes from the future: one of the clocks is wrong")
        return _Wish(command, place, value, expected, self._length(command, place, expected))

    def _length(self, command: Command, place: Place, expected: Value) -> timedelta | None:
        """How long the value is to hold. Raises `ValueError` where it may not hold so long, or nothing would return."""
        write = place.write
        if write.fallback is None:
            if command.lease is not None:
                raise ValueError("lease: this point has no fallback in the configuration that could return")
            return None
        if expected == place.as_written(permission.parse(write.fallback, place.point)):
            return None  # that is what any lease would end in
        length = write.lease if command.lease is None else command.lease
        if length is None:
            return None
        if not timedelta(0) < length <= write.longest:
            raise ValueError(f"lease: expected at most {duration_text(write.longest)}")
        if not self._holds:
            raise ValueError("lease: no agent is running that would write the fallback when it ends")
        return length

    def _late(self, command: Command) -> Outcome | None:
        now = wall(self._clock)
        if now <= command.expires_at:
            return None
        words = f"it expired at {command.expires_at:%F %T}, and now it is {now:%F %T} UTC"
        return _outcome(command, CommandState.EXPIRED, words)

    def _held(self, command: Command) -> str:
        """Why another's lease forbids it."""
        lease = self._records.leases.get((command.device, command.point))
        if lease is None or lease.source == command.source or command.takes_over:
            return ""
        return f"{lease.source} holds it at {lease.value} until {lease.until(self._clock):%F %T} UTC"

    def _too_soon(self, place: Place, target: Target, *, dry: bool) -> str:
        """Why the device is not even asked; whoever just wrote learns how long that keeps others away."""
        passed_ns = self._clock.monotonic_ns() - self._asked_ns.get((target, dry), -PACE_NS)
        if passed_ns >= PACE_NS:
            return ""
        return self._too_often(place, target) or "it was asked for less than a second ago"

    def _too_often(self, place: Place, target: Target) -> str:
        passed_ns = self._records.since_written_ns(target)
        pause = place.write.pause
        if passed_ns is None or (left := pause - timedelta(microseconds=passed_ns // 1000)) <= timedelta(0):
            return ""
        again_s = left.total_seconds()
        return f"written less than {duration_text(pause)} ago, which is its `every`: again in {again_s:.0f} s"

    # --- on the device -----------------------------------------------------------------------------------------

    async def read(self, link: WritableLink, target: Target) -> Value:
        """What a point is now. Raises `Unavailable`, in words, also when the device does not say."""
        try:
            async with asyncio.timeout(READ_S):
                found = await link.current(*target)
        except TimeoutError:
            raise Unavailable(f"what it is now could not be read within {READ_S:g} s") from None
        if isinstance(found, Reason):
            raise Unavailable(f"what it is now could not be read: {_words(found)}")
        return found

    async def write(self, link: WritableLink, target: Target, value: Value, until_s: float) -> Written:
        """Write a point now or never, and read it back. Raises `Expired` when nothing was sent in time."""
        self._records.wrote(target)
        until_ns = self._clock.monotonic_ns() + round(min(until_s, WRITE_S / 2) * 1e9)
        try:
            async with asyncio.timeout(WRITE_S):
                return await link.write(*target, value, until_ns=until_ns)
        except TimeoutError:
            return Written(found=Reason.TIMEOUT, words=f"not done within {WRITE_S:g} s")
        except Unavailable as error:
            return Written(found=Reason.NOT_CONNECTED, words=str(error))

    async def _already(self, wish: _Wish, before: Value, *, dry: bool) -> Outcome:
        """It is so; only the lease is new, or over."""
        command, target = wish.command, (wish.command.device, wish.command.point)
        words = "it was so already: nothing was written"
        if dry:
            return _outcome(
                command, CommandState.ACCEPTED, "it is so already: nothing would be written", before
            )
        held, lease = self._records.leases.get(target), self._lease(wish)
        if held is not lease:
            self._records.hold(target, lease)
            if not await self._records.keep():
                self._records.hold(target, held)
                return rejected(command, _NOT_KEPT, before)
        return _outcome(command, CommandState.APPLIED, words, before, found=before, until=self._until(lease))

    async def _change(self, wish: _Wish, before: Value) -> Outcome:
        command, target = wish.command, (wish.command.device, wish.command.point)
        held, lease = self._records.leases.get(target), self._lease(wish)
        self._records.begin(command)
        self._records.wrote(target)
        self._records.hold(target, lease or held)
        if not await self._records.keep():
            self._records.hold(target, held)
            return rejected(command, _NOT_KEPT, before)
        try:
            link = self._wish(command, self.find(target)).place.writable()  # while it was read, too
            left_s = (command.expires_at - wall(self._clock)).total_seconds()
            written = await self.write(link, target, wish.value, left_s)
        except Expired as error:
            self._records.hold(target, held)
            return _outcome(command, CommandState.EXPIRED, str(error), before)
        except (LookupError, ValueError, Unavailable, Misconfigured) as error:
            self._records.hold(target, held)
            return _prevented(command, error, before)
        return self._judge(wish, written, before, held, lease)

    def _judge(
        self, wish: _Wish, written: Written, before: Value, held: Lease | None, lease: Lease | None
    ) -> Outcome:
        """Compare what is found with what was asked for; a lease stays wherever something may have been written."""
        command, target = wish.command, (wish.command.device, wish.command.point)
        found, said = written.found, f" ({written.words})" if written.words else ""
        if isinstance(found, Reason):
            words = f"written, and whether the device took it nobody knows: {_words(found)}{said}"
            return _outcome(command, CommandState.FAILED, words, before, until=self._until(lease or held))
        if found == wish.expected:
            self._records.hold(target, lease)
            words = f"written, and read back{said}"
            return _outcome(
                command, CommandState.APPLIED, words, before, found=found, until=self._until(lease)
            )
        if found == before:
            lease = held or lease
            self._records.hold(target, lease)
            words = f"the device did not take it: expected {wish.expected}, it is still {found}{said}"
        else:
            lease = lease or held
            words = f"the device took something else: expected {wish.expected}, found {found}{said}"
        return _outcome(command, CommandState.FAILED, words, before, found=found, until=self._until(lease))

    def _lease(self, wish: _Wish) -> Lease | None:
        if wish.length is None:
            return None
        command = wish.command
        return Lease(
            device=command.device,
            point=command.point,
            value=str(wish.value),
            fallback=str(wish.place.write.fallback),
            source=command.source,
            command=command.id,
            begun=Moment.now(self._clock),
            length_ns=wish.length // timedelta(microseconds=1) * 1000,
        )

    def _until(self, lease: Lease | None) -> datetime | None:
        return None if lease is None else lease.until(self._clock)


_NOT_KEPT: Final = "it cannot be written down, and what is not written down is not done: is the disk full?"


def rejected(command: Command, words: str, before: Value | None = None) -> Outcome:
    """Nothing was written, and why."""
    return _outcome(command, CommandState.REJECTED, words, before)


def _prevented(command: Command, error: Exception, before: Value | None = None) -> Outcome:
    """Nothing was written, and whether it is because something is not there; what somebody took out is not allowed."""
    away = isinstance(error, Unavailable) and not isinstance(error, OutOfService)
    return replace(rejected(command, str(error.args[0]), before), unavailable=away)


def _outcome(
    command: Command,
    state: CommandState,
    words: str,
    before: Value | None = None,
    *,
    found: Value | None = None,
    until: datetime | None = None,
) -> Outcome:
    return Outcome(
        command=command.id, state=state, detail=words, before=before, found=found, holds_until=until
    )


def _words(reason: Reason) -> str:
    return reason.word.replace("_", " ")

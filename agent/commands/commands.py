"""What is asked, each once: the ids that are known, those that are under way, and the record of what became of them.

A command is carried out whether or not whoever asked still waits for the answer: giving up half-way is the one thing
that leaves nobody knowing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog

from agent.clock import Clock
from agent.command import Command, CommandState, Outcome
from agent.commands import permission
from agent.commands.audit import Audit
from agent.commands.carrying import Carrying, rejected
from agent.commands.lease import wall
from agent.commands.places import Owner
from agent.commands.records import Records
from agent.commands.returning import Returning
from agent.sample import Value

log = structlog.get_logger()

AT_ONCE: Final = 32
"""Commands that may be under way; one more is rejected, not queued."""
LONGEST_TEXT: Final = 256
"""Characters of an id, a name or a value: a device holds 246."""


class Commands:
    """Takes in what is asked; see `agent.command`."""

    def __init__(
        self,
        owners: Callable[[], Sequence[Owner]],
        *,
        records: Records,
        audit: Audit,
        clock: Clock,
        holds: bool = True,
    ) -> None:
        """`owners` gives those of now: a reload changes them. Without `holds` nobody stays to end leases."""
        self._records = records
        self._audit = audit
        self._clock = clock
        self._holds = holds
        self._carrying = Carrying(owners, records=records, clock=clock, holds=holds)
        self._returning = Returning(self._carrying, records=records, audit=audit, clock=clock)
        self._running: dict[str, tuple[Command, asyncio.Task[Outcome]]] = {}
        self._group: asyncio.TaskGroup | None = None

    def value(self, device: str, point: str, text: str) -> Value:
        """What a person wrote as a value of this point; the text itself where it is none, to be rejected in words."""
        try:
            return permission.parse(text, self._carrying.find((device, point)).point)
        except (LookupError, ValueError):
            return text

    def described(self, device: str, point: str) -> dict[str, Any]:
        """What a person needs to read a value of this point; nothing if it may not be written."""
        try:
            place = self._carrying.find((device, point))
        except LookupError:
            return {"unit": None, "labels": {}, "fallback": None}
        labels = {str(number): label for number, label in (place.point.labels or {}).items()}
        return {"unit": place.point.unit, "labels": labels, "fallback": place.write.fallback}

    def leases(self) -> list[dict[str, Any]]:
        """What is held at present, and by whom."""
        return self._returning.listed()

    async def run(self) -> None:
        """Carry out what is asked, and end leases, until cancelled."""
        for entry in self._records.interrupted:
            log.warning(
                "command.interrupted", device=entry.device, point=entry.point, error=entry.outcome.detail
            )
            await self._audit.add({"at": wall(self._clock), **entry.facts})
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await (self._returning.run() if self._holds else asyncio.Event().wait())
            finally:
                self._group = None

    async def execute(self, command: Command) -> Outcome:
        """Carry out a command, or say why not. One that was asked before gets the same answer, and is not done again."""
        if words := _absurd(command):
            return rejected(command, words)
        if under_way := self._running.get(command.id):
            asked, task = under_way
            return await asyncio.shield(task) if _same(asked, command) else rejected(command, _TAKEN)
        if entry := self._records.entry(command.id):
            return entry.outcome if entry.repeats(command) else rejected(command, _TAKEN)
        if self._group is None or len(self._running) >= AT_ONCE or not self._records.has_room():
            return rejected(command, "the agent has no time for it just now")
        task = self._group.create_task(self._attend(command), name=f"command {command.id}")
        self._running[command.id] = (command, task)
        task.add_done_callback(lambda _: self._running.pop(command.id))
        return await asyncio.shield(task)

    async def try_out(self, command: Command) -> Outcome:
        """Say what would become of a command now. Reads the point, writes nothing, and remembers nothing."""
        if words := _absurd(command):
            return rejected(command, words)
        return await self._carrying.carry_out(command, dry=True)

    async def _attend(self, command: Command) -> Outcome:
        """Carry it out, write down what became of it, and tell."""
        try:
            outcome = await self._carrying.carry_out(command)
        except Exception as error:
            log.exception("command.faulty", device=command.device, point=command.point)
            words = f"a bug, its traceback is in the log ({type(error).__name__})"
            outcome = Outcome(command=command.id, state=CommandState.FAILED, detail=words)
        self._returning.look()
        entry = self._records.end(command, outcome)
        if outcome.state not in {CommandState.REJECTED, CommandState.EXPIRED}:
            await self._records.keep()  # whoever gets this answer gets the same after a restart
        await self._audit.add(
            {
                "at": wall(self._clock),
                **entry.facts,
                "requested_at": command.requested_at,
                "lease_s": None if command.lease is None else command.lease.total_seconds(),
                "takes_over": command.takes_over,
            }
        )
        _tell(entry.facts, outcome)
        return outcome


_TAKEN: Final = "another command had this id"


def _same(one: Command, other: Command) -> bool:
    return (one.device, one.point, one.value) == (other.device, other.point, other.value)


def _absurd(command: Command) -> str:
    """What is too long to be remembered."""
    for name in ("id", "device", "point", "source", "value"):
        if len(text := str(getattr(command, name))) > LONGEST_TEXT:
            return f"{name}: expected at most {LONGEST_TEXT} characters, found {len(text)}"
    return ""


def _tell(facts: dict[str, Any], outcome: Outcome) -> None:
    said = {name: facts[name] for name in ("device", "point", "value", "source", "before", "found")}
    if outcome.state is CommandState.APPLIED:
        log.info("command.applied", **said, detail=outcome.detail)
    else:
        log.warning(_EVENTS[outcome.state], **said, error=outcome.detail)


_EVENTS: Final = {
    CommandState.REJECTED: "command.rejected",
    CommandState.FAILED: "command.failed",
    CommandState.EXPIRED: "command.expired",
}

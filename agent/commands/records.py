"""What is known of commands, also after a restart: what became of each, what is held, when what was written.

Nothing is written to a device before it is written down here: so a command is carried out once at most, a lease ends
although the agent was killed meanwhile, and a restart does not let anybody write more often.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
import structlog

from agent.clock import Clock
from agent.command import Command, CommandState, Outcome
from agent.commands.lease import Lease, Moment, Target, wall
from agent.interfaces import Memory
from agent.sample import Value

log = structlog.get_logger()

REMEMBERED: Final = 200
"""So many commands are known again: more than anybody sends in the day that one may live at most."""
KEEP_S: Final = 5.0
"""How long writing it down may take; a slow card was seen to take half a second."""
_OLD_NS: Final = 31 * 86_400 * 1_000_000_000
"""No pause between two writes is longer than this."""

UNKNOWN: Final = (
    "the agent ended while it was carried out, and whether the device took it nobody knows: read the point"
)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One command, and what became of it."""

    id: str
    device: str
    point: str
    value: str
    source: str
    expires_at: datetime
    state: CommandState | None = None
    """`None` while it is being carried out."""
    detail: str = ""
    before: Any = None
    found: Any = None
    holds_until: datetime | None = None

    def repeats(self, command: Command) -> bool:
        """Whether this is the same command."""
        return (self.device, self.point, self.value) == (command.device, command.point, str(command.value))

    @property
    def outcome(self) -> Outcome:
        """What became of it."""
        return Outcome(
            command=self.id,
            state=self.state or CommandState.FAILED,
            detail=self.detail if self.state else UNKNOWN,
            before=_value(self.before),
            found=_value(self.found),
            holds_until=self.holds_until,
        )

    @property
    def facts(self) -> dict[str, Any]:
        """The same for an audit and a log: plain values."""
        outcome = self.outcome
        return {
            "what": "command",
            "id": self.id,
            "device": self.device,
            "point": self.point,
            "value": self.value,
            "source": self.source,
            "expires_at": self.expires_at,
            "state": outcome.state,
            "detail": outcome.detail,
            "before": None if outcome.before is None else str(outcome.before),
            "found": None if outcome.found is None else str(outcome.found),
            "holds_until": self.holds_until,
        }


class Records:
    """What was learnt about commands; `interrupted` are those that the last run of the agent left unfinished."""

    def __init__(self, memory: Memory, clock: Clock, keep: Callable[[], Awaitable[bool]]) -> None:
        """`keep` brings what was learnt to the disk, and says whether it is there."""
        self._memory = memory
        self._clock = clock
        self._keep = keep
        self._begun = Moment.now(clock)
        self._entries = {entry.id: entry for entry in self._recall("commands", list[Entry])}
        self.leases = {lease.target: lease for lease in self._recall("leases", list[Lease])}
        self._written: dict[Target, Moment] = {
            (device, point): moment
            for device, point, moment in self._recall("written", list[tuple[str, str, Moment]])
            if (moment.passed_ns(clock) or 0) < _OLD_NS
        }
        self.interrupted = [entry for entry in self._entries.values() if entry.state is None]
        for entry in self.interrupted:
            self._put(msgspec.structs.replace(entry, state=CommandState.FAILED, detail=UNKNOWN))

    def _recall(self, key: str, type_: Any) -> Any:
        """What was learnt; nothing, said aloud, where it makes no sense."""
        known = self._memory.recall(key)
        try:
            return msgspec.convert([] if known is None else known, type_)
        except msgspec.ValidationError as error:
            log.warning("memory.unreadable", path=f"commands {key}", error=str(error))
            return []

    # --- commands ----------------------------------------------------------------------------------------------

    def entry(self, command: str) -> Entry | None:
        """What is known of the command with this id."""
        return self._entries.get(command)

    def has_room(self) -> bool:
        """Whether one more can be remembered, once those are forgotten that nobody may repeat any more."""
        now = wall(self._clock)
        for entry in list(self._entries.values()):
            if len(self._entries) < REMEMBERED:
                return True
            if entry.expires_at < now or entry.state in {CommandState.REJECTED, CommandState.EXPIRED}:
                del self._entries[entry.id]
        return len(self._entries) < REMEMBERED

    def begin(self, command: Command) -> None:
        """This one is about to be carried out."""
        self._put(_entry(command))

    def end(self, command: Command, outcome: Outcome) -> Entry:
        """This is what became of it."""
        entry = msgspec.structs.replace(
            _entry(command),
            state=outcome.state,
            detail=outcome.detail,
            before=_json(outcome.before),
            found=_json(outcome.found),
            holds_until=outcome.holds_until,
        )
        self._put(entry)
        return entry

    def _put(self, entry: Entry) -> None:
        self._entries[entry.id] = entry
        self._learn("commands", list(self._entries.values()))

    # --- writes ------------------------------------------------------------------------------------------------

    def wrote(self, target: Target) -> None:
        """This point is being written now."""
        self._written[target] = Moment.now(self._clock)
        self._learn("written", [(*written, moment) for written, moment in self._written.items()])

    def since_written_ns(self, target: Target) -> int | None:
        """How long ago this point was last written, counted from our start where nobody can tell; `None`: never."""
        written = self._written.get(target)
        if written is None:
            return None
        passed_ns = written.passed_ns(self._clock)
        return passed_ns if passed_ns is not None else self._begun.passed_ns(self._clock)

    # --- leases ------------------------------------------------------------------------------------------------

    def hold(self, target: Target, lease: Lease | None) -> None:
        """This is what holds the point from now on."""
        if lease is None:
            self.leases.pop(target, None)
        else:
            self.leases[target] = lease
        self._learn("leases", list(self.leases.values()))

    async def keep(self) -> bool:
        """Bring it all to the disk; whether it is there."""
        try:
            async with asyncio.timeout(KEEP_S):
                return await self._keep()
        except TimeoutError:
            return False

    def _learn(self, key: str, values: list[Any]) -> None:
        plain: list[Mapping[str, Any]] = msgspec.to_builtins(values)
        self._memory.learn(key, plain or None)


def _entry(command: Command) -> Entry:
    return Entry(
        id=command.id,
        device=command.device,
        point=command.point,
        value=str(command.value),
        source=command.source,
        expires_at=command.expires_at,
    )


def _json(value: Value | None) -> Any:
    """A value in a form that JSON keeps: a Decimal would come back as a text."""
    return {"decimal": str(value)} if isinstance(value, Decimal) else value


def _value(kept: Any) -> Value | None:
    value: Value | None = Decimal(kept["decimal"]) if isinstance(kept, dict) else kept
    return value

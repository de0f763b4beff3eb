"""What a command is, and what becomes of it: a write that somebody upstream or at the command line asks for.

Values only. Who may write what, and how it is done, is decided in `agent.commands`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta

from agent.sample import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A write that somebody asks for."""

    id: str
    """Given by whoever asks; the answer carries it, and a repeat is recognised by it."""
    device: str
    point: str
    value: Value
    requested_at: datetime
    expires_at: datetime
    """Never carried out after this, however late it arrives."""
    lease: timedelta | None = None
    """How long the value holds before the point's fall-back value returns; as the point's settings say, if `None`."""
    source: str
    """Who asked: an uplink's id, or the command line's user. Only the source of a lease renews it."""
    takes_over: bool = False
    """The value of another source's lease may be overwritten: for people, who know what they do."""


class CommandState(enum.Enum):
    """What became of a command."""

    ACCEPTED = "accepted"
    """It would be carried out; nothing was, for it was only tried."""
    APPLIED = "applied"
    """The device holds the value: read back, or found there before anything was written."""
    REJECTED = "rejected"
    """Nothing was written: not allowed, out of range, too often, unknown point, link not open."""
    FAILED = "failed"
    """Tried, and the device did not take it, took something else, or nobody knows."""
    EXPIRED = "expired"
    """Nothing was written: it came, or its turn came, too late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The answer to a command."""

    command: str
    state: CommandState
    detail: str = ""
    before: Value | None = None
    """What the point was, freshly read; `None` where that was not asked or not answered."""
    found: Value | None = None
    """What it was afterwards; `None` where nothing was written or nobody knows."""
    holds_until: datetime | None = None
    """When the fall-back value returns."""
    unavailable: bool = False
    """Rejected for no fault of the command: its link is not open, or the device does not say what the point is now."""

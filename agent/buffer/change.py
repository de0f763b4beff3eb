"""What is said between those who decide about the buffer and the thread that has the store file open.

Only values. A *place* is where a row stands in a file (`schema.place`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from agent.buffer import schema
from agent.clock import ClockLine
from agent.sample import Sample, Shape


class Damaged(Exception):
    """The file is not a store of ours, or not a sound one. The message says what was found."""


class Placed(NamedTuple):
    """A sample and where it stands: to be stored, or read back."""

    place: int
    boot: str
    sample: Sample

    @property
    def end(self) -> int:
        """The place after the last cell."""
        return self.place + len(self.sample.values)


class Stub(NamedTuple):
    """A row without its cells."""

    place: int
    cells: int
    shape: Shape | None
    """`None` when the row is so damaged that it does not say."""
    boot: str | None
    monotonic_ns: int


class Piece(NamedTuple):
    """What was found in a run of places, as far as it was looked through."""

    rows: list[Placed]
    passed: list[Stub]
    """Rows of the shapes that were not wanted."""
    damaged: list[Stub]
    end: int
    """Where looking ended."""


class Trim(NamedTuple):
    """Rows of one class in a run of places, which are dropped."""

    rank: int
    low: int
    high: int


class Refusal(NamedTuple):
    """Readings that upstream will never take, and its words."""

    uplink: str
    store: str
    low: int
    high: int
    words: str


REFUSALS_KEPT = 1000
"""Entries of the refused list, over all uplinks; the newest stay."""


@dataclass(slots=True, kw_only=True)
class Change:
    """Everything that one transaction writes."""

    rows: Sequence[Placed] = ()
    deletes: Sequence[tuple[int, int]] = ()
    """Runs of places whose rows nobody needs."""
    trims: Sequence[Trim] = ()
    sweep: Sequence[tuple[int, int]] = ()
    """The same as `deletes` where there may be very many such rows: some of them go with each transaction."""
    states: Mapping[str, str] = field(default_factory=dict)
    """Texts by name."""
    stores: Mapping[int, str] = field(default_factory=dict)
    """Store ids by the number that a store has in this file."""
    lines: Sequence[tuple[str, ClockLine]] = ()
    """What the clocks were found to say, by boot."""
    refusals: Sequence[Refusal] = ()


class Usage(NamedTuple):
    """How full the file is after a transaction."""

    pages: int
    free: int
    sweep: list[tuple[int, int]]
    """What is left to be swept."""

    @property
    def size(self) -> int:
        """Bytes of the pages that hold something."""
        return (self.pages - self.free) * schema.PAGE


class Snapshot(NamedTuple):
    """What stands in a file beside its rows."""

    states: dict[str, str]
    stores: dict[int, str]
    lines: list[tuple[str, ClockLine]]


class Forget(NamedTuple):
    """What no row in a file refers to any more."""

    lowest: int
    """Place of the first row; of the next one when there is none."""
    opened_at: int
    """Place of the next row when the file was opened."""
    stores: list[int]
    boots: list[str]
    lines: list[tuple[str, ClockLine]]

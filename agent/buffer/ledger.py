"""What became of every reading, in counts that must balance.

Pure. `read` is counted by who brings readings, `stored` when they are given a number, what an uplink acknowledged,
refused or lost when it happens, and what waits by looking at ranges and rows: so a reading that slips through
somewhere shows as a sum that does not come out.
"""

from __future__ import annotations

import enum

import msgspec


class Drop(enum.StrEnum):
    """Why a reading was dropped. The word is written in the store and shown to people."""

    MALFORMED = "malformed"
    """A driver gave a sample whose columns do not fit its shape: never stored."""
    FULL = "full"
    """The buffer had no room: the oldest of the least precious class."""
    AGE = "age"
    """Older than the configuration keeps."""
    DAMAGED = "damaged"
    """A row whose checksum is wrong, or that can no longer be found."""
    LOST = "lost"
    """On a disk that went away, or in memory when the agent stopped and there was no disk."""
    REMOVED = "removed"
    """Waiting for an uplink that is no longer in the configuration."""


class UplinkCounts(msgspec.Struct, kw_only=True):
    """Readings, since the uplink exists in this store: what became of them on the way to one upstream."""

    stored: int = 0
    """Given a number while the uplink was in the configuration, and what it found when it began at the oldest."""
    acknowledged: int = 0
    filtered: int = 0
    """Outside its filter."""
    refused: int = 0
    dropped: dict[str, int] = {}

    def drop(self, reason: Drop, readings: int) -> None:
        """Count readings that this uplink will not get."""
        if readings:
            self.dropped[reason] = self.dropped.get(reason, 0) + readings

    def add(self, other: UplinkCounts) -> None:
        """Take in the counts of an earlier time."""
        self.stored += other.stored
        self.acknowledged += other.acknowledged
        self.filtered += other.filtered
        self.refused += other.refused
        for reason, readings in other.dropped.items():
            self.drop(Drop(reason), readings)

    def closed(self, waiting: int) -> UplinkLedger:
        """These counts as they are now, with what waits."""
        return UplinkLedger(
            stored=self.stored,
            acknowledged=self.acknowledged,
            filtered=self.filtered,
            refused=self.refused,
            dropped=self.dropped.copy(),
            waiting=waiting,
        )


class UplinkLedger(UplinkCounts, kw_only=True):
    """The counts of one uplink, and what waits for it."""

    waiting: int
    """Counted from ranges and rows, those on the way included."""


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """All counts at one moment; each durable with the rows it counts."""

    read: int
    """Delivered by sources."""
    stored: int
    dropped: dict[str, int]
    """Read, and never stored, by reason."""
    uplinks: dict[str, UplinkLedger]
    """Also those that are no longer in the configuration, as they ended."""

    def problems(self) -> list[str]:
        """Each sum that does not come out, in words; none when every reading is accounted for."""
        found = []
        dropped = sum(self.dropped.values())
        if self.read != self.stored + dropped:
            found.append(f"read {self.read} is not stored {self.stored} + dropped {dropped}")
        for name, each in self.uplinks.items():
            parts = {
                "acknowledged": each.acknowledged,
                "waiting": each.waiting,
                "filtered": each.filtered,
                "refused": each.refused,
                "dropped": sum(each.dropped.values()),
            }
            if each.stored != sum(parts.values()):
                words = " + ".join(f"{part} {count}" for part, count in parts.items())
                found.append(f"uplink {name}: stored {each.stored} is not {words}")
        return found

    def document(self) -> dict[str, object]:
        """The counts and the problems as plain values, for JSON and tables."""
        return {**msgspec.to_builtins(self), "problems": self.problems()}

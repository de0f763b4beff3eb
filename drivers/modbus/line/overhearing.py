"""What is heard on a line that answers no question of ours: late answers, copies, another master, noise.

Pure. A line has one master (Modbus over Serial Line V1.02, 2.1). Where there is another, nothing tells an answer to it
from an answer to us but what it asked for: so a request of somebody else counts as a question of ours that went
unanswered, and its answer is waited for before we ask, though not for ever.

    frame ──a request──────────────────────> another master: its unit may answer now
          ──the answer to that─────────────> that is over
          ──of a unit that owes us one─────> late
          ──what we heard last─────────────> a copy
          ──else───────────────────────────> another master, whose requests cannot be heard
"""

from __future__ import annotations

import enum
from collections import deque
from typing import Final

from drivers.modbus.line.framing import Frame, refuses, wanted
from drivers.modbus.line.missing import Missing

MASTERLY: Final = 3
"""So many frames of somebody else, or one request with its answer, and it is another master: noise may by chance have
the checksum of a frame, once in 65,536 times."""
WITHIN_NS: Final = 600_000_000_000
"""In this time."""


class Heard(enum.Enum):
    """What a frame is that answers no question of ours."""

    LATE = "late"
    """An answer that we have waited for, or a copy of one."""
    REQUEST = "request"
    """Another master asks."""
    REPLY = "reply"
    """The answer to it."""
    OVERHEARD = "overheard"
    """Of somebody else, and what for is not known."""


class Overhearing:
    """On one line."""

    def __init__(self, missing: Missing, quiet_ns: int) -> None:
        """`missing`: the answers that we wait for; those that others wait for are added, since they look the same.

        `quiet_ns`: how long an answer may take.
        """
        self._quiet_ns = quiet_ns
        self._yielding_ns = 0
        """Since when others have the line."""
        self.other_master = False
        """Whether there is one, as far as anybody can tell."""
        self.due: tuple[int, int] | None = None
        """Unit and size (`Question.size`) of the answer that another master waited for last."""
        self._missing = missing
        self._only_theirs = False
        """Whether the answer that is due is no answer of ours too."""
        self._times_ns: deque[int] = deque(maxlen=MASTERLY)
        """When frames of somebody else were heard last."""
        self._last: tuple[int, bytes] | None = None
        """Unit and PDU of the last answer to us."""

    def answered(self, frame: Frame) -> None:
        """Note an answer to us: a copy of it may follow."""
        self._last = frame.unit, frame.pdu

    def unanswered(self, unit: int, size: int) -> None:
        """Note that an answer to us is missing: nothing tells it from one that is due to others."""
        if self.due == (unit, size):
            self._only_theirs = False

    def judge(self, frame: Frame, now_ns: int) -> Heard:
        """Say what this frame is, and keep account of what is missing."""
        owed = self._missing.of(frame.unit)
        size = len(frame.pdu) - 2
        asked = wanted(frame.pdu)
        if asked is not None and size not in owed:
            self.due, self._only_theirs = (frame.unit, asked), asked not in owed
            self._missing.add(frame.unit, asked, now_ns)
            self._note(now_ns)
            return Heard.REQUEST
        if self.due and self.due[0] == frame.unit and (size == self.due[1] or refuses(frame.pdu)):
            refused = refuses(frame.pdu)  # all refusals look alike: it may have been for us
            if self._only_theirs and not refused:
                self._missing.drop(*self.due)
            self.due = None
            self.other_master = True
            return Heard.REPLY
        if owed or (frame.unit, frame.pdu) == self._last:
            return Heard.LATE
        self._note(now_ns)
        return Heard.OVERHEARD

    def yields_ns(self, now_ns: int, free_ns: int) -> int:
        """Until when the line is left to others, whose request was just heard; it was to be free at `free_ns`.

        As long as the answer to it may take; and twice that if they go on, for they may never end.
        """
        if free_ns <= now_ns:
            self._yielding_ns = now_ns
        return max(free_ns, min(now_ns + self._quiet_ns, self._yielding_ns + 2 * self._quiet_ns))

    def _note(self, now_ns: int) -> None:
        self._times_ns.append(now_ns)
        if len(self._times_ns) == MASTERLY and now_ns - self._times_ns[0] <= WITHIN_NS:
            self.other_master = True

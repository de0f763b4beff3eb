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
from collections.abc import Container
from typing import Final

from drivers.modbus.framing import Frame, refuses, wanted

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

    def __init__(self) -> None:
        self.other_master = False
        """Whether there is one, as far as anybody can tell."""
        self.due: tuple[int, int] | None = None
        """Unit and size (`Question.size`) of an answer that somebody else waits for."""
        self._times_ns: deque[int] = deque(maxlen=MASTERLY)
        """When frames of somebody else were heard last."""
        self._last: tuple[int, bytes] | None = None
        """Unit and PDU of the last answer to us."""

    def answered(self, frame: Frame) -> None:
        """Note an answer to us: a copy of it may follow."""
        self._last = frame.unit, frame.pdu

    def judge(self, frame: Frame, now_ns: int, owed: Container[int]) -> Heard:
        """Say what this frame is; `owed`: the sizes of the answers that its unit owes us."""
        size = len(frame.pdu) - 2
        asked = wanted(frame.pdu)
        if asked is not None and size not in owed:
            self.due = frame.unit, asked
            self._note(now_ns)
            return Heard.REQUEST
        if self.due and self.due[0] == frame.unit and (size == self.due[1] or refuses(frame.pdu)):
            self.other_master = True
            return Heard.REPLY
        if owed or (frame.unit, frame.pdu) == self._last:
            return Heard.LATE
        self._note(now_ns)
        return Heard.OVERHEARD

    def _note(self, now_ns: int) -> None:
        self._times_ns.append(now_ns)
        if len(self._times_ns) == MASTERLY and now_ns - self._times_ns[0] <= WITHIN_NS:
            self.other_master = True

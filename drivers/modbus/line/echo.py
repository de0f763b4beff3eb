"""Whether a line brings back what is sent on it, and how much of what came is no more than that.

Pure. A two-wire adapter whose receiver stays on while it sends hears itself. That is found by the first question that
reads: its answer cannot be the question over again. It is looked for at every one of them, since an adapter may be
exchanged and noise may hide the first echo. Nothing tells the echo of a write of one value from its answer, so before
that is known, what repeats such a write is taken for the answer (whoever writes reads back).
"""

from __future__ import annotations

from drivers.modbus.line.framing import Question
from drivers.modbus.line.rtu import NOISE


class Echo:
    """Of one line."""

    def __init__(self, *, possible: bool) -> None:
        """`possible`: whether a line with this framing can have one."""
        self._possible = possible
        self.heard: bool | None = None if possible else False
        """`None` until it is known."""
        self.due = b""
        """The question as it went out, for as long as its echo may still come."""
        self._mirrored = False

    def sent(self, request: bytes, asked: Question) -> None:
        """Note what goes out."""
        if self._possible:
            self.due = request
            self._mirrored = asked.mirrored

    def length(self, received: memoryview) -> int | None:
        """So many of the bytes that came are the echo; `None` while that cannot be told. Asked while one is `due`."""
        octets = bytes(received)
        if len(octets) < len(self.due) and self.due.startswith(octets):
            return None
        start = octets.find(self.due, 0, len(self.due) + NOISE)
        if start < 0:
            if len(octets) >= len(self.due) + NOISE:
                self.due = b""
            return 0
        end = start + len(self.due)
        self.due = b""
        if self._mirrored and not self.heard:
            return 0
        self.heard = True
        return end

    def answered(self) -> None:
        """An answer was taken: if nothing has come back before it by now, nothing ever will."""
        self.due = b""
        if self.heard is None:
            self.heard = False

"""What is said on a line to write one point: what device is it, read where bits are merged, write, read back.

A time-out after a write, an exception, a lost connection: none of them tells whether the device took the value. What
is read back tells. Nothing is asked between the write and the reading but by us: the link has one task.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from agent.interfaces import Expired, Misconfigured, Written
from agent.sample import Reason, Value
from drivers.modbus.line.framing import Question
from drivers.modbus.line.line import Line
from drivers.modbus.line.transaction import Conversation
from drivers.modbus.polling.device import Device
from drivers.modbus.polling.exceptions import Meaning, meaning
from drivers.modbus.polling.polling import Polling
from drivers.modbus.writing.writing import Spot

READ_BACKS: Final = 3
"""So often the value is asked for after a write: a device that stores it may be busy for a moment."""


@dataclass(frozen=True, slots=True)
class Pen:
    """Writes one point of one device."""

    spot: Spot
    device: Device
    polling: Polling
    conversation: Conversation

    async def current(self, line: Line) -> Value | Reason:
        """What the point is now, or why nobody knows. Raises `Misconfigured` if it is another device."""
        if reason := await self.polling.meet(self.device):
            if self.device.stranger:
                raise Misconfigured(
                    f"device {self.device.id}: another than its profile says: {self.device.stranger}"
                )
            return reason.reason
        answer = await self._ask(line, self.spot.read)
        return self.spot.decode(answer) if isinstance(answer, bytes) else answer.reason

    async def write(self, line: Line, value: Value, until_ns: int) -> Written:
        """Write a value, and read it back. Raises `Expired` or `ValueError` when nothing was written, and `Unavailable`."""
        if reason := await self.polling.meet(self.device):
            raise ValueError(
                f"nothing was written to {self.device.id}: {self.device.stranger or reason.name}"
            )
        held = b""
        if self.spot.merges:
            answer = await self._ask(line, self.spot.read)
            if not isinstance(answer, bytes):
                raise ValueError(
                    f"its register could not be read, and its other bits matter: {_words(answer)}"
                )
            held = answer
        asked = self.spot.write(value, held)
        if line.now_ns() > until_ns:
            raise Expired("its turn on the line came too late")
        answer = await self._ask(line, asked)
        words = "" if isinstance(answer, bytes) else _words(answer)
        found: Value | Reason = Reason.TIMEOUT
        for _ in range(READ_BACKS):
            answer = await self._ask(line, self.spot.read)
            if isinstance(answer, bytes):
                return Written(found=self.spot.decode(answer), words=words)
            found = answer.reason
        return Written(found=found, words=words)

    async def _ask(self, line: Line, asked: Question) -> bytes | Meaning:
        self.conversation.suspects(self.spot.unit, line.now_ns())  # forgets what is too old to come
        if self.conversation.fenced(asked):
            return _FENCED
        answer = await line.ask(asked, self.spot.limit_ns / 1e9)
        return answer if isinstance(answer, bytes) else meaning(answer)


_FENCED: Final = Meaning(
    "timeout",
    Reason.TIMEOUT,
    silent=True,
    words="the answer to an earlier question of this length may still come",
)


def _words(what: Meaning) -> str:
    return what.words or what.name.replace("_", " ")

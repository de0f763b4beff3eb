"""What is said on a line to write one point: read where bits are merged, write, read back.

A time-out after a write, an exception, a lost connection: none of them tells whether the device took the value. What
is read back tells. Nothing is asked between the write and the reading but by us: the link has one task.
"""

from __future__ import annotations

from typing import Final

from agent.interfaces import Expired, Written
from agent.sample import Reason, Value
from drivers.modbus.exceptions import Meaning, meaning
from drivers.modbus.framing import Question
from drivers.modbus.line import Line
from drivers.modbus.transaction import Conversation
from drivers.modbus.writing import Spot

READ_BACKS: Final = 3
"""So often the value is asked for after a write: a device that stores it may be busy for a moment."""


async def current(spot: Spot, line: Line, conversation: Conversation) -> Value | Reason:
    """What the point is now, or why nobody knows."""
    answer = await _ask(spot, spot.read, line, conversation)
    return spot.decode(answer) if isinstance(answer, bytes) else answer.reason


async def write(spot: Spot, value: Value, until_ns: int, line: Line, conversation: Conversation) -> Written:
    """Write a value, and read it back. Raises `Expired`, or `ValueError`, when nothing was written, and `Unavailable`."""
    held = b""
    if spot.merges:
        answer = await _ask(spot, spot.read, line, conversation)
        if not isinstance(answer, bytes):
            raise ValueError(f"its register could not be read, and its other bits matter: {_words(answer)}")
        held = answer
    asked = spot.write(value, held)
    if line.now_ns() > until_ns:
        raise Expired("its turn on the line came too late")
    answer = await _ask(spot, asked, line, conversation)
    words = "" if isinstance(answer, bytes) else _words(answer)
    found: Value | Reason = Reason.TIMEOUT
    for _ in range(READ_BACKS):
        answer = await _ask(spot, spot.read, line, conversation)
        if isinstance(answer, bytes):
            return Written(found=spot.decode(answer), words=words)
        found = answer.reason
    return Written(found=found, words=words)


async def _ask(spot: Spot, asked: Question, line: Line, conversation: Conversation) -> bytes | Meaning:
    conversation.suspects(spot.unit, line.now_ns())  # forgets what is too old to come
    if conversation.fenced(asked):
        return _FENCED
    answer = await line.ask(asked, spot.limit_ns / 1e9)
    return answer if isinstance(answer, bytes) else meaning(answer)


_FENCED: Final = Meaning(
    "timeout",
    Reason.TIMEOUT,
    silent=True,
    words="the answer to an earlier question of this length may still come",
)


def _words(what: Meaning) -> str:
    return what.words or what.name.replace("_", " ")

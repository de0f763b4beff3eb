"""What a device refuses to be asked for: addresses that it does not have, found by halving what it refused.

A span of addresses that was refused as a whole is known here, unless a part of it is refused too: then the part is
what is known, for whatever holds that is refused with it. From this follows how the points are read (`divide`): a
point whose own registers are refused is not asked for, points whose common block was refused are asked for in halves,
and all others as if nothing had happened.

It outlives restarts, under the device's id and for as long as it is asked for the same addresses at the same unit id.
Since a device may have been starting up, or may be another one by now, each span is asked for again: soon at first,
later once a day; and at once when the device was silent in between.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec

from agent.interfaces import Memory
from drivers.modbus.values.block import Block
from drivers.modbus.values.codec import Codec
from drivers.modbus.values.plan import BlockLimits, Span, halves, plan

FIRST_NS: Final = 60_000_000_000
"""A refused span is asked for again after a minute: a device that starts up refuses everything."""
LONGEST_NS: Final = 86_400_000_000_000
"""Then after twice the time, each time, and at last once a day."""
RESTART_NS: Final = 3_600_000_000_000
"""What is remembered from before a restart is asked for again within the hour: somebody may have been at the device."""


@dataclass(slots=True)
class _Refused:
    times: int
    """How often it was refused, asked again."""
    due_ns: int
    """When it is to be asked for again."""


class _Remembered(NamedTuple):
    span: Span
    times: int


class _Memory(msgspec.Struct):
    content: str
    refused: list[_Remembered]


class Refusals:
    """Of one device."""

    def __init__(self, memory: Memory, device: str, content: str) -> None:
        """`content` says which addresses are asked for at which unit id: another one is asked anew."""
        self._memory = memory
        self._key = f"refused {device}"
        self._content = content
        self._known: dict[Span, _Refused] = {}

    def __bool__(self) -> bool:
        return bool(self._known)

    @property
    def spans(self) -> tuple[Span, ...]:
        """The spans that are refused, none of which holds another."""
        return tuple(self._known)

    def recall(self, now_ns: int) -> None:
        """Take up what was known before a restart."""
        try:
            remembered = msgspec.convert(self._memory.recall(self._key), _Memory)
        except msgspec.ValidationError:
            return  # nothing, or nothing of ours
        if remembered.content == self._content:
            for span, times in remembered.refused:
                if span.possible:  # the file may have been damaged
                    self._known[span] = _Refused(times, now_ns + min(wait_ns(times), RESTART_NS))

    def turn_to(self, content: str, now_ns: int) -> None:
        """Other addresses are asked for from now on: what was refused is not theirs; what is remembered of them counts."""
        if content != self._content:
            self._content = content
            self._known.clear()
            self.recall(now_ns)

    def add(self, span: Span, now_ns: int) -> bool:
        """It was refused; whether that is news."""
        if any(span.holds(other) for other in self._known):
            return False
        self._known = {other: entry for other, entry in self._known.items() if not other.holds(span)}
        self._known[span] = _Refused(0, now_ns + FIRST_NS)
        self._learn()
        return True

    def again(self, span: Span, now_ns: int) -> None:
        """It was asked for again, and refused again."""
        if known := self._known.get(span):
            known.times += 1
            known.due_ns = now_ns + wait_ns(known.times)
            self._learn()

    def drop(self, span: Span) -> bool:
        """It was answered; whether that is news."""
        known = [other for other in self._known if span.holds(other)]
        for other in known:
            del self._known[other]
        if known:
            self._learn()
        return bool(known)

    def put_off(self, span: Span, now_ns: int) -> None:
        """It was asked for again, and nobody knows what came of it."""
        if span in self._known:
            self._known[span].due_ns = now_ns + FIRST_NS

    def doubt(self, now_ns: int) -> None:
        """The device was away, and may be another one when it is back."""
        for known in self._known.values():
            known.due_ns = now_ns

    def due(self, now_ns: int) -> Span | None:
        """What is to be asked for again now."""
        return next((span for span, known in self._known.items() if known.due_ns <= now_ns), None)

    def _learn(self) -> None:
        refused = [_Remembered(span, known.times) for span, known in self._known.items()]
        content = msgspec.to_builtins(_Memory(self._content, refused)) if refused else None
        self._memory.learn(self._key, content, urgent=False)


def wait_ns(times: int) -> int:
    """After how long to ask again for what was refused, and then so many times again."""
    return min(FIRST_NS << min(times, 16), LONGEST_NS)


def content(unit_id: int, codecs: Sequence[Codec | None]) -> str:
    """A mark that is another one when other addresses are asked for, or another unit; `None` is asked for nowhere."""
    asked = [unit_id, *(codec and (codec.table, codec.address, codec.end) for codec in codecs)]
    return sha256(msgspec.json.encode(asked)).hexdigest()[:16]


def divide(
    codecs: Sequence[Codec],
    limits: BlockLimits,
    refused: Sequence[Span],
    absent: Collection[int] = (),
) -> tuple[tuple[Block, ...], tuple[int, ...]]:
    """Plan how points are read when these spans are refused: the blocks to ask for, and the points that are refused.

    Those that are `absent` count as refused, wherever they would lie. Where these are all, the shortest is asked for all the same, so that the device can be seen to be there.
    """
    own = [limits.span(codec) for codec in codecs]
    lost = tuple(
        cell for cell, span in enumerate(own) if cell in absent or any(span.holds(bad) for bad in refused)
    )
    if len(lost) == len(codecs):
        least = min(lost, key=lambda cell: own[cell].end - own[cell].address)
        return plan(codecs, limits, without=set(lost) - {least}), lost
    # What is refused of a point alone is stepped over; what several were refused together for is not known yet.
    alone = [span for span in refused if span in own]
    blocks = plan(codecs, limits, alone, without=lost)
    return tuple(piece for block in blocks for piece in _pieces(block, limits, refused)), lost


def _pieces(block: Block, limits: BlockLimits, refused: Sequence[Span]) -> list[Block]:
    span = Span.of(block)
    if (both := halves(block, limits)) and any(span.holds(bad) for bad in refused):
        return [piece for half in both for piece in _pieces(half, limits, refused)]
    return [block]

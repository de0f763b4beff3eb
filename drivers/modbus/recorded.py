"""What a recording says that the other end of a line answers: to each question, in the order of their times.

Pure. A question is known by its bytes, without the transaction id; what came back before the next question is the
answer to it, piece by piece with its delays, whatever it is: late, damaged, another's, or nothing. A question that was
never recorded (the configuration has changed) is answered from the registers that were seen, if all of its own were:
so another type or order can be tried on what was recorded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from agent.recording import Frame

IDENTITY: Final = 2
"""Bytes of a transaction id, which are the first (Modbus Messaging on TCP/IP V1.0b, 3.1.3)."""
_QUESTION_BYTES: Final = 12
"""Of a read: 7 of header, function, address, count."""
_BIT_FUNCTIONS: Final = {1, 2}
_REGISTER_FUNCTIONS: Final = {3, 4}
_REFUSAL: Final = 0x02
"""The exception for registers that were never seen: illegal data address."""


class Piece(NamedTuple):
    """Something that came back, as one piece."""

    delay_ns: int
    """After the question."""
    data: bytes


@dataclass(frozen=True, slots=True)
class Read:
    """What a question asks for."""

    unit: int
    function: int
    address: int
    count: int

    @classmethod
    def of(cls, question: bytes) -> Read | None:
        """Of a question with its header; `None` if it reads nothing."""
        if len(question) != _QUESTION_BYTES or question[7] not in _BIT_FUNCTIONS | _REGISTER_FUNCTIONS:
            return None
        return cls(question[6], question[7], int.from_bytes(question[8:10]), int.from_bytes(question[10:12]))

    @property
    def size(self) -> int:
        """Bytes of data in its answer."""
        return (self.count + 7) // 8 if self.function in _BIT_FUNCTIONS else 2 * self.count

    def parts(self, data: bytes) -> Iterable[tuple[int, bytes]]:
        """Each address, and what stands there: two bytes, or 0 or 1."""
        for at in range(self.count):
            if self.function in _BIT_FUNCTIONS:
                yield self.address + at, bytes([data[at // 8] >> at % 8 & 1])
            else:
                yield self.address + at, data[2 * at : 2 * at + 2]

    def joined(self, parts: Sequence[bytes]) -> bytes:
        """The data of an answer, from what stands at each address."""
        if self.function not in _BIT_FUNCTIONS:
            return b"".join(parts)
        packed = bytearray(self.size)
        for at, bit in enumerate(parts):
            packed[at // 8] |= bit[0] << at % 8
        return bytes(packed)


@dataclass(slots=True)
class _Answers:
    """What came back each time that one question was asked."""

    recorded: list[tuple[bytes, list[Piece]]] = field(default_factory=list)
    """With the transaction id that the question had."""
    asked: int = 0
    """How often it has been asked again."""


class Recorded:
    """The other end of a line that speaks Modbus TCP."""

    def __init__(self, frames: Iterable[Frame]) -> None:
        self._answers: dict[bytes, _Answers] = defaultdict(_Answers)
        self._seen: dict[tuple[int, int, int], list[bytes]] = defaultdict(list)
        """By unit id, function and address: what stood there, each time that it was read."""
        self._identities: dict[bytes, bytes] = {}
        """By the transaction id in the recording: that of the question now."""
        self.over: set[int] = set()
        """Unit ids that were asked for more than was recorded: what they say now is a repetition."""
        self._missing: dict[tuple[int, int], set[int]] = defaultdict(set)
        """By unit id and function: addresses that were asked for and are not in the recording."""
        pieces: list[Piece] = []
        asked_ns = 0
        for frame in frames:
            if frame.direction == "sent":
                asked_ns, pieces = frame.ns, []
                self._answers[frame.data[IDENTITY:]].recorded.append((frame.data[:IDENTITY], pieces))
            else:
                pieces.append(Piece(frame.ns - asked_ns, frame.data))
        for rest, answers in self._answers.items():
            for identity, came in answers.recorded:
                self._look(identity + rest, b"".join(piece.data for piece in came))

    @property
    def units(self) -> set[int]:
        """The unit ids of which anything was recorded."""
        reads = (
            Read.of(bytes(IDENTITY) + rest) for rest, answers in self._answers.items() if answers.recorded
        )
        return {read.unit for read in reads if read is not None}

    @property
    def missing(self) -> list[str]:
        """What was asked for and is not in the recording, in words."""
        return [
            f"unit {unit}, function {function}: not in the recording, and answered with exception 02: {ranges(addresses)}"
            for (unit, function), addresses in sorted(self._missing.items())
        ]

    def answer(self, question: bytes) -> Sequence[Piece]:
        """What comes back for a question with its header; the last answer again, if it is asked more often than recorded."""
        identity, rest = question[:IDENTITY], question[IDENTITY:]
        answers = self._answers[rest]
        time = answers.asked
        answers.asked += 1
        read = Read.of(question)
        if read is not None and time >= self._known(read, answers):
            self.over.add(read.unit)
        if not answers.recorded:
            return () if read is None else self._made(read, question, time)
        then, pieces = answers.recorded[min(time, len(answers.recorded) - 1)]
        self._identities[then] = identity
        return [Piece(piece.delay_ns, self._renamed(piece.data)) for piece in pieces]

    def _renamed(self, data: bytes) -> bytes:
        """Give an answer the transaction id of the question that it answers now."""
        then = data[:IDENTITY]
        return self._identities.get(then, then) + data[IDENTITY:]

    def _look(self, question: bytes, answer: bytes) -> None:
        """Note what stood in the registers of a good answer."""
        read = Read.of(question)
        if (
            read is not None
            and answer[:2] == question[:2]
            and answer[6:9] == bytes([*question[6:8], read.size])
        ):
            data = answer[9:]
            if len(data) == read.size:
                for address, part in read.parts(data):
                    self._seen[read.unit, read.function, address].append(part)

    def _known(self, read: Read, answers: _Answers) -> int:
        """How often something is known of what is asked for."""
        if answers.recorded:
            return len(answers.recorded)
        return max(1, *(len(seen) for seen in self._seen_by(read)))

    def _seen_by(self, read: Read) -> list[list[bytes]]:
        addresses = range(read.address, read.address + read.count)
        return [self._seen.get((read.unit, read.function, address), []) for address in addresses]

    def _made(self, read: Read, question: bytes, time: int) -> Sequence[Piece]:
        """An answer that was not recorded, from the registers that were."""
        seen = self._seen_by(read)
        if all(seen):
            data = read.joined([each[min(time, len(each) - 1)] for each in seen])
            pdu = bytes([read.function, read.size]) + data
        else:
            self._missing[read.unit, read.function].update(
                read.address + at for at, each in enumerate(seen) if not each
            )
            pdu = bytes([read.function | 0x80, _REFUSAL])
        return (Piece(0, question[:4] + (len(pdu) + 1).to_bytes(2) + question[6:7] + pdu),)


def ranges(addresses: Iterable[int]) -> str:
    """Write addresses as `1, 4-7`."""
    runs: list[list[int]] = []
    for address in sorted(addresses):
        if runs and address == runs[-1][1] + 1:
            runs[-1][1] = address
        else:
            runs.append([address, address])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)

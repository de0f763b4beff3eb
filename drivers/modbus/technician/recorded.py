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
from drivers.modbus.technician.layout import Body, Layout

_READ_BYTES: Final = 5
"""Of the PDU of a read: function, address, count."""
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
    def of(cls, body: Body | None) -> Read | None:
        """Of what a question carries; `None` if it reads nothing."""
        if (
            body is None
            or len(body.pdu) != _READ_BYTES
            or body.pdu[0] not in _BIT_FUNCTIONS | _REGISTER_FUNCTIONS
        ):
            return None
        return cls(body.unit, body.pdu[0], int.from_bytes(body.pdu[1:3]), int.from_bytes(body.pdu[3:5]))

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
    """The other end of a line."""

    def __init__(self, frames: Iterable[Frame], layout: Layout) -> None:
        self._layout = layout
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
                identity, rest = self._parted(frame.data)
                self._answers[rest].recorded.append((identity, pieces))
            else:
                pieces.append(Piece(frame.ns - asked_ns, frame.data))
        for rest, answers in self._answers.items():
            for _, came in answers.recorded:
                self._look(rest, b"".join(piece.data for piece in came))

    @property
    def units(self) -> set[int]:
        """The unit ids of which anything was recorded."""
        reads = (self._read(rest) for rest, answers in self._answers.items() if answers.recorded)
        return {read.unit for read in reads if read is not None}

    @property
    def missing(self) -> list[str]:
        """What was asked for and is not in the recording, in words."""
        return [
            f"unit {unit}, function {function}: not in the recording, and answered with exception 02: {ranges(addresses)}"
            for (unit, function), addresses in sorted(self._missing.items())
        ]

    def answer(self, question: bytes) -> Sequence[Piece]:
        """What comes back for a question; the last answer again, if it is asked more often than recorded."""
        identity, rest = self._parted(question)
        answers = self._answers[rest]
        time = answers.asked
        answers.asked += 1
        read = self._read(rest)
        if read is not None and time >= self._known(read, answers):
            self.over.add(read.unit)
        if not answers.recorded:
            return () if read is None else self._made(read, identity, time)
        then, pieces = answers.recorded[min(time, len(answers.recorded) - 1)]
        self._identities[then] = identity
        return [Piece(piece.delay_ns, self._renamed(piece.data)) for piece in pieces]

    def _parted(self, frame: bytes) -> tuple[bytes, bytes]:
        """Part a frame into its transaction id and the rest."""
        return frame[: self._layout.identity], frame[self._layout.identity :]

    def _read(self, rest: bytes) -> Read | None:
        """What a question reads, of which this is the rest."""
        return Read.of(self._layout.body(bytes(self._layout.identity) + rest))

    def _renamed(self, data: bytes) -> bytes:
        """Give an answer the transaction id of the question that it answers now."""
        then, rest = self._parted(data)
        return self._identities.get(then, then) + rest

    def _look(self, rest: bytes, answer: bytes) -> None:
        """Note what stood in the registers of a good answer."""
        read, body = self._read(rest), self._layout.body(answer)
        if read is None or body is None or body.unit != read.unit:
            return
        data = body.pdu[2:]
        if body.pdu[:2] == bytes([read.function, read.size & 0xFF]) and len(data) == read.size:
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

    def _made(self, read: Read, identity: bytes, time: int) -> Sequence[Piece]:
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
        return (Piece(0, self._layout.frame(Body(read.unit, pdu), identity)),)


def ranges(addresses: Iterable[int]) -> str:
    """Write addresses as `1, 4-7`."""
    runs: list[list[int]] = []
    for address in sorted(addresses):
        if runs and address == runs[-1][1] + 1:
            runs[-1][1] = address
        else:
            runs.append([address, address])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)

"""How questions and answers lie on the line as frames; one file for each way: `mbap`, `rtu`, `ascii`.

Pure. Requests are made by pymodbus, once for each block; the hot path only writes the transaction id into them. The
header of an answer is read here, and what is behind it is compared with the question by `transaction`: pymodbus 3.16
takes a function-4 answer to a function-3 request, one register where three were asked and an exception for another
function; it raises out of `data_received` when the byte count lies, and spends a third of its 200 us on one
`struct.unpack` for each register. What it decodes would have to be checked against the bytes again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from drivers.modbus.values.registers import ADDRESSES

_REQUESTS: Final[dict[int, Callable[..., ModbusPDU]]] = {
    1: ReadCoilsRequest,
    2: ReadDiscreteInputsRequest,
    3: ReadHoldingRegistersRequest,
    4: ReadInputRegistersRequest,
}
_BIT_FUNCTIONS: Final = {1, 2}
_COUNTING: Final = {15, 16}
"""Functions that write several, and answer with how many."""

_READ_BYTES: Final = 5
"""Function, address and count: a request to read, and the answer to one that writes several."""

EXCEPTION: Final = 0x80
"""Set in the function code of an exception response."""
_EXCEPTION_BYTES: Final = 2
"""Function and exception code."""

_MOST_DATA: Final = 250
"""Bytes: 125 registers, or 2000 bits (Modbus Application Protocol V1.1b3, 6.1 to 6.4)."""

VARIANTS: Final = 12
"""So many lengths are tried on a unit whose missing answers may still come."""


class Malformed(Exception):
    """The bytes are no frame, and nothing tells where the next one begins."""


class Frame(NamedTuple):
    """One frame as it came."""

    identity: int
    """Transaction id; 0 where the framing has none."""
    unit: int
    pdu: bytes
    length: int
    """How many bytes the whole frame has."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request to read one block, or to write, framed once."""

    unit: int
    function: int
    address: int
    count: int
    size: int
    """Bytes that the PDU of the answer has behind its first two: of an answer with data, what its byte count must say."""
    frame: bytes
    """With transaction id 0, where the framing has one."""
    answer_length: int
    """Bytes of the frame of the answer."""
    expected: bytes = b""
    """Of a write: the PDU that its answer must be, and no other. Empty for a question that reads."""

    @property
    def mirrored(self) -> bool:
        """Whether the answer is the request over again, so that nothing tells it from an echo."""
        return bool(self.expected) and self.function not in _COUNTING


class Framing(Protocol):
    """How frames lie on the line."""

    identified: bool
    """Whether frames carry transaction ids. A framing without them is taken up again after silence (Modbus over
    Serial Line V1.02, 2.5.1.1); one with them is a stream, which cannot be taken up again once it is damaged."""
    longest: int
    """Bytes of the longest frame, with the noise that is tolerated before it: `take` finds something in so many."""

    def request(self, pdu: ModbusPDU) -> bytes:
        """Frame a request."""

    def stamp(self, frame: bytes, identity: int) -> bytes:
        """Give a framed request its transaction id."""

    def length(self, pdu: int) -> int:
        """Bytes of a frame whose PDU has so many."""

    def take(self, received: memoryview, asked: Question | None) -> Frame | None:
        """Take the first frame; `None` while it is not whole. Raises `Malformed`.

        What is `asked` helps a framing that can be damaged to find the answer behind what noise put before it. On one
        that can be shared, the frame may be a request of another master, or the answer to that; see `wanted`.
        """

    def begins(self, rest: memoryview, asked: Question) -> bool:
        """Whether this, come behind an answer to what was asked, may be the beginning of another; else it is noise."""


def wanted(pdu: bytes) -> int | None:
    """What a request has for its answer (`Question.size`), if this PDU is a request; `None` if it is an answer.

    An answer with three bytes of bits looks like a request. A request that writes one value is its answer.
    """
    if pdu[0] in _REQUESTS and len(pdu) == _READ_BYTES:
        count = int.from_bytes(pdu[3:])
        size = (count + 7) // 8 if pdu[0] in _BIT_FUNCTIONS else count * 2
        return size if 0 < size <= _MOST_DATA else None
    if pdu[0] in _COUNTING and len(pdu) > _READ_BYTES:
        return _READ_BYTES - 2
    return None


def refuses(pdu: bytes) -> bool:
    """Whether this PDU is an exception response (Modbus Application Protocol V1.1b3, 7)."""
    return bool(pdu[0] & EXCEPTION) and len(pdu) == _EXCEPTION_BYTES


def question(framing: Framing, *, unit: int, function: int, address: int, count: int) -> Question:
    """Frame the request that reads `count` addresses. Raises `ValueError` for what one request cannot ask for."""
    pdu = _REQUESTS[function](address=address, count=count, dev_id=unit)
    size = (count + 7) // 8 if function in _BIT_FUNCTIONS else count * 2
    return Question(unit, function, address, count, size, framing.request(pdu), framing.length(2 + size))


def write_question(framing: Framing, *, unit: int, pdu: ModbusPDU) -> Question:
    """Frame a request that writes: function 5, 6 or 22, which is echoed, or 15 or 16, of which address and count are."""
    pdu.dev_id = unit
    body = bytes(pdu.encode())
    expected = bytes([pdu.function_code]) + (body[:4] if pdu.function_code in _COUNTING else body)
    return Question(
        unit=unit,
        function=pdu.function_code,
        address=pdu.address,
        count=pdu.count,
        size=len(expected) - 2,
        frame=framing.request(pdu),
        answer_length=framing.length(len(expected)),
        expected=expected,
    )


def variants(framing: Framing, asked: Question) -> Iterator[Question]:
    """Questions to the same unit, near this one, whose answers differ in length from its and from each other's.

    Shorter ones first. A device may refuse the longer ones; it then shows by refusing that it is there.
    """
    step = 8 if asked.function in _BIT_FUNCTIONS else 1
    shorter = range(asked.count - step, 0, -step)
    longer = range(asked.count + step, asked.count + step * (VARIANTS + 1), step)
    return (
        question(
            framing,
            unit=asked.unit,
            function=asked.function,
            address=min(asked.address, ADDRESSES - count),
            count=count,
        )
        for count in (*shorter, *longer)[:VARIANTS]
    )

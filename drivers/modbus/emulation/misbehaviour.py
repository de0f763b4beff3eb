"""What a device does in place of answering as it should: the right answer and its faults -> what is said, and when.

    answer --in whose name, with which id--> frame --what the line makes of it--> pieces --how slowly--> said

Faults add up: one may be late, and truncated. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Protocol

from agent.faults import Fault, Kind
from drivers.modbus.timing import ns

EXCEPTION: Final = 0x80
"""Set in the function code of an exception response (Modbus Application Protocol V1.1b3, 7)."""

OTHER_ID: Final = 1000
"""A wrong transaction id is so far off: no question of late had it."""
OTHERS_AFTER_NS: Final = 20_000_000
"""What others say follows so long after the answer."""
OTHER_UNIT: Final = 247
OTHERS_ASK: Final = bytes.fromhex("03 00 00 00 01")
OTHERS_ANSWER: Final = bytes.fromhex("03 02 02 9a")
"""PDUs of somebody else's question and answer: one register, 666."""

ANSWERED_TO: Final = {Kind.WRONG_ID, Kind.NO_ID}
"""Faults of answers with a transaction id."""


class Framer(Protocol):
    """How frames are made; pymodbus's are of this kind."""

    def encode(self, payload: bytes, device_id: int, _tid: int, /) -> bytes:
        """A frame for this unit, with this transaction id if it has one."""


class Saying(NamedTuple):
    """Bytes that go out."""

    after_ns: int
    """After the answer could have begun."""
    octets: bytes
    unit: int | None
    """Who says it, in the order of what it was asked; `None`: others, or the line itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A question as it was understood, and the right answer to it."""

    unit: int
    identity: int
    question: bytes
    """PDU."""
    answer: bytes
    """PDU."""


def said(
    exchange: Exchange,
    faults: Mapping[Kind, Fault],
    framer: Framer,
    *,
    chance: Callable[[], float],
    noise: Callable[[int], bytes],
) -> list[Saying]:
    """What goes out; `chance` gives numbers from 0 up to 1, `noise` so many random bytes."""
    if Kind.SILENT in faults:
        return []
    named = _named(exchange, faults)
    frame = framer.encode(named.answer, named.unit, named.identity & 0xFFFF)
    if Kind.NOISE in faults:
        frame = noise(len(frame))
    if Kind.TRUNCATED in faults:
        frame = frame[: len(frame) // 2]
    if Kind.DUPLICATE in faults:
        frame *= 2
    begin_ns = _between(faults[Kind.LATE], chance()) if Kind.LATE in faults else 0
    sayings = [Saying(begin_ns, frame, exchange.unit)]
    if Kind.SLOW in faults:
        gap_ns = ns(faults[Kind.SLOW].least)
        sayings = [
            Saying(begin_ns + at * gap_ns, bytes([octet]), exchange.unit) for at, octet in enumerate(frame)
        ]
    if Kind.ECHO in faults:
        question = framer.encode(exchange.question, exchange.unit, exchange.identity)
        sayings.insert(0, Saying(0, question, None))
    if Kind.FOREIGN in faults:
        others = b"".join(
            framer.encode(pdu, OTHER_UNIT, (exchange.identity + OTHER_ID) & 0xFFFF)
            for pdu in (OTHERS_ASK, OTHERS_ANSWER)
        )
        sayings.append(Saying(sayings[-1].after_ns + OTHERS_AFTER_NS, others, None))
    return sayings


def _named(exchange: Exchange, faults: Mapping[Kind, Fault]) -> Exchange:
    """The answer with what it says of itself: what it is, whose, and to which question."""
    if fault := faults.get(Kind.EXCEPTION):
        exchange = replace(exchange, answer=bytes([exchange.question[0] | EXCEPTION, fault.code]))
    if Kind.WRONG_UNIT in faults:
        exchange = replace(exchange, unit=(exchange.unit + 1) & 0xFF)
    if Kind.WRONG_ID in faults:
        exchange = replace(exchange, identity=exchange.identity + OTHER_ID)
    if Kind.NO_ID in faults:
        exchange = replace(exchange, identity=0)
    return exchange


def _between(fault: Fault, chance: float) -> int:
    least_ns, most_ns = ns(fault.least), ns(fault.most)
    return least_ns + round((most_ns - least_ns) * chance)

"""The fence, in virtual time: 10,000 questions on each kind of line, whose units answer when and as they like."""

from __future__ import annotations

import heapq
import random
import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest

from drivers.modbus.line.ascii import Ascii
from drivers.modbus.line.framing import Framing, Question, question, variants
from drivers.modbus.line.mbap import Mbap
from drivers.modbus.line.rtu import Rtu
from drivers.modbus.line.transaction import Answer, Conversation
from tests.emulators.serial_line import sealed

MS = 1_000_000
QUIET = 500 * MS
LIMIT = 200 * MS
"""How long an answer may take."""
UNITS = (1, 2, 3)
COUNTS = (1, 3, 3, 10, 125)
THEIRS = b"\xff\xff"
"""What every register holds that another master reads; ours hold the number of the question, which is less."""


def framed(framing: Framing, unit: int, pdu: bytes, identity: int = 0) -> bytes:
    """An answer as it lies on the line."""
    content = bytes([unit]) + pdu
    match framing:
        case Rtu():
            return sealed(content)
        case Ascii():
            return b":" + (content + bytes([-sum(content) & 0xFF])).hex().upper().encode() + b"\r\n"
    return struct.pack(">HHH", identity & 0xFFFF, 0, len(content)) + content


class Delivery(NamedTuple):
    """Bytes that will come."""

    at_ns: int
    order: int
    octets: bytes
    cut: int = 0
    gap_ns: int = 0
    """The first `cut` bytes come, the others so much later, and nothing between them: a line has an order."""


@dataclass
class RandomLine:
    """Each answer says which asking it is to."""

    framing: Framing
    echoes: bool
    chance: random.Random
    others: bool = False
    """Whether another master is at work on it, and asks the same units for as much."""
    noisy: bool = False
    """Whether there are glitches before and behind answers, and our own echo."""
    now_ns: int = 0
    serial: int = 0
    order: int = 0
    last_ns: int = 0
    coming: list[Delivery] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.conversation = Conversation(self.framing, quiet_ns=QUIET, pause_ns=2 * MS)

    def round(self) -> None:
        self.pass_until(self.now_ns + self.chance.randrange(20 * MS))
        if self.others and self.chance.random() < 0.3:
            self.ask_for_others(self.now_ns + self.chance.randrange(300 * MS))
        while wait_ns := self.conversation.wait_ns(self.now_ns):
            self.pass_until(self.now_ns + wait_ns)
        self.lose_tails()
        if self.conversation.broken:
            self.conversation.opened()
            self.tally["connections"] += 1
        unit = self.chance.choice(UNITS)
        asked, to_be_used = self.choose(unit)
        if asked is None:
            self.now_ns += 1000 * MS
            return
        self.serial = (self.serial + 1) % 0xFFFF
        sent = self.conversation.ask(asked, self.now_ns)
        if self.noisy:
            self.come(self.now_ns + 1, sent)
        self.answer(asked, int.from_bytes(sent[:2], "big"))
        outcome = self.pass_until(self.now_ns + LIMIT, waiting=True)
        if outcome is None:
            outcome = self.conversation.abandon(self.now_ns)
        if isinstance(outcome, bytes):
            told = set(struct.unpack(f">{asked.count}H", outcome))
            self.tally["right" if told == {self.serial} else "WRONG"] += 1
            self.tally["used"] += to_be_used
        else:
            self.tally[type(outcome).__name__] += 1

    def lose_tails(self) -> None:
        """A connection that is dropped takes half a frame with it; whole ones a gateway may send to the next one."""
        if self.conversation.broken:
            self.coming = [each for each in self.coming if each.order]
            heapq.heapify(self.coming)

    def choose(self, unit: int) -> tuple[Question | None, bool]:
        """As the link does: a suspect unit is asked something that no late answer can pass for."""
        block = question(self.framing, unit=unit, function=3, address=7, count=3)
        if self.conversation.suspects(unit, self.now_ns):
            probes = (block, *variants(self.framing, block))
            return next((probe for probe in probes if not self.conversation.fenced(probe)), None), False
        count = self.chance.choice(COUNTS)
        return question(self.framing, unit=unit, function=3, address=7, count=count), True

    def ask_for_others(self, at_ns: int) -> None:
        """Another master asks one of the units, and is answered, in time or late, or not at all."""
        asked = question(
            self.framing,
            unit=self.chance.choice(UNITS),
            function=3,
            address=700,
            count=self.chance.choice(COUNTS),
        )
        self.come(at_ns, asked.frame)
        if self.chance.random() < 0.9:
            delay_ns = self.chance.randrange(20 * MS if self.chance.random() < 0.9 else LIMIT + QUIET)
            self.last_ns = max(at_ns + delay_ns, self.last_ns + 1)
            pdu = bytes([3, asked.size]) + THEIRS * asked.count
            self.come(self.last_ns, framed(self.framing, asked.unit, pdu))

    def answer(self, asked: Question, identity: int) -> None:
        """Decide what comes back, and when. Units of a line without ids answer in the order of the questions."""
        pdu = bytes([3, asked.size]) + struct.pack(">H", self.serial) * asked.count
        identity = identity if self.echoes else 0
        octets = framed(self.framing, asked.unit, pdu, identity)
        chance = self.chance
        kind = chance.choices(
            ["good", "late", "very late", "never", "exception", "twice", "split", "foreign"],
            [70, 8, 4, 6, 3, 3, 3, 0 if self.noisy else 3],
        )[0]
        delay = chance.randrange(20 * MS)
        if kind == "late":
            delay = chance.randrange(LIMIT, LIMIT + QUIET)
        elif kind == "very late":
            delay = chance.randrange(LIMIT + QUIET, 5 * (LIMIT + QUIET))
        elif kind == "never":
            return
        elif kind == "exception":
            octets = framed(self.framing, asked.unit, b"\x83\x06", identity)
        elif kind == "twice":
            octets = self.twice(octets, self.now_ns + delay)
        elif kind == "foreign":
            octets = self.foreign(asked.unit, pdu, identity)
        elif self.noisy:
            octets = self.noise() + octets + self.noise()
        at_ns = self.now_ns + 2 + delay
        if not self.echoes:
            at_ns = self.last_ns = max(at_ns, self.last_ns + 1)
        if kind == "split":
            self.come(at_ns, octets, chance.randrange(1, len(octets)), chance.randrange(2 * LIMIT))
        else:
            self.come(at_ns, octets)

    def twice(self, octets: bytes, at_ns: int) -> bytes:
        """Without ids at once: apart, nobody could tell the second copy from the answer to an equal question."""
        if not self.echoes:
            return octets * 2
        self.come(at_ns + self.chance.randrange(2 * LIMIT), octets)
        return octets

    def foreign(self, unit: int, pdu: bytes, identity: int) -> bytes:
        """What nobody has asked for."""
        frames = [
            framed(self.framing, unit + 10, pdu, identity),
            framed(self.framing, unit, b"\x04" + pdu[1:], identity),
            framed(self.framing, unit, pdu[:1] + pdu[2:], identity),
            bytes(self.chance.randrange(256) for _ in range(self.chance.randrange(1, 30))),
        ]
        if self.echoes:
            frames.append(framed(self.framing, unit, pdu, identity + 1000))
        return self.chance.choice(frames)

    def noise(self) -> bytes:
        return self.chance.choice([b"", b"\x00", b"\xff", b"\xfe\x00", b"\x00\xf8\xff"])

    def come(self, at_ns: int, octets: bytes, cut: int = 0, gap_ns: int = 0) -> None:
        self.order += 1
        heapq.heappush(self.coming, Delivery(at_ns, self.order, octets, cut, gap_ns))

    def pass_until(self, until_ns: int, *, waiting: bool = False) -> Answer | None:
        """Let time pass; ends early with the outcome of the question if one is awaited."""
        while self.coming and self.coming[0].at_ns <= until_ns:
            at_ns, _, octets, cut, gap_ns = heapq.heappop(self.coming)
            self.now_ns = max(self.now_ns, at_ns)
            if cut:
                octets, rest = octets[:cut], octets[cut:]
                self.coming = [each._replace(at_ns=max(each.at_ns, at_ns + gap_ns)) for each in self.coming]
                self.coming.append(Delivery(at_ns + gap_ns, 0, rest))
                heapq.heapify(self.coming)
                self.last_ns = max(self.last_ns, at_ns + gap_ns)
            outcomes = [outcome for piece in self.cut(octets) for outcome in self.hear(piece)]
            self.lose_tails()
            if outcomes and waiting:
                [outcome] = outcomes
                return outcome
        self.now_ns = max(self.now_ns, until_ns)
        return None

    def cut(self, octets: bytes) -> list[bytes]:
        """In pieces as they may be handed over; of a peer that answers with id 0 all at once, since it copies at once."""
        if self.framing.identified and not self.echoes:
            return [octets]
        first, second = sorted(self.chance.randrange(len(octets) + 1) for _ in range(2))
        return [piece for piece in (octets[:first], octets[first:second], octets[second:]) if piece]

    def hear(self, octets: bytes) -> list[Answer]:
        outcomes = []
        while octets and not self.conversation.broken:
            space = self.conversation.space()
            assert len(space) > 0
            count = min(len(octets), len(space))
            space[:count] = octets[:count]
            if (outcome := self.conversation.received(count, self.now_ns)) is not None:
                outcomes.append(outcome)
            octets = octets[count:]
        return outcomes


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("framing", "echoes"),
    [(Mbap(), True), (Mbap(), False), (Rtu(), False), (Ascii(), False)],
    ids=["ids", "id 0", "rtu", "ascii"],
)
def test_ten_thousand_rounds(framing, echoes, seed):
    """However late, often, early, foreign or broken answers come: not one is taken for the answer to another asking."""
    line = RandomLine(framing, echoes, random.Random(seed))
    for _ in range(10_000):
        line.round()
    assert line.tally["WRONG"] == 0
    assert line.tally["used"] > 4_000  # and most that come in time are used


@pytest.mark.parametrize("noisy", [False, True], ids=["", "noise and echo"])
@pytest.mark.parametrize("framing", [Rtu(), Ascii()], ids=["rtu", "ascii"])
def test_ten_thousand_rounds_beside_another_master(framing, noisy):
    """Somebody else asks the same units for as many registers: what they answer to it is never taken for ours."""
    line = RandomLine(framing, echoes=False, chance=random.Random(5), others=True, noisy=noisy)
    for _ in range(10_000):
        line.round()
    assert line.tally["WRONG"] == 0
    assert line.tally["used"] > 2_000
    assert line.conversation.overhearing.other_master
    assert line.conversation.echo.heard is noisy


def test_ten_thousand_rounds_with_noise():
    """Glitches before and behind answers, and our own echo, cost no reading and make no other master."""
    line = RandomLine(Rtu(), echoes=False, chance=random.Random(6), noisy=True)
    for _ in range(10_000):
        line.round()
    assert line.tally["WRONG"] == 0
    assert line.tally["used"] > 4_000
    assert not line.conversation.overhearing.other_master

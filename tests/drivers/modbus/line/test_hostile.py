"""Whatever comes on a line of any framing, in whatever order: nothing raises, nothing grows, nothing stalls."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.pdu.register_message import WriteSingleRegisterRequest

from drivers.modbus.line.ascii import Ascii
from drivers.modbus.line.framing import Malformed, question, write_question
from drivers.modbus.line.mbap import Mbap
from drivers.modbus.line.rtu import Rtu
from drivers.modbus.line.transaction import Conversation
from tests.drivers.modbus.line.test_fence import framed

MS = 1_000_000
QUIET = 100 * MS
FRAMINGS = {"tcp": Mbap(), "rtu": Rtu(), "ascii": Ascii()}
UNITS = (5, 6)


def questions(framing):
    """Of every kind: registers, bits that look like a request, a write that is its own answer."""
    reads = [(3, 3), (4, 125), (1, 20), (2, 1)]
    return [
        question(framing, unit=unit, function=function, address=7, count=count)
        for unit in UNITS
        for function, count in reads
    ] + [write_question(framing, unit=5, pdu=WriteSingleRegisterRequest(address=7, registers=[513]))]


def answer(framing, asked, identity: int) -> bytes:
    pdu = asked.expected or bytes([asked.function, asked.size]) + bytes(asked.size)
    return framed(framing, asked.unit, pdu, identity)


def pieces(framing, chance: random.Random) -> bytes:
    """Something that may be heard: whole frames, requests, refusals, any of them cut or damaged, noise."""
    asked = chance.choice(questions(framing))
    octets = bytearray(
        chance.choice(
            [
                answer(framing, asked, chance.randrange(4)),
                asked.frame,
                framed(framing, asked.unit, bytes([asked.function | 0x80, chance.randrange(256)])),
                framed(framing, chance.randrange(256), chance.randbytes(chance.randrange(2, 253))),
                chance.randbytes(chance.randrange(300)),
                b":" * chance.randrange(20),
                b"\r\n",
            ]
        )
    )
    if octets and chance.random() < 0.3:
        octets[chance.randrange(len(octets))] ^= 1 << chance.randrange(8)
    if octets and chance.random() < 0.3:
        del octets[chance.randrange(len(octets)) :]
    return bytes(octets)


@pytest.mark.parametrize("kind", FRAMINGS)
@given(octets=st.binary(max_size=600), seed=st.integers(0, 2**32), which=st.integers(-1, 8))
@settings(deadline=None, max_examples=300)
def test_a_framing_takes_a_frame_or_says_that_there_is_none(kind, octets, seed, which):
    """A frame within what came, nothing yet, or `Malformed`; and never nothing of as many bytes as it is given."""
    framing = FRAMINGS[kind]
    chance = random.Random(seed)
    octets = b"".join([octets, *(pieces(framing, chance) for _ in range(chance.randrange(4)))])
    octets = octets[chance.randrange(len(octets) + 1) :][: framing.longest]
    asked = None if which < 0 else questions(framing)[which]
    try:
        frame = framing.take(memoryview(octets), asked)
    except Malformed:
        return
    if frame is None:
        assert len(octets) < framing.longest or asked is None
    else:
        assert 0 < frame.length <= len(octets)
        assert len(frame.pdu) >= 2


@pytest.mark.parametrize("kind", FRAMINGS)
@given(seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=300)
def test_a_conversation_goes_on(kind, seed):
    """After anything that may be heard, asked and given up, the line is free again within three times the quiet."""
    framing, chance = FRAMINGS[kind], random.Random(seed)
    conversation = Conversation(framing, quiet_ns=QUIET, pause_ns=2 * MS)
    now_ns, outstanding = 0, False
    for _ in range(30):
        now_ns += chance.choice([0, 1, 10 * MS, 60 * MS, QUIET])
        deed = chance.random()
        if deed < 0.3 and not outstanding and not conversation.wait_ns(now_ns) and not conversation.broken:
            conversation.suspects(5, now_ns)
            asked = chance.choice(questions(framing))
            if not conversation.fenced(asked):
                conversation.ask(asked, now_ns)
                outstanding = True
        elif deed < 0.4 and outstanding:
            conversation.abandon(now_ns)
            outstanding = False
        elif not conversation.broken:
            outstanding = not hear(conversation, pieces(framing, chance), now_ns) and outstanding
    conversation.abandon(now_ns)
    now_ns += 3 * QUIET
    conversation.wait_ns(now_ns)
    conversation.opened()
    assert conversation.wait_ns(now_ns) == 0
    assert len(conversation.space()) == framing.longest


def hear(conversation: Conversation, octets: bytes, now_ns: int) -> bool:
    """Whether it brought an outcome."""
    outcome = None
    while octets and not conversation.broken:
        space = conversation.space()
        assert len(space) > 0
        count = min(len(octets), len(space))
        space[:count] = octets[:count]
        outcome = conversation.received(count, now_ns) or outcome
        octets = octets[count:]
    return outcome is not None

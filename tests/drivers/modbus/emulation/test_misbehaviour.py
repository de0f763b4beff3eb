"""What becomes of the right answer, fault by fault; each by itself and several together."""

from __future__ import annotations

import pytest
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU

from agent.faults import order
from drivers.modbus.emulation.misbehaviour import Exchange, said

TCP, RTU = (framer(DecodePDU(is_server=True)) for framer in (FramerSocket, FramerRTU))
EXCHANGE = Exchange(
    unit=7, identity=5, question=bytes.fromhex("03 0010 0002"), answer=bytes.fromhex("03 04 0102 0304")
)
RIGHT = bytes.fromhex("0005 0000 0007 07 03 04 0102 0304")
MS = 1_000_000


def spoken(*words: str, framer=TCP, chance=0.5):
    """What is said: milliseconds, and bytes in hexadecimal."""
    faults = [order(f"device {each}").fault for each in words]
    sayings = said(
        EXCHANGE,
        {fault.kind: fault for fault in faults},
        framer,
        chance=lambda: chance,
        noise=lambda count: b"\xaa" * count,
    )
    return [(saying.after_ns / MS, saying.octets) for saying in sayings]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], [(0, RIGHT)]),
        (["silent"], []),
        (["silent", "late 1s"], []),
        (["late 2s"], [(2000, RIGHT)]),
        (["late 1s..2s"], [(1500, RIGHT)]),
        (["exception 2"], [(0, bytes.fromhex("0005 0000 0003 07 83 02"))]),
        (["wrong-unit"], [(0, RIGHT[:6] + b"\x08" + RIGHT[7:])]),
        (["wrong-id"], [(0, (1005).to_bytes(2) + RIGHT[2:])]),
        (["no-id"], [(0, b"\0\0" + RIGHT[2:])]),
        (["noise"], [(0, b"\xaa" * len(RIGHT))]),
        (["truncated"], [(0, RIGHT[:6])]),
        (["duplicate"], [(0, RIGHT * 2)]),
        (["late 1s", "truncated", "no-id"], [(1000, b"\0\0" + RIGHT[2:6])]),
        (["slow 3ms", "late 1s"], [(1000 + 3 * at, bytes([octet])) for at, octet in enumerate(RIGHT)]),
    ],
    ids=str,
)
def test_a_fault_does_to_an_answer_what_its_name_says(words, expected):
    """And faults add up: to what is said, then to when."""
    assert spoken(*words) == expected


def test_a_two_wire_line_brings_back_the_question():
    """Before the answer, and at once although that is late."""
    question = RTU.encode(EXCHANGE.question, 7, 0)
    answer = RTU.encode(EXCHANGE.answer, 7, 0)
    assert spoken("echo", "late 1s", framer=RTU) == [(0, question), (1000, answer)]


def test_others_are_heard_after_the_answer():
    """A question to another unit and its answer, each a sound frame."""
    (_, answer), (after_ms, others) = spoken("foreign", framer=RTU)
    assert answer == RTU.encode(EXCHANGE.answer, 7, 0)
    assert after_ms > 0
    assert RTU.check_CRC(others[:6], int.from_bytes(others[6:8]))
    assert RTU.check_CRC(others[8:13], int.from_bytes(others[13:]))

"""RTU frames: found by their length, believed for their checksum."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.pdu.bit_message import WriteMultipleCoilsRequest, WriteSingleCoilRequest
from pymodbus.pdu.register_message import (
    MaskWriteRegisterRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from drivers.modbus.line.ascii import Ascii
from drivers.modbus.line.framing import Malformed, question, write_question
from drivers.modbus.line.mbap import Mbap
from drivers.modbus.line.rtu import NOISE, Rtu
from drivers.modbus.line.transaction import Conversation
from tests.emulators.serial_line import sealed

unhurried = settings(deadline=None)
RTU, ASCII = Rtu(), Ascii()
THREE = question(RTU, unit=5, function=3, address=100, count=3)
ANSWER = sealed(b"\x05\x03\x06\x00\x01\x00\x02\x00\x03")
REFUSAL = sealed(b"\x05\x83\x02")


def take(octets: bytes, asked=THREE, framing=RTU):
    return framing.take(memoryview(octets), asked)


def test_a_request_is_as_the_specification_prints_it():
    """Unit 1, function 4, address 0, one register: 01 04 00 00 00 01 31 CA (checksum low byte first)."""
    assert question(RTU, unit=1, function=4, address=0, count=1).frame.hex(" ") == "01 04 00 00 00 01 31 ca"


@pytest.mark.parametrize("octets", [ANSWER, REFUSAL], ids=["data", "refusal"])
def test_an_answer_is_taken_once_it_is_whole(octets):
    """Not a byte earlier; and its unit and PDU are what was sent."""
    assert [take(octets[:count]) for count in range(len(octets))] == [None] * len(octets)
    frame = take(octets)
    assert (frame.unit, frame.pdu, frame.length) == (5, octets[1:-2], len(octets))


@unhurried
@given(noise=st.binary(min_size=1, max_size=NOISE), octets=st.sampled_from([ANSWER, REFUSAL]))
def test_the_answer_is_found_behind_noise(noise, octets):
    """A driver chip that turns round leaves a glitch; it must not cost the reading."""
    frame = take(noise + octets)
    assert (frame.unit, frame.pdu, frame.length) == (5, octets[1:-2], len(noise) + len(octets))


@unhurried
@given(bit=st.integers(0, len(ANSWER) * 8 - 1))
def test_a_bit_that_flipped_makes_no_answer(bit):
    """Whichever it is: the checksum finds it, also where the length was hit."""
    octets = bytearray(ANSWER)
    octets[bit // 8] ^= 1 << bit % 8
    assert take(bytes(octets)) is None
    with pytest.raises(Malformed):
        take(bytes(octets) + bytes(NOISE))


@unhurried
@given(octets=st.binary(max_size=256), asked=st.sampled_from([THREE, None]))
def test_whatever_comes_ends_well(octets, asked):
    """A frame with a right checksum, nothing yet, or `Malformed`: never anything else."""
    for framing in (RTU, ASCII):
        try:
            frame = take(octets, asked, framing)
        except Malformed:
            continue
        assert frame is None or 0 < frame.length <= len(octets)


def test_an_ascii_frame_is_taken_behind_whatever_was_broken_off():
    """The colon begins a frame anew; the checksum makes the sum of its bytes zero."""
    content = ANSWER[:-2]
    line = b":" + (content + bytes([-sum(content) & 0xFF])).hex().upper().encode() + b"\r\n"
    frame = take(b":0503" + line, framing=ASCII)
    assert (frame.unit, frame.pdu) == (5, ANSWER[1:-2])
    assert ASCII.length(len(frame.pdu)) == len(line)
    with pytest.raises(Malformed, match="checksum"):
        take(line.replace(b"0001", b"0002"), framing=ASCII)


WRITES = [
    (WriteSingleCoilRequest(address=7, bits=[True]), "05 00 07 ff 00"),
    (WriteSingleRegisterRequest(address=7, registers=[513]), "06 00 07 02 01"),
    (WriteMultipleCoilsRequest(address=7, bits=[True] * 3), "0f 00 07 00 03"),
    (WriteMultipleRegistersRequest(address=7, registers=[1, 2]), "10 00 07 00 02"),
    (MaskWriteRegisterRequest(address=7, and_mask=0xF2, or_mask=0x25), "16 00 07 00 f2 00 25"),
]


@pytest.mark.parametrize(("pdu", "reply"), WRITES, ids=[reply[:2] for _, reply in WRITES])
@pytest.mark.parametrize("framing", [RTU, ASCII, Mbap()], ids=["rtu", "ascii", "tcp"])
def test_only_the_answer_that_repeats_what_was_written_says_that_it_was(framing, pdu, reply):
    """As the specification prints it; one that differs in any byte is not believed."""
    asked = write_question(framing, unit=5, pdu=pdu)
    assert asked.expected.hex(" ") == reply
    assert asked.answer_length == framing.length(len(asked.expected))
    for at in range(len(asked.expected)):
        wrong = bytearray(asked.expected)
        wrong[at] ^= 0x40
        for answer, right in ((asked.expected, True), (bytes(wrong), False)):
            conversation = Conversation(framing, quiet_ns=1)
            request = conversation.ask(asked, 0)
            octets = framed(framing, request, 5, answer)
            conversation.space()[: len(octets)] = octets
            assert isinstance(conversation.received(len(octets), 0), bytes) is right


def framed(framing, request: bytes, unit: int, pdu: bytes) -> bytes:
    content = bytes([unit]) + pdu
    if framing is RTU:
        return sealed(content)
    if framing is ASCII:
        return b":" + (content + bytes([-sum(content) & 0xFF])).hex().encode() + b"\r\n"
    return request[:2] + b"\0\0" + len(content).to_bytes(2, "big") + content


def hear(conversation: Conversation, octets: bytes, now_ns: int = 0):
    conversation.space()[: len(octets)] = octets
    return conversation.received(len(octets), now_ns)


def test_an_echo_is_thrown_away_from_the_first_answer_on():
    """A two-wire adapter brings back what is sent; found at a question to read, it is known for writes too."""
    conversation = Conversation(RTU, quiet_ns=1)
    request = conversation.ask(THREE, 0)
    assert hear(conversation, request[:3]) is None
    assert hear(conversation, request[3:]) is None
    assert hear(conversation, ANSWER) == ANSWER[3:-2]
    assert conversation.echo.heard
    write = write_question(RTU, unit=5, pdu=WRITES[1][0])
    request = conversation.ask(write, 0)
    assert hear(conversation, request) is None
    assert hear(conversation, sealed(b"\x05" + write.expected)) == write.expected[2:]


def test_echo_and_answer_may_come_at_once():
    """An adapter's driver hands over both together."""
    conversation = Conversation(RTU, quiet_ns=1)
    request = conversation.ask(THREE, 0)
    assert hear(conversation, request + ANSWER) == ANSWER[3:-2]


@pytest.mark.parametrize("noise", [b"\x00", b"\xff\x00\xff\x00"])
def test_an_echo_behind_noise_is_one(noise):
    """A driver chip that turns round leaves a few bytes before the echo as before an answer."""
    conversation = Conversation(RTU, quiet_ns=1)
    request = conversation.ask(THREE, 0)
    assert hear(conversation, noise) is None
    assert hear(conversation, request) is None
    assert hear(conversation, ANSWER) == ANSWER[3:-2]
    assert conversation.echo.heard


def test_a_line_that_had_no_echo_may_have_one_later():
    """An adapter is exchanged: the next question to read finds it, and loses nothing."""
    conversation = Conversation(RTU, quiet_ns=1)
    conversation.ask(THREE, 0)
    assert hear(conversation, ANSWER)
    assert conversation.echo.heard is False
    request = conversation.ask(THREE, 0)
    assert hear(conversation, request) is None
    assert hear(conversation, ANSWER) == ANSWER[3:-2]
    assert conversation.echo.heard


def test_an_echo_after_the_time_out_is_no_other_master():
    """It is thrown away, and so is the late answer behind it; the next question is answered."""
    conversation = Conversation(RTU, quiet_ns=1_000)
    request = conversation.ask(THREE, 0)
    conversation.abandon(1_000)
    assert hear(conversation, request[:5], 1_200) is None
    assert hear(conversation, request[5:] + ANSWER, 1_300) is None
    assert conversation.echo.heard
    assert not conversation.overhearing.other_master
    assert conversation.counts["overheard"] == 0
    assert conversation.wait_ns(9_000) == 0
    one = question(RTU, unit=5, function=3, address=0, count=1)
    request = conversation.ask(one, 9_000)
    assert hear(conversation, request + sealed(b"\x05\x03\x02\x00\x07"), 9_100) == b"\x00\x07"


def test_a_line_without_echo_takes_the_mirrored_answer_to_a_write():
    """Where nothing comes back twice, the request over again is the answer."""
    conversation = Conversation(RTU, quiet_ns=1)
    conversation.ask(THREE, 0)
    assert hear(conversation, ANSWER)
    assert conversation.echo.heard is False
    write = write_question(RTU, unit=5, pdu=WRITES[1][0])
    assert hear(conversation, b"") is None
    request = conversation.ask(write, 0)
    assert hear(conversation, request) == write.expected[2:]


def test_another_master_is_overheard():
    """Frames that nobody of ours asked for, while nothing of ours is to come; a burst of them counts once."""
    conversation = Conversation(RTU, quiet_ns=1, pause_ns=4_000_000)
    second = 1_000_000_000
    for time in range(3):
        hear(conversation, question(RTU, unit=9, function=3, address=0, count=1).frame, time * second)
        hear(conversation, sealed(b"\x09\x03\x02\x00\x07"), time * second + 9_000_000)
    assert conversation.counts["overheard"] == 3
    assert conversation.wait_ns(2 * second + 10_000_000) == 3_000_000
    conversation.ask(THREE, 3 * second)
    assert hear(conversation, ANSWER, 3 * second) == ANSWER[3:-2]


def test_what_came_in_place_of_an_answer_is_told():
    """The wrong speed makes garbage: that is no silence, and who looks for the fault must know it."""
    conversation = Conversation(RTU, quiet_ns=1)
    conversation.ask(THREE, 0)
    assert hear(conversation, b"\xff\x00\xf8") is None
    unfit = conversation.abandon(5)
    assert unfit.kind == "malformed"
    assert unfit.words == "3 bytes that make no answer: ff 00 f8"

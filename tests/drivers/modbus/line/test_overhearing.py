"""What is heard on a shared line beside the answers to us, and what follows from it for who may ask."""

from __future__ import annotations

from pymodbus.pdu.register_message import WriteMultipleRegistersRequest

from drivers.modbus.line.framing import Frame, question, write_question
from drivers.modbus.line.missing import Missing
from drivers.modbus.line.overhearing import WITHIN_NS, Heard, Overhearing
from drivers.modbus.line.rtu import Rtu
from drivers.modbus.line.transaction import Conversation, Unfit
from tests.emulators.serial_line import sealed

MS = 1_000_000
QUIET = 500 * MS
RTU = Rtu()
THREE = question(RTU, unit=5, function=3, address=100, count=3)
DATA = b"\x00\x01\x00\x02\x00\x03"
ANSWER = sealed(b"\x05\x03\x06" + DATA)
THEIRS = sealed(b"\x05\x03\x06" + b"\xff" * 6)


def asks(unit: int, count: int, address: int = 700) -> bytes:
    return question(RTU, unit=unit, function=3, address=address, count=count).frame


def frame(octets: bytes) -> Frame:
    return Frame(0, octets[0], octets[1:-2], len(octets))


def overhearing() -> Overhearing:
    return Overhearing(Missing(QUIET), QUIET)


def talk() -> Conversation:
    return Conversation(RTU, quiet_ns=QUIET, pause_ns=4 * MS)


def hear(conversation: Conversation, octets: bytes, now_ns: int = 0):
    conversation.space()[: len(octets)] = octets
    return conversation.received(len(octets), now_ns)


def test_what_a_frame_is():
    """By what was asked before it, and by whom."""
    line = overhearing()
    assert line.judge(frame(asks(5, 3)), 0) is Heard.REQUEST
    assert not line.other_master
    assert line.judge(frame(THEIRS), 0) is Heard.REPLY
    assert line.other_master  # a request with its answer leaves no doubt
    assert line.judge(frame(THEIRS), 0) is Heard.OVERHEARD
    line.answered(frame(ANSWER))
    assert line.judge(frame(ANSWER), 0) is Heard.LATE
    write = write_question(RTU, unit=5, pdu=WriteMultipleRegistersRequest(address=7, registers=[1, 2]))
    assert line.judge(frame(write.frame), 0) is Heard.REQUEST
    assert line.judge(frame(sealed(b"\x05" + write.expected)), 0) is Heard.REPLY


def test_noise_alone_makes_no_other_master():
    """Noise that by chance has the checksum of a frame does not come three times in ten minutes."""
    line = overhearing()
    for time in range(10):
        line.judge(frame(sealed(b"\x09\x03\x02\x00\x07")), time * WITHIN_NS // 2 + time)
    assert not line.other_master
    line.judge(frame(sealed(b"\x09\x03\x02\x00\x07")), 5 * WITHIN_NS)
    assert line.other_master


def test_what_others_ask_for_is_fenced():
    """Until its answer was heard, nothing is asked whose answer would look like it; that of another length may be."""
    conversation = talk()
    hear(conversation, asks(5, 3))
    assert conversation.fenced(THREE)
    assert conversation.suspects(5, 0)
    hear(conversation, THEIRS, 20 * MS)
    assert not conversation.suspects(5, 20 * MS)
    hear(conversation, asks(5, 3), 40 * MS)
    hear(conversation, sealed(b"\x05\x83\x02"), 60 * MS)  # to whom? All refusals look alike
    assert conversation.fenced(THREE)


def test_others_have_the_line_until_they_are_answered():
    """As long as an answer may take; and when they ask on and on, twice that."""
    conversation = talk()
    hear(conversation, asks(9, 1), 10 * MS)
    assert conversation.wait_ns(10 * MS) == QUIET
    now_ns = 10 * MS
    while conversation.wait_ns(now_ns):
        hear(conversation, asks(9, 1), now_ns)
        now_ns += 30 * MS
    assert now_ns - 10 * MS < 2 * QUIET + 60 * MS


def test_a_question_of_others_in_between_is_passed_over():
    """Ours was asked, somebody else asks another unit and is answered: our answer is taken all the same."""
    conversation = talk()
    conversation.ask(THREE, 0)
    assert hear(conversation, asks(9, 1)) is None
    assert hear(conversation, sealed(b"\x09\x03\x02\x00\x07")) is None
    assert hear(conversation, ANSWER) == DATA
    assert conversation.counts["overheard"] == 1


def test_the_same_question_of_others_ends_ours():
    """The same unit, and as many registers: nobody could tell the two answers apart."""
    conversation = talk()
    conversation.ask(THREE, 0)
    unfit = hear(conversation, asks(5, 3))
    assert isinstance(unfit, Unfit)
    assert unfit.kind == "foreign"
    assert conversation.fenced(THREE)
    hear(conversation, THEIRS, 20 * MS)
    assert conversation.fenced(THREE)  # for ours is still to come


def test_a_request_that_begins_like_our_answer():
    """Its address may look like our byte count; it is found when no answer is made of it."""
    conversation = talk()
    one = question(RTU, unit=5, function=3, address=100, count=1)
    conversation.ask(one, 0)
    assert hear(conversation, asks(5, 3, address=0x0200)) is None
    assert conversation.counts["overheard"] == 1
    conversation.abandon(100 * MS)
    assert conversation.fenced(THREE)


def test_what_comes_behind_an_answer_is_noise_unless_it_begins_like_another():
    """A driver chip that lets go of the line leaves a glitch; a second copy of the answer is another matter."""
    for tail, outcome in ((b"\x00", bytes), (b"\xff\xfe", bytes), (b"\x05\x03", Unfit), (ANSWER, Unfit)):
        conversation = talk()
        conversation.ask(THREE, 0)
        assert isinstance(hear(conversation, ANSWER + tail), outcome)
        assert conversation.wait_ns(2 * QUIET) == 0


def test_noise_is_counted_by_the_burst():
    """What makes no frame is counted once it is over: bytes with a gap between them are two bursts."""
    conversation = talk()
    for at_ns in (0, 1 * MS, 2 * MS, 500 * MS):
        hear(conversation, b"\xff", at_ns)
    assert conversation.counts["noise"] == 1
    assert conversation.wait_ns(900 * MS) == 0
    assert conversation.counts["noise"] == 2
    assert conversation.counts["overheard"] == 0

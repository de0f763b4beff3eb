"""The conversation on one line: which answer is taken, and what becomes of all the others."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.framer.socket import FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse
from pymodbus.pdu.bit_message import ReadCoilsResponse, ReadDiscreteInputsResponse
from pymodbus.pdu.register_message import ReadHoldingRegistersResponse, ReadInputRegistersResponse

from drivers.modbus.line.framing import Framing, question, variants
from drivers.modbus.line.mbap import Mbap
from drivers.modbus.line.missing import REMEMBERED_NS
from drivers.modbus.line.transaction import IDS, STRAYS, Answer, Conversation, Refusal, Unfit

MS = 1_000_000
QUIET = 500 * MS
LONGEST = 260

MBAP = Mbap()
THREE = question(MBAP, unit=5, function=3, address=100, count=3)
OTHER_UNIT = question(MBAP, unit=6, function=3, address=100, count=3)
REGISTERS = b"\x00\x01\x00\x02\x00\x03"


class Bare(Mbap):
    """A framing without transaction ids, taken up again after silence: what RTU is to the conversation."""

    identified = False

    def stamp(self, frame: bytes, identity: int) -> bytes:
        return frame


def frame(
    pdu: bytes,
    *,
    identity: int = 1,
    unit: int = 5,
    protocol: int = 0,
    length: int | None = None,
) -> bytes:
    length = len(pdu) + 1 if length is None else length
    return struct.pack(">HHHB", identity & 0xFFFF, protocol, length, unit) + pdu


def right(data: bytes = REGISTERS, function: int = 3) -> bytes:
    return bytes([function, len(data)]) + data


def talk(framing: Framing = MBAP, **arguments: Any) -> Conversation:
    return Conversation(framing, quiet_ns=QUIET, **arguments)


def hear(
    conversation: Conversation, octets: bytes, now_ns: int = 0, cuts: tuple[int, ...] = ()
) -> list[Answer]:
    """Feed bytes, cut at these places and wherever there is no more space; the outcomes."""
    outcomes: list[Answer] = []
    for start, end in zip((0, *cuts), (*cuts, len(octets)), strict=True):
        rest = octets[start:end]
        while rest and not conversation.broken:
            space = conversation.space()
            assert 0 < len(space) <= LONGEST
            count = min(len(rest), len(space))
            space[:count] = rest[:count]
            outcome = conversation.received(count, now_ns)
            if outcome is not None:
                outcomes.append(outcome)
            rest = rest[count:]
    return outcomes


def echoing() -> Conversation:
    """A conversation whose peer has echoed an id, and whose next question has the id 2."""
    conversation = talk()
    conversation.ask(THREE, 0)
    assert hear(conversation, frame(right())) == [REGISTERS]
    return conversation


def zeroing() -> Conversation:
    """A conversation whose peer answers with id 0."""
    conversation = talk()
    conversation.ask(THREE, 0)
    assert hear(conversation, frame(right(), identity=0)) == [REGISTERS]
    assert conversation.echoes is False
    return conversation


# --- frames ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [1, 2, 3, 4])
@given(unit=st.integers(0, 255), address=st.integers(0, 65535), count=st.integers(1, 125))
@settings(deadline=None, max_examples=50)
def test_request(function, unit, address, count):
    """What goes out is what pymodbus, as a server, reads as this question."""
    asked = question(MBAP, unit=unit, function=function, address=address, count=count)
    sent = talk().ask(asked, 0)
    used, pdu = FramerSocket(DecodePDU(is_server=True)).handleFrame(sent, unit, 1)
    assert used == len(sent)
    assert (pdu.function_code, pdu.dev_id, pdu.transaction_id) == (function, unit, 1)
    assert (pdu.address, pdu.count) == (address, count)


@pytest.mark.parametrize(
    ("response", "count", "data"),
    [
        (ReadCoilsResponse(bits=[True] + [False] * 8 + [True] * 7), 10, b"\x01\xfe"),
        (ReadDiscreteInputsResponse(bits=[True] * 8), 8, b"\xff"),
        (ReadHoldingRegistersResponse(registers=[1, 65535]), 2, b"\x00\x01\xff\xff"),
        (ReadInputRegistersResponse(registers=list(range(125))), 125, struct.pack(">125H", *range(125))),
    ],
)
def test_answer(response, count, data):
    """An answer that pymodbus makes is taken, and its data is what is behind the byte count."""
    response.dev_id, response.transaction_id = 5, 1
    sent = FramerSocket(DecodePDU(is_server=True)).buildFrame(response)
    conversation = talk()
    conversation.ask(question(MBAP, unit=5, function=response.function_code, address=0, count=count), 0)
    assert hear(conversation, sent) == [data]
    assert conversation.counts["answers"] == 1


def test_exception():
    """An exception to the function that was asked is the device's answer, whatever its code."""
    for code in (1, 2, 6, 11, 99):
        response = ExceptionResponse(3, code, device_id=5, transaction=1)
        conversation = talk()
        conversation.ask(THREE, 0)
        sent = FramerSocket(DecodePDU(is_server=True)).buildFrame(response)
        assert hear(conversation, sent) == [Refusal(code)]
        assert not conversation.broken


def test_impossible_questions():
    """What one request cannot ask for is refused when the question is made."""
    for count in (0, 126):
        with pytest.raises(ValueError, match="count"):
            question(MBAP, unit=1, function=3, address=0, count=count)


def test_ids_wrap_past_0():
    """Ids run from 1 to 65535 and then from 1 again: 0 means a peer that does not echo them."""
    conversation = talk()
    conversation._identity = IDS - 1
    for identity in (IDS, 1, 2):
        sent = conversation.ask(THREE, 0)
        assert sent[:2] == identity.to_bytes(2, "big")
        assert hear(conversation, frame(right(), identity=identity)) == [REGISTERS]


@pytest.mark.parametrize("function", [1, 3])
@given(address=st.integers(0, 65535), count=st.integers(1, 125))
@settings(deadline=None, max_examples=50)
def test_variants(function, address, count):
    """The questions that tell late answers apart are for the same unit, possible, and differ in length."""
    count = min(count, 65536 - address)
    asked = question(MBAP, unit=5, function=function, address=address, count=count)
    others = list(variants(MBAP, asked))
    assert len({asked.size, *(other.size for other in others)}) == len(others) + 1 >= 8
    assert all(other.address >= 0 and other.address + other.count <= 65536 for other in others)


# --- which answer fits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "octets", "kind"),
    [
        ("an id that was never given", frame(right(), identity=1000), "foreign"),
        ("another unit", frame(right(), unit=6), "foreign"),
        ("another function", frame(right(function=4)), "foreign"),
        ("a write", frame(b"\x06\x00\x01\x00\x02"), "foreign"),
        ("an unknown function", frame(b"\x63\x01\x02"), "foreign"),
        ("an exception for another function", frame(b"\x84\x02"), "foreign"),
        ("an exception without a code", frame(b"\x83"), "malformed"),
        ("an exception that goes on", frame(b"\x83\x02\x00"), "foreign"),
        ("one register", frame(right(REGISTERS[:2])), "malformed"),
        ("four registers", frame(right(REGISTERS + b"\x00\x04")), "malformed"),
        ("no registers", frame(b"\x03\x00"), "malformed"),
        ("a byte count too great", frame(b"\x03\x08" + REGISTERS), "malformed"),
        ("a byte count too small", frame(b"\x03\x04" + REGISTERS), "malformed"),
        ("a length too small", frame(right(), length=7), "malformed"),
        ("another protocol", frame(right(), protocol=1), "malformed"),
        ("a length of nothing", frame(right(), length=0), "malformed"),
        ("a length beyond any frame", frame(right(), length=255), "malformed"),
        ("text", b"HTTP/1.1 400 Bad Request\r\n\r\n", "malformed"),
    ],
)
def test_what_does_not_fit(name, octets, kind):
    """What cannot be the answer ends the question, is counted by its kind, and the connection is to be dropped."""
    conversation = talk()
    conversation.ask(THREE, 0)
    [outcome] = hear(conversation, octets)
    assert isinstance(outcome, Unfit), name
    assert outcome.kind == kind
    assert conversation.broken
    assert conversation.counts[kind] == 1
    assert conversation.counts["answers"] == 0


@given(
    place=st.integers(0, 8),
    octet=st.integers(0, 255),
    tail=st.binary(max_size=8),
    identified=st.booleans(),
)
@settings(deadline=None, max_examples=500)
def test_one_byte_wrong(place, octet, tail, identified):
    """An answer with any byte before its data changed is never taken."""
    conversation = talk(MBAP if identified else Bare())
    asked = conversation.ask(THREE, 0)
    octets = bytearray(frame(right(), identity=1 if identified else 0))
    if octets[place] == octet:
        octet ^= 0x10
    octets[place] = octet
    outcomes = hear(conversation, bytes(octets) + tail)
    echo_is_gone = identified and octets[:2] == b"\0\0"  # a peer that does not echo ids answers like this
    unlooked_at = not identified and place < 2  # a framing without ids has nothing there
    if not echo_is_gone and not unlooked_at:
        assert not any(isinstance(outcome, bytes) for outcome in outcomes)
    assert asked


@given(octets=st.binary(max_size=800), cuts=st.lists(st.integers(0, 800), max_size=8), kind=st.integers(0, 2))
@settings(deadline=None, max_examples=500)
def test_any_bytes(octets, cuts, kind):
    """Any bytes in any pieces: nothing raises, nothing grows, and only what has the answer's form is taken."""
    conversation = (talk(), talk(Bare()), echoing())[kind]
    conversation.ask(THREE, 0)
    places = tuple(sorted(min(cut, len(octets)) for cut in cuts))
    for outcome in hear(conversation, octets, cuts=places):
        if isinstance(outcome, bytes):
            assert frame(right(outcome))[4:] in octets
    conversation.abandon(0)
    conversation.wait_ns(10 * QUIET)
    assert conversation.broken or len(conversation.space()) == LONGEST


@given(
    parts=st.lists(
        st.sampled_from(
            [frame(right(), identity=identity, unit=unit) for identity in (0, 1, 2, 3) for unit in (5, 6)]
            + [frame(b"\x83\x02", identity=2), frame(b"\x83\x02", identity=0), b"\0", b"\xff"]
        ),
        max_size=6,
    ),
    data=st.data(),
)
@settings(deadline=None, max_examples=500)
def test_any_pieces(parts, data):
    """How bytes are cut into segments makes no difference to what is taken from a peer that echoes ids."""
    octets = b"".join(parts)
    whole, pieces = echoing(), echoing()
    cuts = tuple(sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=8))))
    for conversation in (whole, pieces):
        conversation.ask(THREE, 0)
    assert hear(whole, octets) == hear(pieces, octets, cuts=cuts)
    assert bool(whole.broken) == bool(pieces.broken)
    assert whole.counts == pieces.counts


def test_a_byte_at_a_time():
    """An answer that comes in as many segments as it has bytes is taken with the last."""
    conversation = talk()
    conversation.ask(THREE, 0)
    octets = frame(right())
    assert hear(conversation, octets[:-1], cuts=tuple(range(1, len(octets) - 1))) == []
    assert hear(conversation, octets[-1:]) == [REGISTERS]


# --- a peer that echoes ids ------------------------------------------------------------------------------------


def test_late_with_an_id():
    """A peer that echoes ids may be asked on at once after a time-out; the late answer is thrown away."""
    conversation = echoing()
    conversation.ask(THREE, 0)
    conversation.abandon(1000 * MS)
    assert conversation.wait_ns(1000 * MS) == 0
    conversation.ask(THREE, 1000 * MS)
    assert hear(conversation, frame(right(b"\xff" * 6), identity=2)) == []
    assert hear(conversation, frame(right(), identity=3)) == [REGISTERS]
    assert conversation.counts["late"] == 1
    assert conversation.heard == [5]
    assert not conversation.broken


def test_suspicion_ends_with_an_id():
    """What went unanswered before the peer's first answer is suspect no more when that one brings an id."""
    conversation = talk()
    conversation.ask(THREE, 0)
    conversation.abandon(0)
    conversation.wait_ns(QUIET)
    assert conversation.suspects(5, QUIET)
    conversation.ask(OTHER_UNIT, QUIET)
    assert hear(conversation, frame(right(), identity=2, unit=6), QUIET) == [REGISTERS]
    assert not conversation.suspects(5, QUIET)


def test_late_and_right_together():
    """A late answer and the right one in one segment: the right one is taken."""
    conversation = echoing()
    conversation.ask(THREE, 0)
    conversation.abandon(0)
    conversation.ask(THREE, 0)
    both = frame(right(b"\xff" * 6), identity=2) + frame(right(), identity=3)
    assert hear(conversation, both) == [REGISTERS]


def test_twice():
    """The second copy of an answer is thrown away; endless copies are nonsense, and the connection is dropped."""
    conversation = echoing()
    conversation.ask(THREE, 0)
    assert hear(conversation, frame(right(), identity=2) * 2) == [REGISTERS]
    assert not conversation.broken
    hear(conversation, frame(right(), identity=2) * STRAYS)
    assert conversation.broken


def test_right_and_foreign_together():
    """What follows the right answer cannot spoil it, though it is the end of the connection."""
    conversation = echoing()
    conversation.ask(THREE, 0)
    assert hear(conversation, frame(right(), identity=2) + frame(right(), identity=999)) == [REGISTERS]
    assert conversation.broken


def test_echoes_no_more():
    """A peer that has echoed ids and then answers with id 0 is not believed; from then on it is one without ids."""
    conversation = echoing()
    conversation.ask(THREE, 0)
    [outcome] = hear(conversation, frame(right(), identity=0))
    assert isinstance(outcome, Unfit)
    assert conversation.broken
    assert conversation.wait_ns(0) == QUIET
    conversation.opened()
    conversation.ask(OTHER_UNIT, QUIET)
    assert hear(conversation, frame(right(), identity=0, unit=6), QUIET) == [REGISTERS]


def test_half_an_answer():
    """If half an answer has come when the time is up, its other half cannot be told from a header: drop."""
    conversation = echoing()
    conversation.ask(THREE, 0)
    assert hear(conversation, frame(right(), identity=2)[:10]) == []
    conversation.abandon(1000 * MS)
    assert conversation.broken


def test_half_an_answer_unasked():
    """The same if half a frame came that nobody waits for."""
    conversation = echoing()
    hear(conversation, frame(right(), identity=2)[:10])
    assert not conversation.broken
    conversation.wait_ns(0)
    assert conversation.broken


def test_tail_that_looks_like_a_frame():
    """The late second half of an answer whose registers look like a frame is never taken for one."""
    conversation = zeroing()
    crafted = frame(right(b"\x02\x9a" * 3), identity=0)
    asked = question(MBAP, unit=5, function=3, address=0, count=(len(crafted) + 2) // 2)
    conversation.ask(asked, 0)
    whole = frame(right(b"\0\1" + crafted), identity=0)
    hear(conversation, whole[:11])
    conversation.abandon(0)
    assert conversation.broken  # so the second half has nowhere to come


def test_reconnected():
    """A new connection begins afresh: half a frame of the old one is forgotten."""
    conversation = echoing()
    conversation.ask(THREE, 0)
    hear(conversation, frame(right(), identity=2)[:10])
    conversation.abandon(0)
    conversation.opened()
    conversation.ask(THREE, 0)
    assert hear(conversation, frame(right(), identity=3)) == [REGISTERS]


# --- a line without ids ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [zeroing, talk, lambda: talk(Bare())], ids=["id 0", "unknown", "no ids"])
def test_quiet(make):
    """Where ids are not echoed, or that is not known yet, a time-out is followed by silence, and what comes is lost."""
    conversation = make()
    conversation.ask(THREE, 0)
    conversation.abandon(1000 * MS)
    assert conversation.wait_ns(1000 * MS) == QUIET
    assert hear(conversation, frame(right(), identity=0), 1200 * MS) == []
    assert conversation.counts["late"] == 1
    assert conversation.wait_ns(1499 * MS) == 1 * MS
    assert conversation.wait_ns(1500 * MS) == 0


def test_other_length():
    """After the silence the unit is suspect: only a question whose answer has another length may be asked."""
    conversation = zeroing()
    conversation.ask(THREE, 0)
    conversation.abandon(0)
    assert conversation.wait_ns(QUIET) == 0
    assert conversation.suspects(5, QUIET)
    assert not conversation.suspects(6, QUIET)
    assert conversation.fenced(THREE)
    with pytest.raises(RuntimeError):
        conversation.ask(THREE, QUIET)
    assert not conversation.fenced(OTHER_UNIT)
    two = next(variants(MBAP, THREE))
    conversation.ask(two, QUIET)
    [outcome] = hear(conversation, frame(right(), identity=0), QUIET)  # the late one shows
    assert isinstance(outcome, Unfit)
    conversation.opened()
    assert conversation.fenced(two)
    assert conversation.fenced(THREE)


def test_caught_up():
    """An answer of a length of its own proves that the unit has caught up: it is trusted again."""
    conversation = zeroing()
    conversation.ask(THREE, 0)
    conversation.abandon(0)
    conversation.wait_ns(QUIET)
    conversation.ask(next(variants(MBAP, THREE)), QUIET)
    assert hear(conversation, frame(right(REGISTERS[:4]), identity=0), QUIET) == [REGISTERS[:4]]
    assert not conversation.suspects(5, QUIET)
    assert not conversation.fenced(THREE)


def test_an_exception_proves_nothing():
    """All exceptions have one length: of a suspect unit, one may be the late answer to any question."""
    conversation = zeroing()
    conversation.ask(THREE, 0)
    conversation.abandon(0)
    conversation.wait_ns(QUIET)
    two = next(variants(MBAP, THREE))
    conversation.ask(two, QUIET)
    assert hear(conversation, frame(b"\x83\x06", identity=0), QUIET) == [Refusal(6)]
    assert conversation.suspects(5, QUIET)
    assert conversation.fenced(two)  # whose own answer may still come


def test_suspicion_ends():
    """After a minute and ten times the quiet, an answer is not believed to be still under way."""
    conversation = zeroing()
    conversation.ask(THREE, 0)
    conversation.abandon(0)
    assert conversation.suspects(5, REMEMBERED_NS + 10 * QUIET - 1)
    assert not conversation.suspects(5, REMEMBERED_NS + 10 * QUIET)


def test_late_for_another_unit():
    """The late answer of a unit that is being asked no more cannot disturb the one that is."""
    conversation = zeroing()
    conversation.ask(THREE, 0)
    conversation.abandon(0)
    conversation.wait_ns(QUIET)
    conversation.ask(OTHER_UNIT, QUIET)
    assert hear(conversation, frame(right(b"\xff" * 6), identity=0)) == []
    assert hear(conversation, frame(right(), identity=0, unit=6)) == [REGISTERS]


def test_two_answers_at_once():
    """Two answers to one question in one segment: nobody can tell which is the late one, so neither is taken."""
    conversation = zeroing()
    conversation.ask(THREE, 0)
    [outcome] = hear(conversation, frame(right(), identity=0) * 2)
    assert isinstance(outcome, Unfit)


def test_noise_is_drained():
    """A framing that silence ends is not broken by noise: it stays quiet, is drained and goes on."""
    conversation = talk(Bare())
    conversation.ask(THREE, 0)
    [outcome] = hear(conversation, b"\xff" * 20)
    assert isinstance(outcome, Unfit)
    assert not conversation.broken
    assert conversation.wait_ns(0) == QUIET
    hear(conversation, frame(right(), identity=0)[:5], 100 * MS)
    assert conversation.wait_ns(QUIET) == 0
    assert len(conversation.space()) == LONGEST
    conversation.ask(OTHER_UNIT, QUIET)
    assert hear(conversation, frame(right(), identity=0, unit=6), QUIET) == [REGISTERS]


def test_a_line_that_is_never_silent():
    """What hums without end holds a question up for as long as an answer takes, each time; what ends, until it has."""
    conversation = talk(Bare(), pause_ns=4 * MS)
    for begun in (0, 10_000):
        hummed = 0
        hear(conversation, b"\0", begun * MS)
        while conversation.wait_ns((begun + hummed) * MS):
            assert hummed <= QUIET // MS + 4
            hummed += 1
            hear(conversation, b"\0", (begun + hummed) * MS)
        assert hummed >= QUIET // MS
        now_ns = (begun + hummed) * MS
        conversation.ask(THREE, now_ns)
        assert hear(conversation, frame(right()), now_ns) == [REGISTERS]
    hear(conversation, b"\0", 20_000 * MS)
    assert conversation.wait_ns(20_003 * MS) == MS


def test_without_ids_for_good():
    """That a peer does not echo ids is not forgotten when it is connected to again."""
    conversation = zeroing()
    conversation.opened()
    assert conversation.echoes is False


def test_pause():
    """After an answer the line is left alone for as long as the settings say."""
    conversation = talk(pause_ns=20 * MS)
    conversation.ask(THREE, 0)
    hear(conversation, frame(right()), 5 * MS)
    assert conversation.wait_ns(5 * MS) == 20 * MS
    assert conversation.wait_ns(25 * MS) == 0


def test_pause_of_one_unit():
    """A device that wants to be left alone after an answer is; the line is free for the others meanwhile."""
    conversation = talk(pauses_ns={THREE.unit: 100 * MS})
    conversation.ask(THREE, 0)
    hear(conversation, frame(right()), 5 * MS)
    assert conversation.wait_ns(5 * MS) == 0
    assert conversation.pause_ns(THREE.unit, 5 * MS) == 100 * MS
    assert conversation.pause_ns(THREE.unit, 106 * MS) == 0
    assert conversation.pause_ns(OTHER_UNIT.unit, 5 * MS) == 0


def test_one_at_a_time():
    """A second question while one is outstanding is a bug of the caller, and is not sent."""
    conversation = talk()
    conversation.ask(THREE, 0)
    with pytest.raises(RuntimeError):
        conversation.ask(OTHER_UNIT, 0)

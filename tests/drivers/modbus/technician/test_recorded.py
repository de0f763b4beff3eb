"""What a recording says that the other end of a line answers."""

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.recording import Frame
from drivers.modbus.line.ends import FramingKind
from drivers.modbus.technician.layout import LAYOUTS, Body
from drivers.modbus.technician.recorded import Recorded as _Recorded
from drivers.modbus.technician.recorded import ranges

Recorded = functools.partial(_Recorded, layout=LAYOUTS[FramingKind.TCP])


def asked(identity, unit, function, address, count):
    return (
        identity.to_bytes(2) + bytes([0, 0, 0, 6, unit, function]) + address.to_bytes(2) + count.to_bytes(2)
    )


def told(identity, unit, function, data):
    pdu = bytes([function, len(data)]) + data
    return identity.to_bytes(2) + b"\0\0" + (len(pdu) + 1).to_bytes(2) + bytes([unit]) + pdu


def passed(*exchanges):
    """Frames, a millisecond apart."""
    return [
        Frame(at * 1_000_000, "sent" if kind == "?" else "received", data)
        for at, (kind, data) in enumerate(exchanges)
    ]


def test_an_answer_takes_the_transaction_id_of_the_question_now():
    """And comes as late as it did."""
    recorded = Recorded(passed(("?", asked(7, 3, 4, 40, 1)), ("!", told(7, 3, 4, b"\0\xd7"))))
    (piece,) = recorded.answer(asked(900, 3, 4, 40, 1))
    assert piece == (1_000_000, told(900, 3, 4, b"\0\xd7"))
    assert not recorded.over


def test_answers_come_in_the_order_of_their_times_and_then_repeat():
    """What is asked more often than it was recorded is answered as the last time, and that is said."""
    recorded = Recorded(
        passed(
            ("?", asked(1, 3, 4, 40, 1)),
            ("!", told(1, 3, 4, b"\0\1")),
            ("?", asked(2, 3, 4, 40, 1)),
            ("!", told(2, 3, 4, b"\0\2")),
        )
    )
    said = [recorded.answer(asked(9, 3, 4, 40, 1))[0].data[-1] for _ in range(3)]
    assert (said, recorded.over) == ([1, 2, 2], {3})


def test_silence_is_recorded_too():
    """And an answer without a question is nobody's."""
    recorded = Recorded(passed(("!", b"noise"), ("?", asked(1, 3, 4, 40, 1))))
    assert recorded.answer(asked(5, 3, 4, 40, 1)) == []


def test_a_late_answer_keeps_to_its_question():
    """It was sent for the first question, and bears that one's id when it comes during the second."""
    recorded = Recorded(
        passed(
            ("?", asked(1, 3, 4, 40, 1)),
            ("?", asked(2, 3, 4, 50, 1)),
            ("!", told(1, 3, 4, b"\0\1")),
            ("!", told(2, 3, 4, b"\0\2")),
        )
    )
    assert recorded.answer(asked(801, 3, 4, 40, 1)) == []
    first, second = recorded.answer(asked(802, 3, 4, 50, 1))
    assert (first.data[:2], second.data[:2]) == ((801).to_bytes(2), (802).to_bytes(2))


def test_what_was_seen_answers_questions_that_were_never_asked():
    """Parts of blocks, and several together: another type or order can be tried on a recording."""
    recorded = Recorded(
        passed(
            ("?", asked(1, 3, 4, 40, 2)),
            ("!", told(1, 3, 4, bytes.fromhex("fc2dffff"))),
            ("?", asked(2, 3, 4, 42, 1)),
            ("!", told(2, 3, 4, bytes.fromhex("0102"))),
            ("?", asked(3, 3, 1, 0, 10)),
            ("!", told(3, 3, 1, bytes.fromhex("0502"))),
        )
    )
    (piece,) = recorded.answer(asked(900, 3, 4, 41, 2))
    assert piece.data == told(900, 3, 4, bytes.fromhex("ffff0102"))
    (piece,) = recorded.answer(asked(901, 3, 1, 2, 8))
    assert piece.data == told(901, 3, 1, bytes([0b10000001]))
    (piece,) = recorded.answer(asked(902, 3, 4, 42, 3))
    assert piece.data[6:] == bytes([3, 0x84, 0x02])
    assert recorded.missing == [
        "unit 3, function 4: not in the recording, and answered with exception 02: 43-44"
    ]
    assert recorded.units == {3}


def test_a_damaged_answer_is_given_again_and_never_believed():
    """Its registers answer nothing else."""
    damaged = told(1, 3, 4, b"\0\1")[:-1]
    recorded = Recorded(passed(("?", asked(1, 3, 4, 40, 1)), ("!", damaged)))
    assert recorded.answer(asked(1, 3, 4, 40, 1))[0].data == damaged
    assert recorded.answer(asked(2, 3, 4, 40, 2))[0].data[7] == 0x84


def test_a_question_that_reads_nothing_is_not_answered():
    """A write, or nonsense."""
    assert Recorded([]).answer(asked(1, 3, 6, 0, 1)) == ()
    assert Recorded([]).answer(b"\0\0") == ()


def test_addresses_are_written_as_ranges():
    """Short enough to read."""
    assert ranges([7, 1, 5, 4, 6]) == "1, 4-7"


# --- frames as the other end sees them -------------------------------------------------------------------------

READ = Body(3, bytes.fromhex("04 0028 0001"))
ANSWER = Body(3, bytes.fromhex("04 02 00d7"))


@pytest.mark.parametrize("kind", FramingKind)
def test_a_recording_of_any_framing_is_replayed(kind):
    """What was recorded as it came, and what was not from the registers that were."""
    layout = LAYOUTS[kind]
    then, now = bytes(layout.identity), b"\x03\x84"[: layout.identity]
    frames = passed(("?", layout.frame(READ, then)), ("!", layout.frame(ANSWER, then)))
    recorded = _Recorded(frames, layout)
    (piece,) = recorded.answer(layout.frame(READ, now))
    assert piece.data == layout.frame(ANSWER, now)
    (piece,) = recorded.answer(layout.frame(Body(3, bytes.fromhex("04 0028 0002")), now))
    assert piece.data == layout.frame(Body(3, bytes.fromhex("84 02")), now)
    assert recorded.units == {3}


@pytest.mark.parametrize("kind", FramingKind)
@given(st.integers(1, 4), st.integers(0, 0xFFFF), st.integers(1, 125), st.binary(max_size=5))
@settings(deadline=None)
def test_questions_are_told_apart_in_a_stream(kind, function, address, count, more):
    """However they are cut; and what is damaged carries nothing."""
    layout = LAYOUTS[kind]
    pdu = bytes([function]) + address.to_bytes(2) + count.to_bytes(2)
    frame = layout.frame(Body(9, pdu), bytes(layout.identity))
    assert layout.whole(frame + more) == len(frame)
    assert all(layout.whole(frame[:end]) == 0 for end in range(len(frame)))
    assert layout.body(frame) == Body(9, pdu)
    if not layout.identity:  # a checksum tells; without one, only the length does
        frame = frame[:-1] + bytes([frame[-1] ^ 1, 0])
    assert layout.body(frame[:-1]) is None

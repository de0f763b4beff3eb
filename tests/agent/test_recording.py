"""What passed on a line: kept in a bounded ring while somebody asks, and written so that it reads back."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import recording
from agent.recording import FORGOTTEN_NS, Frame, Ring

HEAD = json.dumps(recording.head("line-1", "modbus", "2026-11-25T08:30:00Z"))

frames = st.lists(
    st.builds(Frame, st.integers(0, 10**12), st.sampled_from(("sent", "received")), st.binary(max_size=300)),
    max_size=20,
)


@given(frames)
@settings(deadline=None)
def test_what_is_written_reads_back(passed):
    """Every frame with its direction and its distance to the first."""
    origin_ns = passed[0].ns if passed else 0
    head, read = recording.parse([HEAD, *recording.lines(passed, origin_ns)], "f")
    assert head["link"] == "line-1"
    assert [frame._replace(ns=frame.ns + origin_ns) for frame in read] == passed


@given(st.lists(st.text(max_size=60), max_size=5))
@settings(deadline=None)
def test_what_is_no_recording_is_refused_in_words(lines):
    """Never with anything but a `ValueError` that begins with the place."""
    try:
        recording.parse(lines, "f.ndjson")
    except ValueError as error:
        assert str(error).startswith("f.ndjson:")  # noqa: PT017  most lines are none, and some are


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "f:2: expected a JSON object"),
        ("[]", "f:2: expected a JSON object"),
        ('{"ns": 1}', "f:2: expected"),
        ('{"ns": 1, "sent": "0"}', "f:2: expected bytes as hexadecimal"),
        ('{"ns": "soon", "sent": "00"}', "f:2: expected"),
        ('{"ns": null, "sent": "00"}', "f:2: expected"),
    ],
)
def test_a_damaged_line_is_named(line, words):
    """With its number in the file."""
    with pytest.raises(ValueError, match=words):
        recording.parse([HEAD, line], "f")


def test_a_ring_gives_each_frame_once():
    """The answer says where the next question goes on; the first begins now."""
    ring = Ring()
    ring.add("sent", b"before", 1)
    frames, cursor, lost = ring.since(None, 2, 10)
    assert (frames, lost) == ([], 0)
    for ns in range(10, 15):
        ring.add("sent", bytes([ns]), ns)
    first, cursor, lost = ring.since(cursor, 20, 3)
    rest, cursor, more_lost = ring.since(cursor, 20, 10)
    assert [frame.ns for frame in first + rest] == [10, 11, 12, 13, 14]
    assert (lost, more_lost, ring.since(cursor, 20, 10)[0]) == (0, 0, [])


def test_a_ring_is_bounded_and_counts_what_is_lost(monkeypatch):
    """Whoever asks too seldom is told how many frames are gone."""
    monkeypatch.setattr(recording, "FRAMES", 4)
    ring = Ring()
    _, cursor, _ = ring.since(None, 0, 10)
    for ns in range(10):
        ring.add("received", b"", ns)
    frames, _, lost = ring.since(cursor, 1, 10)
    assert ([frame.ns for frame in frames], lost) == ([6, 7, 8, 9], 6)


def test_a_cursor_of_another_ring_begins_anew():
    """The agent was started again meanwhile: no error, and nothing invented."""
    assert Ring().since(1234, 0, 10) == ([], 0, 0)


def test_a_ring_that_nobody_asks_is_forgotten():
    """After a quarter of a minute nothing is kept any more."""
    ring = Ring()
    ring.since(None, 0, 10)
    assert not ring.forgotten(FORGOTTEN_NS)
    assert ring.forgotten(FORGOTTEN_NS + 1)

"""The words in which a person says what an emulated device does wrong."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.faults import Fault, Kind, Takes, explained, order

MS = timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("words", "name", "fault"),
    [
        ("meter-3 silent", "meter-3", Fault(kind=Kind.SILENT)),
        ("meter-3=silent", "meter-3", Fault(kind=Kind.SILENT)),
        ("  meter-3  SILENT ", "meter-3", Fault(kind=Kind.SILENT)),
        ("meter-3=late:2s", "meter-3", Fault(kind=Kind.LATE, least=2000 * MS, most=2000 * MS)),
        ("meter-3 late 2s", "meter-3", Fault(kind=Kind.LATE, least=2000 * MS, most=2000 * MS)),
        ("meter-3 late:10ms..2s", "meter-3", Fault(kind=Kind.LATE, least=10 * MS, most=2000 * MS)),
        ("fan slow", "fan", Fault(kind=Kind.SLOW, least=20 * MS, most=20 * MS)),
        ("fan=exception:0x0B", "fan", Fault(kind=Kind.EXCEPTION, code=11)),
        ("fan exception", "fan", Fault(kind=Kind.EXCEPTION, code=4)),
        ("line-1=baud-true", "line-1", Fault(kind=Kind.BAUD_TRUE)),
        ("line-1 baud-true 5ms", "line-1", Fault(kind=Kind.BAUD_TRUE, least=5 * MS, most=5 * MS)),
        ("meter-3 good", "meter-3", None),
    ],
)
def test_what_is_said_is_understood(words, name, fault):
    """With an equals sign, as on the command line, or with spaces, as one types."""
    assert order(words) == (name, fault)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "expected a device and what is wrong with it"),
        ("meter-3", "such as meter-3 silent; found 'meter-3'"),
        ("meter-3 sleepy", "expected one of silent, late, .*, good; found 'sleepy'"),
        ("meter-3 silent 2s", "silent: expected nothing behind it, found '2s'"),
        ("meter-3 good 2s", "good: expected nothing behind it, found '2s'"),
        ("meter-3 late", "late: expected a duration with its unit, .*; found nothing"),
        ("meter-3 late 2", "late: expected a duration with its unit, .*; found 2"),
        ("meter-3 late 2s..1s", "late: expected the shorter duration first; found 2s..1s"),
        ("meter-3 slow 1s..2s", "slow: expected a duration with its unit"),
        ("meter-3 exception 256", "exception: expected a code from 1 to 255, such as 4 or 0x0B; found 256"),
        ("meter-3 exception 0", "exception: expected a code from 1 to 255"),
    ],
)
def test_what_is_not_understood_is_answered_with_what_was_expected(words, said):
    """Whoever mistypes reads what to type."""
    with pytest.raises(ValueError, match=said):
        order(words)


durations = st.integers(0, 10_000).map(lambda milliseconds: milliseconds * MS)


@st.composite
def faults(draw):
    kind = draw(st.sampled_from(Kind))
    match kind.takes:
        case Takes.NOTHING:
            return Fault(kind=kind)
        case Takes.CODE:
            return Fault(kind=kind, code=draw(st.integers(1, 255)))
        case Takes.SPAN:
            least, most = sorted([draw(durations), draw(durations)])
            return Fault(kind=kind, least=least, most=most)
        case Takes.DURATION:
            least = draw(durations)
            return Fault(kind=kind, least=least, most=least)


@settings(deadline=None)
@given(faults())
def test_a_fault_is_shown_as_it_is_written(fault):
    """What `list` prints can be typed."""
    assert order(f"meter-3={fault}") == ("meter-3", fault)


@settings(deadline=None)
@given(st.text())
def test_nothing_that_is_typed_breaks_it(words):
    """It is understood or refused."""
    with contextlib.suppress(ValueError):
        order(words)


def test_every_word_is_explained():
    """A line for each, in the help of `simulate`."""
    lines = explained().splitlines()
    assert [line.split()[0].partition(":")[0].partition("[")[0] for line in lines] == [
        *(kind.value for kind in Kind),
        "good",
    ]

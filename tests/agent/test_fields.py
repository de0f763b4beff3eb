"""Durations, sizes and exact numbers are what they say, and are written so that they are read back."""

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given, strategies
from hypothesis import settings as hypothesis_settings

from agent.fields import Place, Size, duration, duration_text, fraction, size


@given(strategies.integers(0, 10**13).map(lambda ms: timedelta(milliseconds=ms)))
@hypothesis_settings(deadline=None)
def test_durations_are_read_back(length):
    """To the millisecond, in the largest unit that leaves a whole number."""
    assert duration(duration_text(length)) == length


@given(strategies.integers(0, 2**60))
@hypothesis_settings(deadline=None)
def test_sizes_are_read_back(count):
    """To the byte."""
    assert size(str(Size(count))) == count


def test_the_largest_unit_is_written():
    """As a person would."""
    assert [duration_text(timedelta(seconds=s)) for s in (0, 0.5, 10, 90, 900, 86400)] == [
        "0ms",
        "500ms",
        "10s",
        "90s",
        "15min",
        "1d",
    ]
    assert [str(Size(n)) for n in (0, 1, 1024, 1536, 2**30)] == ["0B", "1B", "1KiB", "1536B", "1GiB"]


@pytest.mark.parametrize(
    "text", ["10", "s", "-1s", "1e3s", "1 s s", "10S", "1m", "", "1s ", "999999999999999d", "٣s"]
)
def test_what_is_no_duration_is_refused(text):
    """Also one that no calendar holds."""
    with pytest.raises(ValueError, match="a duration with its unit"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1", Fraction(1, 10)),
        ("-1/3", Fraction(-1, 3)),
        ("1e-3", Fraction(1, 1000)),
        ("0x8000", Fraction(32768)),
        ("5.", Fraction(5)),
    ],
)
def test_fractions_are_exact(text, value):
    """What the decimal says, not the nearest float."""
    assert fraction(text) == value


@pytest.mark.parametrize(
    "text", ["", "1/0", "nan", "inf", "1e999999999", "1_0", "0x", "1/2/3", "9" * 50, "1,5"]
)
def test_what_is_no_fraction_is_refused_at_once(text):
    """An exponent of nine digits would fill the memory with zeros."""
    with pytest.raises(ValueError, match="an exact number"):
        fraction(text)


def test_a_place_lies_within_another():
    """What it leaves open comes from the place around it."""
    assert Place(room="r").within(Place(site="s", room="q")) == Place(site="s", room="r")

"""What may be written is decided exactly, on the number that somebody wrote."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from math import isfinite

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.commands.permission import exact, objection, parse, problems, shown, too_far, typed
from agent.points import WriteSettings
from agent.sample import Point, Reason, ValueType

NUMBER = Point(name="setpoint", type=ValueType.NUMBER, unit="Cel")
WHOLE = Point(name="speed", type=ValueType.INTEGER)
FLAG = Point(name="pump", type=ValueType.BOOLEAN)
TEXT = Point(name="name", type=ValueType.TEXT)
MODE = Point(name="mode", type=ValueType.INTEGER, labels={0: "stopped", 1: "auto"})


@pytest.mark.parametrize(
    ("text", "point", "value"),
    [
        ("21.5", NUMBER, Decimal("21.5")),
        (" -5 ", NUMBER, Decimal(-5)),
        ("1e2", NUMBER, Decimal(100)),
        ("21", WHOLE, 21),
        ("on", FLAG, True),
        ("0", FLAG, False),
        ("Auto", MODE, 1),
        ("1", MODE, 1),
        ("Rum 112", TEXT, "Rum 112"),
    ],
)
def test_read_as_the_point_is(text, point, value):
    """A person writes a value as the point has it, or its label."""
    found = parse(text, point)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("21,5", NUMBER),
        ("nan", NUMBER),
        ("inf", NUMBER),
        ("1/3", NUMBER),
        ("0x10", NUMBER),
        ("1e999999999", NUMBER),
        ("", NUMBER),
        ("21.5", WHOLE),
        ("maybe", FLAG),
        ("fast", MODE),
    ],
)
def test_not_read(text, point):
    """Nothing is guessed, and nothing is endless."""
    with pytest.raises(ValueError, match="expected"):
        parse(text, point)


def test_no_float_surprise():
    """0.3 is a multiple of 0.1 and within a maximum of 0.3, though the float next to it is neither."""
    write = WriteSettings(minimum=Fraction(0), maximum=Fraction("0.3"), step=Fraction("0.1"))
    for value in (0.3, Decimal("0.3"), 0.1 * 3):
        assert (objection(write, NUMBER, value) == "") == (str(value) == "0.3")


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), Decimal("nan"), Decimal("1e999999999"), 10**500]
)
def test_no_number(value):
    """What is no number of this world is refused before anything is computed with it."""
    with pytest.raises(ValueError, match="expected a number"):
        exact(value)


@given(st.integers(-(10**9), 10**9), st.integers(0, 6))
def test_exact(digits, places):
    """A float means the decimal number that it prints as."""
    number = Decimal(digits).scaleb(-places)
    assert exact(float(number)) == Fraction(number)
    assert Fraction(shown(Fraction(number))) == Fraction(number)


@settings(deadline=None)
@given(
    st.decimals(-100, 100, places=2),
    st.decimals(0, 100, places=2),
    st.sampled_from(["0.01", "0.5", "1", "7"]),
    st.decimals(-300, 300, places=3)
    | st.floats()
    | st.integers(-300, 300)
    | st.booleans()
    | st.text(max_size=5),
)
def test_nothing_beyond_the_settings(least, span, step, value):
    """Whatever is asked for, what passes is a number within the range and on a step; and all such numbers do."""
    write = WriteSettings(minimum=Fraction(least), maximum=Fraction(least + span), step=Fraction(step))
    try:
        passes = not objection(write, NUMBER, typed(value, NUMBER))
    except ValueError:
        passes = False
    if isinstance(value, bool | str) or not isfinite(value):
        assert not passes
    else:
        number = Fraction(str(value))
        allowed = write.minimum <= number <= write.maximum and number % write.step == 0
        assert passes == allowed


def test_too_far_from_the_unknown():
    """Where what is there is not known, nobody knows how far a value is from it."""
    write = WriteSettings(most_change=Fraction(2))
    assert too_far(write, NUMBER, 20.0, 22) == ""
    assert too_far(write, NUMBER, 20.0, 17.9) == "expected a change of at most 2 Cel from 20.0, found 2.1"
    assert "not known: timeout" in too_far(write, NUMBER, Reason.TIMEOUT, 20)
    assert too_far(WriteSettings(), NUMBER, Reason.TIMEOUT, 20) == ""


LIMITS = {"minimum": Fraction(18), "maximum": Fraction(24)}
SETTINGS = [
    (NUMBER, {}, ["write: expected a minimum and a maximum, between which setpoint may be written"]),
    (NUMBER, LIMITS, []),
    (MODE, {}, []),
    (FLAG, {}, []),
    (FLAG, {"step": Fraction(1)}, ["step: only a number has one, and pump is boolean"]),
    (NUMBER, {**LIMITS, "lease": timedelta(hours=1)}, ["lease: expected a fallback too: the value that returns when a lease ends"]),
    (NUMBER, {**LIMITS, "fallback": "17"}, ["fallback: expected 18 to 24 Cel, found 17"]),
    (NUMBER, {**LIMITS, "fallback": "warm"}, ["fallback: expected a number, found 'warm'"]),
    (NUMBER, {**LIMITS, "fallback": "20.55"}, ["fallback: not that one"]),
    (MODE, {"fallback": "auto", "lease": timedelta(hours=1)}, []),
]  # fmt: skip


@pytest.mark.parametrize(("point", "write", "words"), SETTINGS)
def test_settings_that_do_not_fit(point, write, words):
    """Is said when the configuration is read, by the setting's name."""

    def as_written(value):
        if value == Decimal("20.55"):
            raise ValueError("not that one")
        return value

    found = list(problems(WriteSettings(**write), point, as_written))
    assert [message for _, message in found] == words
    assert all(message.startswith(f"{name}: ") for name, message in found)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (
            {"minimum": Fraction(2), "maximum": Fraction(1)},
            "minimum: expected no more than the maximum 1, found 2",
        ),
        ({"step": Fraction(0)}, "step: expected more than 0, found 0"),
        ({"most_change": Fraction(-1)}, "most_change: expected more than 0"),
        ({"lease": timedelta(days=2)}, "lease: expected no more than the longest_lease 1d, found 2d"),
    ],
)
def test_a_section_that_contradicts_itself(write, words):
    """Is refused as it is made."""
    with pytest.raises(ValueError, match=words):
        WriteSettings(**write)

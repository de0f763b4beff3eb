"""Searching a line: who is asked in which order, and what an answer says."""

import pytest

from drivers.modbus.technician.inquiry import Response
from drivers.modbus.technician.scan import (
    FIRST,
    PARITIES,
    SPEEDS,
    UNITS,
    Manner,
    Place,
    Presence,
    longest_s,
    manners,
    place,
    presence,
    sweeps,
    unit_ids,
)
from drivers.modbus.values.registers import Table


@pytest.mark.parametrize(
    ("text", "ids"),
    [("5", (5,)), ("1-3", (1, 2, 3)), ("10-12,1, 11", (10, 11, 12, 1)), ("0-0,255", (0, 255))],
)
def test_unit_ids_are_asked_in_the_order_written_and_once(text, ids):
    """Ranges and single ones."""
    assert unit_ids(text) == ids


@pytest.mark.parametrize("text", ["", "a", "3-1", "1-256", "1--2", "1;2"])
def test_what_is_no_unit_id_is_refused_with_an_example(text):
    """As argparse prints it."""
    with pytest.raises(ValueError, match="such as 1-247"):
        unit_ids(text)


def test_a_place_is_a_table_and_an_address():
    """As it is written on the command line; all else is refused with the tables."""
    assert place("input:40000") == Place(Table.INPUT, 40000)
    assert str(place("coil:0")) == "coil:0"
    for wrong in ("holding", "holding:", "holding:-1", "holding:65536", "register:1", ":1"):
        with pytest.raises(ValueError, match="coil, discrete, input, holding"):
            place(wrong)


@pytest.mark.parametrize(
    ("response", "is_"),
    [
        (Response(data=b"\0\0"), Presence.PRESENT),
        (Response(exception=0x02), Presence.PRESENT),
        (Response(exception=0x06), Presence.PRESENT),
        (Response(exception=0x0A), Presence.BEHIND),
        (Response(exception=0x0B), Presence.BEHIND),
        (Response(reason="timeout"), Presence.ABSENT),
        (Response(reason="lost"), Presence.ABSENT),
        (Response(reason="malformed"), Presence.GARBLED),
        (Response(reason="foreign"), Presence.GARBLED),
    ],
)
def test_what_an_answer_says(response, is_):
    """A refusal is as good a sign of life as data; what a gateway says is none."""
    assert presence(response) is is_


def test_likelier_manners_come_first_and_each_comes_once():
    """9600 without parity is what most devices are shipped with, 19200 even the specification's."""
    every = manners(SPEEDS, PARITIES)
    assert every[:2] == (Manner(9600, "none"), Manner(19200, "even"))
    assert len(set(every)) == len(every) == len(SPEEDS) * len(PARITIES)
    places = {manner: at for at, manner in enumerate(every)}
    assert places[Manner(2400, "none")] < places[Manner(9600, "odd")]
    assert manners((14400,), ("even", "even")) == (Manner(14400, "even"),)


def test_a_line_of_unknown_speed_is_swept_twice():
    """The first unit ids at every speed, for lines are numbered from 1; then the rest."""
    assert sweeps(UNITS, 1) == (UNITS,)
    first, rest = sweeps(UNITS, 24)
    assert (len(first), first + rest) == (FIRST, UNITS)
    assert sweeps(UNITS[:5], 24) == (UNITS[:5],)


def test_how_long_a_scan_takes_if_nobody_answers():
    """Known beforehand: a whole line at one second is four minutes."""
    assert longest_s(len(UNITS), 1.0) == 247
    assert longest_s(10, 0.4) == pytest.approx(4)

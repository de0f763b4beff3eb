"""What device types are known by: which registers are read, what fits, and which types a device can be."""

import pytest

from drivers.modbus.identity import REFUSED, Sign, asked, identify
from drivers.modbus.polling.introduction import Introduced, introduction
from drivers.modbus.values.plan import Span
from drivers.modbus.values.registers import Table

CODE = Sign(table=Table.INPUT, address=11, values=(1648, 1650))
NAME = Sign(table=Table.HOLDING, address=0x8960, texts=("B21 ", "B23 "), length=2)


@pytest.mark.parametrize(
    ("sign", "data", "fits", "found"),
    [
        (CODE, b"\x06\x70", True, "1648"),
        (CODE, b"\x06\x71", False, "1649"),
        (CODE, None, False, REFUSED),
        (NAME, b"B23 ", True, "B23"),
        (NAME, b"A43 ", False, "A43"),
        (NAME, b"\x00\x01\xff\xff", False, "0001 ffff"),
        (NAME, b"    ", False, "2020 2020"),
    ],
)
def test_a_sign_fits_or_not_and_says_what_it_found(sign, data, fits, found):
    """A number as it is, a text by its beginning; what is found is said as a person would read it."""
    assert (data is not None and sign.fits(data)) is fits
    assert sign.found(data) == found


def test_a_sign_says_what_it_expects():
    """With the place, so that an installer can look there."""
    assert CODE.expected == "1648 or 1650 at input 11"
    assert Sign(table=Table.INPUT, address=0, values=(3, 1, 2, 9)).expected == "1 to 3 or 9 at input 0"
    assert NAME.expected == "B21  or B23  at holding 35168"


@pytest.mark.parametrize("sign", [CODE, NAME])
def test_the_example_of_a_sign_fits(sign):
    """An emulated device shows what its profile is known by."""
    assert len(sign.example) == 2 * sign.length
    assert sign.fits(sign.example)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"table": Table.COIL, "address": 1, "values": (1,)}, "table: expected input or holding"),
        ({"table": Table.INPUT, "address": 1}, "either values or texts"),
        ({"table": Table.INPUT, "address": 1, "values": (1,), "texts": ("a",)}, "either values or texts"),
        ({"table": Table.INPUT, "address": 1, "values": (1,), "length": 2}, "only a text"),
        ({"table": Table.INPUT, "address": 65535, "texts": ("abc",), "length": 2}, "last address"),
        ({"table": Table.INPUT, "address": 1, "texts": ("abc",)}, "fits into 1 registers"),
        ({"table": Table.INPUT, "address": 1, "texts": ("é",)}, "ASCII"),
    ],
)
def test_a_sign_that_makes_no_sense_is_refused(arguments, words):
    """In words that begin with the setting."""
    with pytest.raises(ValueError, match=words):
        Sign(**arguments)


TYPES = {"em24": (CODE,), "b2x": (NAME,), "both": (CODE, NAME), "unknown": ()}


def test_what_has_to_be_read_is_read_once():
    """However many types are told by it."""
    assert asked(TYPES.values()) == (Span(Table.INPUT, 11, 12), Span(Table.HOLDING, 0x8960, 0x8962))


@pytest.mark.parametrize(
    ("code", "name", "types"),
    [
        (b"\x06\x70", None, ["em24"]),
        (None, b"B21 ", ["b2x"]),
        (b"\x06\x70", b"B21 ", ["both", "em24", "b2x"]),
        (b"\x00\x00", b"A43 ", []),
        (None, None, []),
    ],
)
def test_a_device_is_of_the_types_of_which_it_shows_every_sign(code, name, types):
    """The one with more signs first; what has none is never guessed."""
    assert identify(TYPES, {CODE.span: code, NAME.span: name}) == types


def test_an_introduction_ends_at_the_first_sign_that_does_not_fit():
    """No question more than needed; what was expected and found is known."""
    asking = introduction((CODE, NAME))
    assert next(asking) == CODE.span
    assert asking.send(b"\x06\x70") == NAME.span
    with pytest.raises(StopIteration) as end:
        asking.send(None)
    assert end.value.value == Introduced("B21  or B23  at holding 35168", REFUSED)


def test_an_introduction_that_goes_well_finds_nothing():
    """All signs were asked for."""
    asking = introduction((CODE,))
    next(asking)
    with pytest.raises(StopIteration) as end:
        asking.send(b"\x06\x72")
    assert end.value.value == Introduced()

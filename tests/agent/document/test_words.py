"""Words are read by the type that is wanted, never by YAML's own guess."""

import enum
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given, strategies
from hypothesis import settings as hypothesis_settings

from agent import document
from agent.document import parse
from agent.fields import Limits, Secret, Size


@pytest.fixture
def read(tmp_path):
    """Read one value of a type from how it is written; the value, or the one message."""

    def _read(type_, written):
        holder = dataclass(type("Holder", (), {"__annotations__": {"x": type_}}))
        path = tmp_path / "one.yaml"
        path.write_text(f"x: {written}\n", encoding="utf-8")
        found = document.read(holder, path)
        if found.problems:
            (problem,) = found.problems
            return problem.message
        return found.settings.x

    return _read


class Colour(enum.Enum):
    RED = "red"
    OFF = "off"
    ONE = 1


@pytest.mark.parametrize(
    ("type_", "written", "value"),
    [
        (int, "12", 12),
        (int, "-7", -7),
        (int, "+7", 7),
        (int, "0", 0),
        (int, "0x1F", 31),
        (int, "-0x10", -16),
        (int, '"502"', 502),
        (float, "1", 1.0),
        (float, "-1.5e3", -1500.0),
        (float, ".5", 0.5),
        (Decimal, "0.10", Decimal("0.10")),
        (Fraction, "0.1", Fraction(1, 10)),
        (Fraction, "1/3", Fraction(1, 3)),
        (Fraction, "1e-3", Fraction(1, 1000)),
        (Fraction, "0x8000", Fraction(32768)),
        (bool, "true", True),
        (bool, "No", False),
        (bool, "ON", True),
        (str, "10:20:30:40:50:59", "10:20:30:40:50:59"),
        (str, "0100", "0100"),
        (str, "1234", "1234"),
        (str, "on", "on"),
        (str, "null", "null"),
        (str, "1.10", "1.10"),
        (str, "2026-01-01", "2026-01-01"),
        (str, '""', ""),
        (str, "'  x '", "  x "),
        (str | None, "null", None),
        (str | None, "", None),
        (str | None, "~", None),
        (str | None, '"null"', "null"),
        (int | None, "", None),
        (timedelta, "500ms", timedelta(milliseconds=500)),
        (timedelta, "1.5h", timedelta(minutes=90)),
        (Size, "1GiB", Size(2**30)),
        (Colour, "red", Colour.RED),
        (Colour, "off", Colour.OFF),
        (Colour, "1", Colour.ONE),
        (Literal["a", 9600, True], "9600", 9600),
        (Literal["a", 9600, True], "true", True),
        (int | Literal["auto"], "auto", "auto"),
        (int | Literal["auto"], "12", 12),
        (timedelta | Literal["never"], "never", "never"),
    ],
)
def test_a_word_is_read_by_the_type_that_is_wanted(read, type_, written, value):
    """The same text is a number, a text or nothing, as it is asked for."""
    found = read(type_, written)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("type_", "written", "message"),
    [
        (int, "0100", "x: expected a whole number; found '0100': it could be 100 or 0x40 (octal); write one without the leading 0"),
        (int, "1.0", "x: expected a whole number; found '1.0': did you mean 1?"),
        (int, "ten", "x: expected a whole number; found 'ten'"),
        (int, "", "x: expected a whole number; found nothing"),
        (int, "[1]", "x: expected a whole number; found a list"),
        (int, "{a: 1}", "x: expected a whole number; found a section of keys"),
        (int, "9" * 100, f"x: expected a whole number; found '{'9' * 57}...'"),
        (int, "٣", "x: expected a whole number; found '٣'"),
        (float, "nan", "x: expected a number; found 'nan'"),
        (float, ".inf", "x: expected a number; found '.inf'"),
        (float, "1e999", "x: expected a number; found '1e999': it is too large"),
        (float, "21,5", "x: expected a number; found '21,5': did you mean 21.5?"),
        (bool, "1", "x: expected true or false; found '1'"),
        (bool, "ture", "x: expected true or false; found 'ture': did you mean true?"),
        (str, "", "x: expected a text; found nothing"),
        (timedelta, "10", "x: expected a duration with its unit, such as 500ms, 10s, 15min, 1h or 30d; found '10': it needs its unit: ms, s, min, h or d"),
        (timedelta, "5 minutes", "x: expected a duration with its unit, such as 500ms, 10s, 15min, 1h or 30d; found '5 minutes': did you mean 5min?"),
        (timedelta, "9" * 15 + "d", f"x: expected a duration with its unit, such as 500ms, 10s, 15min, 1h or 30d; found '{'9' * 15}d'"),
        (Annotated[timedelta, Limits("1s", "1h")], "10ms", "x: expected a duration from 1s to 1h; found '10ms'"),
        (Annotated[timedelta, Limits(least="1s")], "1ms", "x: expected a duration of at least 1s; found '1ms'"),
        (Size, "1M", "x: expected a size with its unit, such as 64KiB, 512MiB or 1GiB; found '1M': did you mean 1MiB?"),
        (Annotated[Size, Limits(greatest="1MiB")], "1GiB", "x: expected a size of at most 1MiB; found '1GiB'"),
        (Colour, "rde", "x: expected one of red, off, 1; found 'rde': did you mean red?"),
        (Annotated[int, msgspec.Meta(ge=1, le=5)], "6", "x: expected a whole number from 1 to 5; found '6'"),
        (Annotated[float, msgspec.Meta(gt=0, lt=1)], "1", "x: expected a number above 0 below 1; found '1'"),
        (Annotated[int, msgspec.Meta(ge=2)], "1", "x: expected a whole number of at least 2; found '1'"),
        (Annotated[int, msgspec.Meta(multiple_of=5)], "7", "x: expected a whole number, a multiple of 5; found '7'"),
        (Annotated[int | None, msgspec.Meta(le=5)], "6", "x: expected a whole number of at most 5; found '6'"),
        (Annotated[str, msgspec.Meta(pattern="^[ab]$")], '"a\\n"', "x: expected a text that matches ^[ab]$; found 'a\\n'"),
        (Annotated[str, msgspec.Meta(min_length=2, max_length=3)], "abcd", "x: expected a text of 2 to 3 characters; found 'abcd'"),
        (str, '"a\\0b"', "x: expected a text; found 'a\\x00b': control characters cannot be sent on"),
        (int | Literal["auto"], "atuo", "x: expected a whole number or auto; found 'atuo'"),
    ],
)  # fmt: skip
def test_another_word_says_what_was_expected_and_found(read, type_, written, message):
    """And what was probably meant."""
    assert read(type_, written) == message


def test_a_secret_is_a_reference(read):
    """It is made of its name, and looked up by whoever needs the text."""
    assert read(Secret, "!secret mqtt-password") == Secret("mqtt-password")
    assert read(Secret | None, "") is None
    assert read(Secret | None, "!secret a") == Secret("a")


def test_a_path_begins_at_the_folder_of_its_file(read, tmp_path):
    """So that a configuration can be moved as a whole; an absolute one stays as it is."""
    assert read(Path, "certificates/ca.pem") == tmp_path / "certificates" / "ca.pem"
    assert read(Path, "/etc/ssl/ca.pem") == Path("/etc/ssl/ca.pem")


@given(strategies.integers(-(10**30), 10**30))
@hypothesis_settings(deadline=None)
def test_whole_numbers_are_read_back(number):
    """Decimal and hexadecimal, of any size that a register could have."""
    assert parse.whole(str(number)) == number
    assert parse.whole(hex(number)) == number


@given(strategies.text())
@hypothesis_settings(deadline=None)
def test_no_text_breaks_a_reader(text):
    """Whatever the text, it is a value or a `ValueError`, and at once."""
    for read in (
        parse.whole,
        parse.number,
        parse.decimal,
        parse.fraction,
        parse.duration,
        parse.size,
        parse.boolean,
    ):
        try:
            value: Any = read(text)
        except ValueError:
            continue
        assert value == value  # noqa: PLR0124  never nan

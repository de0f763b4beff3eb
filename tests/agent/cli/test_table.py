from decimal import Decimal

import pytest

from agent.cli.table import ago, bytes_text, cell_text, table


def test_numbers_stand_to_the_right_and_words_to_the_left():
    """A column of figures can be compared at a glance; a missing value is a dash."""
    assert table(
        ("POINT", "VALUE", "UNIT"), [("power", 1234.5, "W"), ("state", None, ""), ("n", 7, "1")]
    ) == ("POINT   VALUE  UNIT\npower  1234.5  W\nstate       -\nn           7  1")


def test_a_table_without_rows_is_its_heads():
    """Nothing to show is shown as nothing."""
    assert table(("A", "B"), []) == "A  B"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (-1.0, "0 s"),
        (0.4, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7200, "2 h"),
        (200_000, "2 d"),
    ],
)
def test_an_age_is_said_as_a_person_says_it(seconds, text):
    """In the largest unit of which there are at least two."""
    assert ago(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (2**20, "1.0 MiB"), (2**31, "2.0 GiB")],
)
def test_bytes_are_said_in_binary_units(count, text):
    """As in the configuration."""
    assert bytes_text(count) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (230.1999969482422, "230.2"),
        (20944.3984375, "20944.4"),
        (123456789.125, "123456789.1"),
        (1e-9, "1e-09"),
        (Decimal("98765432109876.54"), "98765432109876.54"),
        (2**63, "9223372036854775808"),
        (True, "True"),
        ("comfort", "comfort"),
    ],
)
def test_a_value_is_shown_without_losing_what_a_person_wants(value, text):
    """Seven digits of a float, every digit of anything exact, and no exponent where there is a total."""
    assert cell_text(value) == text

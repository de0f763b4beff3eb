"""The numbers of PLCs, and the addresses that they stand for."""

import pytest

from drivers.modbus.numbering import meant


@pytest.mark.parametrize(
    ("number", "place"),
    [
        (40001, "address 0 of table holding"),
        (40012, "address 11 of table holding"),
        (49999, "address 9998 of table holding"),
        (36201, "address 6200 of table input"),
        (10005, "address 4 of table discrete"),
        (400012, "address 11 of table holding"),
        (465536, "address 65535 of table holding"),
        (300001, "address 0 of table input"),
        (0, None),
        (1, None),
        (10000, None),
        (40000, None),
        (50001, None),
        (465537, None),
        (500001, None),
    ],
)
def test_a_number_names_a_table_and_an_address(number, place):
    """The first digit is the table, the rest counts from 1; what is no such number stands for nothing."""
    assert (None if meant(number) is None else str(meant(number))) == place

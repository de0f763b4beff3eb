"""Addresses that look like mistakes: what is said, and what is left alone."""

import pytest

from drivers.modbus import DeviceSettings, LinkSettings, problems
from drivers.modbus.identity import Identity
from drivers.modbus.point import Addend, Allowed, PointSettings
from drivers.modbus.profile import Profile
from drivers.modbus.values.registers import Table, Type


def point(name, address, type_="int16", table="holding", **settings):
    register_type = None if Table(table).bits else Type(type_)
    return PointSettings(
        name=name, address=address, register_type=register_type, table=Table(table), **settings
    )


def found(*points, **device):
    """The problems of a device with these points: the path within the device, and the message."""
    link = LinkSettings(
        id="l", driver="modbus", host="h", devices=(DeviceSettings(id="d", points=points, **device),)
    )
    return [(path[2:], message) for path, message in problems(link)]


def test_an_overlap_is_said_with_both_points_and_a_way_out():
    """Which of the two is wrong cannot be known; that one is, nearly always."""
    assert found(point("energy", 10, "uint32"), point("power", 11)) == [
        (
            ("points", 1, "address"),
            (
                "address: power (int16, holding 11) shares 11 with energy (uint32, holding 10 to 11): "
                "expected registers of its own, or all of another's. Where it is meant so: allow: [overlap]"
            ),
        )
    ]


@pytest.mark.parametrize(
    "points",
    [
        [point("a", 10, "uint32"), point("b", 12, "uint32")],
        [
            point("a", 10, "uint32"),
            point("b", 10, "float32"),
        ],  # the very same registers: two ways to look at them
        [point("a", 10, "uint32"), point("b", 11, "bool", bit=3)],  # a bit lies where its register does
        [point("a", 10, "uint32"), point("b", 11, "uint16", bits="4-7")],
        [point("a", 10, "uint32"), point("b", 11, table="input")],  # another table
        [point("a", 10, scale_factor=20), point("b", 11, scale_factor=20), point("factor", 20)],
        [point("a", 10, "uint32"), point("b", 11, allow=(Allowed.OVERLAP,))],
        [point("a", 10, "uint32", allow=(Allowed.OVERLAP,)), point("b", 11)],
        [point("a", 10, table="coil"), point("b", 10, table="coil")],
    ],
)
def test_what_shares_registers_for_a_reason_is_left_alone(points):
    """Nothing is asked of whoever does it right, or says that it is meant so."""
    assert found(*points) == []


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ([point("a", 10, "uint64"), point("b", 11), point("c", 13)], ["b", "c"]),
        ([point("a", 10, "uint32"), point("b", 11, "uint32"), point("c", 12, "uint32")], ["b", "c"]),
        ([point("name", 10, "string", length=8), point("b", 17)], ["b"]),
        ([point("a", 10), point("b", 20, "uint32", sum=(Addend(address=9),))], ["a"]),
        ([point("a", 10, "uint32"), point("b", 20, scale_factor=11)], ["b"]),
    ],
)
def test_each_point_that_overlaps_one_before_it_is_said_once(points, said):
    """In the order of addresses; further registers of a sum, and scale factors, count as well."""
    names = [point.name for point in points]
    assert [names[path[1]] for path, _ in found(*points)] == said


def test_a_plc_number_among_addresses_is_said_with_the_address():
    """Most others are below 10,000, so this one is not sent on the wire as it stands."""
    (said,) = found(point("a", 0), point("b", 1), point("c", 40012))
    assert said == (
        ("points", 2, "address"),
        (
            "address: 40012 looks like the number that PLCs give to address 11 of table holding, and the line knows "
            "addresses: write 11. Where it is an address all the same: allow: [plc_number]"
        ),
    )


def test_a_list_of_nothing_but_plc_numbers_in_two_tables_is_said_of_each():
    """Holding from 40001 and input from 30001 on: no device has its tables just there."""
    said = found(point("a", 40001), point("b", 40002), point("c", 30001, table="input"))
    assert [path[1] for path, _ in said] == [0, 1, 2]


@pytest.mark.parametrize(
    "points",
    [
        [point("a", 40069), point("b", 40071)],  # SunSpec's addresses begin at 40000
        [point("a", 30775), point("b", 40631)],  # and some makers' at 30001, in the holding table
        [point("a", 30775, table="input"), point("b", 30775)],
        [point("a", 0), point("b", 40012, table="input")],  # not the number of this table
        [point("a", 0), point("b", 1), point("c", 40960, allow=(Allowed.PLC_NUMBER,))],
        [point("a", 0, table="coil"), point("b", 9999, table="coil")],
    ],
)
def test_high_addresses_are_left_alone_where_they_are_the_rule_or_meant_so(points):
    """A number is only a PLC's where that explains more than an address does."""
    assert found(*points) == []


def test_the_place_of_a_profile_s_point_is_in_the_profile():
    """So that the file and line are those where it is to be mended; what is not read is nobody's problem."""
    profile = Profile(
        manufacturer="m",
        model="m",
        source=("s",),
        verified="not",
        points=(point("energy", 10, "uint32"), point("power", 11)),
    )
    ((path, _),) = found(point("own", 50), profile=profile, identity=Identity.IGNORED)
    assert path == ("profile", "points", 1, "address")
    assert found(point("own", 50), profile=profile, only=("own", "power")) == []
    assert found(point("power", 12), profile=profile) == []  # written again, rightly

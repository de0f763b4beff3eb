"""Settings: what an operator writes, what is refused, and what follows."""

from datetime import timedelta
from fractions import Fraction

import msgspec
import pytest

from agent import document
from agent.fields import Place
from agent.sample import Class, ValueType
from drivers.modbus import DeviceSettings, LinkSettings, owner, points, problems
from drivers.modbus.point import PointSettings
from drivers.modbus.profile import Defaults, Profile
from drivers.modbus.values.plan import BlockLimits
from drivers.modbus.values.registers import Order, Table, Type


def point(name, address=0, **given):
    defaults = {"table": Table.HOLDING, "register_type": Type.INT32}
    return PointSettings(name=name, address=address, **(defaults | given))


def profile(*its_points, **defaults):
    return Profile(
        manufacturer="Maker",
        model="Model",
        source=("the manual",),
        verified="not at all",
        defaults=Defaults(**defaults),
        points=its_points,
    )


def names(device):
    return [made.name for made in points(device)]


def test_points_come_from_the_profile_then_from_the_device():
    """In the profile's order; a point written again takes the profile's place, wholly, and new ones follow."""
    device = DeviceSettings(
        id="d",
        profile=profile(point("a", 0, unit="V"), point("b", 2, unit="V")),
        points=(point("c", 4), point("a", 6)),
    )
    assert names(device) == ["a", "b", "c"]
    assert [codec.address for codec in device.codecs] == [6, 2, 4]
    assert [made.unit for made in points(device)] == [None, "V", None]


def test_only_some_points_can_be_read():
    """In the order of the profile, not of the list."""
    device = DeviceSettings(id="d", profile=profile(point("a"), point("b"), point("c")), only=("c", "a"))
    assert names(device) == ["a", "c"]


def test_the_nearest_order_counts():
    """The point's own, else the device's, else the profile's, else high word first."""
    its_points = (point("own", order=Order.BADC), point("inherited"))
    assert [c.order for c in DeviceSettings(id="d", points=its_points).codecs] == [Order.BADC, Order.ABCD]
    with_profile = DeviceSettings(id="d", profile=profile(*its_points, order=Order.CDAB))
    assert [c.order for c in with_profile.codecs] == [Order.BADC, Order.CDAB]
    overridden = DeviceSettings(id="d", profile=profile(*its_points, order=Order.CDAB), order=Order.DCBA)
    assert [c.order for c in overridden.codecs] == [Order.BADC, Order.DCBA]


def test_the_device_s_limits_count_before_the_profile_s():
    """A gap of 0 written at the device is an answer, not the lack of one."""
    its_profile = profile(point("a"), gap=6, max_count=60)
    assert DeviceSettings(id="d", profile=its_profile).limits == BlockLimits(registers=60, gap=6)
    narrowed = DeviceSettings(id="d", profile=its_profile, gap=0, max_count=2)
    assert narrowed.limits == BlockLimits(registers=2, gap=0)
    even = profile(point("a"), alignment=2, borders=(10,))
    assert DeviceSettings(id="d", profile=even).limits == BlockLimits(alignment=2, borders=(10,))
    assert DeviceSettings(id="d", profile=even, alignment=1, borders=()).limits == BlockLimits()


def test_how_a_device_is_waited_for():
    """Time limit and pause are the device's, else its profile's; a time limit that neither has is the link's."""
    second, half = timedelta(seconds=1), timedelta(seconds=0.5)
    plain = DeviceSettings(id="d", points=(point("a"),))
    assert (plain.limit(second), plain.pause) == (second, timedelta(0))
    slow = profile(point("a"), timeout=half, request_delay=half)
    assert (
        DeviceSettings(id="d", profile=slow).limit(second),
        DeviceSettings(id="d", profile=slow).pause,
    ) == (half, half)
    own = DeviceSettings(id="d", profile=slow, timeout=2 * second, request_delay=timedelta(0))
    assert (own.limit(second), own.pause) == (2 * second, timedelta(0))


def test_a_point_tells_the_rest_of_the_agent_what_it_is():
    """Type from the codec; unit, kind, class and designation as written."""
    (made,) = points(
        DeviceSettings(
            id="d",
            points=(
                point(
                    "energy",
                    register_type=Type.UINT64,
                    scale=Fraction("0.01"),
                    unit="kW.h",
                    quantity_kind="ActiveEnergy",
                    class_=Class.BILLING,
                    designation="QE1",
                ),
            ),
        )
    )
    assert (made.name, made.type, made.unit, made.quantity_kind, made.class_, made.designation) == (
        "energy",
        ValueType.DECIMAL,
        "kW.h",
        "ActiveEnergy",
        Class.BILLING,
        "QE1",
    )


def test_a_point_lies_within_the_place_of_its_device():
    """What it leaves open is the device's; what it says itself stays."""
    device = DeviceSettings(
        id="d", place=Place(storey="k1", room="12"), points=(point("a", place=Place(room="14")),)
    )
    assert points(device)[0].place == Place(storey="k1", room="14")


def test_a_coil_needs_no_type():
    """There is only one that it can have."""
    (made,) = points(DeviceSettings(id="d", points=(PointSettings(name="on", table=Table.COIL, address=1),)))
    assert made.type is ValueType.BOOLEAN


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ({"id": "d"}, "points: expected a profile, sunspec or points of its own, found none of them"),
        ({"id": "d", "points": (point("a"), point("a"))}, "points: the name a is given twice"),
        ({"id": "d", "points": (point("a"),), "only": ("b",)}, "only: there is no point b; expected of a"),
        (
            {"id": "d", "points": (point("a"),), "max_count": 1},
            "max_count: a spans 2 registers, more than the 1",
        ),
        (
            {"id": "d", "points": (point("a", 1),), "max_count": 3, "alignment": 2},
            "max_count: a spans 4 registers with the alignment 2, more than the 2",
        ),
        (
            {"id": "d", "points": (point("a", 99),), "borders": (50, 100)},
            "borders: a lies at 99 to 100, across the border 100",
        ),
        (
            {"id": "d", "points": (point("a"),), "borders": (99,), "alignment": 2},
            "borders: expected multiples of the alignment 2, found 99",
        ),
    ],
)
def test_a_device_that_cannot_be_read_as_written_is_refused(written, problem):
    """One sentence, that starts with the setting."""
    with pytest.raises(ValueError, match=r".") as raised:
        DeviceSettings(**written)
    assert str(raised.value).startswith(problem)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ({"table": "holding", "address": 0}, "type: expected the type of the holding registers"),
        ({"table": "coil", "address": 0, "type": "int16"}, "type: the coil table holds single bits"),
        (
            {"table": "input", "address": 65535, "type": "int32"},
            "address: expected no more than the last address 65535, found 2 registers from 65535 on",
        ),
        (
            {"table": "input", "address": 0, "type": "int16", "minimum": Fraction(1), "maximum": Fraction(1)},
            "minimum: expected less than the maximum 1, found 1",
        ),
        (
            {"table": "input", "address": 0, "type": "int16", "minimum": Fraction(50000)},
            "minimum: no int16 with this scale and offset lies within the limits",
        ),
    ],
)
def test_a_point_that_cannot_be_is_refused_where_it_is_written(written, problem):
    """The error of a point names its place in the configuration."""
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.convert({"name": "a"} | written, PointSettings)
    assert str(raised.value).startswith(problem)


def test_a_profile_names_each_point_once():
    """A name that comes twice is a slip of whoever wrote the profile."""
    with pytest.raises(ValueError, match="points: the name a is given twice"):
        profile(point("a"), point("a", 2))


def link(*devices, **given):
    return LinkSettings(id="l", driver="modbus", devices=devices, **({"host": "192.0.2.10"} | given))


def test_a_link_whose_settings_fit_together_has_no_problems():
    """Also one that leaves everything out."""
    device = DeviceSettings(id="d", points=(point("a"),))
    assert not list(problems(link(device)))
    assert not list(
        problems(link(device, quiet=timedelta(seconds=1), request_delay=timedelta(milliseconds=100)))
    )


def test_quiet_may_not_be_shorter_than_an_answer_may_take():
    """An answer that is still on its way would be taken for the next one's."""
    slow = DeviceSettings(id="slow", points=(point("a"),), timeout=timedelta(seconds=3))
    fast = DeviceSettings(id="fast", points=(point("a"),))
    ((path, words),) = problems(link(slow, fast, quiet=timedelta(seconds=2)))
    assert path == ("quiet",)
    assert words == "quiet: expected no less than the longest timeout of the link, 3s, found 2s"


def test_only_one_link_may_hold_a_host_and_port():
    """What the check of the whole configuration compares."""
    device = DeviceSettings(id="d", points=(point("a"),))
    assert owner(link(device)) == "192.0.2.10:502"


def test_this_machine_has_one_owner_by_all_its_names():
    """`localhost` and its addresses lead to the same end."""
    device = DeviceSettings(id="d", points=(point("a"),))
    hosts = ("localhost", "LocalHost", "127.0.0.1", "::1")
    assert {owner(link(device, host=host)) for host in hosts} == {"localhost:502"}


def test_a_configuration_names_a_profile_and_finds_it(tmp_path):
    """By its name without `.yaml`, among ours or beside the file; a mistake in it is reported where it stands."""
    ours = tmp_path / "ours.yaml"
    ours.write_text("{id: meter, profile: eastron-sdm630, only: [frequency]}")
    found = document.read(DeviceSettings, ours)
    assert not found.problems
    assert names(found.settings) == ["frequency"]

    (tmp_path / "mine.yaml").write_text(
        "manufacturer: I\nmodel: mine\nsource: [me]\nverified: no\n"
        "points:\n  - {name: a, table: input, address: 65535, type: float32}\n"
    )
    theirs = tmp_path / "theirs.yaml"
    theirs.write_text("{id: meter, profile: mine}")
    (problem,) = document.read(DeviceSettings, theirs).problems
    assert str(problem).endswith(
        "mine.yaml:6:38: address: expected no more than the last address 65535, found 2 registers from 65535 on"
    )

"""What the settings of points demand, and which of them do not fit together."""

from datetime import timedelta
from fractions import Fraction

import pytest

from agent.fields import Place
from agent.judging import points, problems
from agent.judging.rules import meaning
from agent.points import Counter, PointBase, QualityFrom
from agent.sample import Class, Point, ValueType
from drivers import simulated
from drivers.modbus.point import Addend, PointSettings
from drivers.modbus.values.registers import Order, Table, Type


def found(*settings):
    read = tuple(each.described(each.type_ or ValueType.NUMBER, each.place) for each in settings)
    return [(name, key) for name, key, _ in problems(settings, read)]


def test_event_points_follow_those_that_are_read():
    """A consumer hears of a counter's event point beforehand, where it is and whose it is."""
    device = simulated.DeviceSettings(id="meter", model=simulated.Model.METER, place=Place(room="112"))
    assert points(simulated, device)[:-1] == simulated.points(device)
    event = points(simulated, device)[-1]
    assert event == Point(
        name="active_energy_event", type=ValueType.TEXT, class_=Class.EVENT, place=device.place
    )


def test_a_driver_that_gives_no_settings_has_no_event_points():
    """`point_settings` is optional."""

    class Driver:
        def points(self, _device):
            return (Point(name="power"),)

    assert points(Driver(), None) == (Point(name="power"),)


@pytest.mark.parametrize("type_", [ValueType.TEXT, ValueType.BOOLEAN])
@pytest.mark.parametrize(
    "rule", [{"minimum": 0}, {"maximum": 0}, {"change_per_minute": 1}, {"counter": Counter()}], ids=str
)
def test_only_numbers_have_limits_and_count(type_, rule):
    """A text or a flag has neither."""
    assert found(PointBase(name="mode", type_=type_, **rule)) == [("mode", next(iter(rule)))]
    assert found(PointBase(name="mode", type_=ValueType.DECIMAL, **rule)) == []


def test_the_name_of_an_event_point_is_a_name_too():
    """It has to be as short as any name, and nobody else's."""
    longest = "x" * 58
    assert found(PointBase(name=longest, counter=Counter())) == []
    assert found(PointBase(name=f"{longest}x", counter=Counter())) == [(f"{longest}x", "name")]
    clash = PointBase(name="energy", counter=Counter()), PointBase(name="energy_event")
    assert found(*clash) == [("energy", "counter")]


def test_who_vouches():
    """A point that is read, needs no other, and can have the values that are called good."""
    status = PointBase(name="status", type_=ValueType.INTEGER, labels={0: "ok"})

    def vouched(point, *good, **how):
        return PointBase(name="flow", quality_from=QualityFrom(point=point, good=good), **how)

    assert found(vouched("status", "0", "OK"), status) == []
    assert found(vouched("statsu", "0"), status) == [("flow", "quality_from")]
    assert found(vouched("status", "fine"), status) == [("flow", "quality_from")]
    chained = PointBase(name="level", quality_from=QualityFrom(point="flow", good=("0",)))
    assert found(vouched("status", "0"), status, chained) == [("level", "quality_from")]


# --- what a value means ----------------------------------------------------------------------------------------


def register(**settings):
    how = {"table": Table.HOLDING, "address": 7, "register_type": Type.UINT32, "counter": Counter()}
    return PointSettings(name="energy", **(how | settings))


def test_a_setting_that_nobody_gave_means_nothing():
    """So a counter goes on over an upgrade by which there are more settings."""

    class More(PointSettings, frozen=True, kw_only=True):
        another: Fraction = Fraction(1)

    settings = {"table": Table.HOLDING, "address": 7, "register_type": Type.UINT32, "counter": Counter()}
    assert meaning(More(name="energy", **settings)) == meaning(register())
    assert meaning(More(name="energy", another=Fraction(2), **settings)) != meaning(register())


@pytest.mark.parametrize(
    "other",
    [
        {"maximum": Fraction(10**6)},
        {"change_per_minute": Fraction(5)},
        {"designation": "EM1"},
        {"class_": Class.BILLING},
        {"interval": timedelta(seconds=5)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_describes_or_judges_a_value_leaves_it_what_it_is(other):
    """A counter goes on when a limit, its name or its interval is another one."""
    assert meaning(register(**other)) == meaning(register())


@pytest.mark.parametrize(
    "other",
    [
        {"address": 9},
        {"table": Table.INPUT},
        {"register_type": Type.FLOAT32},
        {"order": Order.CDAB},
        {"scale": Fraction(1, 10)},
        {"offset": Fraction(1)},
        {"counter": Counter(rollover=Fraction(10**6))},
        {"unit": "kWh"},
        {"sum": (Addend(address=9),)},
        {"sum": (Addend(address=9, scale=Fraction(1000)),)},
    ],
    ids=str,
)
def test_what_is_read_from_elsewhere_or_otherwise_is_another_value(other):
    """Then an earlier total cannot be compared."""
    others = [{}, {"sum": (Addend(address=9, scale=Fraction(10)),)}]
    assert meaning(register(**other)) not in {meaning(register(**each)) for each in others}

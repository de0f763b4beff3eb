"""What the settings of points demand, and which of them do not fit together."""

import pytest

from agent.fields import Place
from agent.judging import points, problems
from agent.points import Counter, PointBase, QualityFrom
from agent.sample import Class, Point, ValueType
from drivers import simulated


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

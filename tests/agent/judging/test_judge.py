"""The judge of a device, held against tables of samples: what is marked, what is left alone, what is remembered."""

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import settings as under
from hypothesis import strategies as st

from agent.judging import Judge
from agent.judging.counter import Happened
from agent.judging.judge import SHAPES
from agent.points import Counter, PointBase, QualityFrom
from agent.sample import Class, Point, Quality, Reason, Sample, Shape, ValueType

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS

LIMITED = PointBase(name="temperature", minimum=Fraction(-40), maximum=Fraction(60))
PACED = PointBase(name="level", change_per_minute=Fraction(10))
ENERGY = PointBase(name="energy", type_=ValueType.DECIMAL, counter=Counter(rollover=Fraction(10**6)))
VOLUME = PointBase(name="volume", type_=ValueType.INTEGER, counter=Counter())
FLOW = PointBase(
    name="flow",
    quality_from=QualityFrom(point="status", good=("0", "warming"), max_age=timedelta(minutes=2)),
)
STATUS = PointBase(name="status", type_=ValueType.INTEGER, labels={0: "ok", 1: "broken", 2: "warming"})
PLAIN = PointBase(name="plain")


class Device:
    """A device with these points, read at a time of its own."""

    def __init__(self, *settings):
        self.settings = settings
        self.points = tuple(each.described(each.type_ or ValueType.NUMBER, each.place) for each in settings)
        self.shape = Shape("device", self.points)
        self.judge = Judge(settings, self.points)
        self.now_ns = MINUTE_NS

    def sample(self, *values, reasons=b"", ages=(), after_s=10, only=None):
        self.now_ns += after_s * SECOND_NS
        shape = self.shape if only is None else Shape("device", tuple(self.points[cell] for cell in only))
        return Sample(shape, self.now_ns, values, reasons, ages)

    def read(self, *values, **how):
        """What became of the cells of one reading: their values, or why they are doubtful."""
        judged = self.judge.judge(self.sample(*values, **how)).sample
        reasons = judged.reasons or bytes(len(judged.values))
        return [
            Reason(reason) if reason else value for value, reason in zip(judged.values, reasons, strict=True)
        ]


def test_what_nothing_is_known_about_passes_as_it_is():
    """Without rules, or without a doubt, the sample that comes out is the one that went in."""
    for device in (Device(PLAIN), Device(LIMITED, PACED, VOLUME)):
        sample = device.sample(*([20.0, 5.0, 7][: len(device.points)]))
        judged = device.judge.judge(sample)
        assert judged.sample is sample
        assert (judged.again, judged.news) == (False, ())


@pytest.mark.parametrize("type_", [ValueType.NUMBER, ValueType.INTEGER, ValueType.DECIMAL])
def test_limits(type_):
    """What is outside is shown and marked; the limits themselves are inside."""
    make = {ValueType.NUMBER: float, ValueType.INTEGER: int, ValueType.DECIMAL: Decimal}[type_]
    device = Device(
        PointBase(name="both", type_=type_, minimum=Fraction(-40), maximum=Fraction(60)),
        PointBase(name="least", type_=type_, minimum=Fraction(1, 3)),
    )
    assert device.read(make(-40), make(1)) == [make(-40), make(1)]
    assert device.read(make(60), make(10**9)) == [make(60), make(10**9)]
    judged = device.judge.judge(device.sample(make(61), make(0))).sample
    assert judged.values == (make(61), make(0))
    assert judged.reasons == bytes([Reason.OUTSIDE_LIMITS] * 2)


def test_the_driver_has_the_first_word():
    """What it doubts itself is not judged, and is no measure for what follows."""
    device = Device(LIMITED, PACED, VOLUME)
    device.read(20.0, 5.0, 1000)
    doubts = bytes([Reason.SENSOR_NOT_ACCURATE, Reason.LAST_USABLE, Reason.INITIAL])
    assert device.read(99.0, 900.0, 3, reasons=doubts) == [Reason(doubt) for doubt in doubts]
    assert device.read(None, None, None, reasons=bytes([Reason.TIMEOUT] * 3)) == [Reason.TIMEOUT] * 3
    assert device.read(20.0, 5.0, 1001) == [20.0, 5.0, 1001]
    assert device.read(20.0, 5.0, 1002, reasons=bytes([Reason.LOCAL_OVERRIDE, 0, 0]))[1:] == [5.0, 1002]


def test_what_is_outside_its_limits_is_no_measure():
    """A counter that shows nonsense for a moment, known to be nonsense, keeps its place without a doubt."""
    device = Device(
        PointBase(name="total", type_=ValueType.INTEGER, maximum=Fraction(10**6), counter=Counter())
    )
    values = [device.read(value)[0] for value in (1000, 4_294_967_295, 4_294_967_295, 1001)]
    assert values == [1000, Reason.OUTSIDE_LIMITS, Reason.OUTSIDE_LIMITS, 1001]


def test_rate_of_change():
    """Doubted as long as it cannot have come so far since the last good value: a spike is, its end is not."""
    device = Device(PACED)
    fast = Reason.CHANGED_TOO_FAST
    assert [device.read(value)[0] for value in (5.0, 14.0, 50.0, 50.0, 14.0)] == [5.0, 14.0, fast, fast, 14.0]
    found = [device.read(44.0)[0] for _ in range(20)]
    assert found == [fast] * 17 + [44.0] * 3  # three minutes, ten seconds each
    assert device.read(150.0, after_s=660) == [150.0]  # nothing came for eleven minutes


def test_time_is_that_of_the_cell():
    """In a sample of several blocks each cell has moved since it was itself last read."""
    device = Device(PACED, PLAIN)
    device.read(0.0, 0.0)
    assert device.read(29.0, 0.0, after_s=240, ages=(60_000, 0))[0] == 29.0
    assert device.read(70.0, 0.0, after_s=240, ages=(60_001, 0))[0] is Reason.CHANGED_TOO_FAST


def test_quality_from_another_point():
    """Bad where that point has another value than a good one, whatever was read; labels may stand for values."""
    device = Device(FLOW, STATUS)
    assert device.read(1.5, 0) == [1.5, 0]
    judged = device.judge.judge(device.sample(1.5, 1)).sample
    assert judged.values == (None, 1)
    assert judged.reasons == bytes([Reason.SENSOR_FAILURE, 0])
    assert device.read(1.5, 2) == [1.5, 2]
    assert device.read(None, 1, reasons=bytes([Reason.TIMEOUT, 0])) == [Reason.TIMEOUT, 1]


def test_when_nobody_knows_it_is_uncertain():
    """The point that vouches was not read, cannot be read, or was read too long ago; within its age it counts."""
    device = Device(FLOW, STATUS)
    unverified = Reason.UNVERIFIED
    assert device.read(1.5, only=(0,)) == [unverified]
    assert device.read(0, only=(1,)) == [0]
    assert device.read(1.5, only=(0,)) == [1.5]
    assert device.read(1.5, only=(0,), after_s=110) == [1.5]
    assert device.read(1.5, only=(0,), after_s=1) == [unverified]
    assert device.read(1.5, 0) == [1.5, 0]
    doubtful = bytes([0, Reason.SENSOR_NOT_ACCURATE])
    assert device.read(1.5, 0, reasons=doubtful) == [unverified, Reason.SENSOR_NOT_ACCURATE]
    assert device.read(1.5, None, reasons=bytes([0, Reason.TIMEOUT])) == [unverified, Reason.TIMEOUT]
    assert device.read(1.5, only=(0,)) == [unverified]


def test_a_flag_vouches_too():
    """A bit, by true and false or by 1 and 0."""
    flag = PointBase(name="broken", type_=ValueType.BOOLEAN)
    for word in ("false", "0"):
        device = Device(PointBase(name="flow", quality_from=QualityFrom(point="broken", good=(word,))), flag)
        for broken, shown in ((False, 1.5), (True, Reason.SENSOR_FAILURE)):
            assert device.read(1.5, broken) == [shown, broken]


def test_out_of_service():
    """Whatever was read, and whatever the driver says of it: no value, and why."""
    device = Device(PointBase(name="old", out_of_service="is being exchanged", counter=Counter()), PLAIN)
    judged = device.judge.judge(device.sample(5.0, 6.0)).sample
    assert judged.values == (None, 6.0)
    assert judged.reasons == bytes([Reason.OUT_OF_SERVICE, 0])
    assert device.read(None, None, reasons=bytes([Reason.TIMEOUT] * 2)) == [
        Reason.OUT_OF_SERVICE,
        Reason.TIMEOUT,
    ]
    assert device.judge.remembered() == {}


def test_a_counter_that_begins_anew_says_so_in_the_sample_that_proves_it():
    """A second reading is wanted; with it comes the event, as a point of class event beside the others, once."""
    device = Device(PLAIN, ENERGY, VOLUME)
    device.read(1.0, Decimal("5000.5"), 70)
    doubtful = device.judge.judge(device.sample(1.0, Decimal("3.1"), 70))
    assert doubtful.sample.reasons == bytes([0, Reason.UNCONFIRMED, 0])
    assert doubtful.sample.values[1] == Decimal("3.1")
    assert doubtful.again
    proven = device.judge.judge(device.sample(1.0, Decimal("3.1"), 71, ages=(0, 250, 0)))
    assert not proven.again
    *read, event = proven.sample.shape.points
    assert tuple(read) == device.points
    assert event == Point(name="energy_event", type=ValueType.TEXT, class_=Class.EVENT)
    assert proven.sample.values == (1.0, Decimal("3.1"), 71, "reset")
    assert (proven.sample.reasons, proven.sample.ages_ms) == (b"", (0, 250, 0, 250))
    [news] = proven.news
    assert (news.point, news.happened, news.after) == ("energy", Happened.RESET, Decimal("3.1"))
    assert device.judge.judge(device.sample(1.0, Decimal("3.2"), 71)).news == ()


def test_two_counters_at_once():
    """A meter that is exchanged exchanges all of its totals: one sample has all events; its shape is made once."""
    device = Device(ENERGY, VOLUME)
    shapes = []
    for total in (10**5, 10**4):
        device.read(Decimal(total), total)
        device.read(Decimal(total // 2), total // 2)
        judged = device.judge.judge(device.sample(Decimal(total // 2), total // 2))
        assert judged.sample.values[2:] == ("swap", "swap")
        shapes.append(judged.sample.shape)
    assert shapes[0] is shapes[1]


def test_restart_without_losing_a_digit():
    """What is remembered is text; taken up by a new judge, a counter that began anew meanwhile is found out, once."""
    total = Decimal("12345678901234567890.123456")
    device = Device(ENERGY, VOLUME, PointBase(name="heat", counter=Counter()))
    device.read(total, 2**63, 0.1)
    remembered = device.judge.remembered()
    assert [entry["value"] for entry in remembered.values()] == [str(total), str(2**63), "0.1"]
    after = Device(*device.settings)
    after.judge.recall(remembered)
    assert after.judge.remembered() == remembered
    assert after.read(total, 2**63 - 1, 0.1) == [total, Reason.UNCONFIRMED, 0.1]
    assert after.read(total, 2**63 - 1, 0.1) == [total, 2**63 - 1, 0.1, "swap"]


def test_what_was_another_register_is_not_remembered():
    """After a change of the unit or type an earlier total cannot be compared; after one of its place it can."""
    device = Device(ENERGY)
    device.read(Decimal(5000))
    for changed, kept in (
        ({"unit": "MW.h"}, False),
        ({"type_": ValueType.INTEGER}, False),
        ({"counter": Counter()}, False),
        ({"designation": "EM2", "change_per_minute": Fraction(5), "class_": Class.BILLING}, True),
    ):
        base = {"name": "energy", "type_": ENERGY.type_, "counter": ENERGY.counter}
        after = Device(PointBase(**{**base, **changed}))
        after.judge.recall(device.judge.remembered())
        assert bool(after.judge.remembered()) is kept


@under(deadline=None)
@given(
    st.recursive(
        st.none()
        | st.integers()
        | st.text(max_size=5)
        | st.sampled_from(["NaN", "inf", "-1", "1e999999", "9" * 5000]),
        lambda inner: st.dictionaries(
            st.sampled_from(["energy", "volume", "value", "of"]), inner, max_size=4
        ),
        max_leaves=8,
    )
)
def test_a_memory_that_is_none_of_ours(remembered):
    """Whatever stands in the file: nothing is raised, then or later, and what makes no sense is passed over."""
    device = Device(ENERGY, VOLUME)
    device.judge.recall(remembered)
    device.judge.recall({"energy": {"value": remembered, "of": device.judge._fingerprint("energy")}})
    device.read(Decimal(5), 5)
    device.read(Decimal(6), 6)


def test_shapes_come_and_go():
    """A link that is opened again and again brings new shapes each time: the judge does not grow with them."""
    device = Device(VOLUME)
    for value in range(3 * SHAPES):
        assert device.read(value, only=(0,)) == [value]
    assert len(device.judge._plans) <= SHAPES


@under(deadline=None, max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.floats(-100, 100),
            st.floats(-100, 100),
            st.decimals(0, 10**6, places=2),
            st.integers(0, 3),
            st.binary(min_size=4, max_size=4),
        ),
        max_size=20,
    )
)
def test_what_comes_out_is_a_sound_sample(readings):
    """Whatever goes in: columns as long as the shape, no value where it is bad, one where it is not, and only doubts added."""
    device = Device(LIMITED, FLOW, ENERGY, STATUS)
    for *columns, dice in readings:
        reasons = bytes([0, Reason.TIMEOUT, Reason.SENSOR_NOT_ACCURATE, 0][die % 4] for die in dice)
        values = [
            None if reason == Reason.TIMEOUT else value
            for value, reason in zip(columns, reasons, strict=True)
        ]
        sample = device.judge.judge(device.sample(*values, reasons=reasons if any(reasons) else b"")).sample
        count = len(sample.shape.points)
        assert len(sample.values) == count
        assert len(sample.reasons) in {0, count}
        for cell, value in enumerate(sample.values):
            reason = Reason(sample.reasons[cell]) if sample.reasons else Reason.GOOD
            assert (value is None) == (reason.quality is Quality.BAD)
            if cell < len(values):
                assert value in (values[cell], None)
                assert reason.quality >= Reason(reasons[cell]).quality

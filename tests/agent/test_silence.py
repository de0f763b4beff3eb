"""When a device, or a point of it, is silent: by ticks."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.sample import Point, Reason, Shape
from agent.silence import INTERVALS, TICK, Change, Silence

FAST, SLOW = timedelta(seconds=2), timedelta(seconds=10)
BEGUN, ENDED = Change(silent=True, point=None), Change(silent=False, point=None)
USABLE = (Reason.GOOD, Reason.OUTSIDE_LIMITS)
BAD = (Reason.TIMEOUT, Reason.CONFIGURATION_ERROR)


class Device:
    """One whose points come in samples of their own, and what was said of it, with the tick."""

    def __init__(self, intervals):
        self.silence = Silence(intervals, 0)
        self.shapes = {name: Shape("device", (Point(name="other"), Point(name=name))) for name in intervals}
        self.now = 0
        self.said = []

    def tick(self, **reasons):
        """One tick in which these points came."""
        self.now += 1
        for name, reason in reasons.items():
            self.silence.said(self.shapes[name], bytes([0, reason]) if reason else b"", self.now)
        self.said += [(self.now, change) for change in self.silence.look(self.now)]

    def ticks(self, count, every=1, **reasons):
        for passed in range(1, count + 1):
            self.tick(**({} if passed % every else reasons))


def test_silent_from_the_start():
    """A device of which nothing ever came is silent once three of its shortest intervals are over, and said so once."""
    device = Device({"fast": FAST, "slow": SLOW})
    device.ticks(1000, fast=Reason.TIMEOUT, slow=Reason.NOT_CONNECTED)
    assert device.said == [(7, BEGUN)]


def test_it_ends_with_the_first_usable_value():
    """A doubtful value is one; then the next silence is a new one."""
    device = Device({"fast": FAST})
    device.ticks(10)
    device.tick(fast=Reason.OUTSIDE_LIMITS)
    device.ticks(20)
    assert device.said == [(7, BEGUN), (11, ENDED), (18, BEGUN)]


def test_one_point_of_a_device_that_speaks():
    """Only that point is silent, as long as another one speaks; when that falls silent too, the device as a whole is."""
    device = Device({"fast": FAST, "slow": SLOW})
    device.tick(fast=Reason.GOOD, slow=Reason.GOOD)
    device.ticks(40, fast=Reason.GOOD)
    assert device.said == [(32, Change(silent=True, point="slow"))]
    device.ticks(1, slow=Reason.GOOD)
    assert device.said[1:] == [(42, Change(silent=False, point="slow"))]
    device.ticks(31, fast=Reason.GOOD)
    device.ticks(40)
    assert device.said[2:] == [(73, Change(silent=True, point="slow")), (80, BEGUN)]


def test_what_is_still_silent_after_a_return_is_said_in_its_own_time():
    """A point that is read rarely is not called silent because the others came back first."""
    device = Device({"fast": FAST, "slow": SLOW})
    device.ticks(100)
    device.ticks(31, fast=Reason.GOOD)
    assert device.said == [(7, BEGUN), (101, ENDED)]
    device.ticks(1, fast=Reason.GOOD)
    assert device.said[2:] == [(132, Change(silent=True, point="slow"))]


EVENTS = st.lists(
    st.dictionaries(st.sampled_from(["fast", "slow"]), st.sampled_from(USABLE + BAD)).flatmap(
        lambda reasons: st.integers(1, 45).map(lambda pause: (pause, reasons))
    ),
    max_size=30,
)


@given(EVENTS)
@settings(deadline=None)
def test_once_for_each_silence_of_one_point(events):
    """Held to the plain rule, tick by tick: said when three intervals are over, once, and once when it ends."""
    device = Device({"fast": FAST})
    expected, last, silent = [], 0, False
    for pause, reasons in events:
        for left in range(pause - 1, -1, -1):
            came = {} if left else {name: reason for name, reason in reasons.items() if name == "fast"}
            device.tick(**came)
            usable = came.get("fast") in USABLE
            last = device.now if usable else last
            if silent is not (device.now - last > INTERVALS * FAST / TICK):
                silent = not silent
                expected.append((device.now, Change(silent=silent, point=None)))
    assert device.said == expected


@given(EVENTS)
@settings(deadline=None)
def test_beginnings_and_ends_alternate_and_nobody_who_speaks_is_called_silent(events):
    """Of each point, alone or with its device; a point that is called silent did not come for three of its intervals."""
    intervals = {"fast": FAST, "slow": SLOW}
    device = Device(intervals)
    last = dict.fromkeys(intervals, 0)
    whole, some = False, set()
    for pause, reasons in events:
        for left in range(pause - 1, -1, -1):
            came = {} if left else reasons
            before = len(device.said)
            device.tick(**came)
            last |= {name: device.now for name, reason in came.items() if reason in USABLE}
            patient = {n for n in intervals if device.now - last[n] <= INTERVALS * intervals[n] / TICK}
            for _, (silent, point) in device.said[before:]:
                if point is None:
                    assert silent is not whole
                    assert not (silent and patient == intervals.keys())
                    whole, some = silent, set()
                else:
                    assert not whole
                    assert silent is (point not in some)
                    assert not (silent and point in patient)
                    some ^= {point}
            if whole:
                assert device.now not in last.values()
                assert "fast" not in patient or "slow" not in patient
            else:
                assert not some & patient

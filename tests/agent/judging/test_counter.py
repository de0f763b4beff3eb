"""A counter through its life: glitches, resets, rollovers, swaps and restarts, and exactly the events that there were."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.judging.counter import MINUTE_NS, STARTING_NS, Happened, Track, Verdict
from agent.sample import Reason

SECOND_NS = 1_000_000_000
GOOD = Verdict(Reason.GOOD)
LOW = Verdict(Reason.UNCONFIRMED)
HIGH = Verdict(Reason.CHANGED_TOO_FAST)


def after(happened):
    return Verdict(Reason.GOOD, happened)


def follow(values, track=None, every_ns=10 * SECOND_NS):
    """What is thought of each of these readings."""
    track = track or Track()
    return [track.take(value, number * every_ns) for number, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "verdicts"),
    [
        pytest.param([5, 5, 6, 100], [GOOD] * 4, id="counts on"),
        pytest.param([100, 101, 50, 102], [GOOD, GOOD, LOW, GOOD], id="one low reading is a glitch"),
        pytest.param([100, 101, 50, 40, 102], [GOOD, GOOD, LOW, LOW, GOOD], id="two that do not agree too"),
        pytest.param([5000, 3, 3, 4], [GOOD, LOW, after(Happened.RESET), GOOD], id="reset"),
        pytest.param([5000, 300, 301, 302], [GOOD, LOW, after(Happened.SWAP), GOOD], id="swap"),
        pytest.param([5000, 0, 0, 5001], [GOOD, LOW, LOW, GOOD], id="zeros while it starts up"),
        pytest.param([5000, 0, 7, 5001], [GOOD, LOW, LOW, GOOD], id="zero proves nothing about what follows"),
        pytest.param(
            [5000, 0, 0, 1, 2],
            [GOOD, LOW, LOW, LOW, after(Happened.RESET)],
            id="reset that begins with zeros",
        ),
        pytest.param(
            [100, 101, 9000, 102, 103],
            [GOOD, GOOD, GOOD, LOW, GOOD],
            id="a spike upwards is taken back in silence",
        ),
        pytest.param(
            [100, 9000, 9000, 102, 103],
            [GOOD, GOOD, GOOD, LOW, after(Happened.SWAP)],
            id="one that was borne out is not",
        ),
    ],
)
def test_what_is_thought_of_each_reading(values, verdicts):
    """A reading off the track is doubted; the second decides; the event comes with it, once."""
    assert follow(values) == verdicts
    assert follow([Decimal(value) / 10 for value in values]) == verdicts
    assert follow([float(value) for value in values]) == verdicts


def test_rollover():
    """From the last tenth before its stated value to the first tenth it has rolled over; from elsewhere it has not."""
    rollover = Fraction(1000)
    assert follow([990, 20, 21], Track(rollover))[-1] == after(Happened.ROLLOVER)
    assert follow([900, 100, 100], Track(rollover))[-1] == after(Happened.ROLLOVER)
    assert follow([890, 2, 3], Track(rollover))[-1] == after(Happened.RESET)
    assert follow([990, 120, 121], Track(rollover))[-1] == after(Happened.SWAP)
    assert follow([Decimal("999.9"), Decimal("0.1"), Decimal("0.1")], Track(rollover))[-1] == after(
        Happened.ROLLOVER
    )


def test_zero_is_believed_after_no_device_can_still_be_starting():
    """It stays in doubt for ten minutes; a summer of zeros is not in doubt."""
    verdicts = follow([5000] + [0] * 70)
    steps = STARTING_NS // (10 * SECOND_NS)
    assert verdicts[1 : steps + 1] == [LOW] * steps
    assert verdicts[steps + 1] == after(Happened.RESET)
    assert verdicts[steps + 2 :] == [GOOD] * (70 - steps - 1)


def test_a_jump_upwards_is_doubted_where_it_is_stated_how_fast_it_counts():
    """A second reading there makes it a swap, one on the old track a glitch; what is missed while nothing came is no jump."""
    fast = {"per_minute": Fraction(10)}
    assert follow([100, 110, 121, 111], Track(**fast)) == [GOOD, GOOD, HIGH, GOOD]
    assert follow([100, 110, 500, 501, 502], Track(**fast)) == [GOOD, GOOD, HIGH, after(Happened.SWAP), GOOD]
    assert follow([100, 110, 500, 900, 111], Track(**fast)) == [GOOD, GOOD, HIGH, HIGH, GOOD]
    track = Track(**fast)
    assert [track.take(100, 0), track.take(200, 10 * MINUTE_NS), track.take(210, 10 * MINUTE_NS + 1)] == [
        GOOD
    ] * 3


def test_after_a_restart_no_time_is_known():
    """Where it stood is known, and not when: it may have counted any distance, and still may not fall."""
    track = Track(per_minute=Fraction(1))
    track.recall(100)
    assert follow([5000, 5001], track) == [GOOD, GOOD]
    track = Track()
    track.recall(100)
    assert follow([0, 1, 1, 2], track) == [LOW, LOW, after(Happened.RESET), GOOD]


def test_the_noise_of_a_float_is_no_fall():
    """A total in single precision may fall by its last digit; a whole number that falls by one has fallen."""
    total = 1234567.0
    assert follow([total, total - 0.125, total]) == [GOOD] * 3
    assert follow([1234567, 1234566]) == [GOOD, LOW]
    assert follow([total, total - 1.0]) == [GOOD, LOW]


def test_the_noise_does_not_add_up():
    """What falls by less than can be told, again and again, is found to have fallen."""
    total = 1234567.0
    assert LOW in follow([total - 0.125 * step for step in range(10)])


class Meter:
    """A meter that counts as it is told; what was done to it is the truth that the events are held against."""

    def __init__(self, digits):
        self.digits = digits
        self.value = 10**digits - 1000
        self.truth = []

    def count(self, by):
        self.value += by
        if self.value >= 10**self.digits:
            self.value -= 10**self.digits
            self.truth.append(Happened.ROLLOVER)

    def reset(self):
        """It begins again near zero; where that would pass for a rollover, it does not."""
        if 1000 <= self.value < 9 * 10**self.digits // 10:
            self.value //= 1000
            self.truth.append(Happened.RESET)

    def swap(self, share):
        """Another one takes its place, which shows less; the same."""
        shown, whole = self.value * share // 100, 10**self.digits
        if self.value >= 1000 and not (10 * self.value >= 9 * whole and 10 * shown <= whole):
            self.value = shown
            self.truth.append(Happened.SWAP)


class Life:
    """A meter, whoever reads it, and what happens to the two."""

    def __init__(self, type_):
        self.meter = Meter(5)
        self.type = type_
        self.track = Track(self.rollover)
        self.now_ns = 0
        self.found = []
        self.in_peace()

    @property
    def rollover(self):
        return Fraction(10**self.meter.digits)

    def read(self, value):
        self.now_ns += 10 * SECOND_NS
        reason, happened = self.track.take(self.type(value), self.now_ns)
        if happened:
            assert reason is Reason.GOOD
            self.found.append(happened)
        return reason

    def in_peace(self):
        """A few readings without a disturbance: two events between two readings cannot be told apart."""
        reasons = []
        while len(reasons) < 4 or reasons[-1] is not Reason.GOOD:  # it may roll over at the last
            assert len(reasons) < 8
            self.meter.count(1)
            reasons.append(self.read(self.meter.value))

    def count(self, by):
        self.meter.count(by)
        self.read(self.meter.value)

    def glitch(self, part):
        assert self.read(self.meter.value * part // 100) is not Reason.GOOD

    def boot(self, readings):
        for _ in range(readings):
            assert self.read(0) is Reason.UNCONFIRMED

    def restart(self, counted):
        """The agent is killed, and the meter counts meanwhile."""
        sure, self.track = self.track.sure, Track(self.rollover)
        self.track.recall(sure)
        self.meter.count(counted)

    def reset(self, _):
        self.meter.reset()

    def swap(self, share):
        self.meter.swap(share)


LIVES = st.lists(
    st.one_of(
        st.tuples(st.just(Life.count), st.integers(0, 400)),
        st.tuples(st.just(Life.glitch), st.sampled_from([0, 1, 33, 90])),
        st.tuples(st.just(Life.boot), st.integers(1, 20)),
        st.tuples(st.just(Life.restart), st.sampled_from([0, 50])),
        st.tuples(st.just(Life.reset), st.none()),
        st.tuples(st.just(Life.swap), st.integers(10, 80)),
    ),
    max_size=60,
)


@settings(deadline=None, max_examples=200)
@given(LIVES, st.sampled_from([int, float, Decimal]))
def test_a_life_of_a_meter(story, type_):
    """Whatever happens between readings, the events are those that happened to the meter: each, in order, once."""
    life = Life(type_)
    for happen, how in story:
        happen(life, how)
        life.in_peace()
    assert life.found == life.meter.truth

"""Who is asked next: deadlines for those who answer, a share of the line for those who do not. In simulated time."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.modbus.polling.account import SAVED, SHARE
from drivers.modbus.polling.schedule import PATIENCE_NS, RETURN_NS, TICK_NS, Schedule, Slots, Turn

MS = 1_000_000
S = 1000 * MS
MINUTE = 60 * S
START = 1_000_003 * MS
"""Some moment of some boot."""


class Line:
    """A line in simulated time: every answer takes as long, every time-out too, and some devices are dead."""

    def __init__(
        self, intervals_ns: dict[str, int], *, answer_ns: int = 20 * MS, limit_ns: int = 1 * S
    ) -> None:
        self.schedule = Schedule()
        self.intervals_ns = intervals_ns
        self.answer_ns = answer_ns
        self.limit_ns = limit_ns
        self.now_ns = START
        self.dead: set[str] = set()
        self.asked: dict[str, list[int]] = defaultdict(list)
        self.failing: list[tuple[int, int, bool]] = []
        """When the line was taken by a device in vain, and whether that was its first time."""
        for name, interval_ns in intervals_ns.items():
            self.schedule.add(name, [Slots(interval_ns)], cost_ns=limit_ns, now_ns=START)

    def run(self, length_ns: int) -> None:
        end_ns = self.now_ns + length_ns
        turns = 0
        while self.now_ns < end_ns:
            turn = self.schedule.next(self.now_ns)
            if turn is None:
                wake_ns = self.schedule.wake_ns()
                assert wake_ns is None or wake_ns > self.now_ns
                self.now_ns = end_ns if wake_ns is None else min(wake_ns, end_ns)
            else:
                self.turn(turn)
            turns += 1
            assert turns < 100_000 + length_ns // MS, "spins"

    def turn(self, turn: Turn) -> None:
        name = turn.device
        begun_ns = self.now_ns
        self.asked[name].append(begun_ns)
        failures = self.schedule.failures(name)
        if name in self.dead:
            self.now_ns += self.limit_ns
            self.schedule.failed(name, self.now_ns, spent_ns=self.limit_ns)
            self.failing.append((begun_ns, self.now_ns, not failures))
        else:
            self.now_ns += self.answer_ns * (2 if failures else 1)  # a probe, and the poll
            self.schedule.answered(name, turn.group, self.now_ns)

    def lost(self, name: str, since_ns: int) -> float:
        """The part of a device's slots since then in which it was not asked."""
        interval_ns = self.intervals_ns[name]
        expected = (self.now_ns - since_ns) / interval_ns
        return 1 - sum(moment >= since_ns for moment in self.asked[name]) / expected


def line(count: int, interval_ns: int, **arguments: int) -> Line:
    return Line({f"device-{number}": interval_ns for number in range(count)}, **arguments)


# --- those who answer ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interval_ns", [100 * MS, 250 * MS, 1 * S, 7 * S, 60 * S])
def test_every_slot_is_used(interval_ns):
    """Where there is time for all, every device is asked once a slot, at its phase, within a tick and a few answers."""
    here = line(5, interval_ns, answer_ns=2 * MS)
    here.run(30 * interval_ns + 1)
    for name, moments in here.asked.items():
        assert here.schedule.missed(name) == 0
        assert 29 <= len(moments) <= 31
        regular = moments[1:]
        assert all(
            abs((later - earlier) - interval_ns) <= TICK_NS + 10 * MS for earlier, later in pairwise(regular)
        )


def test_first_at_once():
    """A device that is added is asked at once, and next between half an interval and one and a half later."""
    for number in range(50):
        here = Line({f"meter-{number}": 60 * S})
        here.run(10 * MINUTE)
        moments = next(iter(here.asked.values()))
        assert moments[0] == START
        assert 30 * S <= moments[1] - moments[0] <= 90 * S + TICK_NS


def test_on_the_grid():
    """Devices of all links are asked on the same ticks: what can share a wake-up does."""
    here = line(30, 1 * S, answer_ns=1 * MS)
    here.run(20 * S)
    wakes = {moments[index] // TICK_NS for moments in here.asked.values() for index in range(1, 20)}
    assert all(moment % TICK_NS <= 30 * MS for moments in here.asked.values() for moment in moments[1:])
    assert len(wakes) <= 10 * 20


def test_phases():
    """Phases follow from the id: spread over the ticks of the interval, and the same after every start."""
    first, second = line(200, 10 * S, answer_ns=0), line(200, 10 * S, answer_ns=0)
    second.now_ns += 3 * S
    for here in (first, second):
        here.run(30 * S)
    phases = {name: moments[-1] % (10 * S) // TICK_NS for name, moments in first.asked.items()}
    assert phases == {name: moments[-1] % (10 * S) // TICK_NS for name, moments in second.asked.items()}
    counts = [list(phases.values()).count(tick) for tick in range(100)]
    assert max(counts) <= 9  # 2 on average
    assert sum(count > 0 for count in counts) >= 70


def test_earliest_deadline_first():
    """Of those whose slots have begun, the one whose slot ends first is asked first."""
    here = Line({"slow": 60 * S, "fast": 1 * S, "middle": 10 * S}, answer_ns=0)
    here.run(2 * MINUTE)
    here.asked.clear()
    late_ns = here.now_ns + 2 * MINUTE
    order = []
    while turn := here.schedule.next(late_ns):
        order.append(turn.device)
        here.schedule.answered(turn.device, 0, late_ns)
    assert order == ["fast", "middle", "slow"]


@given(
    intervals=st.lists(st.sampled_from([1, 2, 5, 10, 60]), min_size=1, max_size=40),
    answer_ms=st.integers(1, 300),
)
@settings(deadline=None, max_examples=60)
def test_never_more_than_is_asked_for(intervals, answer_ms):
    """No device is asked more than once a slot, however loaded the line: what is missed is counted, not made up for."""
    here = Line({f"d{n}": each * S for n, each in enumerate(intervals)}, answer_ns=answer_ms * MS)
    here.run(5 * MINUTE)
    for name, interval_ns in here.intervals_ns.items():
        moments = here.asked[name]
        slots = (here.now_ns - START) // interval_ns
        assert len(moments) <= slots + 2
        lag = 3 + len(intervals) * here.answer_ns / interval_ns  # what is missed is counted at the next turn
        assert abs(len(moments) + here.schedule.missed(name) - slots) <= lag


@given(
    intervals=st.lists(st.sampled_from([1, 2, 10, 30]), min_size=2, max_size=40),
    answer_ms=st.integers(50, 400),
)
@settings(deadline=None, max_examples=60)
def test_nobody_starves(intervals, answer_ms):
    """On a line that is asked for more than it can do, everybody still is asked: at worst after all others, once."""
    here = Line({f"d{n}": each * S for n, each in enumerate(intervals)}, answer_ns=answer_ms * MS)
    here.run(10 * MINUTE)
    round_ns = len(intervals) * answer_ms * MS
    for name, interval_ns in here.intervals_ns.items():
        moments = [*here.asked[name], here.now_ns]
        worst_ns = max(later - earlier for earlier, later in pairwise(moments))
        assert worst_ns <= 3 * interval_ns + 3 * round_ns


# --- those who do not ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interval_ns", [100 * MS, 1 * S, 2 * S, 10 * S, 60 * S])
@pytest.mark.parametrize(("count", "dead"), [(3, 1), (12, 2), (20, 5)], ids=["1 of 3", "2 of 12", "5 of 20"])
def test_the_others_keep_their_readings(count, dead, interval_ns):
    """Dead devices, at a limit of 1 s, cost each of the others at most 5 % of the readings of ten minutes."""
    if count * 20 * MS > interval_ns:
        interval_ns = 500 * MS  # as fast as so many can be asked at all
    here = line(count, interval_ns)
    here.run(MINUTE)
    since_ns = here.now_ns
    here.dead = {f"device-{number}" for number in range(dead)}
    here.run(10 * MINUTE)
    lost = [here.lost(name, since_ns) for name in here.intervals_ns if name not in here.dead]
    assert max(lost) <= 0.05


@pytest.mark.parametrize("dead", [1, 5])
def test_dead_from_the_start(dead):
    """The same when they are dead already when the link is opened."""
    here = line(20, 1 * S)
    here.dead = {f"device-{number}" for number in range(dead)}
    here.run(10 * MINUTE)
    assert max(here.lost(name, START) for name in here.intervals_ns if name not in here.dead) <= 0.05


@given(
    count=st.integers(1, 25),
    limit_ms=st.sampled_from([50, 200, 1000, 3000]),
    interval=st.sampled_from([1, 10, 60]),
    flips=st.lists(st.tuples(st.integers(0, 24), st.integers(1, 120)), max_size=40),
)
@settings(deadline=None, max_examples=80)
def test_share(count, limit_ms, interval, flips):
    """In any span, whoever fails takes no more than the share, what was saved up, and each one's first time-out.

    However often devices fall silent and come back: the debt of first time-outs is paid before anybody is probed.
    """
    here = line(count, interval * S, limit_ns=limit_ms * MS)
    for number, seconds in flips:
        here.dead ^= {f"device-{number % count}"}
        here.run(seconds * S)
    limit_ns = limit_ms * MS
    for first, (begin_ns, _, _) in enumerate(here.failing):
        taken_ns = foreseen_ns = 0
        for _, end_ns, unforeseen in here.failing[first:]:
            taken_ns += limit_ns
            foreseen_ns += limit_ns * unforeseen
            assert taken_ns <= SHARE * (end_ns - begin_ns) + SAVED * limit_ns + foreseen_ns + MS


@pytest.mark.parametrize("minutes", [10, 60])
def test_share_of_an_hour(minutes):
    """Five devices that die together cost, over any longer time, less than the 5 % that is promised."""
    here = line(20, 1 * S)
    here.run(MINUTE)
    here.dead = {f"device-{number}" for number in range(5)}
    here.run(minutes * MINUTE)
    taken_ns = sum(end_ns - begin_ns for begin_ns, end_ns, _ in here.failing)
    assert taken_ns <= 0.05 * minutes * MINUTE


@given(
    dead=st.integers(1, 11),
    alive=st.integers(0, 10),
    limit_ms=st.sampled_from([100, 500, 1000]),
    interval=st.sampled_from([1, 60, 900, 3600]),
    silent_s=st.integers(1, 4000),
)
@settings(deadline=None, max_examples=80)
def test_return(dead, alive, limit_ms, interval, silent_s):
    """A device that answers again is asked within five minutes, even if its interval is an hour."""
    here = line(dead + alive, interval * S, limit_ns=limit_ms * MS)
    here.run(10 * S)
    here.dead = {f"device-{number}" for number in range(dead)}
    here.run(interval * S + MINUTE)  # all have been found silent
    here.run(silent_s * S)
    here.dead.discard("device-0")
    since_ns = here.now_ns
    here.run(RETURN_NS)
    assert any(moment >= since_ns for moment in here.asked["device-0"])


@given(dead=st.integers(12, 60), silent_s=st.integers(1, 4000))
@settings(deadline=None, max_examples=30)
def test_return_of_one_of_many(dead, silent_s):
    """With more silent devices than the share can ask in that time, it takes their time limits divided by the share."""
    here = line(dead + 3, 10 * S)
    here.run(10 * S)
    here.dead = {f"device-{number}" for number in range(dead)}
    here.run((dead + 20) * S)
    here.run(silent_s * S)
    here.dead.discard("device-0")
    since_ns = here.now_ns
    # The time-outs of those that are found silent only now are in debt before anybody is asked.
    here.run(round(2 * dead * here.limit_ns / SHARE) + PATIENCE_NS)
    assert any(moment >= since_ns for moment in here.asked["device-0"])


@pytest.mark.parametrize(("count", "limit_ns"), [(20, 1 * S), (4, 100 * MS)], ids=["many", "few"])
def test_all_return_together(count, limit_ns):
    """When one of many is back the others are asked at once: what hangs on one power supply is back in no time."""
    here = line(count, 1 * S, limit_ns=limit_ns)
    here.run(10 * S)
    here.dead = set(here.intervals_ns)
    here.run(20 * MINUTE)
    here.dead = set()
    while all(here.schedule.failures(name) for name in here.intervals_ns):
        here.run(100 * MS)
    began_ns = here.now_ns
    here.run(2 * S)
    assert all(any(moment >= began_ns for moment in here.asked[name]) for name in here.intervals_ns)


def test_return_when_others_fall_silent():
    """A device that was put off for long is asked within five minutes, even if ten others fall silent meanwhile."""
    here = line(11, 1 * S)
    here.run(10 * S)
    here.dead = {"device-0"}
    here.run(30 * MINUTE)
    probes = len(here.asked["device-0"])
    while len(here.asked["device-0"]) == probes:
        here.run(100 * MS)
    here.dead = set(here.intervals_ns) - {"device-0"}
    since_ns = here.now_ns
    here.run(RETURN_NS)
    assert any(moment > since_ns for moment in here.asked["device-0"])


def test_second_try():
    """One answer lost on a good line costs one reading: the device is tried again at its next slot."""
    here = line(3, 10 * S)
    here.run(MINUTE)
    here.dead = {"device-1"}
    while here.schedule.failures("device-1") == 0:
        here.run(100 * MS)
    here.dead = set()
    failed_ns = here.now_ns
    here.run(11 * S)
    assert min(moment for moment in here.asked["device-1"] if moment > failed_ns) - failed_ns <= 10 * S
    assert here.schedule.failures("device-1") == 0


def test_second_try_where_failing_takes_longer():
    """The same where the line has to stay quiet after a time-out: what a failure really takes is what is saved for."""
    schedule = Schedule()
    schedule.add("device", [Slots(10 * S)], cost_ns=S, now_ns=START)
    assert schedule.next(START) == Turn("device", 0, 0)
    schedule.failed("device", START + S, spent_ns=3 * S)
    assert schedule.covers(3 * S, START + S)
    assert not schedule.covers(3 * S + MS, START + S)


def test_backs_off():
    """The longer a device is silent, the longer until it is probed again; two are not probed in step."""
    here = line(2, 1 * S, limit_ns=10 * MS)
    here.dead = set(here.intervals_ns)
    here.run(20 * MINUTE)
    gaps = {name: [later - earlier for earlier, later in pairwise(here.asked[name])] for name in here.dead}
    for waits in gaps.values():
        assert all(later >= earlier * 1.4 for earlier, later in pairwise(waits[:6]))
        assert max(waits) <= RETURN_NS
    assert gaps["device-0"] != gaps["device-1"]


def test_patience():
    """A probe lets the others go first, but not for ever, not even on a line without a free moment."""
    here = line(60, 1 * S, answer_ns=20 * MS)  # 120 % of what the line can do
    here.run(10 * S)
    here.dead = {"device-0"}
    here.asked.clear()
    here.run(10 * MINUTE)
    assert len(here.asked["device-0"]) >= 5


# --- beside the schedule ---------------------------------------------------------------------------------------


def test_refresh():
    """A device that is refreshed is asked at once and keeps its slots; more refreshes before that are the same one."""
    here = line(2, 60 * S)
    here.run(2 * MINUTE)
    before = len(here.asked["device-0"])
    for _ in range(5):
        here.schedule.refresh("device-0", here.now_ns)
    assert here.schedule.next(here.now_ns) == Turn("device-0", 0, 0)
    here.schedule.answered("device-0", 0, here.now_ns)
    assert here.schedule.next(here.now_ns) is None
    here.run(4 * MINUTE)
    assert len(here.asked["device-0"]) == before + 4
    assert here.schedule.missed("device-0") == 0


def test_refresh_while_it_is_asked():
    """A refresh that comes while the device is being asked is for what it is then: it is asked again."""
    here = line(1, 60 * S)
    assert here.schedule.next(START) == Turn("device-0", 0, 0)
    here.schedule.refresh("device-0", START)
    here.schedule.answered("device-0", 0, START + 20 * MS)
    assert here.schedule.next(START + 20 * MS) == Turn("device-0", 0, 0)
    here.schedule.answered("device-0", 0, START + 40 * MS)
    assert here.schedule.next(START + 60 * MS) is None


def test_refresh_of_a_silent_one():
    """A silent device that is refreshed is probed as soon as the account covers it, and not before."""
    here = line(1, 60 * S)
    here.dead = {"device-0"}
    here.run(10 * MINUTE)
    for _ in range(60):
        here.schedule.refresh("device-0", here.now_ns)
        here.run(1 * S)
    recent = [moment for moment in here.asked["device-0"] if moment > here.now_ns - MINUTE]
    assert 1 <= len(recent) <= SAVED + MINUTE * SHARE / S


def test_refreshing_starves_nobody():
    """Somebody who refreshes one device all the time takes no more than everybody's part of an overloaded line."""
    here = line(5, 1 * S, answer_ns=100 * MS)
    for _ in range(300):
        here.schedule.refresh("device-0", here.now_ns)
        here.run(100 * MS)
    for name in here.intervals_ns:
        assert len(here.asked[name]) >= 10


def test_removed():
    """A device that is removed is asked no more, whether it was due, settled or silent; nor is an unknown one."""
    here = line(3, 1 * S)
    here.dead = {"device-2"}
    here.run(5 * S)
    for name in here.intervals_ns:
        here.schedule.remove(name)
        here.schedule.answered(name, 0, here.now_ns)
        here.schedule.failed(name, here.now_ns, spent_ns=S)
        here.schedule.refresh(name, here.now_ns)
    assert here.schedule.next(here.now_ns + MINUTE) is None
    assert here.schedule.wake_ns() is None


def test_added_again():
    """A device that is added again is asked at once, and once a slot."""
    here = line(1, 10 * S)
    here.run(35 * S)
    here.schedule.remove("device-0")
    here.schedule.add("device-0", [Slots(10 * S)], cost_ns=S, now_ns=here.now_ns)
    here.asked.clear()
    began_ns = here.now_ns
    here.run(MINUTE)
    assert here.asked["device-0"][0] == began_ns
    assert 6 <= len(here.asked["device-0"]) <= 7


def test_cleared():
    """A device that was not to blame is asked at its slots again, though what it took is charged."""
    here = line(1, 10 * S)
    here.dead = {"device-0"}
    here.run(100 * MS)
    here.dead = set()
    covered = here.schedule.covers(S, here.now_ns)
    here.schedule.cleared("device-0")
    assert here.schedule.failures("device-0") == 0
    assert covered == here.schedule.covers(S, here.now_ns)
    here.run(20 * S)
    assert here.schedule.missed("device-0") == 0
    assert len(here.asked["device-0"]) >= 2


def test_charged():
    """What is charged beside the devices counts like what they take."""
    here = line(1, 10 * S)
    assert here.schedule.covers(SAVED * S, START)
    here.schedule.charge(START, S)
    assert not here.schedule.covers(SAVED * S, START)
    assert here.schedule.covers(SAVED * S, START + round(S / SHARE))


# --- groups ----------------------------------------------------------------------------------------------------


class Device(Line):
    """One device that is read in groups, in simulated time, beside a wall clock that can be stepped."""

    def __init__(self, *groups: Slots, ahead_ns: int = 0) -> None:
        super().__init__({})
        self.ahead_ns = ahead_ns
        self.read: list[tuple[int, int]] = []
        """Which group, and when by the wall clock."""
        self.schedule.follow(ahead_ns)
        self.schedule.add("meter", groups, cost_ns=S, now_ns=self.now_ns)

    def turn(self, turn: Turn) -> None:
        self.read.append((turn.group, self.now_ns + self.ahead_ns))
        super().turn(turn)

    def step(self, step_ns: int) -> None:
        self.ahead_ns += step_ns
        self.schedule.follow(self.ahead_ns)

    def times(self, group: int) -> list[int]:
        return [moment for number, moment in self.read if number == group]


QUARTER = 15 * MINUTE


def test_groups():
    """Each group of a device is read at its own interval, and all of them at once when it is added."""
    here = Device(Slots(1 * S), Slots(10 * S), Slots(60 * S))
    here.run(10 * MINUTE)
    assert [number for number, _ in here.read[:3]] == [0, 1, 2]
    assert [len(here.times(group)) for group in range(3)] == pytest.approx([600, 60, 10], abs=2)
    assert here.schedule.missed("meter") == 0


def test_a_silent_device_is_silent_as_a_whole():
    """A device that does not answer is only probed, for all its groups; when it is back, all of them are read at once."""
    here = Device(Slots(1 * S), Slots(60 * S), Slots(3600 * S))
    here.run(MINUTE)
    here.dead = {"meter"}
    before = len(here.read)
    here.run(10 * MINUTE)
    assert len(here.read) - before <= 15
    here.dead = set()
    here.schedule.refresh("meter", here.now_ns)
    back = len(here.read)
    while here.schedule.failures("meter"):
        here.run(100 * MS)
    here.run(900 * MS)
    assert {number for number, _ in here.read[back:]} == {0, 1, 2}


def test_refresh_of_groups():
    """Who refreshes a device gets all that it has."""
    here = Device(Slots(60 * S), Slots(3600 * S))
    here.run(2 * MINUTE)
    before = len(here.read)
    here.schedule.refresh("meter", here.now_ns)
    here.run(100 * MS)
    assert [number for number, _ in here.read[before:]] == [0, 1]


def test_lateness():
    """A turn says how long after its slot began it comes; one beside its slots is not late."""
    here = line(2, 10 * S, answer_ns=0)
    turns = []
    here.run(25 * S)
    wake_ns = here.schedule.wake_ns()
    turns = [here.schedule.next(wake_ns + 3 * S)]
    assert turns[0].late_ns == 3 * S
    here.schedule.answered(turns[0].device, 0, wake_ns + 3 * S)
    here.schedule.refresh(turns[0].device, wake_ns + 3 * S)
    assert here.schedule.next(wake_ns + 4 * S).late_ns == 0


# --- by the wall clock -----------------------------------------------------------------------------------------


def test_quarter_hours():
    """Beside the first at once, each is at a whole multiple of the interval on the wall clock."""
    here = Device(Slots(QUARTER, clock=True), ahead_ns=1_790_000_123_456_789_012)
    here.run(6 * 60 * MINUTE)
    first, *others = here.times(0)
    assert first == START + here.ahead_ns
    assert [moment // QUARTER for moment in others] == [first // QUARTER + 1 + number for number in range(24)]
    assert all(moment % QUARTER < MS for moment in others)
    assert here.schedule.missed("meter") == 0


def test_the_first_quarter_hour_counts():
    """One that begins right after the device was added is read, though it has just been read."""
    ahead_ns = 1_790_000_100 * S - START - 5 * S  # five seconds before a quarter-hour
    assert (START + ahead_ns + 5 * S) % QUARTER == 0
    here = Device(Slots(QUARTER, clock=True), ahead_ns=ahead_ns)
    here.run(6 * S)
    assert [moment - START - ahead_ns for moment in here.times(0)] == [0, 5 * S]


@given(
    steps=st.lists(st.tuples(st.integers(0, 3600), st.integers(-20_000, 20_000)), max_size=8),
    interval=st.sampled_from([60, 300, 900]),
)
@settings(deadline=None, max_examples=100)
def test_a_clock_that_is_stepped(steps, interval):
    """However far the clock is stepped, the gaps stay under one and a half intervals; then each multiple is read once.

    A step costs one reading more at most.
    """
    interval_ns = interval * S
    here = Device(Slots(interval_ns, clock=True), ahead_ns=1_790_000_000 * S)
    for seconds, step_s in steps:
        here.run(seconds * S)
        here.step(step_s * S)
    here.run(4 * interval_ns)
    moments = here.asked["meter"]
    assert all(later - earlier <= interval_ns * 3 // 2 + MS for earlier, later in pairwise(moments))
    assert len(moments) <= 2 + (here.now_ns - START) // interval_ns + len(steps)
    last = [moment + here.ahead_ns for moment in moments if moment > here.now_ns - 2 * interval_ns]
    assert all(moment % interval_ns < MS for moment in last)
    assert last[1] - last[0] == interval_ns
    assert here.schedule.missed("meter") == 0


@given(steps=st.lists(st.tuples(st.integers(0, 300), st.integers(-3, 3)), max_size=20))
@settings(deadline=None, max_examples=100)
def test_a_clock_that_is_set_right(steps):
    """A clock that is moved by seconds, forth and back, around the quarter-hour too: each is read once, and then."""
    here = Device(Slots(5 * MINUTE, clock=True), ahead_ns=1_790_000_000 * S)
    here.run(7 * MINUTE)
    for seconds, step_s in (*steps, (600, 0)):
        here.run(seconds * S)
        here.step(step_s * S)
    slots = [(moment + 30 * S) // (5 * MINUTE) for moment in here.times(0)[1:]]
    assert slots == list(range(slots[0], slots[0] + len(slots)))


def test_a_clock_that_is_slewed():
    """A clock that is drawn to the right time bit by bit is followed; no slot is read twice or left out."""
    here = Device(Slots(QUARTER, clock=True), ahead_ns=1_790_000_000 * S)
    for _ in range(6 * 360):
        here.run(10 * S)
        here.step(-5 * MS)  # 500 parts in a million, the most that the kernel slews
    slots = [moment // QUARTER for moment in here.times(0)[1:]]
    assert slots == list(range(slots[0], slots[0] + len(slots)))
    assert len(slots) in {23, 24}
    assert all(moment % QUARTER <= 6 * MS for moment in here.times(0)[1:])


def test_slots_missed_by_the_clock():
    """A quarter-hour that passes while the line has no time is counted as missed, and not made up for."""
    here = Device(Slots(QUARTER, clock=True), ahead_ns=1_790_000_000 * S)
    here.run(QUARTER + MINUTE)
    here.now_ns += 3 * QUARTER
    here.run(MINUTE)
    assert here.schedule.missed("meter") == 2
    assert len(here.read) == 3

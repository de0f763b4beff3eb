import os
import time

from hypothesis import given
from hypothesis import strategies as st

from agent.clock import STEP_NS, Clock, ClockLine, Timeline, boot_id, kernel_synchronised

MOMENTS = st.integers(0, 10**15)
LINES = st.lists(st.builds(ClockLine, MOMENTS, st.integers(0, 2 * 10**18), st.booleans()), max_size=8)


@given(LINES, MOMENTS)
def test_a_moment_takes_the_line_that_the_rule_names(lines, moment):
    """The last trusted line at or before it; else the first trusted after it; else the last at or before, not trusted."""
    ordered = sorted(lines)
    trusted = [line for line in ordered if line.trusted]
    usable = trusted or ordered
    before = [line for line in usable if line.from_ns <= moment]
    wanted = before[-1] if before else usable[0] if usable else None
    found = Timeline(lines).wall_ns(moment)
    if wanted is None:
        assert found == (moment, False)
    else:
        # Two lines of one moment may both be right; which one is taken must not depend on the order they came in.
        assert found == (moment + wanted.offset_ns, wanted.trusted)


@given(LINES, LINES, MOMENTS)
def test_lines_may_come_in_any_order(first, later, moment):
    """A timeline that grew line by line says what one that was read from the store says."""
    grown = Timeline(first)
    for line in later:
        grown.add(line)
    assert grown.wall_ns(moment) == Timeline(first + later).wall_ns(moment)


@given(st.integers(1, 10**12), st.integers(10**18, 2 * 10**18))
def test_a_boot_with_a_wrong_clock_is_corrected_as_a_whole(set_at_ns, offset_ns):
    """Everything before the clock was set leaves with the right time, exactly once, and as trusted."""
    timeline = Timeline([ClockLine(0, 5, trusted=False)])
    assert timeline.wall_ns(set_at_ns) == (set_at_ns + 5, False)
    timeline.add(ClockLine(set_at_ns, offset_ns, trusted=True))
    for moment in (0, set_at_ns - 1, set_at_ns, set_at_ns * 2):
        assert timeline.wall_ns(moment) == (moment + offset_ns, True)


class Hands(Clock):
    """A clock whose hands are moved by the test."""

    def __init__(self):
        super().__init__()
        self.now_ns, self.offset_ns, self.set = 10**9, 10**18, False

    def monotonic_ns(self):
        return self.now_ns

    def wall_ns(self):
        return self.now_ns + self.offset_ns

    def synchronised(self):
        return self.set


def test_only_what_changes_adds_a_line():
    """The first look, a step of 50 ms or more, and a change of trust; a drift below that adds nothing."""
    clock = Hands()
    assert clock.observe() == ClockLine(10**9, 10**18, trusted=False)
    assert clock.observe() is None
    clock.offset_ns += STEP_NS - 1
    assert clock.observe() is None
    clock.offset_ns += 1
    assert clock.observe().offset_ns == 10**18 + STEP_NS
    clock.set = True
    assert clock.observe().trusted
    clock.offset_ns -= 3600 * 10**9
    assert clock.observe().offset_ns == 10**18 + STEP_NS - 3600 * 10**9


def test_the_real_clock_counts_and_names_its_boot(monkeypatch):
    """Monotonic time rises, wall time is the machine's, the boot id is 32 hex digits and may be given by the unit."""
    clock = Clock()
    assert 0 < clock.monotonic_ns() <= clock.monotonic_ns()
    assert abs(clock.wall_ns() - time.time_ns()) < 60 * 10**9
    assert isinstance(kernel_synchronised(), bool)
    monkeypatch.delenv("DIACCESS_BOOT_ID", raising=False)
    assert len(bytes.fromhex(boot_id())) == 16
    monkeypatch.setitem(os.environ, "DIACCESS_BOOT_ID", "0123-4567\n")
    assert boot_id() == "01234567"

from hypothesis import given
from hypothesis import strategies as st

from agent.timing import RECONNECT, Backoff

CHANCE = st.floats(0, 1, exclude_max=True)


@given(st.floats(0, 119), CHANCE)
def test_a_young_failure_is_retried_each_second(failing_for_s, chance):
    """For the first two minutes a link or broker is tried again after half a second to a second."""
    assert 0.5 <= RECONNECT.delay_s(failing_for_s, chance) <= 1.0


@given(st.floats(0, 1e9), CHANCE)
def test_a_wait_is_never_longer_than_the_most_nor_shorter_than_half_the_first(failing_for_s, chance):
    """However long it has been failing, and whatever the dice say."""
    backoff = Backoff(first_s=2.0, eager_s=10.0, most_s=30.0)
    assert 1.0 <= backoff.delay_s(failing_for_s, chance) <= 30.0


def test_the_waits_grow_by_half_once_a_failure_is_old():
    """Each wait is about one and a half times the one before: an hour of outage costs fewer than two hundred attempts."""
    now_s, attempts, waits = 0.0, 0, []
    while now_s < 3600:
        waits.append(RECONNECT.delay_s(now_s, 0.999))
        now_s += waits[-1]
        attempts += 1
    assert waits[:119] == [waits[0]] * 119
    assert waits[-1] > 59
    assert 120 <= attempts <= 200


@given(st.floats(200, 1e6))
def test_chance_spreads_the_waits_over_half_of_their_length(failing_for_s):
    """A thousand gateways that lost the same broker do not come back in the same second."""
    assert RECONNECT.delay_s(failing_for_s, 0.0) * 2 == RECONNECT.delay_s(failing_for_s, 1.0)

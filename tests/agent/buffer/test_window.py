"""The newest rows stay in memory, within their bound."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.buffer.change import Placed
from agent.buffer.window import Window
from tests.emulators.storing import a_sample, a_shape

_SHAPES = [a_shape("d", points) for points in (1, 2, 5)]
_STEPS = st.lists(
    st.one_of(st.integers(0, 2), st.tuples(st.integers(0, 300), st.integers(0, 30))), max_size=200
)


@settings(deadline=None)
@given(_STEPS)
def test_the_window_holds_every_row_that_is_needed_from_its_low_end_on(steps):
    """What was added and not discarded is there, unless it lies below `low`; never more than the bound."""
    window, model, place = Window(40, 0), {}, 0
    for step in steps:
        if isinstance(step, int):
            row = Placed(place, "b", a_sample(_SHAPES[step]))
            window.add(row)
            model[place] = row
            place = row.end
        else:
            low, high = step[0], step[0] + step[1]
            window.discard(low, high)
            model = {at: row for at, row in model.items() if not low <= at < high}
        assert window.readings <= 40
        found = list(window.rows(0, place))
        assert found == [row for at, row in sorted(model.items()) if at >= window.low]
        assert window.readings == sum(len(row.sample.values) for row in found)
        assert list(window.rows(10, 60)) == [row for row in found if 10 <= row.place < 60]

"""What the last minute of a line was like."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.polling.usage import SLICE_NS, SPAN_NS, Usage

S = 1_000_000_000


@given(
    turns=st.lists(st.tuples(st.integers(0, 20 * S), st.integers(1, 90 * S)), max_size=30),
    idle=st.integers(0, 90 * S),
)
def test_utilisation(turns, idle):
    """The part of the last minute, to a slice, in which something took the line; since it was opened, if that is less."""
    usage, now_ns, taken = Usage(S), S, []
    for pause_ns, length_ns in turns:
        begun_ns = now_ns + pause_ns
        now_ns = begun_ns + length_ns
        usage.took(begun_ns, now_ns)
        taken.append((begun_ns, now_ns))
    now_ns += idle
    since_ns = max(now_ns // SLICE_NS * SLICE_NS - SPAN_NS, S)
    busy_ns = sum(max(end_ns - max(begin_ns, since_ns), 0) for begin_ns, end_ns in taken)
    assert usage.figures(now_ns)["utilisation"] == pytest.approx(
        busy_ns / max(now_ns - since_ns, 1), abs=1e-4
    )


def test_lateness():
    """The worst of the last minute, and then forgotten."""
    usage = Usage(0)
    usage.took(1 * S, 2 * S, 300_000_000)
    usage.took(2 * S, 3 * S, 100_000_000)
    assert usage.figures(3 * S)["lateness_ms"] == 300.0
    assert usage.figures(120 * S) == {"utilisation": 0.0, "lateness_ms": 0.0}

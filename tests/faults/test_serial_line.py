"""What dead devices take from the others on a serial line: a pseudo-terminal at its true speed, in a process of its own."""

from __future__ import annotations

import pytest

from tests.benchmarks.bench_serial import DEAD_SECONDS, Case, measured

LOST = 0.05
"""What the healthy ones may lose at most, all together."""


@pytest.mark.faults
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("healthy", "dead"), [(2, 1), (15, 5)], ids=["1 of 3", "5 of 20"])
def test_dead_devices_take_no_more_than_their_share(healthy, dead):
    """On a line that is asked for all it can give, the others lose a twentieth at most, however many are dead."""
    _, alone, _ = measured(Case(19_200, 20, healthy=healthy))
    _, beside, _ = measured(Case(19_200, 20, healthy=healthy, dead=dead), DEAD_SECONDS)
    assert beside > (1 - LOST) * alone

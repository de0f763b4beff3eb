"""Runs of numbers behave as the set of the numbers would."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.buffer.ranges import RangeSet

_RUNS = st.tuples(st.integers(0, 40), st.integers(0, 40))
_STEPS = st.lists(st.tuples(st.booleans(), _RUNS), max_size=30)


def _build(steps) -> tuple[RangeSet, set[int]]:
    runs, model = RangeSet(), set()
    for put, (low, high) in steps:
        if put:
            runs.add(low, high)
            model |= set(range(low, high))
        else:
            runs.remove(low, high)
            model -= set(range(low, high))
    return runs, model


@settings(deadline=None)
@given(_STEPS)
def test_a_set_of_runs_holds_the_numbers_that_were_put_in_and_not_taken_out(steps):
    """Adding and removing in any order gives the same numbers as a plain set."""
    runs, model = _build(steps)
    assert {number for low, high in runs for number in range(low, high)} == model
    assert {number for number in range(45) if number in runs} == model
    assert bool(runs) == bool(model)
    assert runs.high == max(model, default=-1) + 1


@settings(deadline=None)
@given(_STEPS)
def test_runs_are_as_few_as_can_be(steps):
    """Runs are in order and never touch: the list is as short as the numbers allow."""
    runs = list(_build(steps)[0])
    assert all(low < high for low, high in runs)
    assert all(before[1] < after[0] for before, after in pairwise(runs))


@settings(deadline=None)
@given(_STEPS, _RUNS)
def test_a_piece_of_the_set_is_what_lies_inside(steps, piece):
    """`within` and `first` clip the runs to the piece that is asked for."""
    runs, model = _build(steps)
    inside = model & set(range(*piece))
    assert {number for low, high in runs.within(*piece) for number in range(low, high)} == inside
    first = runs.first(*piece)
    assert (first is None) == (not inside)
    if first:
        assert first[0] == min(inside)
        assert set(range(*first)) <= inside


@settings(deadline=None)
@given(_STEPS, st.integers(0, 40), st.integers(100, 200))
def test_shifting_moves_the_upper_numbers_and_no_others(steps, low, by):
    """Numbers from `low` on are higher by the same amount, the others stay."""
    runs, model = _build(steps)
    runs.shift(low, by)
    moved = {number + by if number >= low else number for number in model}
    assert {number for start, end in runs for number in range(start, end)} == moved


@settings(deadline=None)
@given(_STEPS, _RUNS)
def test_a_copy_is_equal_and_its_own(steps, run):
    """Changing a copy leaves the original as it was."""
    runs, model = _build(steps)
    copy = runs.copy()
    assert copy == runs
    copy.add(*run)
    copy.remove(0, 10)
    assert {number for low, high in runs for number in range(low, high)} == model

"""Plans: every point in one block, no block too long, and no request more than is needed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.modbus.codec import Codec
from drivers.modbus.plan import BlockLimits, plan
from drivers.modbus.registers import Table, Type

unhurried = settings(deadline=None)

WIDTHS = {1: Type.UINT16, 2: Type.UINT32, 4: Type.UINT64}


def at(address, width=1, table=Table.HOLDING):
    """A point of this many registers, or a single bit."""
    type_ = Type.BOOL if table.bits else WIDTHS[width]
    return Codec(table=table, address=address, type=type_)


def spans(blocks):
    return [(block.address, block.count) for block in blocks]


points = st.lists(
    st.builds(at, st.integers(0, 90), st.sampled_from([1, 2, 4]), st.sampled_from(Table)),
    min_size=0,
    max_size=30,
)
limits = st.builds(
    BlockLimits, registers=st.integers(4, 125), bits=st.integers(1, 2000), gap=st.integers(0, 40)
)


@unhurried
@given(codecs=points, limits=limits)
def test_every_point_lies_wholly_in_exactly_one_block_within_the_limits(codecs, limits):
    """Nothing is read twice for one point, nothing is split, and no gap is wider than allowed."""
    blocks = plan(codecs, limits)
    assert sorted(cell for block in blocks for cell in block.cells) == list(range(len(codecs)))
    for block in blocks:
        assert 1 <= block.count <= limits.count(block.table)
        covered = block.address
        for cell in block.cells:
            codec = codecs[cell]
            assert codec.table is block.table
            assert block.address <= codec.address
            assert codec.end <= block.address + block.count
            assert codec.address - covered <= limits.gap
            covered = max(covered, codec.end)
        assert covered == block.address + block.count


@unhurried
@given(codecs=points, limits=limits, shuffled=st.randoms(use_true_random=False))
def test_a_plan_does_not_depend_on_the_order_in_which_points_are_written(codecs, limits, shuffled):
    """Deterministic: the same points give the same requests."""
    again = list(codecs)
    shuffled.shuffle(again)
    requests = [(block.table, block.address, block.count) for block in plan(codecs, limits)]
    assert [(block.table, block.address, block.count) for block in plan(again, limits)] == requests


def fewest(members, most, gap):
    """The least number of requests, by trying every way to divide a handful of points into blocks."""
    if not members:
        return 0
    first, *others = sorted(members, key=lambda codec: (codec.address, codec.end))
    best = len(members)
    for chosen in range(1 << len(others)):
        together = [first, *(codec for index, codec in enumerate(others) if chosen >> index & 1)]
        covered, allowed = first.end, True
        for codec in together[1:]:
            allowed = allowed and codec.address - covered <= gap
            covered = max(covered, codec.end)
        if allowed and covered - first.address <= most:
            rest = [codec for index, codec in enumerate(others) if not chosen >> index & 1]
            best = min(best, 1 + fewest(rest, most, gap))
    return best


@unhurried
@given(
    codecs=st.lists(st.builds(at, st.integers(0, 14), st.sampled_from([1, 2, 4])), min_size=1, max_size=6),
    most=st.integers(4, 8),
    gap=st.integers(0, 3),
)
def test_no_plan_needs_fewer_requests(codecs, most, gap):
    """Against every possible plan for a few points that overlap, touch and leave gaps."""
    assert len(plan(codecs, BlockLimits(registers=most, gap=gap))) == fewest(codecs, most, gap)


def test_neighbours_are_read_together():
    """Points that touch make one request."""
    assert spans(plan([at(10, 2), at(12), at(13, 4)], BlockLimits())) == [(10, 7)]


def test_a_gap_is_read_over_only_as_far_as_it_is_allowed():
    """By default nothing is asked for that nobody listed; some devices refuse the whole request for it."""
    assert spans(plan([at(10), at(12)], BlockLimits())) == [(10, 1), (12, 1)]
    assert spans(plan([at(10), at(12)], BlockLimits(gap=1))) == [(10, 3)]
    assert spans(plan([at(10), at(13)], BlockLimits(gap=1))) == [(10, 1), (13, 1)]


def test_a_value_is_never_split_over_two_requests():
    """Half of it would be read before the other half has changed."""
    assert spans(plan([at(0), at(1), at(2, 2)], BlockLimits(registers=3))) == [(0, 2), (2, 2)]


def test_the_specification_s_limits_hold_without_settings():
    """125 registers, 2000 bits (Modbus Application Protocol V1.1b3, 6.1 to 6.4)."""
    assert spans(plan([at(address) for address in range(200)], BlockLimits())) == [(0, 125), (125, 75)]
    bits = [at(address, table=Table.DISCRETE) for address in range(2100)]
    assert spans(plan(bits, BlockLimits())) == [(0, 2000), (2000, 100)]


def test_two_points_may_share_a_register():
    """A register read as a number and as flags is asked for once."""
    assert spans(plan([at(5), at(5), at(4, 2)], BlockLimits())) == [(4, 2)]


def test_tables_are_separate():
    """The same address in two tables is two things."""
    assert [block.table for block in plan([at(5), at(5, table=Table.INPUT)], BlockLimits())] == [
        Table.INPUT,
        Table.HOLDING,
    ]


def test_a_point_longer_than_the_limit_is_an_error():
    """There is no request that could read it whole."""
    with pytest.raises(ValueError, match="uint64: expected at most the 2 registers of one request, found 4"):
        plan([at(0, 4)], BlockLimits(registers=2))

"""Plans: every point in one block, no block too long, and no request more than is needed."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from drivers.modbus.values.codec import Codec
from drivers.modbus.values.flag import Flag
from drivers.modbus.values.number import Number
from drivers.modbus.values.plan import BlockLimits, Span, halves, plan
from drivers.modbus.values.registers import Table, Type

unhurried = settings(deadline=None)

WIDTHS = {1: Type.UINT16, 2: Type.UINT32, 4: Type.UINT64}


def at(address, width=1, table=Table.HOLDING):
    """A point of this many registers, or a single bit."""
    type_ = Type.BOOL if table.bits else WIDTHS[width]
    meaning = Flag() if table.bits else Number(type=type_)
    return Codec(table=table, addresses=(address,), meaning=meaning)


def spans(blocks):
    return [(block.address, block.count) for block in blocks]


points = st.lists(
    st.builds(at, st.integers(0, 90), st.sampled_from([1, 2, 4]), st.sampled_from(Table)),
    min_size=0,
    max_size=30,
)
limits = st.builds(
    BlockLimits,
    registers=st.integers(8, 125),
    bits=st.integers(1, 2000),
    gap=st.integers(0, 40),
    alignment=st.sampled_from([1, 2, 4]),
    borders=st.lists(st.integers(1, 25).map(lambda border: border * 4), max_size=3).map(tuple),
)


@unhurried
@given(codecs=points, limits=limits)
def test_every_point_lies_wholly_in_exactly_one_block_within_the_limits(codecs, limits):
    """Nothing is read twice for one point, nothing is split, and no gap is wider than allowed."""
    blocks = plan(codecs, limits)
    assert sorted(cell for block in blocks for cell in block.cells) == list(range(len(codecs)))
    for block in blocks:
        step = 1 if block.table.bits else limits.alignment
        assert 1 <= block.count <= limits.count(block.table)
        assert block.address % step == block.count % step == 0
        several = len(block.members) > 1
        assert not several or not any(
            block.address < border < block.address + block.count for border in limits.borders
        )
        covered = block.address
        for cell in block.cells:
            codec = codecs[cell]
            assert codec.table is block.table
            assert block.address <= codec.address
            assert codec.end <= block.address + block.count
            assert codec.address // step * step - covered <= limits.gap
            covered = max(covered, -(-codec.end // step) * step)
        assert covered == block.address + block.count


@unhurried
@given(codecs=points, limits=limits, shuffled=st.randoms(use_true_random=False))
def test_a_plan_does_not_depend_on_the_order_in_which_points_are_written(codecs, limits, shuffled):
    """Deterministic: the same points give the same requests."""
    again = list(codecs)
    shuffled.shuffle(again)
    requests = [(block.table, block.address, block.count) for block in plan(codecs, limits)]
    assert [(block.table, block.address, block.count) for block in plan(again, limits)] == requests


def fewest(members, limits):
    """The least number of requests, by trying every way to divide a handful of points into blocks."""
    if not members:
        return 0
    first, *others = sorted(members, key=lambda codec: (codec.address, codec.end))
    best = len(members)
    for chosen in range(1 << len(others)):
        together = [first, *(codec for index, codec in enumerate(others) if chosen >> index & 1)]
        start, covered, allowed = limits.span(first).address, limits.span(first).end, True
        for codec in together[1:]:
            own = limits.span(codec)
            allowed = allowed and own.address - covered <= limits.gap
            covered = max(covered, own.end)
        if len(together) > 1:
            allowed = allowed and not any(start < border < covered for border in limits.borders)
        if allowed and covered - start <= limits.count(first.table):
            rest = [codec for index, codec in enumerate(others) if not chosen >> index & 1]
            best = min(best, 1 + fewest(rest, limits))
    return best


@unhurried
@example(  # one that lies across a border does not part those on either side of its beginning
    codecs=[at(10, 4), at(13, 4), at(14, 1)], limits=BlockLimits(registers=6, borders=(16,))
)
@given(
    codecs=st.lists(st.builds(at, st.integers(0, 14), st.sampled_from([1, 2, 4])), min_size=1, max_size=6),
    limits=st.builds(
        BlockLimits,
        registers=st.integers(6, 9),
        gap=st.integers(0, 3),
        alignment=st.sampled_from([1, 2]),
        borders=st.lists(st.integers(1, 8).map(lambda border: border * 2), max_size=2).map(tuple),
    ),
)
def test_no_plan_needs_fewer_requests(codecs, limits):
    """Against every possible plan for a few points that overlap, touch and leave gaps."""
    assert len(plan(codecs, limits)) == fewest(codecs, limits)


@unhurried
@given(
    codecs=points,
    limits=limits,
    refused=st.lists(
        st.builds(Span, st.sampled_from(Table), st.integers(0, 90), st.integers(1, 95)), max_size=4
    ),
)
def test_what_is_known_to_be_refused_is_not_asked_for_again(codecs, limits, refused):
    """No block of several points holds a refused span; every point still lies in exactly one block."""
    refused = [span for span in refused if span.address < span.end]
    blocks = plan(codecs, limits, refused)
    assert sorted(cell for block in blocks for cell in block.cells) == list(range(len(codecs)))
    for block in blocks:
        assert len(block.members) == 1 or not any(Span.of(block).holds(span) for span in refused)


@unhurried
@given(codecs=points, limits=limits)
def test_halves(codecs, limits):
    """A block in halves has all its points, none torn apart, down to a point alone, in as many steps as that takes."""
    for whole in plan(codecs, limits):
        pieces, steps = [whole], 0
        while any(len(piece.members) > 1 for piece in pieces):
            pieces = [half for piece in pieces for half in halves(piece, limits) or (piece,)]
            steps += 1
        assert sorted(cell for piece in pieces for cell in piece.cells) == sorted(whole.cells)
        assert all(Span.of(whole).holds(limits.span(piece.members[0].codec)) for piece in pieces)
        assert 2**steps < 2 * len(whole.members)
        assert all(halves(piece, limits) is None for piece in pieces)


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


def test_alignment():
    """An even start and an even count, where a device answers nothing else: what is between is read and left alone."""
    even = BlockLimits(alignment=2)
    assert spans(plan([at(3), at(6, 2)], even)) == [(2, 2), (6, 2)]
    assert spans(plan([at(3), at(4)], even)) == [(2, 4)]
    assert spans(plan([at(3), at(6)], BlockLimits(alignment=2, registers=5))) == [(2, 2), (6, 2)]
    assert spans(plan([at(3, table=Table.COIL)], even)) == [(3, 1)]
    values = [None, None]
    [whole] = plan([at(3), at(4)], even)
    whole.decode(bytes.fromhex("0001 0002 0003 0004"), values, bytearray(2))
    assert values == [2, 3]


def test_borders():
    """A request ends before a border, or begins there or after; a point beside it is read whole."""
    fenced = BlockLimits(borders=(100, 200))
    assert spans(plan([at(98, 2), at(100), at(101)], fenced)) == [(98, 2), (100, 2)]
    assert spans(plan([at(199), at(200)], fenced)) == [(199, 1), (200, 1)]


def test_a_block_that_is_refused():
    """A refused address in a gap is stepped over; two points that are refused together are read apart."""
    gap = [at(24), at(26)]
    assert spans(plan(gap, BlockLimits(gap=1), [Span(Table.HOLDING, 25, 26)])) == [(24, 1), (26, 1)]
    assert spans(plan(gap, BlockLimits(gap=1), [Span(Table.INPUT, 25, 26)])) == [(24, 3)]
    [whole] = plan([at(0), at(1), at(2, 4)], BlockLimits())
    lower, upper = halves(whole, BlockLimits())
    assert spans([lower, upper]) == [(0, 1), (1, 5)]

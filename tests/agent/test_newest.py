"""The newest of each point, of whatever samples came."""

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.newest import Cell, Newest, cells
from agent.sample import Point, Reason, Sample, Shape

POINTS = tuple(Point(name=name) for name in "abcd")
MS = 1_000_000


def shape(names):
    return Shape("device", tuple(point for point in POINTS if point.name in names))


def test_a_sample_taken_apart():
    """Each cell has its value, its reason and the moment in which it was read."""
    sample = Sample(shape("ab"), 500 * MS, (1.5, None), bytes([0, Reason.TIMEOUT]), (20, 0))
    assert list(cells(sample)) == [
        Cell(POINTS[0], 1.5, Reason.GOOD, 480 * MS),
        Cell(POINTS[1], None, Reason.TIMEOUT, 500 * MS),
    ]


def test_points_of_several_intervals():
    """One group's samples do not hide another's; what nobody has read is left out."""
    newest = Newest()
    fast, slow = shape("a"), shape("bd")
    newest.learnt(Sample(slow, 1 * MS, (2.0, 4.0)))
    newest.learnt(Sample(fast, 2 * MS, (1.0,)))
    newest.learnt(Sample(fast, 3 * MS, (1.1,)))
    found = newest.cells(POINTS)
    assert [(cell.point.name, cell.value, cell.learnt_ns) for cell in found] == [
        ("a", 1.1, 3 * MS),
        ("b", 2.0, 1 * MS),
        ("d", 4.0, 1 * MS),
    ]
    assert newest.cells(POINTS[1:2]) == found[1:2]


def test_a_link_that_is_opened_again_and_again_leaves_nothing_behind():
    """Each time its shapes are others, of the same points."""
    newest = Newest()
    for number in range(100):
        newest.learnt(Sample(shape("ab"), number * MS, (1.0, 2.0)))
        newest.learnt(Sample(shape("c"), number * MS, (3.0,)))
    assert len(newest._samples) == 2


@settings(deadline=None)
@given(st.lists(st.tuples(st.sets(st.sampled_from("abcd"), min_size=1), st.booleans()), max_size=60))
def test_it_is_what_came_last_and_does_not_grow(history):
    """For each point the value that came last, whatever shapes they came in; old shapes are let go."""
    newest, last, shapes = Newest(), {}, {}
    for number, (names, again) in enumerate(history):
        key = frozenset(names)
        if not (again and key in shapes):
            shapes[key] = shape(names)  # the link was opened anew: an equal shape that is another one
        last |= dict.fromkeys(names, float(number))
        newest.learnt(Sample(shapes[key], number * MS, (float(number),) * len(names)))
        assert {cell.point.name: cell.value for cell in newest.cells(POINTS)} == last
        assert len(newest._samples) <= 15

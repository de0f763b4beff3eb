"""Addresses that a device does not have: found, stepped over, remembered, and asked for again."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.memory import MemoryFile, Part
from drivers.modbus.polling.refusals import FIRST_NS, LONGEST_NS, RESTART_NS, Refusals, content, divide
from drivers.modbus.values.codec import Codec
from drivers.modbus.values.number import Number
from drivers.modbus.values.plan import BlockLimits, Span
from drivers.modbus.values.registers import Table, Type
from tests.drivers.modbus.values.test_plan import at

HOUR = 3_600_000_000_000


class Device:
    """A device that refuses every request for an address that it does not have."""

    def __init__(self, codecs: list[Codec], limits: BlockLimits, missing: set[int]) -> None:
        self.codecs = codecs
        self.limits = limits
        self.missing = missing
        self.memory = MemoryFile().part("line")
        self.refusals = Refusals(self.memory, "meter", "content")
        self.requests = 0

    def refuses(self, span: Span) -> bool:
        self.requests += 1
        return not self.missing.isdisjoint(range(span.address, span.end))

    def poll(self) -> bool:
        """Whether everything that was asked for was answered, as far as that can be."""
        blocks, lost = divide(self.codecs, self.limits, self.refusals.spans)
        refused = [Span.of(block) for block in blocks if self.refuses(Span.of(block))]
        return not [span for span in refused if self.refusals.add(span, 0)] and (
            not refused or len(lost) == len(self.codecs)
        )


points = st.lists(
    st.builds(at, st.integers(0, 90), st.sampled_from([1, 2, 4]), st.just(Table.HOLDING)),
    min_size=1,
    max_size=30,
)
limits = st.builds(
    BlockLimits, registers=st.integers(8, 125), gap=st.integers(0, 10), alignment=st.sampled_from([1, 2])
)
missing = st.sets(st.integers(0, 94), max_size=8)


@given(codecs=points, limits=limits, missing=missing)
@settings(deadline=None)
def test_only_what_a_device_does_not_have_is_lost(codecs, limits, missing):
    """Whatever addresses are missing: every point that can be read alone is read in the end, and no other."""
    device = Device(codecs, limits, missing)
    for _ in range(100):
        if device.poll():
            break
    else:
        pytest.fail("it goes on searching")
    blocks, lost = divide(codecs, limits, device.refusals.spans)
    cannot = [cell for cell, codec in enumerate(codecs) if device.refuses(limits.span(codec))]
    assert list(lost) == cannot
    asked = sorted(cell for block in blocks for cell in block.cells)
    assert asked == [cell for cell in range(len(codecs)) if cell not in lost] or len(cannot) == len(codecs)
    assert all(
        codecs[cell] is member.codec
        for block in blocks
        for cell, member in zip(block.cells, block.members, strict=True)
    )


@given(codecs=points, limits=limits, missing=missing)
@settings(deadline=None)
def test_what_a_device_has_after_all(codecs, limits, missing):
    """When it answers for everything again, everything is read again, in as many requests as at first."""
    device = Device(codecs, limits, missing)
    first, _ = divide(codecs, limits, ())
    while not device.poll():
        pass
    device.missing = set()
    while span := device.refusals.due(LONGEST_NS):
        assert not device.refuses(span)
        assert device.refusals.drop(span)
    again, lost = divide(codecs, limits, device.refusals.spans)
    assert [(Span.of(block), block.cells) for block in again] == [
        (Span.of(block), block.cells) for block in first
    ]
    assert lost == ()
    assert device.memory.recall("refused meter") is None


def test_one_address_is_found_in_few_requests():
    """Among a hundred points, by halves; then two requests read the rest."""
    device = Device([at(address) for address in range(100)], BlockLimits(), {37})
    while not device.poll():
        pass
    assert device.requests <= 40
    blocks, lost = divide(device.codecs, device.limits, device.refusals.spans)
    assert lost == (37,)
    assert [(block.address, block.count) for block in blocks] == [(0, 37), (38, 62)]


def test_a_gap_that_is_not_there():
    """Where nobody's address is refused the halves are read for good, and nothing is lost."""
    device = Device([at(0), at(1), at(4), at(5)], BlockLimits(gap=2), {2})
    while not device.poll():
        pass
    blocks, lost = divide(device.codecs, device.limits, device.refusals.spans)
    assert lost == ()
    assert [(block.address, block.count) for block in blocks] == [(0, 2), (4, 2)]


def test_nothing_is_left():
    """A device that refuses everything is still asked for its shortest point, to see that it is there."""
    device = Device([at(0, 2), at(10), at(20, 4)], BlockLimits(), set(range(100)))
    while not device.poll():
        pass
    blocks, lost = divide(device.codecs, device.limits, device.refusals.spans)
    assert lost == (0, 1, 2)
    assert [(block.address, block.count) for block in blocks] == [(10, 1)]


# --- remembered ------------------------------------------------------------------------------------------------

SPAN, WIDER = Span(Table.HOLDING, 10, 12), Span(Table.HOLDING, 8, 20)


def known(part: Part, mark: str, now_ns: int = 0) -> Refusals:
    refusals = Refusals(part, "meter", mark)
    refusals.recall(now_ns)
    return refusals


def test_known_after_a_restart():
    """What was found is known again, unless other addresses are asked for now, or another unit."""
    part = MemoryFile().part("line")
    known(part, "a").add(SPAN, 0)
    assert known(part, "a").spans == (SPAN,)
    assert known(part, "b").spans == ()


def test_other_addresses_have_refusals_of_their_own():
    """What was refused where a chain lay before says nothing of where it lies now; if it goes back, it is known again."""
    part = MemoryFile().part("line")
    refusals = known(part, "a")
    refusals.add(SPAN, 0)
    refusals.turn_to("a", 0)
    assert refusals.spans == (SPAN,)
    refusals.turn_to("b", 0)
    assert refusals.spans == ()
    refusals.turn_to("a", 0)
    assert refusals.spans == (SPAN,)
    refusals.turn_to("b", 0)
    refusals.add(WIDER, 0)
    assert known(part, "a").spans == ()
    assert known(part, "b").spans == (WIDER,)


@pytest.mark.parametrize(
    "nonsense", [7, {"content": "a"}, {"content": "a", "refused": [[["drawer", 1, 2], 0]]}]
)
def test_a_memory_that_makes_no_sense(nonsense):
    """What cannot be read is as if never learnt."""
    part = MemoryFile().part("line")
    part.learn("refused meter", nonsense)
    assert known(part, "a").spans == ()


def test_content():
    """Other addresses and another unit are something else to ask; another scale is not."""
    mark = content(1, [at(0), at(1, 2)])
    assert mark == content(1, [at(0), at(1, 2)])
    assert mark != content(2, [at(0), at(1, 2)])
    assert mark != content(1, [at(0), at(1)])
    assert mark != content(1, [at(0), None])
    scaled = Codec(
        table=Table.HOLDING, addresses=(1,), meaning=Number(type=Type.UINT32, scale=Fraction(1, 10))
    )
    assert mark == content(1, [at(0), scaled])


def test_the_least_that_is_refused():
    """A part of what was refused takes its place; what holds what is refused is no news."""
    refusals = known(MemoryFile().part("line"), "a")
    assert refusals.add(WIDER, 0)
    assert refusals.add(SPAN, 0)
    assert not refusals.add(WIDER, 0)
    assert refusals.spans == (SPAN,)
    assert refusals.drop(WIDER)
    assert not refusals


def test_asked_again():
    """After a minute, then later and later, at last once a day; soon after a restart; at once after a silence."""
    part = MemoryFile().part("line")
    refusals = known(part, "a")
    refusals.add(SPAN, 0)
    moments, now_ns = [], 0
    for _ in range(14):
        while refusals.due(now_ns) is None:
            now_ns += FIRST_NS
        moments.append(now_ns)
        refusals.again(SPAN, now_ns)
    waits = [later - earlier for earlier, later in zip([0, *moments], moments, strict=False)]
    assert waits[:4] == [FIRST_NS, 2 * FIRST_NS, 4 * FIRST_NS, 8 * FIRST_NS]
    assert waits[-1] == LONGEST_NS
    assert known(part, "a", 5 * HOUR).due(5 * HOUR + RESTART_NS) == SPAN
    assert known(part, "a", 5 * HOUR).due(5 * HOUR + RESTART_NS - 1) is None
    assert refusals.due(now_ns) is None
    refusals.doubt(now_ns)
    assert refusals.due(now_ns) == SPAN

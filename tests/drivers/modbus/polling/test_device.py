"""What is asked of one device, and the sample that its answers make."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from agent.memory import MemoryFile
from agent.sample import Reason, Sample
from drivers.modbus.line.framing import Question
from drivers.modbus.line.mbap import Mbap
from drivers.modbus.line.transaction import Refusal, Unfit
from drivers.modbus.point import PointSettings
from drivers.modbus.polling.device import Device, Heard, device
from drivers.modbus.polling.exceptions import EXCEPTIONS, Meaning, meaning
from drivers.modbus.settings import DeviceSettings, LinkSettings
from drivers.modbus.values.registers import Table, Type

MS = 1_000_000


def meter(*blocks: tuple[int, int], limit: timedelta | None = None) -> Device:
    """A device with a block at each address, of so many registers, each a point."""
    settings = DeviceSettings(
        id="meter",
        unit_id=3,
        timeout=limit,
        points=tuple(
            PointSettings(
                name=f"at-{address + place}",
                table=Table.HOLDING,
                address=address + place,
                register_type=Type.UINT16,
            )
            for address, count in blocks
            for place in range(count)
        ),
    )
    link = LinkSettings(id="plant", driver="modbus", host="localhost", devices=(settings,))
    return device(Mbap(), settings, link, MemoryFile().part("test"), 0)


def sample(here: Device, answers: Sequence[bytes | Meaning], ended_ns: Sequence[int]) -> Sample:
    """The sample of its only group."""
    [group] = here.groups
    return group.sample([Heard(*heard) for heard in zip(group.reads, answers, ended_ns, strict=True)])


def nothing(_: Question) -> bool:
    return False


def test_limit():
    """A device waits as long as its own settings say, or else its link's."""
    assert meter((0, 1)).limit_ns == 1000 * MS
    assert meter((0, 1), limit=timedelta(seconds=2.5)).limit_ns == 2500 * MS


def test_probes():
    """The first probe is the smallest block; the next attempts take the others in turn."""
    here = meter((0, 9), (100, 2), (200, 5))
    asked = [here.probe(attempt, nothing) for attempt in range(7)]
    assert [probe.address for probe in asked if probe] == [100, 100, 200, 0, 100, 200, 0]
    assert [probe.count for probe in asked if probe] == [2, 2, 5, 9, 2, 5, 9]


def test_probes_of_other_lengths():
    """Where a late answer would pass for the one to a block, a little less of it is asked for, or else a little more."""
    here = meter((100, 2))
    fenced: set[int] = set()
    counts = []
    while probe := here.probe(1, lambda asked: asked.size in fenced):
        assert probe.address == 100
        counts.append(probe.count)
        fenced.add(probe.size)
    assert counts == [2, 1, *range(3, 14)]


def test_a_block_that_the_device_has_is_asked_for_before_anything_it_may_not_have():
    """A strict device refuses what is not in its list, and a refusal proves nothing where answers may be late."""
    here = meter((0, 1), (100, 2), (200, 1))
    fenced: set[int] = set()
    asked = []
    for _ in range(3):
        probe = here.probe(1, lambda asked: asked.size in fenced)
        assert probe is not None
        asked.append((probe.address, probe.count))
        fenced.add(probe.size)
    assert asked == [(0, 1), (100, 2), (0, 3)]


def test_at_the_end_of_the_table():
    """There is no address behind the last one: what is asked in place of it lies before."""
    probe = meter((65535, 1)).probe(1, lambda asked: asked.size == 2)
    assert probe is not None
    assert (probe.address, probe.count) == (65534, 2)


def test_all_good():
    """A sample whose cells are all good, learnt at once, has neither reasons nor ages."""
    here = meter((0, 2))
    made = sample(here, [b"\x00\x07\x00\x08"], [5 * MS])
    assert made.values == (7, 8)
    assert (made.reasons, made.ages_ms, made.monotonic_ns) == (b"", (), 5 * MS)
    assert made.shape is here.groups[0].shape


def test_some_bad():
    """A block that brought nothing makes its own cells bad, for its reason; each cell has the age of its block."""
    here = meter((0, 1), (100, 2), (200, 1))
    answers = [b"\x00\x07", meaning(Refusal(6)), b"\x00\x09"]
    made = sample(here, answers, [5 * MS, 12 * MS, 14 * MS])
    assert made.values == (7, None, None, 9)
    assert made.reasons == bytes([Reason.GOOD, Reason.DEVICE_BUSY, Reason.DEVICE_BUSY, Reason.GOOD])
    assert made.ages_ms == (9, 2, 2, 0)
    assert made.monotonic_ns == 14 * MS


def test_meanings():
    """Every answer without data has a reason that is bad, and says whether the device itself is there."""
    there = {Refusal(code) for code in EXCEPTIONS if code not in {0x0A, 0x0B}} | {Refusal(0x63)}
    gone = {
        None,
        Refusal(0x0A),
        Refusal(0x0B),
        Unfit("foreign", ""),
        Unfit("malformed", ""),
        Unfit("lost", ""),
    }
    for answer in there | gone:
        what = meaning(answer)
        assert what.silent == (answer in gone)
        assert what.reason >= 0x80
        assert what.name

"""One device of a link: the questions that read it, how their answers become samples, and how it has been answering.

Pure. What is asked when is decided in `schedule`; who carries it is `link`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import NamedTuple

from agent.interfaces import Memory
from agent.sample import Reason, Sample, Shape, Value
from drivers.modbus.identity import Identity
from drivers.modbus.line.framing import Framing, Question, question, variants
from drivers.modbus.polling.exceptions import Meaning
from drivers.modbus.polling.introduction import Introduced, Introduction, introduction
from drivers.modbus.polling.refusals import Refusals, content, divide, wait_ns
from drivers.modbus.polling.schedule import Slots
from drivers.modbus.settings import DeviceSettings, LinkSettings, points
from drivers.modbus.sunspec import Chain, SunSpec, head
from drivers.modbus.timing import Phase, ns
from drivers.modbus.values.block import Block
from drivers.modbus.values.codec import Codec
from drivers.modbus.values.plan import BlockLimits, Span, halves


class Read(NamedTuple):
    """One block, and the question for it."""

    block: Block
    question: Question
    cells: tuple[int, ...]


class Heard(NamedTuple):
    """What came of one read, and when."""

    read: Read
    answer: bytes | Meaning
    ended_ns: int


class Meeting(NamedTuple):
    """An introduction that is going on."""

    asking: Introduction
    span: Span
    """What is to be asked for next."""


class Excuse(NamedTuple):
    """Why a block is not asked for at present."""

    meaning: Meaning
    until_ns: int


@dataclass(slots=True, eq=False)
class Group:
    """Points of a device that are read together, at one interval."""

    slots: Slots
    shape: Shape
    codecs: tuple[Codec, ...]
    cells: tuple[int, ...]
    """Their places among all points of the device."""
    reads: tuple[Read, ...] = ()
    absent: frozenset[int] = frozenset()
    """Cells that the device says it does not have."""
    lost: tuple[int, ...] = ()
    """Cells whose addresses the device refuses; one may be asked for all the same, to see that the device is there."""

    def sample(self, heard: Sequence[Heard]) -> Sample:
        """Make the sample of one poll from what came of its reads, in order."""
        values: list[Value | None] = [None] * len(self.shape.points)
        reasons = bytearray(len(values))
        for cell in self.lost:
            reasons[cell] = Reason.CONFIGURATION_ERROR
        for read, answer, _ in heard:
            if isinstance(answer, bytes):
                read.block.decode(answer, values, reasons)
                for cell in self.absent.intersection(
                    read.cells
                ):  # it was asked only to see that somebody is there
                    values[cell] = None
                    reasons[cell] = Reason.CONFIGURATION_ERROR
            else:
                for cell in read.cells:
                    reasons[cell] = answer.reason
        return Sample(
            self.shape,
            heard[-1].ended_ns,
            tuple(values),
            bytes(reasons) if any(reasons) else b"",
            self._ages_ms(heard) if len(heard) > 1 else (),
        )

    def _ages_ms(self, heard: Sequence[Heard]) -> tuple[int, ...]:
        """How long before the last block each cell was learnt; empty when all were at once."""
        ages = [0] * len(self.shape.points)
        last_ns = heard[-1].ended_ns
        for read, _, ended_ns in heard:
            for cell in read.cells:
                ages[cell] = (last_ns - ended_ns) // 1_000_000
        return tuple(ages) if any(ages) else ()


@dataclass(slots=True, eq=False)
class Device:
    """What is asked of one device, and how it has been answering."""

    id: str
    unit_id: int
    limit_ns: int
    """How long an answer may take."""
    groups: tuple[Group, ...]
    limits: BlockLimits
    framing: Framing
    refusals: Refusals
    introduction: Callable[[], Introduction] | None = None
    """What it is to be asked before its readings are taken; nothing where nobody knows a sign of it."""
    sunspec: SunSpec | None = None
    """Which models are expected of it."""
    located: Callable[[Chain], Sequence[Codec | None]] = lambda _: ()
    """Where its points lie if this is its chain."""
    chain: Chain = ()
    """Where its models lie, as far as is known."""
    introduced: Introduced | None = None
    """What came of that; `None` if it has still to be asked."""
    meeting: Meeting | None = None
    """Where its introduction was left off, to go on at its next turn."""
    broken_off: int = 0
    """How often in a row its chain ended without a mark of the end."""
    again_ns: int | None = None
    """When it is to be asked for its chain again; `None`: there is no need."""
    tolerant: bool = False
    """Its readings are taken also if it is another device than the profile means."""
    by_size: tuple[Question, ...] = ()
    """The questions of all groups, the one with the shortest answer first."""
    excused: dict[Question, Excuse] = field(default_factory=dict)
    """Blocks that are not answered though the device is there: asked again only now and then."""
    trouble: dict[Question, str] = field(default_factory=dict)
    """Blocks that bring nothing though the device is there, and what was last said of each."""
    answer_ms: float | None = None
    """How long its last answer took."""
    errors: int = 0
    """How often it was asked and no data came, whatever the reason."""
    late_ms: float = 0.0
    """How long after its slot began it was last asked."""
    overshadowed: bool = False
    """When its answer last did not come in time, that of the device asked before it had not come either."""

    def plan(self) -> None:
        """Work out how it is read, from what it is known to refuse."""
        for group in self.groups:
            blocks, group.lost = divide(group.codecs, self.limits, self.refusals.spans, group.absent)
            group.reads = tuple(self.read(block) for block in blocks)
        questions = {read.question: None for group in self.groups for read in group.reads}
        if self.sunspec and not self.chain:
            questions = {self.question(head(base)): None for base in self.sunspec.bases}
        self.by_size = tuple(sorted(questions, key=lambda asked: asked.size))

    def locate(self, chain: Chain, now_ns: int) -> bool:
        """Read a SunSpec device where its chain says that its models lie; whether that is news."""
        if self.sunspec is None or chain == self.chain:
            return False
        self.chain = chain
        codecs = self.located(chain)
        self.refusals.turn_to(content(self.unit_id, codecs), now_ns)
        for group in self.groups:
            there = [codecs[cell] for cell in group.cells]
            group.absent = frozenset(cell for cell, codec in enumerate(there) if codec is None)
            group.codecs = tuple(codec or before for codec, before in zip(there, group.codecs, strict=True))
        self.plan()
        return True

    def forget(self) -> None:
        """It was away: it may be another one when it is back."""
        self.introduced = self.meeting = self.again_ns = None
        self.broken_off = 0
        self.excused.clear()

    def recheck(self, now_ns: int) -> None:
        """Ask it from the beginning what it is, after its next reading; what is known of it holds meanwhile."""
        self.meeting = None
        if self.introduced is not None:
            self.again_ns = now_ns

    def note(self, introduced: Introduced, now_ns: int) -> None:
        """Take note of what it is, and of when to ask again if its chain broke off."""
        self.introduced, self.meeting = introduced, None
        self.again_ns = None if introduced.whole else now_ns + wait_ns(self.broken_off)
        self.broken_off = 0 if introduced.whole else self.broken_off + 1

    def read(self, block: Block) -> Read:
        """What reads this block."""
        return Read(block, self.question(Span.of(block)), block.cells)

    def question(self, span: Span) -> Question:
        """The question for all addresses of a span."""
        return question(
            self.framing,
            unit=self.unit_id,
            function=span.table.function,
            address=span.address,
            count=span.end - span.address,
        )

    def pieces(self, read: Read) -> tuple[Read, ...]:
        """The reads for the halves of a block; none if it holds only one point."""
        return tuple(self.read(half) for half in halves(read.block, self.limits) or ())

    @property
    def unmet(self) -> bool:
        """Whether it has to be asked what it is before anything else."""
        known = self.introduced is not None and (self.tolerant or not self.introduced.found)
        return self.introduction is not None and not known

    @property
    def stranger(self) -> str:
        """Why its readings must not be taken, nor anything be written to it: what it is not; empty if there is no reason."""
        if self.introduction is None or self.tolerant:
            return ""
        if self.introduced is None:
            return "it has not yet shown what it is"
        found = self.introduced.found
        return found and f"expected {self.introduced.expected}, found {found}"

    @property
    def refused(self) -> tuple[str, ...]:
        """The names of the points whose addresses it refuses."""
        return tuple(group.shape.points[cell].name for group in self.groups for cell in group.lost)

    def probe(self, attempt: int, fenced: Callable[[Question], bool]) -> Question | None:
        """The question that finds out whether the device is back; `None` if a late answer may pass for any one's.

        The smallest block at the first attempt; then the others in turn, for that may be one that is never answered.
        Where a late answer would pass for the one to it, the next block, which a device has for certain; if that holds
        for all of them, a question for more or less of the same, which a strict one may refuse.
        """
        first = max(attempt - 1, 0) % len(self.by_size)
        blocks = (*self.by_size[first:], *self.by_size[:first])
        candidates = chain(blocks, *(variants(self.framing, block) for block in blocks))
        return next((probe for probe in candidates if not fenced(probe)), None)


def device(
    framing: Framing, settings: DeviceSettings, link: LinkSettings, memory: Memory, now_ns: int
) -> Device:
    """Work out everything that can be known before the first answer."""
    codecs, its_points = settings.codecs, points(settings)
    signs, bases = settings.signs, settings.sunspec.bases if settings.sunspec else ()
    refusals = Refusals(memory, settings.id, content(settings.unit_id, codecs))
    refusals.recall(now_ns)
    made = Device(
        id=settings.id,
        unit_id=settings.unit_id,
        limit_ns=ns(settings.limit(link.timeout)),
        groups=tuple(
            Group(
                Slots(ns(rhythm.interval), rhythm.phase is Phase.CLOCK),
                Shape(settings.id, tuple(its_points[cell] for cell in cells)),
                tuple(codecs[cell] for cell in cells),
                tuple(cells),
            )
            for rhythm, cells in settings.groups
        ),
        limits=settings.limits,
        framing=framing,
        refusals=refusals,
        introduction=partial(introduction, signs, bases) if signs or bases else None,
        sunspec=settings.sunspec,
        located=settings.located,
        # Without a chain nobody knows where the points of a SunSpec device lie: there is nothing to tolerate.
        tolerant=settings.identity is Identity.NOTED and not bases,
    )
    made.plan()
    return made

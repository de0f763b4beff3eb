"""One device of a link: the questions that read it, how their answers become a sample, and how it has been answering.

Pure. What is asked when is decided in `schedule`; who carries it is `link`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from typing import NamedTuple

from agent.sample import Sample, Shape, Value
from drivers.modbus.block import Block
from drivers.modbus.exceptions import Meaning
from drivers.modbus.framing import Framing, Question, question, variants
from drivers.modbus.settings import DeviceSettings, LinkSettings, points


class Read(NamedTuple):
    """One block, and the question for it."""

    block: Block
    question: Question
    cells: tuple[int, ...]


class Excuse(NamedTuple):
    """Why a block is not asked for at present."""

    meaning: Meaning
    until_ns: int


@dataclass(slots=True, eq=False)
class Device:
    """What is asked of one device, and how it has been answering."""

    id: str
    unit_id: int
    interval_ns: int
    limit_ns: int
    """How long an answer may take."""
    shape: Shape
    reads: tuple[Read, ...]
    by_size: tuple[Question, ...]
    """The same questions, the one with the shortest answer first."""
    framing: Framing
    excused: dict[Question, Excuse] = field(default_factory=dict)
    """Blocks that are not answered though the device is there: asked again only now and then."""
    refused: dict[Question, str] = field(default_factory=dict)
    """Blocks that bring nothing though the device is there, and what was last said of each."""
    answer_ms: float | None = None
    """How long its last answer took."""
    overshadowed: bool = False
    """When its answer last did not come in time, that of the device asked before it had not come either."""

    def probe(self, attempt: int, fenced: Callable[[Question], bool]) -> Question | None:
        """The question that finds out whether the device is back; `None` if a late answer may pass for any one's.

        The smallest block at the first attempt; then the others in turn, for that may be one that is never answered.
        Where a late answer would pass for the one to it, a question for more or less of the same.
        """
        block = self.by_size[max(attempt - 1, 0) % len(self.by_size)]
        candidates = chain((block,), variants(self.framing, block))
        return next((probe for probe in candidates if not fenced(probe)), None)

    def sample(self, answers: Sequence[bytes | Meaning], ended_ns: Sequence[int]) -> Sample:
        """Make the sample of one poll from the answers for each block and when they came."""
        values: list[Value | None] = [None] * len(self.shape.points)
        reasons = bytearray(len(values))
        for (block, _, cells), answer in zip(self.reads, answers, strict=True):
            if isinstance(answer, bytes):
                block.decode(answer, values, reasons)
            else:
                for cell in cells:
                    reasons[cell] = answer.reason
        return Sample(
            self.shape,
            ended_ns[-1],
            tuple(values),
            bytes(reasons) if any(reasons) else b"",
            self._ages_ms(ended_ns) if len(ended_ns) > 1 else (),
        )

    def _ages_ms(self, ended_ns: Sequence[int]) -> tuple[int, ...]:
        """How long before the last block each cell was learnt; empty when all were at once."""
        ages = [0] * len(self.shape.points)
        for (_, _, cells), ended in zip(self.reads, ended_ns, strict=True):
            for cell in cells:
                ages[cell] = (ended_ns[-1] - ended) // 1_000_000
        return tuple(ages) if any(ages) else ()


def device(framing: Framing, settings: DeviceSettings, link: LinkSettings) -> Device:
    """Work out everything that can be known before the first answer."""
    reads = tuple(
        Read(
            block,
            question(
                framing,
                unit=settings.unit_id,
                function=block.table.function,
                address=block.address,
                count=block.count,
            ),
            block.cells,
        )
        for block in settings.blocks
    )
    return Device(
        id=settings.id,
        unit_id=settings.unit_id,
        interval_ns=ns(settings.interval),
        limit_ns=ns(settings.limit(link.timeout)),
        shape=Shape(settings.id, points(settings)),
        reads=reads,
        by_size=tuple(sorted((read.question for read in reads), key=lambda asked: asked.size)),
        framing=framing,
    )


def ns(length: timedelta) -> int:
    """Nanoseconds of a duration."""
    return length // timedelta(microseconds=1) * 1000
